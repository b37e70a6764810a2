"""Stops work that nobody waits for any more."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Final, Self

from starlette.requests import ClientDisconnect, Request

# Most answers are out before; a task that waits for the caller's leaving would cost them more than it could save.
PATIENCE_S: Final = 0.025


class WhileConnected:
    """A block that is cancelled once the caller has left, which it raises as ClientDisconnect.

    Enter it within the request's own task, after its body was read.
    """

    def __init__(self, request: Request) -> None:
        self._request = request
        self._left = False
        self._asking: asyncio.Task[object] | None = None
        self._watch: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        self._asking = asyncio.current_task()
        self._timer = asyncio.get_running_loop().call_later(PATIENCE_S, self._begin)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asking, self._asking = self._asking, None
        self._timer.cancel()
        if self._watch is not None:
            self._watch.cancel()
        if self._left and asking is not None:
            asking.uncancel()
            if isinstance(error, asyncio.CancelledError):
                raise ClientDisconnect from None

    def _begin(self) -> None:
        self._watch = asyncio.create_task(self._until_disconnected())
        self._watch.add_done_callback(self._stop)

    async def _until_disconnected(self) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            pass

    def _stop(self, watch: asyncio.Task[None]) -> None:
        if self._asking is not None and not watch.cancelled() and watch.exception() is None:
            self._left = True
            self._asking.cancel()
