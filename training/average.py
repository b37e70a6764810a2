"""Average the weights of two runs: `python -m training.average --of EARLIER LATER --share 0.4 --run var/runs/NAME`.

For a run that went on from another. What the later one learned is kept in part, and what it forgot of the earlier one
comes back: between the two, texts of unknown sources are told apart better than at either end (Wortsman et al. 2022,
"Robust fine-tuning of zero-shot models"). `--share` is the later run's; choose it on sources that train nothing and
evaluate nothing. The result is a finished run for `training.export`, with the later run's settings and dataset.
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

from training.checkpoint import sha256_of

FACTS: Final = "average.json"
_KEPT: Final = ("config.json", "dataset.json", "code.json")


def average(earlier: Mapping[str, Tensor], later: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """`share` of the later weights and the rest of the earlier ones; raises ValueError if they are no like models."""
    if earlier.keys() != later.keys():
        raise ValueError("the two runs have different weights")
    return {
        name: earlier[name].lerp(weight, share) if weight.is_floating_point() else weight
        for name, weight in later.items()
    }


def write_average(earlier: Path, later: Path, share: float, run: Path) -> None:
    """Make the run's folder; its average.json names both ends by their hashes."""
    run.mkdir(parents=True)
    ends = [torch.load(end / "weights.pt", map_location="cpu", weights_only=True) for end in (earlier, later)]
    torch.save(average(ends[0], ends[1], share), run / "weights.pt")
    for name in _KEPT:
        if (later / name).exists():
            shutil.copy(later / name, run / name)
    hashes = {name: sha256_of(end / "weights.pt") for name, end in (("earlier", earlier), ("later", later))}
    facts = {**hashes, "share_of_later": share}
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
    parser.add_argument("--run", type=Path, required=True, help="folder to make")
    options = parser.parse_args(arguments)
    earlier, later = options.of
    write_average(earlier, later, options.share, options.run)


if __name__ == "__main__":
    main()
