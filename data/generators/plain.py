"""Attacks in plain clothes: typed without trigger words, or one ordinary-looking sentence in somebody else's document.

Whether an imperative is an attack depends on who says it to whom. "Send 50 euros to Anna" is harmless from the user,
harmless in a letter to a person, and an attack in a web page that an assistant reads. So the same orders, tasks and
notices stand on both sides here, and so do the documents: poisoned, clean, with a request to people in the same
place, and with the user's own question behind them. Sentences stand in `assets/plain_*.grammar`.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from data.generators.carriers.draft import Escape, html_text, json_string, one_line, plain
from data.generators.grammar import Grammar, capitalised, uncapitalised
from data.generators.made import Made
from data.generators.styles import styled
from data.generators.tool_results import tool_result
from data.schema import Category, Kind

# family -> weight
_FAMILIES: Final[dict[str, int]] = {"typed": 36, "persona": 8, "order": 26, "task": 18, "own": 12}
_TOPICS: Final = (
    "reveal", "endfake", "authority", "pressure", "game", "only", "switch", "hypo", "german", "spanish",
)  # fmt: skip
_TOPIC_WEIGHTS: Final = (24, 10, 12, 11, 8, 11, 10, 8, 7, 5)
_MORE_FINE: Final = 0.35  # of the typed attacks bring a second harmless prompt
_STYLED_SHARE: Final = 0.25
_NOTICE_SHARE: Final = 0.45  # of the planted sentences are announced, to assistants or to people
_WRAPPED_SHARE: Final = 0.4
_TOOL_SHARE: Final = 0.45  # of the documents are tool results of `tool_results.py`
_TWIN_FORMS: Final = ([["people"], ["clean"], ["people", "clean"]], [60, 20, 20])
_WRONG_SHARE: Final = 0.2  # of the planted tasks are scams, rumours, adverts or thieving code
_TASK_TWINS: Final = ([["question"], ["clean"], ["alone"], ["question", "alone"]], [35, 15, 30, 20])
_ESCAPES: Final[dict[str, Escape]] = {"json": json_string, "html": html_text, "line": one_line, "plain": plain}
# what a hypothetical question or a persona without rules is asked for
_TABOOS: Final[dict[str, frozenset[Category]]] = {
    "pl_taboo": frozenset({Category.ILLICIT}),
    "pl_taboo_violence": frozenset({Category.VIOLENCE}),
    "pl_taboo_hate": frozenset({Category.HATE}),
    "pl_taboo_harassment": frozenset({Category.HARASSMENT}),
}
_TABOO_WEIGHTS: Final = (4, 3, 2, 2)
_PERSONA_LINES: Final = ((3, 6), (6, 12), (10, 18))


@dataclass(frozen=True)
class _Document:
    """Something that an assistant is asked to read; `fill` puts a sentence in it, an empty one leaves it clean."""

    kind: str
    fill: Callable[[str], str]


def family(grammar: Grammar, rng: random.Random) -> list[Made]:
    """An attack with its harmless twins, or a harmless prompt alone; about 45 % are attacks."""
    match rng.choices(list(_FAMILIES), list(_FAMILIES.values()))[0]:
        case "typed":
            return _typed(grammar, rng)
        case "persona":
            return _persona(grammar, rng)
        case "order":
            return _ordered(grammar, rng)
        case "task":
            return _tasked(grammar, rng)
        case _:
            return [_own(grammar, rng)]


def _typed(grammar: Grammar, rng: random.Random) -> list[Made]:
    """A typed attack of one topic and harmless prompts of the same topic, all in one style."""
    topic = rng.choices(_TOPICS, _TOPIC_WEIGHTS)[0]
    taboo, harms = _taboo(grammar, rng)
    attack = grammar.choose(f"pl_bad_{topic}", rng, {"pl_taboo#1": taboo})
    seed = rng.getrandbits(32)
    kind = Kind.JAILBREAK if topic == "hypo" else Kind.INJECTION
    first = _chat(grammar, seed, attack.text, kind, group=attack.key, form=topic)
    made = [replace(first, harm_categories=harms) if taboo in attack.text else first]
    for _ in range(1 + (rng.random() < _MORE_FINE)):
        text = grammar.draw(f"pl_fine_{topic}", rng)
        made.append(_chat(grammar, seed, text, Kind.BENIGN, group=attack.key, form=topic))
    return made


def _persona(grammar: Grammar, rng: random.Random) -> list[Made]:
    """A long persona prompt: rules that free the model from its own, or rules of an ordinary game or job."""
    opening = rng.randrange(len(grammar.rules["pl_persona_open"]))
    low, high = rng.choice(_PERSONA_LINES)
    count, joint = rng.randint(low, high), rng.choice([" ", "\n", "\n- ", "\n\n"])
    group, seed = f"pl_persona_open/{opening}/{low}", rng.getrandbits(32)
    made = []
    for side in ("bad", "fine", "fine") if rng.random() < _MORE_FINE else ("bad", "fine"):
        bound = {"pl_name#1": grammar.draw("pl_name", rng)}
        lines = [grammar.expand(grammar.rules["pl_persona_open"][opening], rng, bound)]
        rules = rng.sample(grammar.rules[f"pl_persona_{side}"], max(2, count // 2))
        rules += rng.sample(grammar.rules["pl_persona_both"], max(1, count - len(rules)))
        rng.shuffle(rules)
        lines += [grammar.expand(rule, rng, bound) for rule in rules]
        goal, harms = _persona_goal(grammar, rng, side)
        last = f"{grammar.draw('pl_persona_last', rng, bound)} {goal}"
        text = joint.join(capitalised(line) for line in lines) + "\n" + last
        kind = Kind.JAILBREAK if side == "bad" else Kind.BENIGN
        made.append(replace(_chat(grammar, seed, text, kind, group=group, form="persona"), harm_categories=harms))
    return made


def _persona_goal(grammar: Grammar, rng: random.Random, side: str) -> tuple[str, frozenset[Category]]:
    """The first request to the persona and the harms that it names; a freed persona may be asked a tame one."""
    draw = rng.random()
    if side == "fine" or draw < 0.35:
        return grammar.draw("pl_task", rng), frozenset()
    if draw < 0.55:
        return grammar.draw("pl_goal", rng), frozenset()
    taboo, harms = _taboo(grammar, rng)
    return f"{grammar.draw('pl_taboo_ask', rng)} {taboo}.", harms


def _taboo(grammar: Grammar, rng: random.Random) -> tuple[str, frozenset[Category]]:
    """A harmful subject and its categories."""
    rule = rng.choices(list(_TABOOS), _TABOO_WEIGHTS)[0]
    return grammar.draw(rule, rng), _TABOOS[rule]


def _ordered(grammar: Grammar, rng: random.Random) -> list[Made]:
    """An order to the assistant in a document, and the document with a request to people there, or with nothing."""
    order = grammar.choose("pl_order", rng)
    noticed = rng.random() < _NOTICE_SHARE
    document, wrap = _document(grammar, rng), _wrap(grammar, rng)
    attack = _noticed(grammar, rng, order.text, "pl_notice" if noticed else "")
    made = [_read(document, wrap(document.fill(attack)), Kind.INJECTION, order.key, "order")]
    for form in rng.choices(*_TWIN_FORMS)[0]:
        text = ""
        if form == "people":
            text = _noticed(grammar, rng, grammar.draw("pl_people", rng), "pl_people_notice" if noticed else "")
        made.append(_read(document, wrap(document.fill(text)), Kind.BENIGN, order.key, form))
    return made


def _tasked(grammar: Grammar, rng: random.Random) -> list[Made]:
    """An unrelated task inside a document; harmless: a question about the document, no task, or the task as prompt."""
    wrong = rng.random() < _WRONG_SHARE
    task = grammar.choose("pl_task_wrong" if wrong else "pl_task_in", rng)
    document, wrap = _document(grammar, rng), _wrap(grammar, rng)
    clean = document.fill("")
    behind = rng.random() < 0.15  # the attack stands behind the document, where the question also stands
    poisoned = f"{clean}\n{task.text}" if behind else document.fill(task.text)
    made = [_read(document, wrap(poisoned), Kind.INJECTION, task.key, "task")]
    for form in rng.choices(*_TASK_TWINS)[0]:
        if form == "alone":
            text = grammar.draw("pl_task_in", rng) if wrong or rng.random() < 0.5 else task.text
            text = f"{text} {grammar.draw('pl_task', rng)}" if rng.random() < 0.3 else text
            made.append(_chat(grammar, rng.getrandbits(32), text, Kind.BENIGN, group=task.key, form="task_alone"))
        elif form == "question":
            question = grammar.draw("pl_own_question", rng)
            text = f"{clean}\n\n{question}" if rng.random() < 0.6 else f"{question}\n\n{clean}"
            made.append(_read(document, text, Kind.BENIGN, task.key, form))
        else:
            made.append(_read(document, wrap(clean), Kind.BENIGN, task.key, form))
    return made


def _own(grammar: Grammar, rng: random.Random) -> Made:
    """What users order their own assistant, and what operators write into a system prompt."""
    rule = rng.choice(["pl_user_order", "pl_user_order", "pl_system"])
    choice = grammar.choose(rule, rng)
    text = choice.text
    if rule == "pl_system":
        lines = rng.sample(grammar.rules["pl_system_line"], rng.randint(1, 6))
        text += rng.choice([" ", "\n", "\n- "]).join(["", *(grammar.expand(line, rng) for line in lines)])
    elif rng.random() < 0.3:
        text += " " + grammar.draw("pl_user_order", rng)
    return _chat(grammar, rng.getrandbits(32), text, Kind.BENIGN, group=choice.key, form=rule.removeprefix("pl_"))


def _document(grammar: Grammar, rng: random.Random) -> _Document:
    """A tool result or a document of our own, with one of its places chosen."""
    if rng.random() < _TOOL_SHARE:
        result = tool_result(grammar, rng)
        place = rng.randrange(len(result.places()))
        return _Document(result.kind, lambda text: result.fill(place, text))
    kind, escape, body = rng.choice(grammar.rules["pl_doc"]).split("~~")
    pieces = grammar.expand(body, rng).split("§")
    place = rng.randrange(len(pieces) - 1)
    return _Document(kind, lambda text: _joined(pieces, place, _ESCAPES[escape](text)))


def _joined(pieces: list[str], place: int, text: str) -> str:
    """`pieces` with `text` at one of the joints, and blanks where words would touch."""
    before, after = "".join(pieces[: place + 1]), "".join(pieces[place + 1 :])
    left = " " if text and re.search(r"[\w.!?,:;]$", before) else ""
    right = " " if text and re.match(r"\w", after) else ""
    return before + left + text + right + after


def _wrap(grammar: Grammar, rng: random.Random) -> Callable[[str], str]:
    """A user's request round the document, or none; attack and twins get the same."""
    frame = grammar.draw("pl_ask", rng) if rng.random() < _WRAPPED_SHARE else "§"
    return lambda text: frame.replace("§", text)


