"""Harmless texts: twins for planted instructions, and prompts of their own."""

from __future__ import annotations

import base64
import random
from dataclasses import dataclass
from typing import Final

from data.generators import evasions
from data.generators.carriers import draw_carrier
from data.generators.grammar import Choice, Grammar, capitalised
from data.generators.styles import styled

_PROMPTS: Final[dict[str, int]] = {
    "trigger_prompt": 60,
    "plain_request": 8,
    "request_how": 8,
    "story_twin": 8,
    "roleplay": 8,
    "bad_deed_talk": 3,
    "bot_prompt": 8,
    "few_shot": 4,
    "foreign_benign": 9,
    "innocent_data": 3,
    "encoded": 7,
    "gibberish": 3,
    "mention_line": 5,
}

_STYLED: Final = frozenset({"trigger_prompt", "plain_request", "request_how", "story_twin", "mention_line"})


@dataclass(frozen=True)
class Harmless:
    """A benign text and what it was made from; `key` names its template, `form` what it looks like."""

    text: str
    key: str
    form: str
    style: str
    evasion: str = "none"


def twin_text(grammar: Grammar, rng: random.Random) -> Harmless:
    """What stands in the attack's place in its twin: a request to people, a mention, or a plain sentence."""
    form = rng.choices(["people", "foreign_people", "mention", "filler"], [60, 5, 12, 23])[0]
    rule = {"people": "people_line", "mention": "mention_line", "filler": grammar.draw("domains", rng)}.get(form, form)
    choice = grammar.choose(rule, rng)
    text, style = styled(capitalised(choice.text), rng, grammar)
    if rng.random() < 0.06:
        text, evasion = _innocent_disguise(text, rng, grammar)
        return Harmless(text, choice.key, form, style, evasion)
    return Harmless(text, choice.key, form, style)


def prompt(grammar: Grammar, rng: random.Random) -> Harmless:
    """A harmless prompt that stands alone."""
    form = rng.choices(list(_PROMPTS), list(_PROMPTS.values()))[0]
    if form == "encoded":
        return _encoded(grammar, rng)
    if form == "gibberish":
        choice = grammar.choose("gibberish_frame", rng)
        return Harmless(choice.text.replace("§", gibberish(grammar, rng)), choice.key, form, "plain")
    if form == "roleplay":
        return _roleplay(grammar, rng)
    choice = _leaf(grammar, rng, form)
    text, style = choice.text, "plain"
    if form == "story_twin" and rng.random() < 0.5:
        text = lengthened(grammar, rng, text, ["story_detail", "story_detail", "rp_rule"])
    if form in _STYLED:
        text, style = styled(capitalised(text), rng, grammar)
    if form in _STYLED and rng.random() < 0.06:
        text, evasion = _innocent_disguise(text, rng, grammar)
        return Harmless(text, choice.key, form, style, evasion)
    return Harmless(text, choice.key, form, style)


def _leaf(grammar: Grammar, rng: random.Random, rule: str) -> Choice:
    """The template that names the group: for a rule that only points to others, the one pointed to."""
    template = rng.choice(grammar.rules[rule])
    name = template[1:-1]
    if template == "{" + name + "}" and name in grammar.rules:
        return grammar.choose(name, rng)
    if "{trigger_np}" in template:
        phrase = grammar.choose("trigger_np", rng)
        return Choice(grammar.expand(template.replace("{trigger_np}", phrase.text), rng), phrase.rule, phrase.index)
    return Choice(grammar.expand(template, rng), rule, grammar.rules[rule].index(template))


def _innocent_disguise(text: str, rng: random.Random, grammar: Grammar) -> tuple[str, str]:
    names = ["leetspeak", "homoglyphs", "zero_width", "spacing", "html_entities", "markdown"]
    name = rng.choice(names)
    return evasions.EVASIONS[name][0](text, rng, grammar), name


def _encoded(grammar: Grammar, rng: random.Random) -> Harmless:
    """Innocent text or bytes in an encoding, with the question that comes with it."""
    choice = grammar.choose(
        rng.choice(["plain_sentence", "people_line", "d_nature", "d_history", "small_question"]), rng
    )
    if rng.random() < 0.2:
        blob = base64.b64encode(rng.randbytes(rng.randint(20, 160))).decode()
        text = rng.choice(
            [f"data:image/png;base64,{blob}", f'<img src="data:image/gif;base64,{blob}">', f"Content: {blob}"]
        )
        return Harmless(text, choice.key, "encoded", "plain", "base64")
    wrapped = grammar.draw("decode_wrap_innocent", rng)
    name = rng.choice(["base64", "hex", "rot13", "url", "reversed"])
    bare = evasions.encoded(name, choice.text, rng)
    return Harmless(wrapped.replace("%", name).replace("§", bare), choice.key, "encoded", "plain", name)


def around_document(grammar: Grammar, rng: random.Random, document: str, noun: str) -> str:
    """A user's request with the document that it is about."""
    before = rng.random() < 0.6
    request = grammar.draw("doc_task_before" if before else "doc_task_after", rng).replace("§", noun)
    quote = rng.choice(["{}", '"{}"', "```\n{}\n```", "<document>\n{}\n</document>", "---\n{}\n---"])
    body = quote.replace("{}", document)
    return f"{request}\n\n{body}" if before else f"{body}\n\n{request}"


def pasted(grammar: Grammar, rng: random.Random) -> Harmless:
    """A request with a clean document."""
    draft = draw_carrier(grammar, rng)
    text = around_document(grammar, rng, draft.clean(), draft.kind.replace("_", " "))
    return Harmless(text, f"pasted/{draft.kind}", "pasted", "plain")


def gibberish(grammar: Grammar, rng: random.Random) -> str:
    """A run of words and marks without meaning: a cat on the keyboard, or an optimised suffix of an attack."""
    return " ".join(grammar.draw("suffix_piece", rng) for _ in range(rng.randint(8, 24)))


def lengthened(grammar: Grammar, rng: random.Random, text: str, rules: list[str]) -> str:
    """Up to a dozen sentences of `rules` in front of `text`."""
    before = [grammar.draw(rng.choice(rules), rng) for _ in range(rng.choice([1, 2, 3, 5, 8, 12]))]
    return rng.choice([" ", " ", "\n"]).join([*before, text])


def _roleplay(grammar: Grammar, rng: random.Random) -> Harmless:
    """A harmless role-play with its setting and rules, between three and twenty sentences."""
    opening = grammar.choose("rp_open", rng)
    details = [
        grammar.draw(rng.choice(["rp_rule", "story_detail"]), rng) for _ in range(rng.choice([1, 2, 4, 7, 11, 18]))
    ]
    bullet = rng.choice(["", "", "- ", "* "])
    joint = "\n" if bullet else " "
    text = joint.join([opening.text, *(bullet + detail for detail in details), grammar.draw("rp_first", rng)])
    return Harmless(text, opening.key, "roleplay", "plain")


def lead(grammar: Grammar, rng: random.Random) -> str:
    """A harmless prompt in front of something else."""
    form = rng.choices(["trigger_prompt", "plain_request", "bot_prompt", "few_shot", "mention_line"], [5, 3, 2, 1, 1])[
        0
    ]
    return capitalised(_leaf(grammar, rng, form).text)
