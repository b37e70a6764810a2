"""Where every event waits on disk until Redis has it: a journal of JSON lines in segments, and those of dead processes.

A line is in its file before `append` returns, so killing the process cannot lose it; nothing is forced to the device,
so a power failure can. A segment is locked for as long as its process lives: whoever can lock one has found the
remains of a dead process and takes it over. How far a segment was delivered is not written down, so what is taken
over may be delivered twice, and readers tell by the event's id. While the disk refuses, a segment in memory takes over.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import logging
import os
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

SEGMENTS: Final = 64  # a full spool has about so many; one is the most that a crash delivers twice
READ_BYTES: Final = 256 * 1024

log = logging.getLogger("weir.events")


class SpoolFull(Exception):  # noqa: N818  a state of the disk
    """The line does not fit under the spool's limit."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The oldest waiting lines, without their ends. `replayed`: they come from a dead process."""

    lines: list[bytes]
    replayed: bool


@dataclass(slots=True, eq=False)
class _Segment:
    """Lines up to `size`, delivered up to `read_to`; `waiting` are not yet. Without a path it is in memory only."""

    file: io.FileIO | io.BytesIO
    path: Path | None = None
    adopted: bool = False
    size: int = 0
    read_to: int = 0
    waiting: int = 0

    @classmethod
    def create(cls, path: Path) -> Self:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_suffix(".new")  # nobody may find it before it is locked
        file = open(draft, "x+b", buffering=0, opener=lambda name, flags: os.open(name, flags, 0o600))  # noqa: SIM115
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            draft.rename(path)
        except OSError:
            file.close()
            raise
        return cls(file, path)

    @classmethod
    def adopt(cls, path: Path) -> tuple[Self, bool] | None:
        """The segment of a dead process and whether its last line is torn; None if its process lives."""
        try:
            file = path.open("r+b", buffering=0)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            content = file.readall()
        except BlockingIOError:
            file.close()
            return None
        except OSError:
            file.close()
            raise
        if not path.exists():  # its adopter deleted it between our open and our lock
            file.close()
            return None
        size = content.rfind(b"\n") + 1
        return cls(file, path, adopted=True, size=size, waiting=content.count(b"\n")), size < len(content)

    def append(self, block: bytes) -> None:
        # What a failed write left behind the last whole line is overwritten by the next one or read as torn.
        self.file.seek(self.size)
        if self.file.write(block) < len(block):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.size += len(block)
        self.waiting += 1

    def lines(self, count: int) -> list[bytes]:
        wanted = READ_BYTES
        while True:
            self.file.seek(self.read_to)
            block = self.file.read(min(wanted, self.size - self.read_to))
            if (end := block.rfind(b"\n")) >= 0:
                return block[:end].split(b"\n", count)[:count]
            if len(block) < wanted:
                raise OSError(errno.EIO, "it is shorter than what was written")
            wanted *= 4

    def forget(self, lines: list[bytes]) -> None:
        self.read_to += sum(map(len, lines)) + len(lines)
        self.waiting -= len(lines)

    def empty(self) -> None:
        if self.size:
            with contextlib.suppress(OSError):  # it then grows until a new one is due
                self.file.truncate(0)
                self.size = self.read_to = 0

    def close(self) -> None:
        """Let go of the file; one that still holds waiting lines is left for whoever comes next."""
        if self.path is not None and not self.waiting:
            with contextlib.suppress(OSError):  # it is delivered once more then
                self.path.unlink()
        self.file.close()


