"""URLs of a Redis Cluster: `redis+cluster://[user:password@]host:port[,host:port…]`; `rediss+cluster://` over TLS."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit, urlunsplit

SCHEMES: Final = ("redis+cluster://", "rediss+cluster://")
_PORT: Final = 6379


def is_cluster(url: str) -> bool:
    """Whether a URL names a cluster."""
    return url.startswith(SCHEMES)


def cluster_nodes(url: str) -> tuple[str, list[tuple[str, int]]]:
    """The URL of the first node as redis-py reads it, and hosts and ports of the others. Raises ValueError."""
    parts = urlsplit(url)
    user, at, hosts = parts.netloc.rpartition("@")
    first, *others = hosts.split(",")
    base = urlunsplit(parts._replace(scheme=parts.scheme.partition("+")[0], netloc=user + at + first))
    return base, [_host_and_port(node) for node in others]


def _host_and_port(node: str) -> tuple[str, int]:
    host, _, port = node.rpartition(":")
    return (host, int(port)) if host else (node, _PORT)
