"""Events at rest: dated Parquet files on any fsspec URL.

`URL/date=YYYY-MM-DD/FIRST_LAST.parquet`, named by the stream ids of the first and last event in it, so that a batch
that is written again lands on itself. An event may still stand in two files (a drain that died between writing and
acknowledging); :func:`read` gives it once.
"""

from __future__ import annotations

import dataclasses
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any, Final

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from data.event_codec import event_of
from data.schema import CATEGORIES, Event

# Half-written files lie here until they are renamed; the folder may be deleted at any time.
INCOMPLETE: Final = ".incomplete"

_REASON: Final = pa.struct(
    [
        ("kind", pa.string()),
        ("category", pa.string()),
        ("score", pa.float64()),
        ("start", pa.int64()),
        ("end", pa.int64()),
        ("detail", pa.string()),
    ]
)
_COVERAGE: Final = pa.struct(
    [
        ("tokens", pa.int64()),
        ("scanned", pa.int64()),
        ("windows", pa.int64()),
        ("readable", pa.float64()),
        ("foreign", pa.int64()),
        ("unread_scripts", pa.list_(pa.string())),
    ]
)
SCHEMA: Final = pa.schema(
    [
        ("id", pa.string()),
        ("time", pa.float64()),
        ("request_id", pa.string()),
        ("principal", pa.string()),
        ("tier", pa.string()),
        ("address", pa.string()),
        ("user", pa.string()),
        ("direction", pa.string()),
        ("action", pa.string()),
        ("categories", pa.list_(pa.string())),
        *((f"score_{category}", pa.float64()) for category in CATEGORIES),
        ("reasons", pa.list_(_REASON)),
        ("coverage", _COVERAGE),
        ("changes", pa.map_(pa.string(), pa.int64())),
        ("anomaly", pa.float64()),
        ("signals", pa.map_(pa.string(), pa.float64())),
        ("limit_factor", pa.float64()),
        ("model_version", pa.string()),
        ("policy", pa.string()),
        ("policy_version", pa.string()),
        ("timings_ms", pa.map_(pa.string(), pa.float64())),
        ("text", pa.string()),
        ("embedding", pa.list_(pa.float32())),
        ("cluster", pa.struct([("id", pa.string()), ("similarity", pa.float64())])),
        ("schema", pa.int32()),
    ]
)


class EventStore:
    """The Parquet files under one URL, of which nothing need exist yet."""

    def __init__(self, url: str) -> None:
        self._files, self._root = fsspec.url_to_fs(url)
        self._root = self._root.rstrip("/")

    def write(self, batch: Sequence[tuple[str, Event]]) -> list[str]:
        """Store events with their stream ids, one file for each date; returns the files. Atomic for each file."""
        by_date: dict[str, list[tuple[str, Event]]] = {}
        for stream_id, event in batch:
            by_date.setdefault(_date(event.time), []).append((stream_id, event))
        return [self._write_date(date, part) for date, part in by_date.items()]

    def read(self) -> Iterator[Event]:
        """Every event once, by date, in the order in which they were drained."""
        for folder in sorted(self._files.glob(f"{self._root}/date=*")):
            seen: set[str] = set()  # an event has one time, so its copies are in one folder
            for path in sorted(self._files.glob(f"{folder}/*.parquet"), key=_stream_position):
                with self._files.open(path, "rb") as file:
                    rows = pq.read_table(file).to_pylist()
                for row in rows:
                    if row["id"] not in seen:
                        seen.add(row["id"])
                        yield _event(row)

    def keep_rejected(self, stream_id: str, content: bytes) -> str:
        """Store what cannot be read as an event, so that it is neither lost nor in the way."""
        return self._put(f"rejected/{stream_id}.bin", content)

    def _write_date(self, date: str, part: Sequence[tuple[str, Event]]) -> str:
        table = pa.Table.from_pylist([_row(event) for _, event in part], schema=SCHEMA)
        buffer = pa.BufferOutputStream()
        pq.write_table(table, buffer, compression="zstd")
        return self._put(f"date={date}/{part[0][0]}_{part[-1][0]}.parquet", buffer.getvalue())

    def _put(self, name: str, content: bytes | pa.Buffer) -> str:
        """Write under another name, then rename: no reader ever sees half a file."""
        path = f"{self._root}/{name}"
        draft = f"{self._root}/{INCOMPLETE}/{secrets.token_hex(8)}"
        self._files.makedirs(PurePosixPath(draft).parent.as_posix(), exist_ok=True)
        self._files.makedirs(PurePosixPath(path).parent.as_posix(), exist_ok=True)
        with self._files.open(draft, "wb") as file:
            file.write(content)
            file.flush()
            if isinstance(self._files, LocalFileSystem):  # the stream forgets them next, so they must be on the disk
                os.fsync(file.fileno())
        self._files.mv(draft, path)
        return path


def read(url: str) -> Iterator[Event]:
    """Every event stored under a URL, once."""
    return EventStore(url).read()


def _date(time_s: float) -> str:
    try:
        return datetime.fromtimestamp(time_s, UTC).date().isoformat()
    except OSError as error:  # the C library's word for it; the drain would take it for a storage that is away
        raise ValueError("the time is in no year") from error


def _stream_position(path: str) -> tuple[int, ...]:
    first = PurePosixPath(path).stem.partition("_")[0]
    return tuple(int(part) for part in first.split("-"))


def _row(event: Event) -> dict[str, Any]:
    row = dataclasses.asdict(event)
    scores = row.pop("scores")
    row.update({f"score_{category}": scores.get(category) for category in CATEGORIES})
    return row


def _event(row: Mapping[str, Any]) -> Event:
    fields = dict(row)
    scores = {category: fields.pop(f"score_{category}", None) for category in CATEGORIES}
    return event_of(
        {
            **fields,
            "scores": {category: score for category, score in scores.items() if score is not None},
            "changes": dict(fields["changes"]),
            "signals": dict(fields.get("signals") or {}),
            "timings_ms": dict(fields["timings_ms"]),
        }
    )
