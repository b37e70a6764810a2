"""Harm as it stands in forum posts, messages and chat prompts, each text beside a harmless one of the same shape.

Most alternatives of the grammar are pairs, written as one line, so that topic, names and frame are shared and only
the deed differs. Rules are named `he_<form>_<categories>`: the name says what the harmful half is labelled with.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from data.generators import styles
from data.generators.direct import chatty
from data.generators.grammar import Grammar, capitalised
from data.generators.made import Made
from data.schema import Category, Direction, Kind

_PAIR: Final = "~~"
_DEED: Final = "§"
_HARMLESS_ONLY: Final = 0.24  # families without their harmful half: 55 % of all texts are harmless
_LEET: Final = str.maketrans("aeios", "43105")
_NAMES: Final[Mapping[str, Category]] = {
    "hate": Category.HATE,
    "harassment": Category.HARASSMENT,
    "selfharm": Category.SELF_HARM,
    "sexual": Category.SEXUAL,
    "violence": Category.VIOLENCE,
    "illicit": Category.ILLICIT,
}
_FORMS: Final[dict[str, int]] = {
    "post": 34, "deed": 13, "deed_long": 9, "order": 11, "order_long": 9, "question": 12, "group": 17, "answer": 10,
}  # fmt: skip
_RARE: Final = {"selfharm": 1.9, "harassment": 1.4, "sexual": 1.2}  # these have fewer alternatives
_RULES: Final = {"post": "t", "deed": "d", "order": "w", "question": "q", "group": "f"}
_TYPING: Final = {"plain": 54, "lower": 21, "chatty": 7, "typos": 8, "bare": 6, "shouted": 2, "odd": 2}
_ODD_GROUP_TEXTS: Final = 0.16  # spelling tricks belong to hate speech and to those who quote or mock it


@dataclass(frozen=True)
class _Pair:
    """A harmful text and its harmless twin before they are typed."""

    harmful: str
    harmless: str
    rule: str
    group: str

    @property
    def categories(self) -> frozenset[Category]:
        return frozenset(_NAMES[name] for name in self.rule.split("_")[2:] if name in _NAMES)


def family(grammar: Grammar, rng: random.Random) -> list[Made]:
    """A harmful text and its twin, now and then the twin alone; answers come with the refusal as well."""
    form = rng.choices(list(_FORMS), list(_FORMS.values()))[0]
    if form == "answer":
        return _answers(grammar, rng)
    pair = _post(grammar, rng) if form == "post" else _framed_pair(grammar, rng, form)
    typing = _typing(rng, form)
    state = rng.getstate()
    harmful = _made(pair.harmful, rng, pair, form, typing, harmful=True)
    rng.setstate(state)
    harmless = _made(pair.harmless, rng, pair, form, typing, harmful=False)
    return [harmless] if rng.random() < _HARMLESS_ONLY else [harmful, harmless]


def _typing(rng: random.Random, form: str) -> str:
    if form == "group" and rng.random() < _ODD_GROUP_TEXTS:
        return "odd"
    return rng.choices(list(_TYPING), list(_TYPING.values()))[0]


def _rule(grammar: Grammar, rng: random.Random, form: str, ending: str = "") -> str:
    """A rule of the form, the larger ones more often."""
    prefix = f"he_{_RULES[form]}_"
    rules = sorted(rule for rule in grammar.rules if rule.startswith(prefix) and rule.endswith(ending))
    return rng.choices(rules, [_weight(rule) * len(grammar.rules[rule]) for rule in rules])[0]


def _weight(rule: str) -> float:
    return max([weight for name, weight in _RARE.items() if name in rule.split("_")], default=1.0)


def _drawn_pair(grammar: Grammar, rng: random.Random, form: str) -> _Pair:
    rule = _rule(grammar, rng, form)
    choice = grammar.choose(rule, rng, {})
    harmful, harmless = (half.strip() for half in choice.text.split(_PAIR))
    return _Pair(harmful, harmless, rule, choice.key)


def _framed_pair(grammar: Grammar, rng: random.Random, form: str) -> _Pair:
    """Both halves in one frame: a question, an order, a role-play set-up, or a comment's lead and tail."""
    kind, _, long = form.partition("_")
    pair = _drawn_pair(grammar, rng, kind)
    if kind in {"question", "group"}:
        lead = grammar.draw(f"he_lead_{kind}", rng) if rng.random() < 0.22 else ""
        tail = grammar.draw(f"he_tail_{kind}", rng) if rng.random() < 0.22 else ""
        return _refilled(pair, lambda half: " ".join(part for part in (lead, capitalised(half), tail) if part))
    frame = grammar.draw(f"he_frame_{kind}{'_long' if long else ''}", rng, {})
    return _refilled(pair, lambda half: frame.replace(_DEED, half))


