"""Weights between two runs."""

import json
from pathlib import Path

import pytest
import torch

from training.average import average, facts_of, main


def test_an_average_lies_between_its_ends_and_whole_numbers_are_the_later_ones() -> None:
    ends = [
        {"w": torch.tensor([0.0, 2.0]), "n": torch.tensor(1)},
        {"w": torch.tensor([1.0, 4.0]), "n": torch.tensor(2)},
    ]
    found = average(ends[0], ends[1], 0.25)
    assert found["w"].tolist() == [0.25, 2.5]
    assert found["n"].item() == 2
    with pytest.raises(ValueError, match="different"):
        average({}, ends[1], 0.5)


def test_the_result_is_a_finished_run_that_says_what_it_was_made_of(tmp_path: Path) -> None:
    for name, value in (("one", 0.0), ("two", 1.0)):
        (tmp_path / name).mkdir()
        torch.save({"w": torch.full((2,), value)}, tmp_path / name / "weights.pt")
        (tmp_path / name / "config.json").write_text(json.dumps({"name": name}))
    main(["--of", str(tmp_path / "one"), str(tmp_path / "two"), "--share", "0.4", "--run", str(tmp_path / "mix")])
    assert torch.load(tmp_path / "mix" / "weights.pt", weights_only=True)["w"].tolist() == pytest.approx([0.4, 0.4])
    assert json.loads((tmp_path / "mix" / "config.json").read_text()) == {"name": "two"}
    assert facts_of(tmp_path / "mix")["averaged"]["share_of_later"] == 0.4  # type: ignore[index]
    assert facts_of(tmp_path / "one") == {}
