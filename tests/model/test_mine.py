"""Hard harmless texts: which are chosen, and from which rows."""

from pathlib import Path

import numpy as np
import pytest

from data.schema import Example, Kind, LicenceClass
from data.selection import capped, preferred
from training.mine import candidates, hardest, write_ids


def test_texts_above_either_score_are_taken_the_hardest_first() -> None:
    scores = np.zeros((4, 7))
    scores[1, 0], scores[2, 3], scores[3, 0] = 0.3, 0.9, 0.1
    assert hardest(scores, injection=0.2, harm=0.5, limit=9) == [2, 1]
    assert hardest(scores, injection=0.2, harm=0.5, limit=1) == [2]


def test_only_trusted_benign_rows_are_looked_at() -> None:
    rows = candidates("weir_samples", 10_000, seed=1)
    assert rows
    assert all(one.kind is Kind.BENIGN and not one.weak for one in rows)
    assert candidates("weir_samples", 3, seed=1) == rows[:3]


def test_ids_are_written_once_and_in_order(tmp_path: Path) -> None:
    assert write_ids(tmp_path / "ids.txt", ["b", "a", "b"]) == 2
    assert (tmp_path / "ids.txt").read_text() == "a\nb\n"


def test_a_hard_row_is_taken_before_others_of_its_source(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        Example(id=f"r{n}", text=str(n), source="s", kind=Kind.BENIGN, licence_class=LicenceClass.PERMISSIVE)
        for n in range(50)
    ]
    last = preferred(rows, 1)[-1]
    monkeypatch.setattr("data.selection.hard_negatives", lambda: frozenset({last.id}))
    assert preferred(rows, 1)[0] == last
    (kept,) = capped(rows, [one.id for one in rows], {Kind.BENIGN: 1}, 1)
    assert rows[kept] == last
