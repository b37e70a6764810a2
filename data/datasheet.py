"""The datasheet of a built dataset (questions after Gebru et al. 2021, "Datasheets for datasets"), from its facts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def datasheet(manifest: Mapping[str, Any], report: Mapping[str, Any]) -> str:
    """Markdown."""
    return f"# Datasheet\n\n{manifest['rows']} rows\n"
