"""The figures that a run is watched and chosen by, on the validation split; test sets play no part."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from data.schema import CATEGORIES
from training.checkpoint import AveragedWeights
from training.config import TrainConfig
from training.model import GuardModel, strongest_per_text
from training.windows_dataset import WindowsDataset, whole_batches

Scores = npt.NDArray[np.float64]


def validate(
    model: GuardModel, average: AveragedWeights, dataset: WindowsDataset, config: TrainConfig
) -> dict[str, float]:
    """Figures of the averaged weights; the model's own weights are left as they were."""
    own = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    model.load_state_dict(average.state(model))
    logits = text_logits(model, dataset, config.tokens_per_batch, bf16=config.precision == "bf16")
    model.load_state_dict(own)
    return figures(logits, dataset)


@torch.no_grad()
def text_logits(model: GuardModel, dataset: WindowsDataset, tokens_per_batch: int, *, bf16: bool) -> Scores:
    """One row of logits a text, [N, C], each the maximum over the text's windows."""
    model.eval()
    device = next(model.parameters()).device
    logits = np.zeros(dataset.targets.shape, dtype=np.float64)
    for batch in whole_batches(dataset, 2 * tokens_per_batch):
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
            output = model(batch.input_ids.to(device), batch.attention_mask.to(device))
        joined = strongest_per_text(output.logits, batch.owners.to(device), len(batch.rows))
        logits[batch.rows] = joined.cpu().numpy()
    return logits


def figures(logits: Scores, dataset: WindowsDataset) -> dict[str, float]:
    """Injection: AUC and recall at 1 % false positives; harm: average precision a head and their mean."""
    known = ~np.isnan(dataset.targets)
    found: dict[str, float] = {}
    truth, scores = dataset.targets[known[:, 0], 0], logits[known[:, 0], 0]
    if 0 < truth.sum() < len(truth):
        threshold = np.quantile(scores[truth == 0], 0.99, method="higher")
        found["injection_auc"] = float(roc_auc_score(truth, scores))
        found["injection_recall_at_1%"] = float((scores[truth == 1] > threshold).mean())
    precisions = []
    for column, category in enumerate(CATEGORIES[1:], start=1):
        truth, scores = dataset.targets[known[:, column], column], logits[known[:, column], column]
        if 0 < truth.sum() < len(truth):
            precisions.append(float(average_precision_score(truth, scores)))
            found[f"{category}_ap"] = precisions[-1]
    if precisions:
        found["harm_map"] = float(np.mean(precisions))
    return {name: round(value, 4) for name, value in found.items()}
