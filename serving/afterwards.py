"""What an answer need not wait for: done a little later, all of it at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

log = logging.getLogger("weir.afterwards")

# Long enough that a caller's next request is with the model by then, and the event loop has nothing else to do; and
# that under load the work of several answers is done in a row, while the caches still hold its code.
DELAY_S: Final = 0.005


class Afterwards:
    """Calls that wait for their turn on the running event loop. `on_failure` is told of each that raised."""

    def __init__(self, on_failure: Callable[[], None] = lambda: None) -> None:
        self._waiting: list[Callable[[], None]] = []
        self._on_failure = on_failure

    def add(self, call: Callable[[], None]) -> None:
        """Remember to call this within `DELAY_S`; returns at once."""
        if not self._waiting:
            asyncio.get_running_loop().call_later(DELAY_S, self.flush)
        self._waiting.append(call)

    def flush(self) -> None:
        """Do now all that is waiting. What raises is counted and does not keep the rest from being done."""
        waiting, self._waiting = self._waiting, []
        for call in waiting:
            try:
                call()
            except Exception as error:  # noqa: BLE001  one answer's fault is not the next one's
                self._on_failure()
                log.error("work after an answer failed", extra={"error": type(error).__name__})  # noqa: TRY400  no trace
