"""All carriers, and how often each is drawn."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

from data.generators.carriers import files, letters, records, web
from data.generators.carriers.draft import Draft
from data.generators.grammar import Grammar

Carrier = Callable[[Grammar, random.Random], Draft]

CARRIERS: Final[tuple[tuple[Carrier, int], ...]] = (
    (letters.mail, 12),
    (letters.thread, 4),
    (letters.chat, 5),
    (letters.ticket, 5),
    (letters.calendar, 3),
    (letters.note, 4),
    (records.json_result, 18),
    (records.xml_result, 4),
    (records.key_values, 4),
    (records.search_results, 4),
    (records.tool_catalogue, 5),
    (web.html_page, 7),
    (web.article, 10),
    (web.review, 6),
    (web.markdown_page, 4),
    (web.paper, 3),
    (files.csv_table, 4),
    (files.markdown_table, 5),
    (files.log, 3),
    (files.invoice, 3),
    (files.code, 8),
)


def draw_carrier(grammar: Grammar, rng: random.Random) -> Draft:
    """One carrier with nothing planted yet."""
    carrier = rng.choices([entry[0] for entry in CARRIERS], [entry[1] for entry in CARRIERS])[0]
    return carrier(grammar, rng)
