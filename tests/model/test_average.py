"""Weights between two runs."""

import json
from pathlib import Path

import pytest
import torch

from tests.model.tiny_run import tiny_config
from training.average import average, facts_of, joined, main, towards_base
from training.base import load_base
from training.model import GuardModel


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


def test_joined_runs_share_an_encoder_and_say_what_both_heads_say(tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    base = load_base(config.base)
    ids = torch.randint(1, base.encoder.config.vocab_size, (3, 7))
    heads = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        heads.append(GuardModel(base.encoder).eval())
    both = GuardModel.holding(base.encoder, joined(heads[0].state_dict(), heads[1].state_dict(), 0.3)).eval()
    with torch.no_grad():
        one, two = (model(ids, torch.ones_like(ids)).logits for model in heads)
        assert torch.allclose(both(ids, torch.ones_like(ids)).logits, 0.7 * one + 0.3 * two, atol=1e-5)
    for other in ({}, {name: weight[..., :1] for name, weight in heads[0].state_dict().items()}):
        with pytest.raises(ValueError, match="different"):
            joined(other, heads[0].state_dict(), 0.3)


def test_the_encoder_goes_back_to_its_base_by_a_share_and_the_heads_stay() -> None:
    weights = {"encoder.w": torch.tensor([2.0]), "heads.w": torch.tensor([3.0])}
    assert towards_base(weights, {"w": torch.tensor([0.0])}, 0.25) == {
        "encoder.w": torch.tensor([1.5]),
        "heads.w": torch.tensor([3.0]),
    }
    with pytest.raises(ValueError, match="different"):
        towards_base(weights, {"other": torch.tensor([0.0])}, 0.25)


def test_a_run_averaged_with_its_base_says_so(tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    base = load_base(config.base)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        model = GuardModel(base.encoder)
        torch.save({key: value + 1 for key, value in model.state_dict().items()}, tmp_path / name / "weights.pt")
        (tmp_path / name / "config.json").write_text(config.model_dump_json())
    ends = [str(tmp_path / "one"), str(tmp_path / "two")]
    main(["--of", *ends, "--share", "0.5", "--base-share", "0.25", "--run", str(tmp_path / "mix")])
    found = torch.load(tmp_path / "mix" / "weights.pt", weights_only=True)
    name = "transformer.layer.0.ffn.lin1.weight"
    assert torch.allclose(found[f"encoder.{name}"], base.encoder.state_dict()[name] + 0.75)
    assert facts_of(tmp_path / "mix")["averaged"]["share_of_base"] == 0.25  # type: ignore[index]
