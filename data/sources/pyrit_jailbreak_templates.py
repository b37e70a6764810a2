"""The jailbreak templates of PyRIT (PyPI)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from data.schema import Example, Kind
from data.sources.registry import Part
from data.sources.rows import example, package

FOLDER = "datasets/jailbreak/templates"
REQUEST = "what the user is about to ask"  # stands where a template expects the request


def examples(part: Part, home: Path | None = None) -> Iterator[Example]:  # noqa: ARG001  has no evaluation rows
    """One YAML file a template, its text in `value` with Jinja marks; `home` is the folder of the package."""
    folder = (home or package("pyrit")) / FOLDER
    for path in sorted(folder.rglob("*.yaml")):
        template = yaml.safe_load(path.read_text(encoding="utf-8"))
        if isinstance(template, dict) and isinstance(template.get("value"), str):
            text = re.sub(r"{%.*?%}", "", re.sub(r"{{.*?}}", REQUEST, template["value"])).strip()
            labels = {"name": template.get("name"), "group": path.parent.relative_to(folder).as_posix()}
            yield example("pyrit_jailbreak_templates", text, Kind.JAILBREAK, labels=labels)
