"""A coroutine that begins at once, and not only when the event loop comes to it."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Begun(Generic[T]):
    """Runs `work` up to where it first waits; awaiting this, once, runs the rest within the task that awaits.

    So a call is on its way while its caller does something else, for less than a task costs. (Python 3.12 has
    `asyncio.eager_task_factory` for the same purpose.) What `work` raises at once is raised here and now.
    """

    __slots__ = ("_result", "_waits_for", "_work")

    def __init__(self, work: Coroutine[Any, None, T]) -> None:
        self._work: Coroutine[Any, None, T] | None = work
        try:
            self._waits_for: object = work.send(None)
        except StopIteration as finished:
            self._result: T = finished.value
            self._work = None

    def close(self) -> None:
        """Stop what has not been waited for to its end."""
        if self._work is not None:
            self._work.close()

    def __await__(self) -> Generator[object, None, T]:
        """Wait for the result."""
        if self._work is None:
            return self._result
        work, waits_for = self._work, self._waits_for
        while True:
            try:
                try:
                    yield waits_for
                except BaseException as error:  # noqa: BLE001  a cancellation is for the work to see
                    waits_for = work.throw(error)
                else:
                    waits_for = work.send(None)
            except StopIteration as finished:
                result: T = finished.value
                return result
