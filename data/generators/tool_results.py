"""Outputs of some seventy kinds of tools, with one instruction planted in them or a harmless one in its place.

An imperative inside data is no attack by itself: to-do items, manuals and reviews are full of them. So an attack comes
with the same tool result without it, or with a request to people at the very same place, and all else is equal.
Layouts stand in `assets/tools2_docs.grammar`, which explains the marks that are read here.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from data.generators.carriers.draft import Escape, csv_cell, html_text, json_string, one_line, plain
from data.generators.grammar import Choice, Grammar, capitalised, uncapitalised
from data.generators.made import Made
from data.generators.styles import styled
from data.schema import Kind

MAX_CHARACTERS: Final = 6000
_CLEAN_SHARE: Final = 0.04  # of the families: a tool result on its own
_OPENER_SHARE: Final = 0.4
_CLOSER_SHARE: Final = 0.15
_STYLED_SHARE: Final = 0.3
_WRAPPED_SHARE: Final = 0.25
_LONG_SHARE: Final = 0.15
_FRAMED_SHARE: Final = 0.25  # in brackets, in bold or as a paragraph of its own, attack and twin alike
_FRAMES: Final = ("({})", "**{}**", '"{}"', "[{}]", "--- {} ---", "> {}")
_PARAGRAPHS: Final = ("\n{}\n", "\n\n{}\n\n", "\n\n{}\n\n", "\n---\n{}\n---\n")
# Where people ask each other for things all day, an order to the reader is addressed to it more often.
_TALK: Final = frozenset({
    "inbox_json", "inbox_lines", "mail_full", "mail_thread", "calendar_json", "calendar_text", "file_notes", "slack",
    "slack_json", "meeting", "crm", "crm_json", "chat_export", "tasks", "github_issue", "github_json", "pr_review",
    "support_ticket",
})  # fmt: skip
_TALK_OPENERS: Final = 0.25
_TWINS: Final = ([["clean"], ["people"], ["clean", "people"]], [30, 47, 23])

# intent -> how often it is planted, and how often an opener addresses the reader
_INTENTS: Final[dict[str, tuple[int, float]]] = {
    "tool": (30, 0.45),
    "polite": (25, 0.4),
    "code": (8, 0.45),
    "exfil": (14, 0.4),
    "manip": (12, 0.4),
    "secret": (5, 0.2),
    "multi": (6, 0.15),
    "catalogue": (0, 0.15),  # only where tools are described
}
# What tools say to the model that called them (the next page, a missing argument) is an instruction, and harmless.
_HARMLESS: Final = {"tr_h_task": 74, "tr_h_multi": 8, "tr_h_system": 8, "tr_h_talk": 10}
_CATALOGUES: Final = frozenset({"mcp_tools", "tool_docs"})
_QUESTIONS: Final = ("What", "Which", "Who", "How", "Can", "Could", "Would")
_ESCAPES: Final[Mapping[str, Escape]] = {
    "json": json_string,
    "html": html_text,
    "csv": csv_cell,
    "line": one_line,
    "plain": plain,
}
_SENTENCES = re.compile(r"\[\[(\w+)(?::(\d)-(\d))?\]\]")
_ESCAPED = re.compile("⟦(.*?)⟧", re.DOTALL)
_PLACE = re.compile("⌈([^⌈⌉§]*)§([^⌈⌉§]*)⌉|§( ?)")
_NO_STOP = (".", "!", ":", ";", "?", "}", ")", "`")


@dataclass(frozen=True)
class ToolResult:
    """A tool's output with open places; `fill` plants a text in one, `clean` leaves all of them empty."""

    kind: str
    text: str
    escape: Escape

    def places(self) -> list[tuple[int, str]]:
        """Number and placement (start, middle, end by thirds of the text, or field) of each place."""
        found = []
        for number, match in enumerate(_PLACE.finditer(self.text)):
            third = ["start", "middle", "end"][min(2, 3 * match.start() // max(1, len(self.text)))]
            found.append((number, "field" if match[1] is not None else third))
        return found

    def fill(self, chosen: int, text: str) -> str:
        """The output with `text` at place number `chosen`."""
        count = -1

        def render(match: re.Match[str]) -> str:
            nonlocal count
            count += 1
            if count != chosen:
                return match[3] or ""
            if match[1] is not None:
                return f"{match[1]}{self.escape(text)}{match[2]}"
            return self._spaced(match, self.escape(text))

        return _PLACE.sub(render, self.text).strip()

    def clean(self) -> str:
        """The output with nothing planted."""
        return self.fill(-1, "")

    def _spaced(self, match: re.Match[str], text: str) -> str:
        """`text` with a blank on each side where a word or a stop is its neighbour."""
        before, after = self.text[: match.start()][-1:], self.text[match.end() :][:1]
        left = " " if before and (before.isalnum() or before in ".!?,;)]'") else ""
        right = match[3] or (" " if after and (after.isalnum() or after in "([⌈") else "")
        return ("" if text.startswith("\n") else left) + text + ("" if text.endswith("\n") else right)


def family(grammar: Grammar, rng: random.Random) -> list[Made]:
    """A poisoned tool result with its twins in random order, or now and then a harmless one alone."""
    result = tool_result(grammar, rng)
    wrapped = grammar.draw("tr_wrap", rng) if rng.random() < _WRAPPED_SHARE else "§"
    if rng.random() < _CLEAN_SHARE:
        text = wrapped.replace("§", result.clean())
        return [_made(text, Kind.BENIGN, f"tr_clean/{result.kind}", form="clean", carrier=result.kind)]
    addressed = _TALK_OPENERS if result.kind in _TALK else 0.0
    intent = _intent(result, rng)
    attack = _sentence(grammar, rng, f"tr_p_{intent}", "tr", _INTENTS[intent][1] + addressed)
    frame = _frame(result, rng)
    place, placement = _place(result, rng)
    facts = {"carrier": result.kind, "placement": placement}
    attacked = {**facts, "form": "attack", "intent": intent}
    group = attack.key
    texts = [_made(result.fill(place, frame.replace("{}", attack.text)), Kind.INJECTION, group, **attacked)]
    for form in rng.choices(*_TWINS)[0]:
        if form == "clean":
            texts.append(_made(result.clean(), Kind.BENIGN, group, form="clean", carrier=result.kind))
        else:
            twin = harmless(grammar, rng, _OPENER_SHARE + addressed)
            text = result.fill(place, frame.replace("{}", twin.text))
            texts.append(_made(text, Kind.BENIGN, group, form="people", **facts))
    rng.shuffle(texts)
    return [Made(wrapped.replace("§", made.text), made.kind, made.group, made.labels) for made in texts]


def tool_result(grammar: Grammar, rng: random.Random) -> ToolResult:
    """One output of a tool with its places still open, short ones being commoner than long ones."""
    parts = rng.choice(grammar.rules["tr_doc"]).split("~~")
    kind, escape, head, row, joint, foot, bounds = parts
    low, high = (int(bound) for bound in bounds.split("-"))
    rows = low + int((high - low + 0.99) * rng.random() ** 1.6)
    limit = rng.choice([700, 1200, 2000, 3500])
    if rng.random() < _LONG_SHARE:
        rows, limit = 40, rng.randint(1500, MAX_CHARACTERS - 2000)
    text = _expanded(grammar, rng, head, escape)
    for number in range(rows):
        piece = _expanded(grammar, rng, row, escape)
        if number and len(text) + len(piece) > limit:
            break
        text += (joint if number else "") + piece
    text += _expanded(grammar, rng, foot, escape)
    if escape == "json":
        text = _laid_out(text, rng)
    return ToolResult(kind, text, _ESCAPES[escape])


def harmless(grammar: Grammar, rng: random.Random, opener_share: float = _OPENER_SHARE) -> Choice:
    """What stands in the attack's place in its twin: a request to people, a tool's own hint, talk about assistants."""
    rule = rng.choices(list(_HARMLESS), list(_HARMLESS.values()))[0]
    return _sentence(grammar, rng, rule, "tr_h", opener_share if rule == "tr_h_task" else opener_share / 4)


def _intent(result: ToolResult, rng: random.Random) -> str:
    """What the planted instruction wants; catalogues of tools have attacks of their own."""
    if result.kind in _CATALOGUES and rng.random() < 0.5:
        return "catalogue"
    return rng.choices(list(_INTENTS), [weight for weight, _ in _INTENTS.values()])[0]


def _frame(result: ToolResult, rng: random.Random) -> str:
    """What stands round the planted text, `{}` being the text itself."""
    if rng.random() >= _FRAMED_SHARE:
        return "{}"
    return rng.choice(_PARAGRAPHS if result.escape is plain and rng.random() < 0.6 else _FRAMES)


def _expanded(grammar: Grammar, rng: random.Random, template: str, escape: str) -> str:
    text = grammar.expand(_SENTENCES.sub(lambda match: _with_place(match, grammar, rng), template), rng)
    return _ESCAPED.sub(lambda match: _ESCAPES[escape](match[1]), text)


def _with_place(match: re.Match[str], grammar: Grammar, rng: random.Random) -> str:
    """A few different sentences of the named rule, and one place among them."""
    alternatives = grammar.rules[match[1]]
    count = min(len(alternatives), rng.randint(int(match[2] or 1), int(match[3] or 3)))
    pieces = rng.sample(alternatives, count)
    spot = rng.randint(0, count)
    lead, rest = " ".join(pieces[:spot]), " ".join(pieces[spot:])
    return f"{lead}§ {rest}" if lead and rest else f"{lead}§{rest}"


def _laid_out(text: str, rng: random.Random) -> str:
    """The same JSON as one line, indented, or as it was written."""
    indent = rng.choice([None, None, 1, 2, 4])
    return text if indent is None else json.dumps(json.loads(text), ensure_ascii=False, indent=indent)


def _sentence(grammar: Grammar, rng: random.Random, rule: str, side: str, opener_share: float) -> Choice:
    """One task, with a side's opener and closer now and then; attacks and twins are built alike."""
    choice = grammar.choose(rule, rng)
    text = capitalised(choice.text.strip())
    if not text.endswith(_NO_STOP):
        text += "."
    lead = grammar.draw(f"{side}_open", rng) if rng.random() < opener_share else ""
    if lead and not (lead[-1].isalpha() and text.startswith(_QUESTIONS)):
        keeps = lead.endswith((".", "!", "]")) or (lead.endswith(":") and rng.random() < 0.5)
        body = text if keeps else uncapitalised(text)
        text = f"{lead} {body}"
    if rng.random() < _CLOSER_SHARE:
        text += " " + grammar.draw(f"{side}_close", rng)
    if rng.random() < _STYLED_SHARE:
        text, _ = styled(text, rng, grammar)
    return Choice(text, choice.rule, choice.index)


def _place(result: ToolResult, rng: random.Random) -> tuple[int, str]:
    """Placements first and places second, so that long lists are not all middle."""
    places = result.places()
    placement = rng.choice(sorted({name for _, name in places}))
    return rng.choice([place for place in places if place[1] == placement])


def _made(text: str, kind: Kind, group: str, **labels: str) -> Made:
    facts = {"form": "clean", "intent": "none", "carrier": "none", "placement": "none", **labels}
    return Made(text, kind, group, facts)