def _noticed(grammar: Grammar, rng: random.Random, text: str, rule: str) -> str:
    """`text` behind a notice, or as it is."""
    text = capitalised(text.strip())
    if not rule:
        return text
    notice = grammar.draw(rule, rng)
    return f"{notice} {uncapitalised(text) if notice.endswith((',', 'and', 'first')) else text}"


def _chat(grammar: Grammar, seed: int, text: str, kind: Kind, *, group: str, form: str) -> Made:
    """A typed text, now and then in a style of its own; the same seed gives the same style."""
    rng = random.Random(seed)  # noqa: S311 - data, no secret
    text, style = text.strip(), "plain"
    if rng.random() < 0.8:
        text = capitalised(text)
    if rng.random() < _STYLED_SHARE:
        text, style = styled(text, rng, grammar)
    return Made(text, kind, group, _labels(form, "chat", style, kind))


def _read(document: _Document, text: str, kind: Kind, group: str, form: str) -> Made:
    return Made(text.strip(), kind, group, _labels(form, document.kind, "plain", kind))


def _labels(form: str, carrier: str, style: str, kind: Kind) -> dict[str, str]:
    intent = "none" if kind is Kind.BENIGN else form
    placement = "whole" if carrier == "chat" else "document"
    return {"form": form, "intent": intent, "carrier": carrier, "placement": placement, "style": style,
            "evasion": "none"}  # fmt: skip
