"""The attack clusters of a bundle: which known group of attacks a text is most like, from its embedding alone.

`clusters.json` is an optional file of the bundle, named with its hash by the manifest like every other.
`training.cluster` writes it; docs/clusters.md tells how.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Final, Literal

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass

from data.schema import ClusterMatch

CLUSTERS: Final = "clusters.json"
_STRICT: Final = ConfigDict(extra="forbid", allow_inf_nan=False)

Vectors = npt.NDArray[np.float32]
ClusterId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,32}\z")]
Cosine = Annotated[float, Field(ge=-1, le=1)]


class ClustersError(Exception):
    """The clusters of a bundle cannot be used; the message says what is wrong with which one."""


@checked_dataclass(frozen=True, config=_STRICT)
class Cluster:
    """One group of attacks that are alike.

    `centroid` is the mean direction of its members, base64 of little-endian half-precision floats: a cosine needs no
    more digits. `typical` is the cosine to it that half of the members reach, `background` the one that hardly any
    harmless text reaches; between the two similarity goes from 0 to 1. `name`, `size` and
    the times (seconds since the epoch) are for people.
    """

    id: ClusterId
    name: str
    size: Annotated[int, Field(ge=1)]
    first_seen: float
    last_seen: float
    background: Cosine
    typical: Cosine
    centroid: str

    def __post_init__(self) -> None:
        """Refuse a scale that is empty or upside down."""
        if not self.background < self.typical:
            raise ValueError(f"typical {self.typical} must be above background {self.background}")


def _distinct(clusters: tuple[Cluster, ...]) -> tuple[Cluster, ...]:
    ids = [cluster.id for cluster in clusters]
    if repeated := {each for each in ids if ids.count(each) > 1}:
        raise ValueError(f"several clusters are called {', '.join(sorted(repeated))}")
    return clusters


@checked_dataclass(frozen=True, config=_STRICT)
class _File:
    format: Literal[1]
    clusters: Annotated[tuple[Cluster, ...], AfterValidator(_distinct)]


_FILE: Final = TypeAdapter(_File)


@dataclass(frozen=True, slots=True)
class Clusters:
    """Clusters with their centroids as one matrix, float32 [K, D] of unit rows. Immutable, so any thread may ask."""

    clusters: tuple[Cluster, ...]
    centroids: Vectors

    def nearest(self, embedding: Vectors) -> ClusterMatch | None:
        """The cluster that a unit vector [D] is most like, by calibrated similarity; None without any cluster."""
        if not self.clusters:
            return None
        cosines = self.centroids @ embedding
        similarities = [
            (float(cosine) - cluster.background) / (cluster.typical - cluster.background)
            for cluster, cosine in zip(self.clusters, cosines, strict=True)
        ]
        best = max(range(len(similarities)), key=similarities.__getitem__)
        return ClusterMatch(self.clusters[best].id, min(max(similarities[best], 0.0), 1.0))


NO_CLUSTERS: Final = Clusters((), np.empty((0, 0), dtype=np.float32))


def write_clusters(clusters: Sequence[Cluster]) -> bytes:
    """The content of `clusters.json`: the same bytes for the same clusters."""
    document = {"format": 1, "clusters": [asdict(cluster) for cluster in clusters]}
    return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()


def read_clusters(content: bytes, embedding_size: int) -> Clusters:
    """The clusters of a file; raises ClustersError unless every centroid has the model's `embedding_size`."""
    try:
        clusters = _FILE.validate_json(content, strict=True).clusters
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ClustersError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    rows = [_direction(cluster, embedding_size) for cluster in clusters]
    return Clusters(clusters, np.stack(rows)) if rows else NO_CLUSTERS


def encode_centroid(direction: npt.NDArray[np.floating]) -> str:
    """A centroid as the file holds it."""
    return base64.b64encode(np.asarray(direction, dtype="<f2").tobytes()).decode()


def _direction(cluster: Cluster, embedding_size: int) -> Vectors:
    try:
        row = np.frombuffer(base64.b64decode(cluster.centroid, validate=True), dtype="<f2").astype(np.float32)
    except ValueError as error:
        raise ClustersError(f"cluster {cluster.id}: the centroid is no base64 of half-precision floats") from error
    length = float(np.linalg.norm(row))
    if len(row) != embedding_size or not np.isfinite(length) or length == 0:
        raise ClustersError(f"cluster {cluster.id}: the centroid is no direction in {embedding_size} dimensions")
    unit: Vectors = row / np.float32(length)
    return unit
