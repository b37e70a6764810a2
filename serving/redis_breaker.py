"""Which servers may be asked: a circuit breaker for each, as a lost node of a cluster must not silence the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

FAILURES_TO_OPEN: Final = 3

Node = tuple[str, int]
ANYWHERE: Final[Node] = ("", 0)
"""The only server there is, or whichever node of a cluster whose map is not known yet."""


class Breakers:
    """Opens for a node after :data:`FAILURES_TO_OPEN` failures in a row; :meth:`close` it once it answers a probe.

    `on_change` is told each node for which that changes.
    """

    def __init__(self, on_change: Callable[[Node, bool], None]) -> None:
        self._on_change = on_change
        self._failures: dict[Node, int] = {}
        self._open: set[Node] = set()

    @property
    def open_nodes(self) -> frozenset[Node]:
        """The nodes that are not asked."""
        return frozenset(self._open)

    def is_open(self, node: Node) -> bool:
        """Whether a node is not to be asked."""
        return node in self._open

    def failed(self, node: Node) -> None:
        """Note that a node gave no usable answer."""
        self._failures[node] = self._failures.get(node, 0) + 1
        if self._failures[node] >= FAILURES_TO_OPEN:
            self.open(node)

    def worked(self, node: Node) -> None:
        """Note that a node answered."""
        self._failures.pop(node, None)

    def open(self, node: Node) -> None:
        """Ask a node no more."""
        if node not in self._open:
            self._open.add(node)
            self._failures.pop(node, None)
            self._on_change(node, True)

    def close(self, node: Node) -> None:
        """Ask a node again."""
        if node in self._open:
            self._open.discard(node)
            self._on_change(node, False)
