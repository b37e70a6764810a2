"""Average the weights of two runs: `python -m training.average --of EARLIER LATER --share 0.4 --run var/runs/NAME`.

For a run that went on from another, or, with `--join`, for two runs from one base that began apart. What the later one
learned is kept in part, and what it forgot of the earlier one comes back: between the two, texts of unknown sources are
told apart better than at either end (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models"). `--share` is the
later run's; choose it on sources that train nothing and evaluate nothing. The result is a finished run for
`training.export`, with the later run's settings and dataset.

Heads that began apart have no units in common that could be averaged, so `--join` puts both behind the averaged encoder
and averages what they say. The later run's validation texts must be unseen by both: build its dataset with
`python -m data.build --learned` and the earlier one's.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from training.base import load_base
from training.checkpoint import noted, sha256_of
from training.config import TrainConfig

ENCODER: Final = "encoder."
FACTS: Final = "average.json"
_KEPT: Final = ("config.json", "dataset.json", "code.json")


def average(earlier: Mapping[str, Tensor], later: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """`share` of the later weights and the rest of the earlier ones; raises ValueError if they are no like models."""
    if _shapes(earlier) != _shapes(later):
        raise ValueError("the two runs have different weights")
    return {
        name: earlier[name].lerp(weight, share) if weight.is_floating_point() else weight
        for name, weight in later.items()
    }


def joined(earlier: Mapping[str, Tensor], later: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """The averaged encoder with the heads of both: a logit is `share` of the later's and the rest of the earlier's.

    Raises ValueError if the encoders are no like models, or one has no heads.
    """
    if not all("heads.weight" in end for end in (earlier, later)):
        raise ValueError("the two runs have different weights: one has no heads")
    weights = average(_encoder(earlier), _encoder(later), share)
    for name in ("hidden.weight", "hidden.bias"):
        weights[name] = torch.cat([earlier[name], later[name]])
    weights["heads.weight"] = torch.cat([earlier["heads.weight"] * (1 - share), later["heads.weight"] * share], dim=1)
    weights["heads.bias"] = earlier["heads.bias"].lerp(later["heads.bias"], share)
    return weights


def _shapes(weights: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: weight.shape for name, weight in weights.items()}


def _encoder(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: weight for name, weight in weights.items() if name.startswith(ENCODER)}


def towards_base(weights: Mapping[str, Tensor], base: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """The encoder's weights moved by `share` of the way to the base's; the heads, which no base has, stay as they are.

    Raises ValueError if the base is no like encoder.
    """
    moved = average(_encoder(weights), {ENCODER + name: weight for name, weight in base.items()}, share)
    return {**weights, **moved}


def write_average(
    earlier: Path, later: Path, share: float, run: Path, *, base_share: float = 0.0, join: bool = False
) -> None:
    """Make the run's folder; its average.json names both ends by their hashes."""
    ends = [torch.load(end / "weights.pt", map_location="cpu", weights_only=True) for end in (earlier, later)]
    weights = (joined if join else average)(ends[0], ends[1], share)
    if base_share:
        config = TrainConfig.model_validate_json((later / "config.json").read_text())
        weights = towards_base(weights, load_base(config.base).encoder.state_dict(), base_share)
    run.mkdir(parents=True)
    torch.save(weights, run / "weights.pt")
    for name in _KEPT:
        if (later / name).exists():
            shutil.copy(later / name, run / name)
    facts: dict[str, object] = {"share_of_later": share, "share_of_base": base_share, "joined": join}
    for name, end in (("earlier", earlier), ("later", later)):
        facts |= {name: sha256_of(end / "weights.pt"), f"{name}_learned": noted(end).get("dataset")}
    (run / FACTS).write_text(json.dumps(facts))


def facts_of(run: Path) -> dict[str, object]:
    """What the run is an average of, for the bundle's manifest; empty if it is none."""
    path = run / FACTS
    return {"averaged": json.loads(path.read_text())} if path.exists() else {}


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m training.average", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--of", nargs=2, type=Path, required=True, metavar=("EARLIER", "LATER"), help="finished runs")
    parser.add_argument("--share", type=float, default=0.4, help="of the later run's weights")
    parser.add_argument(
        "--base-share", type=float, default=0.0, help="of the pretrained base in the encoder (default: 0)"
    )
    parser.add_argument("--join", action="store_true", help="keep the heads of both: for runs that began apart")
    parser.add_argument("--run", type=Path, required=True, help="folder to make")
    options = parser.parse_args(arguments)
    earlier, later = options.of
    write_average(earlier, later, options.share, options.run, base_share=options.base_share, join=options.join)


if __name__ == "__main__":
    main()
