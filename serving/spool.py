"""Where events wait on disk while Redis is away: one file of JSON lines for each process.

The file is locked for as long as its process lives, so whoever can lock a file has found the remains of a dead
process and takes it over. What was read is only forgotten once Redis has it; a process that dies in between
leaves lines that are delivered twice, and readers tell them apart by the event's id.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self


class SpoolFull(Exception):  # noqa: N818  a state of the disk
    """The lines do not fit under the spool's limit."""


@dataclass(slots=True)
class _File:
    """A file whose lock is ours for as long as `descriptor` is open. Before `read_to` everything is delivered."""

    path: Path
    descriptor: int
    read_to: int = 0

    @classmethod
    def create(cls, path: Path) -> Self:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return cls(path, descriptor)

    @classmethod
    def adopt(cls, path: Path) -> Self | None:
        """The file of a dead process, or None if its process lives or somebody else was faster."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        if not path.exists():  # its adopter deleted it between our open and our lock
            os.close(descriptor)
            return None
        return cls(path, descriptor)

    @property
    def size(self) -> int:
        return os.fstat(self.descriptor).st_size

    def append(self, block: bytes) -> None:
        end = self.size
        try:
            written = 0
            while written < len(block):
                written += os.write(self.descriptor, block[written:])
            os.fsync(self.descriptor)
        except OSError:
            os.ftruncate(self.descriptor, end)  # half a line would be glued to the next one
            raise

    def lines(self, count: int) -> list[bytes]:
        """Undelivered lines. A last line without its end was cut off by a crash and is no event."""
        with self.path.open("rb") as file:
            file.seek(self.read_to)
            return [line[:-1] for _ in range(count) if (line := file.readline()).endswith(b"\n")]

    def close(self, *, delete: bool) -> None:
        if delete:
            self.path.unlink(missing_ok=True)
        os.close(self.descriptor)


class Spool:
    """The spool files of one folder, bounded together by `max_bytes`. Blocks on the disk; threads may share it.

    `name` tells this process's file from those of others, dead ones included.
    """

    def __init__(self, directory: Path, name: str, max_bytes: int) -> None:
        self._directory = directory
        self._path = directory / f"{name}.jsonl"
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._own: _File | None = None
        self._adopted: list[_File] = []

    def append(self, lines: Sequence[bytes]) -> None:
        """Write lines through to the disk. Raises :class:`SpoolFull`, and OSError when the disk refuses."""
        block = b"".join(line + b"\n" for line in lines)
        with self._lock:
            if self._bytes() + len(block) > self._max_bytes:
                raise SpoolFull
            if self._own is None:
                self._own = _File.create(self._path)
            self._own.append(block)

    def adopt(self) -> int:
        """Take over the files of dead processes; returns how many there were."""
        with self._lock:
            others = [path for path in sorted(self._directory.glob("*.jsonl")) if path != self._path]
            mine = {file.path for file in self._adopted}
            found = [file for path in others if path not in mine and (file := _File.adopt(path))]
            self._adopted += found
            return len(found)

    def peek(self, count: int) -> list[bytes]:
        """The oldest lines, at most `count`, adopted files first. They stay until :meth:`forget`."""
        with self._lock:
            while self._adopted:
                lines = self._adopted[0].lines(count)
                if lines:
                    return lines
                self._adopted.pop(0).close(delete=True)
            return self._own.lines(count) if self._own else []

    def forget(self, lines: Sequence[bytes]) -> None:
        """Drop what the last :meth:`peek` gave, now that it is safe elsewhere."""
        with self._lock:
            file = self._adopted[0] if self._adopted else self._own
            if file is None:
                return
            file.read_to += sum(len(line) + 1 for line in lines)
            if file.read_to >= file.size:
                os.ftruncate(file.descriptor, 0)
                file.read_to = 0

    def close(self) -> None:
        """Let go of all files; one that still holds events is left for whoever comes next."""
        with self._lock:
            for file in (*self._adopted, *([self._own] if self._own else [])):
                file.close(delete=file.size == 0)
            self._adopted.clear()
            self._own = None

    def _bytes(self) -> int:
        total = 0
        for path in self._directory.glob("*.jsonl"):
            try:
                total += path.stat().st_size
            except FileNotFoundError:  # another process has just emptied it
                continue
        return total
