"""The rules of training: what a batch, a loss, a schedule and a checkpoint are."""

import hashlib
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import DistilBertConfig, DistilBertModel

from training.checkpoint import AveragedWeights, Progress, load_checkpoint, save_checkpoint
from training.config import ConfigError, TrainConfig, load_config
from training.model import GuardModel, MaskedLoss, strongest_per_text
from training.train import first_model, parameter_groups, warm_then_linear
from training.windows_dataset import WindowsDataset, collate, plan_epoch, plan_steps, whole_batches


def tiny_model() -> GuardModel:
    config = DistilBertConfig(vocab_size=50, dim=16, hidden_dim=32, n_layers=2, n_heads=2, max_position_embeddings=40)
    return GuardModel(DistilBertModel(config))


def dataset(rows: int = 60) -> WindowsDataset:
    rng = np.random.default_rng(1)
    windows = [
        [rng.integers(1, 50, rng.integers(3, 30)).astype(np.int32) for _ in range(rng.integers(1, 9))]
        for _ in range(rows)
    ]
    targets = np.where(rng.random((rows, 7)) < 0.3, np.nan, rng.integers(0, 2, (rows, 7))).astype(np.float32)
    return WindowsDataset(windows, targets, np.ones(rows, np.float32), ["s"] * rows)


def config(**changes: object) -> TrainConfig:
    return TrainConfig.model_validate({"name": "t", "max_length": 32, "stride": 16, "tokens_per_batch": 256, **changes})


def test_padding_changes_no_logit() -> None:
    model = tiny_model().eval()
    ids = torch.randint(1, 50, (1, 9))
    padded = torch.cat([ids, torch.zeros(1, 6, dtype=torch.int64)], 1)
    mask = torch.cat([torch.ones_like(ids), torch.zeros(1, 6, dtype=torch.int64)], 1)
    with torch.no_grad():
        torch.testing.assert_close(model(padded, mask).logits, model(ids, torch.ones_like(ids)).logits)


def test_a_text_scores_as_its_strongest_window_in_each_category() -> None:
    logits = torch.tensor([[0.0, 5.0], [2.0, 1.0], [-3.0, -4.0]])
    joined = strongest_per_text(logits, torch.tensor([0, 0, 1]), 2)
    assert joined.tolist() == [[2.0, 5.0], [-3.0, -4.0]]


def test_an_unknown_target_teaches_nothing() -> None:
    logits = torch.tensor([[0.3, -0.7]], requires_grad=True)
    targets = torch.tensor([[1.0, math.nan]])
    MaskedLoss(torch.ones(2), benign_tail=1.0)(logits, targets, torch.ones(1)).backward()
    assert logits.grad is not None
    assert logits.grad[0, 0] < 0
    assert logits.grad[0, 1] == 0


def test_the_focal_loss_cares_less_for_what_is_right_already() -> None:
    targets, weights = torch.tensor([[1.0]]), torch.ones(1)
    ratios = []
    for logit in (3.0, -3.0):
        plain, focal = (
            MaskedLoss(torch.ones(1), gamma=gamma)(torch.tensor([[logit]]), targets, weights) for gamma in (0.0, 2.0)
        )
        ratios.append(float(focal / plain))
    assert ratios[0] < 0.01 < 0.8 < ratios[1]


def test_a_harmless_text_that_scores_high_costs_more_than_an_attack_missed_by_as_much() -> None:
    loss, weights = MaskedLoss(torch.ones(1), benign_tail=0.1), torch.ones(1)
    false_alarm = loss(torch.tensor([[2.0]]), torch.tensor([[0.0]]), weights)
    miss = loss(torch.tensor([[-2.0]]), torch.tensor([[1.0]]), weights)
    assert float(false_alarm) == pytest.approx(float(miss) + 0.1 * 25, rel=1e-5)
    quiet = loss(torch.tensor([[-4.0]]), torch.tensor([[0.0]]), weights)
    assert float(quiet) == pytest.approx(math.log1p(math.exp(-4)), rel=1e-5)


def test_a_step_is_a_few_batches_and_all_steps_are_the_epoch() -> None:
    rows, settings = dataset(), config(batches_per_step=3)
    steps = plan_steps(rows, settings, 0)
    assert [batch for step in steps for batch in step] == plan_epoch(rows, settings, 0)
    assert {len(step) for step in steps[:-1]} == {3}


