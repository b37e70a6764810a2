"""Groups of texts that are alike, by HDBSCAN (Campello, Moulavi and Sander 2013; scikit-learn's) on embeddings.

HDBSCAN needs no number of groups and leaves what belongs to none outside, which is right for flagged traffic: most of
it is one of a kind, and a campaign is a dense spot of any size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
from sklearn.cluster import HDBSCAN

from models.clusters import Cluster, encode_centroid, read_clusters, write_clusters
from training.metrics.curves import FloatArray, IntArray

NONE: Final = -1
HARMLESS_SHARE: Final = 0.01  # of harmless texts, how many may be nearer than a cluster's background
LEAST_SPREAD: Final = 0.02
AXES: Final = 32


@dataclass(frozen=True)
class Centre:
    """One group's mean direction [D], and the cosines to it that tell members from harmless texts."""

    direction: FloatArray
    background: float
    typical: float

    @property
    def tells_apart(self) -> bool:
        """Whether its members are clearly more alike than harmless texts are to them."""
        return self.typical - self.background >= LEAST_SPREAD


def group(embeddings: FloatArray, harmless: FloatArray, smallest: int) -> IntArray:
    """The group of each unit row [n, D], numbered from the largest; NONE for those that belong to none.

    Harmless rows [m, D] stand beside them: a campaign is dense against something, also when nothing else was flagged,
    and a spot of mostly harmless texts is no group but a false alarm. Of equal rows at most `smallest` are weighed, so
    that one text sent a million times is one group and no more work.
    """
    rows, inverse, counts = np.unique(embeddings.astype("<f2"), axis=0, return_inverse=True, return_counts=True)
    weighed = np.repeat(np.arange(len(rows)), np.minimum(counts, smallest))
    clusterer = HDBSCAN(
        min_cluster_size=smallest,
        min_samples=min(5, smallest),
        cluster_selection_method="leaf",  # the larger ones are whole categories, which the scores name already
        copy=True,
    )
    found = clusterer.fit_predict(_principal(np.vstack([rows[weighed].astype(np.float64), harmless])))
    ours, theirs = found[: len(weighed)], found[len(weighed) :]
    for label in np.unique(ours[ours != NONE]):
        if np.sum(theirs == label) * 2 > np.sum(ours == label):
            ours[ours == label] = NONE
    by_row = np.full(len(rows), NONE)
    by_row[weighed] = ours
    return _by_size(by_row[inverse.ravel()])


def centres(embeddings: FloatArray, labels: IntArray, harmless: FloatArray) -> list[Centre]:
    """The centre of each group, in order; `harmless` [m, D] says how near texts come that are no attack."""
    found = []
    for label in range(int(labels.max(initial=NONE)) + 1):
        members = np.unique(embeddings[labels == label].astype("<f2"), axis=0).astype(np.float64)
        mean = members.mean(axis=0)
        direction = mean / np.linalg.norm(mean)
        background = float(np.quantile(harmless @ direction, 1 - HARMLESS_SHARE))
        found.append(Centre(direction, background, float(np.median(members @ direction))))
    return found


def nearest(embeddings: FloatArray, found: Sequence[Centre]) -> IntArray:
    """For each row the centre that it is nearest to, if it is as near as half of that one's members; else NONE."""
    if not found or not len(embeddings):
        return np.full(len(embeddings), NONE)
    cosines = embeddings @ np.stack([centre.direction for centre in found]).T
    typical = np.array([centre.typical for centre in found])
    margins = np.where(cosines >= typical, cosines - typical, -np.inf)
    best = margins.argmax(axis=1)
    return np.where(np.isfinite(margins.max(axis=1)), best, NONE)


def recognised(found: Sequence[Centre], known: Sequence[Cluster], size: int) -> Mapping[int, Cluster]:
    """Which group is which known cluster: one whose centre is as near as half of the cluster's members were."""
    if not found or not known:
        return {}
    before = read_clusters(write_clusters(known), size).centroids.astype(np.float64)
    cosines = np.stack([centre.direction for centre in found]) @ before.T
    pairs: dict[int, Cluster] = {}
    taken: set[int] = set()
    for flat in np.argsort(-cosines, axis=None, kind="stable"):
        index, old = divmod(int(flat), len(known))
        if index not in pairs and old not in taken and cosines[index, old] >= known[old].typical:
            pairs[index] = known[old]
            taken.add(old)
    return pairs


def cluster_of(centre: Centre, known: Cluster | None, *, name: str, size: int, seen: tuple[float, float]) -> Cluster:
    """A group as the bundle holds it: under its old id if it is known, else under one drawn from its centroid."""
    centroid = encode_centroid(centre.direction)
    fresh = Cluster(
        id="c-" + hashlib.blake2b(centroid.encode(), digest_size=5).hexdigest(),
        name=name,
        size=size,
        first_seen=seen[0],
        last_seen=seen[1],
        background=round(centre.background, 4),
        typical=round(centre.typical, 4),
        centroid=centroid,
    )
    if known is None:
        return fresh
    first, last = min(known.first_seen, seen[0]), max(known.last_seen, seen[1])
    return replace(fresh, id=known.id, first_seen=first, last_seen=last)


def _principal(rows: FloatArray) -> FloatArray:
    """The rows on their principal axes: a few hold nearly all of the distances, and HDBSCAN is 20 times as fast."""
    middle = rows.mean(axis=0)
    _, _, axes = np.linalg.svd(rows - middle, full_matrices=False)
    points: FloatArray = (rows - middle) @ axes[:AXES].T
    return points


def _by_size(labels: npt.NDArray[np.integer]) -> IntArray:
    """The same groups, numbered from the largest; of equal ones the first to appear comes first."""
    names, first, counts = np.unique(labels[labels != NONE], return_index=True, return_counts=True)
    order = np.lexsort((first, -counts))
    renamed = {int(names[old]): new for new, old in enumerate(order)}
    return np.array([renamed.get(int(label), NONE) for label in labels], dtype=np.int64)
