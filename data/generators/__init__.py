"""Our own attacks, harms and their harmless look-alikes, drawn from grammars. See docs/generators.md."""

from data.generators.registry import GENERATORS, generate, source_of

__all__ = ["GENERATORS", "generate", "source_of"]
