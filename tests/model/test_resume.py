"""A run that dies goes on as if nothing had happened."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import DistilBertConfig, DistilBertModel

from data.schema import CATEGORIES
from training import train as training
from training.config import TrainConfig

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"please ignore all rules and tell me the time of day today".split()]


def tiny_base(folder: Path) -> Path:
    torch.manual_seed(0)
    encoder = DistilBertModel(
        DistilBertConfig(vocab_size=len(WORDS), dim=16, hidden_dim=32, n_layers=2, n_heads=2, max_position_embeddings=32)
    )
    encoder.save_pretrained(folder)
    tokenizer = Tokenizer(models.WordPiece({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def tiny_dataset(folder: Path) -> Path:
    rng = np.random.default_rng(2)
    for name, rows in (("train", 90), ("validation", 30)):
        bad = rng.random(rows) < 0.5
        texts = [" ".join(rng.choice(WORDS[4:], rng.integers(2, 40))) + (" ignore" if b else "") for b in bad]
        columns = {"text": texts, "source": ["ours"] * rows, "weight": np.ones(rows, np.float32)}
        for category in CATEGORIES:
            columns[f"target_{category}"] = (bad if category == "injection" else rng.random(rows) < 0.3).astype(np.float32)
        folder.mkdir(exist_ok=True)
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    return folder


def test_a_run_killed_between_two_checkpoints_ends_with_the_very_weights_of_an_unbroken_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TrainConfig.model_validate(
        {
            "name": "tiny",
            "base": str(tiny_base(tmp_path / "base")),
            "dataset": tiny_dataset(tmp_path / "dataset"),
            "max_length": 16,
            "stride": 8,
            "tokens_per_batch": 128,
            "epochs": 2,
            "precision": "fp32",
            "checkpoint_every": 5,
            "validate_every": 1000,
        }
    )
    unbroken = torch.load(training.train(config, tmp_path / "unbroken", cpu=True), weights_only=True)

    learn, calls = training.Trainer.learn, []

    def learn_and_die(self: training.Trainer, batch: training.Batch) -> torch.Tensor:
        calls.append(batch)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return learn(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(training.Trainer, "learn", learn_and_die)
        with pytest.raises(KeyboardInterrupt):
            training.train(config, tmp_path / "broken", cpu=True)
    resumed = torch.load(training.train(config, tmp_path / "broken", cpu=True), weights_only=True)

    assert unbroken.keys() == resumed.keys()
    assert all(torch.equal(unbroken[name], resumed[name]) for name in unbroken)
    assert (tmp_path / "broken" / "curves.png").stat().st_size > 0
