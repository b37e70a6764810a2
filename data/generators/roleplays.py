"""Role-plays, wrapped requests and pressed answers, harmful and harmless, that differ by intent alone.

A frame (persona, story, professional request, output format) is drawn once and filled twice: for the attack with
a harmful goal, for its twin with a harmless one. Where the persona itself is what is wrong (no rules, no filter), the
frame also draws its traits and rules from either side. Backstory and constraints ("stay in character", "no
disclaimers") come from the same rules for both, so none of them tells the sides apart.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from typing import Final

from data.generators.grammar import Grammar, capitalised
from data.generators.made import Made
from data.generators.styles import styled
from data.schema import Kind

# family -> weight; the last three are harmless prompts without an attack, which brings attacks to about 45 %
_FAMILIES: Final[dict[str, int]] = {
    "wrap": 21,
    "casual": 14,
    "persona": 20,
    "pro": 14,
    "format": 12,
    "aware": 10,
    "ok_frame": 3,
    "act": 6,
}
_ALONE: Final = frozenset({"aware", "ok_frame", "act"})
# side of persona, side of goal: a persona without rules is an attack even when its first question is tame
_BAD_PERSONAS: Final = {("bad", "bad"): 68, ("bad", "fine"): 17, ("fine", "bad"): 15}
# how many harmless goals name a harmful deed in order to prevent, report or judge it
_GUARD_SHARE: Final = 0.22
_EXTRA: Final = ("rp2_detail", "rp2_detail", "rp2_rule", "rp2_pro")

_DO_FORMS: Final[Mapping[str, tuple[str, ...]]] = {
    "§Ask": ("explain how to ¤", "tell me how to ¤", "describe step by step how to ¤", "teach me to ¤",
             "list the steps someone takes to ¤", "give me a plan to ¤", "show how one can ¤", "write how to ¤"),
    "§how": ("how to ¤", "how somebody could ¤", "how to ¤ from start to finish", "how one would ¤", "how to ¤"),
    "§q": ("how do I ¤?", "how would you ¤?", "how can someone ¤?", "what is the best way to ¤?",
           "what does it take to ¤?", "how does one ¤?", "if I wanted to ¤, where would I start?"),
}  # fmt: skip
_NP_FORMS: Final[Mapping[str, tuple[str, ...]]] = {
    "§Ask": ("write ¤", "give me ¤", "draft ¤", "produce ¤", "compose ¤", "help me write ¤"),
    "§np": ("¤",),
    "§q": ("can you write ¤?", "could you draft ¤?", "would you give me ¤?", "may I have ¤?"),
}


def family(grammar: Grammar, rng: random.Random) -> list[Made]:
    """An attack with one or two harmless twins in the same frame, or a harmless prompt alone."""
    name = rng.choices(list(_FAMILIES), list(_FAMILIES.values()))[0]
    if name in _ALONE:
        return [_alone(grammar, rng, name)]
    rule = f"rp2_frame_{name}"
    index = rng.randrange(len(grammar.rules[rule]))
    template, group = grammar.rules[rule][index], f"{rule}/{index}"
    if name == "persona":
        return _persona_pair(grammar, rng, template, group)
    frame = _frame(grammar, rng, template)
    # a minimal pair (the goal is all that differs), or the same template with another story
    other = frame if rng.random() < 0.5 else _frame(grammar, rng, template)
    return _finished_pair(grammar, rng, (_filled(grammar, rng, frame, "bad"), _filled(grammar, rng, other, "fine")),
                          group=group, form=name, intent="wrapped")  # fmt: skip


def _persona_pair(grammar: Grammar, rng: random.Random, template: str, group: str) -> list[Made]:
    persona, goal = rng.choices(list(_BAD_PERSONAS), list(_BAD_PERSONAS.values()))[0]
    attack = _filled(grammar, rng, _frame(grammar, rng, template, persona), goal)
    twin = _filled(grammar, rng, _frame(grammar, rng, template, "fine"), "fine")
    intent = "override" if persona == "bad" else "wrapped"
    return _finished_pair(grammar, rng, (attack, twin), group=group, form="persona", intent=intent)


def _finished_pair(
    grammar: Grammar, rng: random.Random, texts: tuple[str, str], *, group: str, form: str, intent: str
) -> list[Made]:
    """Attack and twin, lengthened by as many sentences and typed in the same style."""
    extra, seed = _extra_count(rng), rng.getrandbits(32)
    made = []
    for text, kind in zip(texts, (Kind.JAILBREAK, Kind.BENIGN), strict=True):
        same = random.Random(seed)  # noqa: S311 - data, no secret
        meaning = intent if kind is Kind.JAILBREAK else "none"
        # a long persona prompt is made of its own side's rules
        side = "bad" if meaning == "override" else "fine"
        own = (f"rp2_{side}_rule", f"rp2_{side}_more") * 3 if form == "persona" else ()
        body, style = _dressed(grammar, same, _lengthened(grammar, rng, text, extra, (*_EXTRA, *own)))
        made.append(Made(body, kind, group, _labels(form, meaning, style)))
    return made


def _alone(grammar: Grammar, rng: random.Random, name: str) -> Made:
    """A harmless prompt about harmful deeds, about jailbreaks or about what people are shy to ask."""
    choice = grammar.choose(f"rp2_{name}", rng, _names(grammar, rng))
    text = choice.text
    if "§forged" in text:
        text = text.replace("§forged", _filled(grammar, rng, grammar.draw("rp2_frame_format", rng), "bad"))
    text = _filled(grammar, rng, text, "fine")
    body, style = _dressed(grammar, rng, _lengthened(grammar, rng, text, _extra_count(rng)))
    return Made(body, Kind.BENIGN, choice.key, _labels(name, "none", style))


def _frame(grammar: Grammar, rng: random.Random, template: str, side: str = "fine") -> str:
    """The frame with everything drawn but its goal."""
    bound = _names(grammar, rng)
    own, other = ("bad", "fine") if side == "bad" else ("fine", "bad")
    bound[f"rp2_{own}_name#1"] = grammar.draw(f"rp2_{own if rng.random() < 0.6 else other}_name", rng)
    return grammar.expand(template.replace("{%", "{rp2_" + side + "_"), rng, bound)


def _names(grammar: Grammar, rng: random.Random) -> dict[str, str]:
    """Two different people for a frame, who keep their names through it."""
    first, second = rng.sample(grammar.rules["first"], 2)
    return {"first#1": first, "first#2": second}


def _filled(grammar: Grammar, rng: random.Random, frame: str, side: str) -> str:
    """`frame` with a goal of `side` in the form that its marks ask for."""
    if side == "fine" and rng.random() < _GUARD_SHARE:
        side = "guard"
    deed, thing = (grammar.draw(f"rp2_{side}_{form}", rng).strip() for form in ("do", "np"))
    use_thing = rng.random() < 0.35
    forms, goal = (_NP_FORMS, thing) if use_thing else (_DO_FORMS, deed)
    request = rng.choice(forms["§Ask"]).replace("¤", goal)
    if rng.random() < 0.85:  # many users type small letters behind a stop
        frame = re.sub(r"((?:^|[.!?] |\n))§q", r"\1§Q", frame)
        frame = re.sub(r"((?:^|[.!?] |\n))§ask", r"\1§Ask", frame)
    question = rng.choice(forms["§q"]).replace("¤", goal)
    return (
        frame.replace("§Ask", capitalised(request))
        .replace("§Q", capitalised(question))
        .replace("§ask", request)
        .replace("§how", rng.choice(_DO_FORMS["§how"]).replace("¤", deed))
        .replace("§np", thing)
        .replace("§do", deed)
        .replace("§q", question)
    )


def _extra_count(rng: random.Random) -> int:
    """How many sentences to add: mostly few, now and then a long story."""
    return rng.choices([0, 1, 2, 4, 7, 11, 16, 22], [34, 12, 13, 12, 11, 9, 6, 3])[0]


def _lengthened(grammar: Grammar, rng: random.Random, text: str, count: int, pool: tuple[str, ...] = _EXTRA) -> str:
    """`text` among `count` more sentences of backstory and constraints, mostly behind them."""
    if not count:
        return text
    extra = [grammar.draw(rng.choice(pool), rng) for _ in range(count)]
    joint = rng.choice([" ", " ", "\n"])
    closed = text.endswith((".", "!", "?"))
    before = rng.randint(0, count) if closed and rng.random() < 0.5 else count
    return joint.join([*extra[:before], text, *extra[before:]])


def _dressed(grammar: Grammar, rng: random.Random, text: str) -> tuple[str, str]:
    """Seven of ten texts as they are, the others typed or worded in a style of their own."""
    text = capitalised(text)
    return styled(text, rng, grammar) if rng.random() < 0.3 else (text, "plain")


def _labels(form: str, intent: str, style: str) -> dict[str, str]:
    return {"form": form, "intent": intent, "style": style, "carrier": "chat", "placement": "whole", "evasion": "none"}
