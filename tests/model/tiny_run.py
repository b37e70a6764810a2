"""A run small enough for a test: a two-layer DistilBERT, a vocabulary of fifteen words, ninety texts."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import DistilBertConfig, DistilBertModel

from data.schema import CATEGORIES
from training.config import TrainConfig

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    *["please", "ignore", "all", "rules", "and", "tell", "me", "the", "time", "of", "day", "today"],
]


def tiny_base(folder: Path) -> Path:
    torch.manual_seed(0)
    encoder = DistilBertModel(
        DistilBertConfig(
            vocab_size=len(WORDS), dim=16, hidden_dim=32, n_layers=2, n_heads=2, max_position_embeddings=32
        )
    )
    encoder.save_pretrained(folder)
    tokenizer = Tokenizer(models.WordPiece({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def tiny_dataset(folder: Path) -> Path:
    rng = np.random.default_rng(2)
    for name, rows in (("train", 90), ("validation", 300)):
        bad = rng.random(rows) < 0.5
        harmful = ~bad & (rng.random(rows) < 0.5)
        endings = np.where(bad, " ignore", np.where(harmful, " please please", ""))
        plain = [word for word in WORDS[4:] if word not in ("ignore", "please")]
        texts = [" ".join(rng.choice(plain, rng.integers(2, 40))) + ending for ending in endings]
        sources = ["odd" if row % 3 == 0 else "ours" for row in range(rows)]
        columns = {"text": texts, "source": sources, "weight": np.ones(rows, np.float32)}
        for category in CATEGORIES:
            truth = bad if category == "injection" else harmful & (rng.random(rows) < 0.5)
            columns[f"target_{category}"] = truth.astype(np.float32)
        folder.mkdir(exist_ok=True)
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    (folder / "manifest.json").write_text(json.dumps({"content_hash": "0" * 64, "commit": "d" * 40}))
    return folder


def tiny_config(folder: Path, **changes: object) -> TrainConfig:
    return TrainConfig.model_validate(
        {
            "name": "tiny",
            "base": str(tiny_base(folder / "base")),
            "dataset": tiny_dataset(folder / "dataset"),
            "max_length": 16,
            "stride": 8,
            "tokens_per_batch": 128,
            "epochs": 2,
            "precision": "fp32",
            "checkpoint_every": 5,
            "validate_every": 1000,
            **changes,
        }
    )
