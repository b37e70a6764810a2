"""Our own attacks and their harmless look-alikes, drawn from grammars. See docs/generators.md."""

from data.generators.compose import SOURCE, generate

__all__ = ["SOURCE", "generate"]
