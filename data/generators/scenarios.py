"""Long prompts in adversarial clothes (stories, worlds, pretexts, pleas, formats), harmless and harmful alike.

A scenario is put together from sentences: the opening of a device, backstory, constraints, the sentence that holds the
goal, answer format and closing, in changing order. All of them are drawn from the same rules for either side, so only
the goal tells what is wanted; and half of the draws fill one scenario twice, once with a goal of each side.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from data.generators.grammar import Grammar, capitalised
from data.generators.made import Made
from data.generators.styles import styled
from data.schema import Category, Kind

PAIRS: Final = 0.5
_HARMFUL_ALONE: Final = 0.26  # with the pairs, 42 % of all texts
DEVICES: Final = (
    "novel", "persona", "world", "nested", "academic", "work", "game", "format", "plea", "seeded", "codeword",
    "moral", "contrast", "script", "article", "mode", "diary", "ornate", "experiment", "satire", "plain",
)  # fmt: skip
# rule name -> what its goals teach, and how often it is drawn
_HARMS: Final[Mapping[str, tuple[Category | None, int]]] = {
    "illicit": (Category.ILLICIT, 24),
    "violence": (Category.VIOLENCE, 15),
    "hate": (Category.HATE, 15),
    "harassment": (Category.HARASSMENT, 12),
    "selfharm": (Category.SELF_HARM, 7),
    "sexual": (Category.SEXUAL, 11),
    "other": (None, 16),
}
_HARMLESS: Final[Mapping[str, int]] = {"ok": 32, "touchy": 42, "mild": 26}
_FILLERS: Final[Mapping[str, int]] = {
    "sn_detail": 5, "rp2_detail": 2, "sn_rule": 6, "rp2_rule": 1, "sn_claim": 3, "sn_press": 2, "sn_style": 4,
    "rp2_norefuse": 1,
}  # fmt: skip
_LEAST, _MOST = 40, 380  # words

_DO_FORMS: Final[Mapping[str, tuple[str, ...]]] = {
    "§Ask": ("explain how to ¤", "tell me how to ¤", "describe, step by step, how to ¤", "walk me through how to ¤",
             "set out in detail how one would ¤", "show what it takes to ¤", "write down how to ¤",
             "share the best ways to ¤", "outline a plan to ¤", "help me ¤", "give a full account of how to ¤",
             "advise me on how to ¤", "list what somebody needs to ¤"),
    "§how": ("how to ¤", "how somebody could ¤", "how one would ¤", "what it takes to ¤", "the best way to ¤"),
    "§q": ("how would you ¤?", "how do I ¤?", "what is the best way to ¤?", "how does one ¤?",
           "what would it take to ¤?", "could you help me ¤?", "where does one start in order to ¤?"),
}  # fmt: skip
_NP_FORMS: Final[Mapping[str, tuple[str, ...]]] = {
    "§Ask": ("write ¤", "give me ¤", "draft ¤", "produce ¤", "compose ¤", "help me write ¤", "come up with ¤",
             "create ¤", "prepare ¤", "I would like to have ¤"),
    "§q": ("can you write ¤?", "would you draft ¤?", "may I have ¤?", "could you come up with ¤?"),
}  # fmt: skip


@dataclass(frozen=True)
class _Goal:
    """What is asked for, in both grammatical forms, and the harms that it names."""

    do: str
    np: str
    harm: str
    categories: frozenset[Category]


@dataclass(frozen=True)
class _Scenario:
    """Everything but the goal, whose places are marked."""

    text: str
    group: str
    device: str
    placement: str


def family(grammar: Grammar, rng: random.Random) -> list[Made]:
    """One scenario with a goal of each side, or a single text."""
    if rng.random() >= PAIRS:
        return [_made(grammar, rng, _scenario(grammar, rng), harmful=rng.random() < _HARMFUL_ALONE)]
    scenario, state = _scenario(grammar, rng), rng.getstate()
    made = []
    for harmful in (True, False):
        rng.setstate(state)  # both are typed the same way
        made.append(_made(grammar, rng, scenario, harmful=harmful))
    return made


def _made(grammar: Grammar, rng: random.Random, scenario: _Scenario, *, harmful: bool) -> Made:
    typed, form = random.Random(rng.random()), random.Random(rng.random())  # noqa: S311 - data, no secret
    goal = _goal(grammar, rng, harmful=harmful)
    text, style = capitalised(_filled(scenario.text, goal, form)), "plain"
    if typed.random() < 0.15:
        text, style = styled(text, typed, grammar)
    labels = {"form": scenario.device, "intent": goal.harm, "style": style, "placement": scenario.placement}
    kind = Kind.JAILBREAK if harmful else Kind.BENIGN
    return Made(text, kind, scenario.group, labels, harm_categories=goal.categories)


def _goal(grammar: Grammar, rng: random.Random, *, harmful: bool) -> _Goal:
    if harmful:
        harm = rng.choices(list(_HARMS), [weight for _, weight in _HARMS.values()])[0]
        category = _HARMS[harm][0]
    else:
        harm, category = rng.choices(list(_HARMLESS), list(_HARMLESS.values()))[0], None
    do, np = (grammar.draw(f"sn_{harm}_{form}", rng).strip() for form in ("do", "np"))
    return _Goal(do, np, harm if harmful else "none", frozenset({category} if category else ()))


def _scenario(grammar: Grammar, rng: random.Random) -> _Scenario:
    """Opening, backstory, goal, constraints, format and closing, as long as drawn."""
    device = rng.choice(DEVICES)
    first, second = rng.sample(grammar.rules["first"], 2)
    bound = {"first#1": first, "first#2": second}
    opening = grammar.choose(f"sn_open_{device}", rng, bound)
    ask = grammar.draw(f"sn_goal_{device}" if rng.random() < 0.75 else "sn_goal", rng, bound)
    ends = [grammar.draw(rule, rng, bound) for rule in ("sn_format", "sn_close") if rng.random() < 0.5]
    fixed = " ".join((opening.text, ask, *ends))
    missing = min(max(int(rng.lognormvariate(4.6, 0.5)), _LEAST), _MOST) - len(fixed.split()) - 8
    fillers = _fillers(grammar, rng, bound, missing)
    cut, placement = _placed(rng, len(fillers))
    parts = [opening.text, *_listed(rng, fillers[:cut]), ask, *_listed(rng, fillers[cut:]), *ends]
    if placement == "start":
        parts = [ask, opening.text, *_listed(rng, fillers), *ends]
    return _Scenario(_joined(rng, parts), f"{opening.key}", device, placement)


def _placed(rng: random.Random, count: int) -> tuple[int, str]:
    """How many fillers stand before the goal, and the name of its place."""
    placement = rng.choices(("end", "middle", "start"), (42, 48, 10))[0]
    return (count if placement == "end" else rng.randint(0, count), placement)


def _fillers(grammar: Grammar, rng: random.Random, bound: dict[str, str], words: int) -> list[str]:
    """Different sentences of backstory and constraints, about `words` words of them."""
    found: list[str] = []
    while words > 0:
        rule = rng.choices(list(_FILLERS), list(_FILLERS.values()))[0]
        sentence = grammar.draw(rule, rng, bound)
        if sentence not in found:
            found.append(sentence)
        words -= len(sentence.split())
    return found


def _listed(rng: random.Random, sentences: list[str]) -> list[str]:
    """As they are, or as a numbered or dashed list where there are enough of them."""
    if len(sentences) < 3 or rng.random() < 0.75:
        return sentences
    lead = rng.choice(("", "Rules:\n", "Keep to this:\n", "Background:\n", "Some notes:\n", "Instructions:\n"))
    mark = rng.choice(("{}. ", "{}) ", "- ", "* ", "Rule {}: ", "({}) "))
    lines = [mark.format(number) + sentence for number, sentence in enumerate(sentences, 1)]
    return ["\n" + lead + "\n".join(lines) + "\n"]


def _joined(rng: random.Random, parts: list[str]) -> str:
    """One paragraph, or several."""
    chance = rng.choice((0.0, 0.0, 0.15, 0.4))
    text = parts[0]
    for part in parts[1:]:
        break_ = rng.choice(("\n\n", "\n")) if rng.random() < chance else " "
        text += ("" if text.endswith("\n") or part.startswith("\n") else break_) + part
    return text.strip()


def _filled(text: str, goal: _Goal, rng: random.Random) -> str:
    """`text` with `goal` at its marks, in the form that each asks for."""
    forms, core = (_NP_FORMS, goal.np) if rng.random() < 0.4 else (_DO_FORMS, goal.do)
    text = re.sub(r"((?:^|[.!?:)] |\n))§q", r"\1§Q", text)
    text = re.sub(r"((?:^|[.!?] |\n))§ask", r"\1§Ask", text)
    request, question = (rng.choice(forms[mark]).replace("¤", core) for mark in ("§Ask", "§q"))
    return (
        text.replace("§Ask", capitalised(request))
        .replace("§Q", capitalised(question))
        .replace("§ask", request)
        .replace("§how", rng.choice(_DO_FORMS["§how"]).replace("¤", goal.do))
        .replace("§np", goal.np)
        .replace("§do", goal.do)
        .replace("§q", question)
    )