def _refilled(pair: _Pair, fill: Callable[[str], str]) -> _Pair:
    return _Pair(fill(pair.harmful), fill(pair.harmless), pair.rule, pair.group)


def _post(grammar: Grammar, rng: random.Random) -> _Pair:
    """A post of one to three passages on either side, with the same small talk round them."""
    rule = _rule(grammar, rng, "post", "_pos")
    other = rule.removesuffix("_pos") + "_neg"
    lanes = min(len(grammar.rules[rule]), len(grammar.rules[other]))
    lane = rng.randrange(lanes)
    bound: dict[str, str] = {}
    small = [grammar.draw("he_fill", rng, bound) for _ in range(rng.choices([0, 1, 2, 4, 7], [30, 25, 20, 15, 10])[0])]
    more = min(lanes - 1, rng.choices([0, 1, 2], [62, 26, 12])[0])
    joint = rng.choice([" ", " ", " ", "\n", "\n\n"])
    spot = rng.randint(0, len(small))
    halves = []
    for name in (rule, other):
        pool = range(len(grammar.rules[name]))
        lead = rng.choice([index for index in pool if index % lanes == lane])
        picked = [lead, *rng.sample([index for index in pool if index != lead], more)]
        told = [grammar.expand(grammar.rules[name][index], rng, bound) for index in picked]
        halves.append(joint.join([*small[:spot], *told, *small[spot:]]))
    return _Pair(halves[0], halves[1], rule, f"{rule.removesuffix('_pos')}/{lane}")


def _answers(grammar: Grammar, rng: random.Random) -> list[Made]:
    """A model that does the bad deed, one that refuses it, and one that does the harmless deed in the same words."""
    kind = rng.choice(("deed", "order"))
    pair = _drawn_pair(grammar, rng, kind)
    yes, no = grammar.draw(f"he_yes_{kind}", rng, {}), grammar.draw(f"he_no_{kind}", rng, {})
    return [
        _made(yes.replace(_DEED, pair.harmful), rng, pair, "complied", "plain", harmful=True),
        _made(yes.replace(_DEED, pair.harmless), rng, pair, "helped", "plain", harmful=False),
        *(
            [_made(no.replace(_DEED, pair.harmful), rng, pair, "refused", "plain", harmful=False)]
            if rng.random() < 0.6
            else []
        ),
    ]


def _made(text: str, rng: random.Random, pair: _Pair, form: str, typing: str, *, harmful: bool) -> Made:
    return Made(
        text=_typed(_mended(text), typing, rng),
        kind=Kind.HARM if harmful else Kind.BENIGN,
        group=pair.group,
        labels={"form": form, "intent": "harm" if harmful else "none", "style": typing},
        harm_categories=pair.categories if harmful else frozenset(),
        direction=Direction.OUTPUT if form in {"complied", "helped", "refused"} else Direction.INPUT,
    )


def _mended(text: str) -> str:
    """No doubled marks or gaps where a frame and what it holds meet."""
    text = re.sub(r" {2,}", " ", text)
    text = re.sub(r" ([.,;:!?])(?=\s|$)", r"\1", text)
    return re.sub(r"([!?])[.,]", r"\1", re.sub(r"(?<!\.)\.\.(?!\.)", ".", text)).strip()


def _typed(text: str, typing: str, rng: random.Random) -> str:
    if typing == "plain":
        return capitalised(text) if rng.random() < 0.9 else text
    if typing == "bare":
        return re.sub(r"[.,;:!?'\"]+(?=\s|$)", "", text)
    return _STYLES[typing](text, rng)


def _oddly_spelt(text: str, rng: random.Random) -> str:
    """One to three longer words written so that a word list would miss them."""
    words = text.split(" ")
    long = [number for number, word in enumerate(words) if re.fullmatch(r"[A-Za-z]{4,}[.,!?:]?", word)]
    for number in rng.sample(long, min(len(long), rng.randint(1, 3))):
        word = words[number]
        words[number] = rng.choice([
            word.translate(_LEET),
            " ".join(word),
            word[0] + re.sub("[aeiou]", "*", word[1:], count=1),
            word[:2] + word[1] + word[2:],
            word[:1] + word[2:],
            word[:2] + "." + word[2:],
        ])  # fmt: skip
    return " ".join(words)


_STYLES: Final[Mapping[str, Callable[[str, random.Random], str]]] = {
    "lower": styles.lower,
    "chatty": chatty,
    "typos": styles.typos,
    "shouted": styles.shouted,
    "odd": _oddly_spelt,
}
