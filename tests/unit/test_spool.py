"""The journal of events on disk: what it keeps, for how long, within which bounds, and who takes it over."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from serving.spool import READ_BYTES, SEGMENTS, Spool, SpoolFull

ROOMY = 1_000_000


SpoolOf = Callable[..., Spool]


@pytest.fixture
def spool_of(tmp_path: Path) -> Iterator[SpoolOf]:
    with ExitStack() as stack:

        def make(name: str = "one", max_bytes: int = ROOMY) -> Spool:
            spool = Spool(tmp_path / "spool", name, max_bytes)
            stack.callback(spool.close)
            return spool

        yield make


def files_in(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "spool").iterdir())


def all_of(spool: Spool, count: int = 100) -> list[bytes]:
    """Everything that waits, which is forgotten."""
    found: list[bytes] = []
    while spool.waiting:
        batch = spool.peek(count)
        found += batch.lines
        spool.forget(batch)
    return found


def numbered(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


def refuse_the_disk(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file where the folder should be")


def test_a_spool_gives_back_what_it_took_in_order_and_keeps_it_until_it_is_forgotten(
    spool_of: SpoolOf, tmp_path: Path
) -> None:
    spool = spool_of()
    for line in (b"1", b"2", b"3"):
        assert spool.append(line)
    assert spool.peek(2) == spool.peek(2)
    batch = spool.peek(2)
    assert batch.lines == [b"1", b"2"]
    spool.forget(batch)
    spool.append(b"4")
    assert spool.waiting == 2
    assert all_of(spool) == [b"3", b"4"]
    assert spool.peek(9).lines == []
    assert spool.close() == 0
    assert files_in(tmp_path) == []


def test_a_line_is_in_a_file_of_its_owner_alone_before_append_returns(spool_of: SpoolOf, tmp_path: Path) -> None:
    spool = spool_of()
    spool.append(b"one")
    (file,) = files_in(tmp_path)
    assert file.read_bytes() == b"one\n"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_what_is_delivered_takes_no_room(spool_of: SpoolOf, tmp_path: Path) -> None:
    spool = spool_of(max_bytes=64_000)
    for line in numbered(20_000):
        spool.append(line)
        spool.forget(spool.peek(1))
    (file,) = files_in(tmp_path)
    assert file.stat().st_size == 0


def test_a_spool_that_is_never_quite_empty_takes_little_room(spool_of: SpoolOf, tmp_path: Path) -> None:
    spool = spool_of(max_bytes=64_000)
    spool.append(b"x" * 99)
    for _ in range(2_000):
        spool.append(b"x" * 99)
        spool.forget(spool.peek(1))
        assert spool.waiting == 1
    assert sum(file.stat().st_size for file in files_in(tmp_path)) <= 2 * 64_000 / SEGMENTS


def test_a_spool_refuses_more_than_its_bytes_over_all_its_files(spool_of: SpoolOf, tmp_path: Path) -> None:
    one, two = spool_of("one", 20), spool_of("two", 20)
    one.append(b"x" * 9)
    two.append(b"x" * 9)
    with pytest.raises(SpoolFull):
        one.append(b"")
    assert all_of(two) == [b"x" * 9]
    one.append(b"x" * 9)
    with pytest.raises(SpoolFull):
        one.append(b"")
    assert len(all_of(one)) == 2


def test_a_line_longer_than_one_read_comes_back_whole(spool_of: SpoolOf, tmp_path: Path) -> None:
    spool = spool_of(max_bytes=100 * READ_BYTES)
    lines = [b"short", b"x" * (READ_BYTES * 5), b"y" * READ_BYTES, b"short"]
    for line in lines:
        spool.append(line)
    assert all_of(spool) == lines


def test_the_segments_of_a_living_process_are_left_alone_and_those_of_a_dead_one_taken_over(
    spool_of: SpoolOf, tmp_path: Path
) -> None:
    first, second = spool_of("first", 640), spool_of("second", 640)
    for line in numbered(20):
        first.append(line)
    assert len(files_in(tmp_path)) > 1
    assert second.adopt() == 0
    assert second.waiting == 0
    first.close()
    assert second.adopt() == 0
    second.append(b"20")
    assert second.peek(1).replayed
    assert all_of(second) == numbered(21)
    second.append(b"21")
    assert not second.peek(1).replayed
    second.close()
    assert [file.read_bytes() for file in files_in(tmp_path)] == [b"21\n"]


def test_a_line_torn_by_a_crash_is_counted_and_is_no_event(spool_of: SpoolOf, tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "dead.jsonl").write_bytes(b"whole\nhal")
    (tmp_path / "spool" / "torn.jsonl").write_bytes(b"hal")
    spool = spool_of()
    assert spool.adopt() == 2
    assert spool.waiting == 1
    assert all_of(spool) == [b"whole"]
    assert files_in(tmp_path) == []


def test_lines_wait_in_memory_while_the_disk_refuses_and_on_disk_again_afterwards(
    spool_of: SpoolOf, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    refuse_the_disk(tmp_path)
    spool = spool_of()
    assert [spool.append(line) for line in numbered(100)] == [False] * 100
    assert all_of(spool) == numbered(100)
    assert not spool.append(b"still")
    assert len(caplog.records) == 1
    assert all_of(spool) == [b"still"]
    (tmp_path / "spool").unlink()
    assert spool.append(b"back")
    (file,) = files_in(tmp_path)
    assert file.read_bytes() == b"back\n"


def test_what_is_only_in_memory_is_bounded_and_counted_when_it_goes(spool_of: SpoolOf, tmp_path: Path) -> None:
    refuse_the_disk(tmp_path)
    spool = spool_of(max_bytes=20)
    spool.append(b"x" * 9)
    spool.append(b"x" * 9)
    with pytest.raises(SpoolFull):
        spool.append(b"")
    assert spool.close() == 2


def test_a_disk_that_fills_up_half_way_through_a_line_costs_no_line(spool_of: SpoolOf, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    signal = pytest.importorskip("signal")
    spool = spool_of()
    spool.append(b"first")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        assert not spool.append(b"second, too long")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert all_of(spool) == [b"first", b"second, too long"]
    assert spool.append(b"third")
    assert all_of(spool) == [b"third"]


def test_a_segment_that_cannot_be_read_does_not_hold_up_the_others(spool_of: SpoolOf, tmp_path: Path) -> None:
    spool = spool_of(max_bytes=640)
    for line in (b"x" * 9, b"y" * 9):
        spool.append(line)
    os.truncate(files_in(tmp_path)[0], 0)
    with pytest.raises(OSError, match="shorter"):
        spool.peek(9)
    assert spool.abandon() == 1
    assert all_of(spool) == [b"y" * 9]
