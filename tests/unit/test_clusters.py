"""The clusters of a bundle: what is nearest, by which measure, and which files are refused."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.clusters import NO_CLUSTERS, Cluster, ClustersError, encode_centroid, read_clusters, write_clusters

EAST, NORTH = np.array([1.0, 0.0, 0.0]), np.array([0.0, 2.0, 0.0])


def cluster(name: str, centroid: np.ndarray, **changes: object) -> Cluster:
    plain = Cluster(
        id=name,
        name=name,
        size=10,
        first_seen=1.8e9,
        last_seen=1.9e9,
        background=0.5,
        typical=0.9,
        centroid=encode_centroid(centroid),
    )
    return dataclasses.replace(plain, **changes)


BOTH = [cluster("east", EAST), cluster("north", NORTH, background=0.0)]


def towards(cosine: float) -> np.ndarray:
    """A unit vector with that cosine to east, and nothing of north."""
    return np.array([cosine, 0.0, np.sqrt(1 - cosine**2)], dtype=np.float32)


@pytest.mark.parametrize(
    ("cosine", "similarity"), [(0.3, 0.0), (0.5, 0.0), (0.6, 0.25), (0.7, 0.5), (0.9, 1.0), (1.0, 1.0)]
)
def test_similarity_goes_from_what_harmless_texts_reach_to_what_members_reach(cosine: float, similarity: float) -> None:
    found = read_clusters(write_clusters(BOTH[:1]), 3).nearest(towards(cosine))
    assert found is not None
    assert found.id == "east"
    assert found.similarity == pytest.approx(similarity, abs=1e-3)


def test_the_nearest_is_the_one_with_the_highest_similarity_not_the_highest_cosine() -> None:
    clusters = read_clusters(write_clusters(BOTH), 3)
    vector = np.array([0.6, 0.5, 0.0], dtype=np.float32)  # east: (0.6 - 0.5) / 0.4; north: 0.5 / 0.9
    found = clusters.nearest(vector)
    assert found is not None
    assert (found.id, round(found.similarity, 2)) == ("north", 0.56)


def test_without_clusters_nothing_is_near() -> None:
    assert NO_CLUSTERS.nearest(towards(1.0)) is None
    assert read_clusters(write_clusters([]), 3).nearest(towards(1.0)) is None


def test_the_same_clusters_make_the_same_bytes() -> None:
    assert write_clusters(BOTH) == write_clusters(list(BOTH))
    assert write_clusters(read_clusters(write_clusters(BOTH), 3).clusters) == write_clusters(BOTH)


@given(st.lists(st.floats(-1, 1, width=32), min_size=3, max_size=3))
def test_any_vector_has_a_similarity_between_0_and_1(numbers: list[float]) -> None:
    found = read_clusters(write_clusters(BOTH), 3).nearest(np.array(numbers, dtype=np.float32))
    assert found is not None
    assert 0 <= found.similarity <= 1


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"centroid": "?"}, "cluster east: the centroid is no base64"),
        ({"centroid": encode_centroid(np.ones(4))}, "cluster east: the centroid is no direction in 3 dimensions"),
        ({"centroid": encode_centroid(np.zeros(3))}, "no direction in 3 dimensions"),
        ({"centroid": encode_centroid(np.array([np.nan, 0, 1]))}, "no direction in 3 dimensions"),
        ({"typical": 0.5}, "typical 0.5 must be above background 0.5"),
        ({"background": 1.5}, "clusters.0.background"),
        ({"size": 0}, "clusters.0.size"),
        ({"id": "../x"}, "clusters.0.id"),
        ({"id": "north"}, "several clusters are called north"),
        ({"surprise": 1}, "clusters.0.surprise"),
    ],
)
def test_a_damaged_file_is_refused_with_the_place(changes: dict[str, object], complaint: str) -> None:
    document = json.loads(write_clusters(BOTH))
    document["clusters"][0].update(changes)
    with pytest.raises(ClustersError, match=complaint):
        read_clusters(json.dumps(document).encode(), 3)


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(ClustersError, match="Invalid JSON"):
        read_clusters(b"{", 3)
