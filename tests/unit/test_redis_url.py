"""What a URL of a cluster means."""

from __future__ import annotations

import pytest

from data.redis_url import cluster_nodes, is_cluster


@pytest.mark.parametrize(
    ("url", "base", "others"),
    [
        ("redis+cluster://a:7000", "redis://a:7000", []),
        ("redis+cluster://a:7000,b:7001,c", "redis://a:7000", [("b", 7001), ("c", 6379)]),
        (
            "rediss+cluster://u:p%40@a:1,[::1]:2?ssl_cert_reqs=none",
            "rediss://u:p%40@a:1?ssl_cert_reqs=none",
            [("[::1]", 2)],
        ),
    ],
)
def test_the_first_node_is_read_by_redis_py_and_the_others_are_tried_too(
    url: str, base: str, others: list[tuple[str, int]]
) -> None:
    assert is_cluster(url)
    assert cluster_nodes(url) == (base, others)


def test_one_server_is_no_cluster() -> None:
    assert not any(map(is_cluster, ("redis://a", "rediss://a", "unix:///a")))
