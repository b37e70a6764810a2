"""Runs the model off the event loop: a bounded queue of windows and a few threads that read them.

A text's windows may run on several threads at once; its prediction is finished by the thread that read the last one.
`WindowQueue` decides the order. A text that fails, times out or whose caller left is dropped alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from data.schema import Prediction
from models.classifier import Classifier, Prepared, Window, WindowOutputs
from serving.errors import JudgementFailed, JudgementTimeout, Overloaded, TooLarge
from serving.window_queue import Ticket, WindowQueue

NICENESS: Final = 5
# An event loop that wakes for each prediction finds its caches full of the model's weights each time, and its work
# costs twice as much. So while at least this many tokens wait for the model, predictions are told together, the first
# of them later by at most this many seconds and one run of the model.
BUSY_TOKENS: Final = 512
HELD_S: Final = 0.05

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Judged:
    """A prediction and what it cost: seconds waiting for a thread, and from the first window to the prediction."""

    prediction: Prediction
    queue_s: float
    model_s: float


@dataclass(slots=True)
class _Text:
    """One text on its way: filled window by window, then resolved on the event loop it came from."""

    classifier: Classifier
    prepared: Prepared
    future: asyncio.Future[Judged]
    loop: asyncio.AbstractEventLoop
    submitted: float
    remaining: int
    started: float = 0.0
    rows: list[tuple[Floats, Floats] | None] = field(default_factory=list)

    def outputs(self) -> WindowOutputs:
        rows = [row for row in self.rows if row is not None]
        return WindowOutputs(
            logits=np.stack([logits for logits, _ in rows]), embeddings=np.stack([embedding for _, embedding in rows])
        )

    def settle(self, judged: Judged | Exception) -> None:
        if self.future.done():
            return
        if isinstance(judged, Judged):
            self.future.set_result(judged)
        else:
            self.future.set_exception(judged)


_Done = tuple[_Text, Judged | Exception]


class Scheduler:
    """`threads` threads that read windows from one queue of at most `queue_tokens` tokens.

    `on_failure` is told the reason of every text that could not be judged. Start it once; `close` ends the threads.
    """

    def __init__(
        self,
        *,
        threads: int,
        queue_tokens: int,
        max_batch_tokens: int = 0,
        on_failure: Callable[[str], None] = lambda _reason: None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._queue = WindowQueue(queue_tokens, max_batch_tokens)
        self._texts: dict[int, _Text] = {}
        self._serial = 0
        self._lock = threading.Lock()
        # One for each window that waits, and one for each thread at the end. A condition's notify and wait are
        # written in Python and cost the event loop and the model four times as much.
        self._calls: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._done: list[_Done] = []  # judged, and not told yet
        self._done_since = 0.0
        self._closed = False
        self._on_failure = on_failure
        self._clock = clock
        self._threads = [
            threading.Thread(target=self._work, name=f"weir-model-{number}", daemon=True) for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def queued_tokens(self) -> int:
        """Tokens that wait for a thread."""
        return self._queue.tokens

    @property
    def capacity_tokens(self) -> int:
        """Tokens that may wait."""
        return self._queue.capacity_tokens

    async def judge(self, classifier: Classifier, texts: Sequence[Prepared], timeout_s: float) -> list[Judged]:
        """Judge the texts of one request: all of them, in order, or a Problem.

        Raises TooLarge if they could never fit in the queue, Overloaded at once if they do not fit now,
        JudgementTimeout after `timeout_s`, JudgementFailed if the model raised on one of them.
        """
        serials, futures = self._submit(classifier, texts)
        try:
            # Who began this ahead (serving.begun) has not awaited it yet; the timeout is that of the one who does.
            await asyncio.sleep(0)
            async with asyncio.timeout(timeout_s):
                return [await future for future in futures]
        except TimeoutError:
            self._on_failure("timeout")
            raise JudgementTimeout(f"No judgement within {timeout_s:g} s.") from None
        finally:
            self._forget(serials)
            for future in futures:
                if not future.cancel() and not future.cancelled():
                    future.exception()  # a second failed text of this request: seen, so asyncio does not log it

    def close(self) -> None:
        """End the threads after the window that each is reading; what waits fails as not judged."""
        with self._lock:
            self._closed = True
            left = list(self._texts.values())
            self._texts.clear()
        for _ in self._threads:
            self._calls.put(None)
        _tell([(text, JudgementFailed("The server is stopping.")) for text in left])
        for thread in self._threads:
            thread.join()
        _tell(self._done)

    def _submit(
        self, classifier: Classifier, texts: Sequence[Prepared]
    ) -> tuple[list[int], list[asyncio.Future[Judged]]]:
        loop = asyncio.get_running_loop()
        if not all(prepared.windows for prepared in texts):
            raise JudgementFailed("A text has nothing that the model can read.")
        cost = sum(prepared.cost for prepared in texts)
        if cost > self._queue.capacity_tokens:
            raise TooLarge(
                f"The texts are longer than the {self._queue.capacity_tokens} tokens that this server queues."
            )
        serials: list[int] = []
        futures: list[asyncio.Future[Judged]] = []
        with self._lock:
            if self._closed or not self._queue.has_room(cost):
                raise Overloaded
            now = self._clock()
            for prepared in texts:
                self._serial += 1
                count = len(prepared.windows)
                future: asyncio.Future[Judged] = loop.create_future()
                self._texts[self._serial] = _Text(classifier, prepared, future, loop, now, count, rows=[None] * count)
                self._queue.put(self._serial, [len(window.ids) for window in prepared.windows], id(classifier))
                serials.append(self._serial)
                futures.append(future)
        for _ in range(sum(len(prepared.windows) for prepared in texts)):
            self._calls.put(None)
        return serials, futures

    def _forget(self, serials: Sequence[int]) -> None:
        with self._lock:
            for serial in serials:
                if self._texts.pop(serial, None) is not None:
                    self._queue.drop(serial)

    def _work(self) -> None:
        _yield_to_the_event_loop()
        while True:
            self._calls.get()
            with self._lock:
                if self._closed:
                    return
                group = [(ticket, self._texts[ticket.text]) for ticket in self._queue.take()]
                now = self._clock()
                for _, text in group:
                    text.started = text.started or now
            self._tell_due()
            if group:  # a call may be for what left, or for what another call took along
                self._run(group)
                self._tell_due()

    def _tell_due(self) -> None:
        """Tell the event loop what is judged, unless that can wait."""
        with self._lock:
            busy = self._queue.tokens >= BUSY_TOKENS
            if not self._done or (busy and self._clock() < self._done_since + HELD_S):
                return
            due, self._done = self._done, []
        _tell(due)

    def _run(self, group: Sequence[tuple[Ticket, _Text]]) -> None:
        """Read one group; if that raises, read its windows one by one, so that only the culprit's text fails."""
        windows: list[Window] = [text.prepared.windows[ticket.index] for ticket, text in group]
        try:
            outputs = group[0][1].classifier.run(windows)
        except Exception as error:  # noqa: BLE001  whatever the runtime raises, the text is not judged
            if len(group) > 1:
                for member in group:
                    self._run([member])
                    self._tell_due()
            else:
                self._fail(group[0][0].text, error)
            return
        for row, (ticket, text) in enumerate(group):
            self._deliver(ticket, text, outputs.logits[row], outputs.embeddings[row])

    def _deliver(self, ticket: Ticket, text: _Text, logits: Floats, embedding: Floats) -> None:
        with self._lock:
            text.rows[ticket.index] = (logits, embedding)
            text.remaining -= 1
            if text.remaining:
                return
            self._texts.pop(ticket.text, None)
        try:
            prediction = text.classifier.finish(text.prepared, text.outputs())
        except Exception as error:  # noqa: BLE001  as in _run
            self._fail(ticket.text, error, text)
            return
        now = self._clock()
        with self._lock:
            if not self._done:
                self._done_since = now
            self._done.append((text, Judged(prediction, text.started - text.submitted, now - text.started)))

    def _fail(self, serial: int, error: Exception, text: _Text | None = None) -> None:
        """Fail one text. The error's message may quote the text, so only its type is kept."""
        with self._lock:
            text = self._texts.pop(serial, None) or text
            self._queue.drop(serial)
        if text is not None:
            self._on_failure("error")
            _tell([(text, JudgementFailed(extra={"cause": type(error).__name__}))])


def _tell(done: Sequence[_Done]) -> None:
    """Settle texts on the event loops that they came from, all those of a loop in one call."""
    for loop in {text.loop for text, _ in done}:
        with contextlib.suppress(RuntimeError):  # the loop closed while the model ran: nobody waits any more
            loop.call_soon_threadsafe(_settle, [each for each in done if each[0].loop is loop])


def _settle(done: Sequence[_Done]) -> None:
    for text, judged in done:
        text.settle(judged)


def _yield_to_the_event_loop() -> None:
    """Lower the calling thread's priority: where cores are short, answering and Redis go before the model.

    Otherwise a full queue starves the event loop and the embedded Redis, whose 50 ms then pass unanswered. Linux
    alone gives a thread a priority of its own.
    """
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
