"""Documents, tool results, pages and files that an instruction may be planted in."""

from data.generators.carriers.draft import Draft, Slot
from data.generators.carriers.registry import CARRIERS, draw_carrier

__all__ = ["CARRIERS", "Draft", "Slot", "draw_carrier"]
