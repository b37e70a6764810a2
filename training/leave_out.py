"""Leave-one-source-out: recall on attacks of a source that the run never saw.

    python -m training.leave_out --config training/configs/minilm.yaml --sources bipia neuralchemy sap_attack_prompts

Trains once for each source without its rows and measures on them. Experiments are compared by the mean of these
figures: the validation split shares its sources with the training set, and the evaluation sets choose nothing.
Each run stands in `var/runs/<name>-without-<source>` and goes on where it was stopped; the table is
`var/runs/<name>-leave-out.json`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from training.base import load_base
from training.config import TrainConfig, config_argument, load_config
from training.model import GuardModel
from training.train import train
from training.validation import Scores, text_logits
from training.windows_dataset import WindowsDataset, load_windows, of_sources

PARTS = ("validation", "train")
SHARE = 0.01  # of the harmless validation texts that may reach the threshold


def held_out_figures(
    validation: WindowsDataset, usual: Scores, unseen: WindowsDataset, logits: Scores
) -> dict[str, float]:
    """Recall on the attacks of `unseen` and false positives on its harmless rows, at 1 % on `validation`.

    `usual` and `logits` are [N, C], of the rows of `validation` and of `unseen`.
    """
    ordinary = usual[validation.targets[:, 0] == 0, 0]
    threshold = float(np.quantile(ordinary, 1 - SHARE, method="higher"))
    figures = {}
    for name, wanted in (("recall", 1.0), ("false_positives", 0.0)):
        chosen = logits[unseen.targets[:, 0] == wanted, 0]
        if len(chosen):
            figures[name] = round(float((chosen > threshold).mean()), 4)
            figures[f"{name}_of"] = len(chosen)
    return figures


def run_without(config: TrainConfig, source: str, runs: Path, *, cpu: bool) -> dict[str, float]:
    """Train without the rows of `source`, then measure on them."""
    name = f"{config.name}-without-{source.replace('_', '-')}"
    changed = config.model_copy(update={"name": name, "leave_out": (*config.leave_out, source)})
    weights = train(changed, runs / name, cpu=cpu)
    base = load_base(config.base, dropout=config.dropout)
    learned = torch.load(weights, map_location="cpu", weights_only=True)
    model = GuardModel.holding(base.encoder, learned, config.dropout)
    sizes = {"max_length": config.max_length, "stride": config.stride}
    validation, rows = (load_windows(config.dataset / f"{part}.parquet", base.tokenizer, **sizes) for part in PARTS)
    validation = of_sources(validation, set(validation.sources) - set(changed.leave_out))
    unseen = of_sources(rows, {source})
    if not len(unseen):
        raise SystemExit(f"no rows of {source} in {config.dataset}")
    both = [text_logits(model, part, config.tokens_per_batch, bf16=False) for part in (validation, unseen)]
    return held_out_figures(validation, both[0], unseen, both[1])


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m training.leave_out", description="Leave-one-source-out.")
    config_argument(parser)
    parser.add_argument("--sources", nargs="+", required=True, help="sources to leave out, one at a time")
    parser.add_argument("--runs", type=Path, default=Path("var/runs"), help="where runs are kept")
    parser.add_argument("--cpu", action="store_true", help="do not use a GPU even if there is one")
    options = parser.parse_args(arguments)
    config = load_config(options.config)
    table: dict[str, dict[str, float]] = {}
    for source in options.sources:
        table[source] = run_without(config, source, options.runs, cpu=options.cpu)
        print(json.dumps({source: table[source]}), file=sys.stderr, flush=True)
    recalls = [row["recall"] for row in table.values() if "recall" in row]
    found = {"mean_recall": round(float(np.mean(recalls)), 4) if recalls else None, "sources": table}
    (options.runs / f"{config.name}-leave-out.json").write_text(json.dumps(found, indent=1))
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