def test_every_text_is_in_every_epoch_once_and_batches_keep_their_token_budget() -> None:
    rows, settings = dataset(), config()
    plan = plan_epoch(rows, settings, epoch=0)
    assert sorted(row for batch in plan for row, _ in batch) == list(range(len(rows)))
    for batch in plan:
        collated = collate(rows, batch)
        assert collated.input_ids.numel() <= settings.tokens_per_batch or len(batch) == 1


def test_the_plan_of_an_epoch_depends_on_seed_and_epoch_alone() -> None:
    rows = dataset()
    assert plan_epoch(rows, config(), 1) == plan_epoch(rows, config(), 1)
    assert plan_epoch(rows, config(), 1) != plan_epoch(rows, config(), 2)
    assert plan_epoch(rows, config(seed=8), 1) != plan_epoch(rows, config(), 1)


def test_evaluation_sees_every_window_of_every_text() -> None:
    rows = dataset()
    seen = sum(len(batch.input_ids) for batch in whole_batches(rows, 512))
    assert seen == sum(map(len, rows.windows))


def test_lower_layers_learn_slower_and_frozen_words_not_at_all() -> None:
    model = tiny_model()
    groups = parameter_groups(model, config(layer_decay=0.5, learning_rate=1.0))
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    assert rates[id(model.heads.weight)] == 1.0
    assert rates[id(model.encoder.transformer.layer[1].ffn.lin1.weight)] == 0.5
    assert rates[id(model.encoder.transformer.layer[0].ffn.lin1.weight)] == 0.25
    assert id(model.encoder.embeddings.word_embeddings.weight) not in rates


def test_the_rate_rises_to_one_and_falls_to_nothing() -> None:
    factors = [warm_then_linear(step, 100, 0.1) for step in range(101)]
    assert max(factors) == 1.0 == factors[9]
    assert factors[0] == pytest.approx(0.1)
    assert factors[100] == 0.0
    assert factors[10:] == sorted(factors[10:], reverse=True)


def test_a_checkpoint_restores_weights_progress_and_the_random_state(tmp_path: Path) -> None:
    model = tiny_model()
    average = AveragedWeights(model, 0.9)
    torch.manual_seed(5)
    save_checkpoint(tmp_path / "c.pt", Progress(1, 2, 3), model=model.state_dict(), average=average.shadow)
    expected = torch.rand(4)
    torch.manual_seed(99)
    progress, parts = load_checkpoint(tmp_path / "c.pt")
    assert progress == Progress(1, 2, 3)
    assert torch.equal(torch.rand(4), expected)
    assert all(torch.equal(parts["model"][name], tensor) for name, tensor in model.state_dict().items())


def test_a_run_goes_on_from_the_weights_that_its_experiment_names_and_from_no_others(tmp_path: Path) -> None:
    earlier = tiny_model()
    weights = tmp_path / "weights.pt"
    torch.save(earlier.state_dict(), weights)
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    begun = first_model(tiny_model().encoder, config(start=weights, start_sha256=digest))
    assert all(torch.equal(value, earlier.state_dict()[name]) for name, value in begun.state_dict().items())
    with pytest.raises(ConfigError, match="start"):
        first_model(tiny_model().encoder, config(start=weights, start_sha256="0" * 64))


def test_the_average_follows_the_weights_slowly() -> None:
    model = tiny_model()
    average = AveragedWeights(model, 0.999)
    before = average.shadow["heads.bias"].clone()
    with torch.no_grad():
        model.heads.bias += 1.0
    average.update(model, step=10**6)
    torch.testing.assert_close(average.shadow["heads.bias"], before + 0.001)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("- a list", "expected a mapping"),
        ("name: x\nlearning_rte: 1", "learning_rte"),
        ("name: x\nstride: 500", "stride"),
        ("name: x\nepochs: 0", "epochs"),
        ("name: [", "not YAML"),
    ],
)
def test_a_bad_experiment_file_is_refused_by_the_name_of_its_field(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(ConfigError, match=complaint):
        load_config(tmp_path / "c.yaml")