class Spool:
    """The journal of one process in a folder that others share, all of them bounded together by about `max_bytes`.

    `name` tells this process's segments from those of others, dead ones included. For one thread: calls are short
    (a write to the page cache takes microseconds), and none of them waits for another process.
    """

    def __init__(self, directory: Path, name: str, max_bytes: int) -> None:
        self._directory = directory
        self._name = name
        self._max_bytes = max_bytes
        self._segments: deque[_Segment] = deque()
        self._created = 0
        self._others_bytes = 0
        self._disk_refuses = False

    @property
    def waiting(self) -> int:
        """Lines that nobody has forgotten yet."""
        return sum(segment.waiting for segment in self._segments)

    def append(self, line: bytes) -> bool:
        """Take one line (without newlines); False if the disk refused it and it is in memory only.

        Raises :class:`SpoolFull`.
        """
        block = line + b"\n"
        segment = self._segments[-1] if self._segments else None
        if segment is None or segment.adopted or segment.size + len(block) > self._max_bytes // SEGMENTS:
            segment = None
        if segment is None or not self._fits(len(block)):  # looking is too dear for every line
            self._others_bytes = self._measure_others()
            if not self._fits(len(block)):
                raise SpoolFull
        segment = segment or self._create()
        try:
            segment.append(block)
        except OSError as error:
            segment = self._fall_back(error)
            segment.append(block)
        if segment.path is not None:
            self._disk_refuses = False
        return segment.path is not None

    def adopt(self) -> int:
        """Take over the segments of dead processes, before anything else is done; returns how many lines were torn."""
        torn = 0
        for path in reversed(self._others()):
            try:
                found = _Segment.adopt(path)
            except OSError as error:
                log.error("a file of the event spool cannot be read: %s", error.strerror)  # noqa: TRY400  no trace
                continue
            if found is not None:
                self._segments.appendleft(found[0])
                torn += found[1]
        self._drop_delivered()
        return torn

    def peek(self, count: int) -> Batch:
        """The oldest waiting lines, at most `count`; they stay until :meth:`forget`. Raises OSError."""
        oldest = self._oldest()
        return Batch(oldest.lines(count), oldest.adopted) if oldest else Batch([], replayed=False)

    def forget(self, batch: Batch) -> None:
        """Drop what the last :meth:`peek` gave, now that it is safe elsewhere."""
        if oldest := self._oldest():
            oldest.forget(batch.lines)
        self._drop_delivered()

    def abandon(self) -> int:
        """Leave the oldest segment, which cannot be read, to the next process; returns how many lines waited in it."""
        oldest = self._oldest()
        if oldest is None:
            return 0
        self._segments.remove(oldest)
        oldest.close()
        return oldest.waiting

    def close(self) -> int:
        """Let go of all segments; what waits on disk is left for the next. Returns how many lines were in memory."""
        lost = sum(segment.waiting for segment in self._segments if segment.path is None)
        while self._segments:
            self._segments.popleft().close()
        return lost

    def _oldest(self) -> _Segment | None:
        return next((segment for segment in self._segments if segment.waiting), None)

    def _fits(self, more: int) -> bool:
        return sum(segment.size for segment in self._segments) + self._others_bytes + more <= self._max_bytes

    def _create(self) -> _Segment:
        self._created += 1
        try:
            segment = _Segment.create(self._directory / f"{self._name}-{self._created:06}.jsonl")
        except OSError as error:
            return self._fall_back(error)
        self._segments.append(segment)
        return segment

    def _fall_back(self, error: OSError) -> _Segment:
        if not self._disk_refuses:
            log.error("the event spool cannot be written, events wait in memory: %s", error.strerror)
        self._disk_refuses = True
        self._segments.append(_Segment(io.BytesIO()))
        return self._segments[-1]

    def _drop_delivered(self) -> None:
        """Keep what waits, and a file to write to: emptied for the next line, as a new one would cost more."""
        while self._segments and not self._segments[0].waiting:
            first = self._segments[0]
            if len(self._segments) == 1 and first.path is not None and not first.adopted:
                first.empty()
                return
            self._segments.popleft().close()

    def _others(self) -> list[Path]:
        mine = {segment.path for segment in self._segments}
        return [path for path in sorted(self._directory.glob("*.jsonl")) if path not in mine]

    def _measure_others(self) -> int:
        total = 0
        with contextlib.suppress(OSError):
            for path in self._others():
                with contextlib.suppress(FileNotFoundError):  # its process has just deleted it
                    total += path.stat().st_size
        return total
