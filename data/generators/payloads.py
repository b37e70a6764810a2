"""What is planted or typed: an intent's sentence with its opener, closer, style, forged frame and disguise."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from data.generators.benign import gibberish, lengthened
from data.generators.evasions import evade
from data.generators.grammar import Choice, Grammar, capitalised, uncapitalised
from data.generators.styles import styled
from data.schema import Kind

EVASION_SHARE: Final = 0.12
_NO_STOP = (".", "!", ":", ";", "}", ")")

# intent -> (weight in data, weight in a chat, how often an opener addresses the reader)
_INTENTS: Final[dict[str, tuple[int, int, float]]] = {
    "tool": (21, 10, 0.5),
    "exfiltrate": (15, 10, 0.55),
    "planted_task": (19, 0, 0.4),
    "second_task": (12, 0, 0.3),
    "response": (13, 12, 0.4),
    "override": (8, 14, 0.6),
    "leak": (5, 12, 0.6),
    "persuasion": (5, 8, 0.3),
    "foreign": (4, 16, 0.0),
}
# carrier -> intent, rule and opener share of what is planted in no other carrier
_OWN_INTENTS: Final[dict[str, tuple[str, str, float]]] = {
    "code": ("code", "a_code", 0.4),
    "tool_catalogue": ("tool_poisoning", "a_tool_poisoning", 0.1),
}
_RULES: Final = {"foreign": "foreign_attack"}

_CHAT: Final[dict[str, tuple[int, Kind, str]]] = {
    "chat_override": (27, Kind.INJECTION, "override"),
    "chat_leak": (17, Kind.INJECTION, "leak"),
    "jb_persona": (17, Kind.JAILBREAK, "persona"),
    "jb_scenario": (13, Kind.JAILBREAK, "scenario"),
    "suffix": (6, Kind.JAILBREAK, "suffix"),
    "payload": (20, Kind.INJECTION, "payload"),
}


@dataclass(frozen=True)
class Payload:
    """An attack's text and what it was made from; `key` names its template."""

    text: str
    kind: Kind
    key: str
    intent: str
    style: str
    evasion: str = "none"


def _pick(weights: dict[str, float], rng: random.Random) -> str:
    return rng.choices(list(weights), list(weights.values()))[0]


def joined(lead: str, sentence: str) -> str:
    """`sentence` behind `lead`, with the capital that the joint asks for."""
    body = capitalised(sentence) if lead.endswith((".", "!", ":", "?")) else uncapitalised(sentence)
    return f"{lead} {body}"


def _dressed(grammar: Grammar, rng: random.Random, choice: Choice, opener_share: float) -> str:
    text = capitalised(choice.text)
    if rng.random() < opener_share:
        text = joined(grammar.draw("opener", rng), text)
    if not text.endswith((*_NO_STOP, "?")):
        text += "."
    if rng.random() < 0.25:
        text += " " + grammar.draw("closer", rng)
    return text


def _finished(grammar: Grammar, rng: random.Random, text: str, *, key: str, kind: Kind, intent: str) -> Payload:
    text, style = styled(text, rng, grammar)
    evasion = "none"
    if rng.random() < EVASION_SHARE:
        text, evasion = evade(text, rng, grammar)
    elif rng.random() < 0.11:
        text, evasion = grammar.draw("forge", rng).replace("§", text), "forged_roles"
    return Payload(text, kind, key, intent, style, evasion)


def planted(grammar: Grammar, rng: random.Random, carrier: str) -> Payload:
    """An instruction to stand in data of the given carrier kind."""
    if carrier in _OWN_INTENTS and rng.random() < 0.5:
        intent, rule, share = _OWN_INTENTS[carrier]
    else:
        intent = _pick({name: entry[0] for name, entry in _INTENTS.items()}, rng)
        rule, share = _RULES.get(intent, f"a_{intent}"), _INTENTS[intent][2]
    choice = grammar.choose(rule, rng)
    return _finished(
        grammar, rng, _dressed(grammar, rng, choice, share), key=choice.key, kind=Kind.INJECTION, intent=intent
    )


def typed(grammar: Grammar, rng: random.Random) -> Payload:
    """An attack that a user types."""
    rule = _pick({name: entry[0] for name, entry in _CHAT.items()}, rng)
    _, kind, intent = _CHAT[rule]
    if rule == "suffix":
        choice = grammar.choose("bad_deed", rng)
        text = f"{grammar.draw('suffix_request', rng)} {choice.text} {gibberish(grammar, rng)}"
        return Payload(text, kind, choice.key, intent, "plain", "gibberish")
    if rule == "payload":
        intent = _pick({name: entry[1] for name, entry in _INTENTS.items()}, rng)
        choice = grammar.choose(_RULES.get(intent, f"a_{intent}"), rng)
        share = 0.0 if intent in {"foreign", "persuasion"} else 1.0
        return _finished(grammar, rng, _dressed(grammar, rng, choice, share), key=choice.key, kind=kind, intent=intent)
    choice = grammar.choose(rule, rng)
    text = capitalised(choice.text)
    if kind is Kind.JAILBREAK and rng.random() < 0.5:
        text = lengthened(
            grammar, rng, text, ["jb_rule", "jb_backstory", "jb_backstory", "story_detail", "story_detail"]
        )
    return _finished(grammar, rng, text, key=choice.key, kind=kind, intent=intent)
