"""Sexual, self-harm and violent texts of users and models, each with a harmless twin in the same setting.

A text is one to eight sentences. The twin has the same number of sentences, frame and typing habits and shares its
neutral sentences, so that only what is said about bodies, pain and death tells the two apart.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from data.generators import styles
from data.generators.grammar import Grammar
from data.generators.made import Made
from data.schema import Category, Direction, Kind

_TWIN_SHARE: Final = 0.79  # 44 % of all texts are harmless
_LONG_TEXTS: Final = {1: 34, 2: 20, 3: 16, 4: 11, 6: 10, 8: 9}
_CHAT_TEXTS: Final = {1: 60, 2: 24, 3: 10, 4: 6}
_FRAMED: Final = 0.2
_HABITS: Final = {"plain": 52, "lower": 26, "typos": 9, "careless": 9, "shouted": 4}


@dataclass(frozen=True)
class Form:
    """One kind of text: its two sentence pools are `hp_<name>_pos` and `hp_<name>_neg`."""

    name: str
    categories: frozenset[Category]
    weight: int
    mix: str  # the neutral sentences: hp_mix_<mix>
    frame: str  # what may stand in front: hp_frame_<frame>
    lengths: Mapping[int, int]
    direction: Direction = Direction.INPUT


_SEXUAL: Final = frozenset({Category.SEXUAL})
_SELF_HARM: Final = frozenset({Category.SELF_HARM})
# Who tells others to die harasses them, too; the head must not learn the contrary.
_URGING: Final = frozenset({Category.SELF_HARM, Category.HARASSMENT})
_VIOLENCE: Final = frozenset({Category.VIOLENCE})

FORMS: Final = (
    Form("sx_fic", _SEXUAL, 13, "fiction", "story", _LONG_TEXTS),
    Form("sx_chat", _SEXUAL, 8, "chat", "chat", _CHAT_TEXTS),
    Form("sx_spam", _SEXUAL, 6, "ad", "ad", _CHAT_TEXTS),
    Form("sx_ask", _SEXUAL, 7, "chat", "ask", {1: 80, 2: 20}),
    Form("sx_post", _SEXUAL, 5, "post", "post", _LONG_TEXTS),
    Form("sx_out", _SEXUAL, 4, "fiction", "output", _LONG_TEXTS, Direction.OUTPUT),
    Form("sh_idea", _SELF_HARM, 9, "post", "post", _LONG_TEXTS),
    Form("sh_note", _SELF_HARM, 3, "post", "post", _CHAT_TEXTS),
    Form("sh_cut", _SELF_HARM, 4, "post", "post", _LONG_TEXTS),
    Form("sh_ana", _SELF_HARM, 3, "post", "post", _CHAT_TEXTS),
    Form("sh_urge", _URGING, 3, "chat", "chat", _CHAT_TEXTS),
    Form("sh_ask", _SELF_HARM, 4, "chat", "ask", {1: 80, 2: 20}),
    Form("sh_out", _SELF_HARM, 3, "post", "output", _CHAT_TEXTS, Direction.OUTPUT),
    Form("vi_threat", _VIOLENCE, 7, "chat", "chat", _CHAT_TEXTS),
    Form("vi_gore", _VIOLENCE, 8, "fiction", "story", _LONG_TEXTS),
    Form("vi_report", _VIOLENCE, 4, "post", "post", _LONG_TEXTS),
    Form("vi_glory", _VIOLENCE, 3, "post", "post", _CHAT_TEXTS),
    Form("vi_ask", _VIOLENCE, 4, "chat", "ask", {1: 80, 2: 20}),
    Form("vi_out", _VIOLENCE, 3, "fiction", "output", _LONG_TEXTS, Direction.OUTPUT),
)  # fmt: skip
_WEIGHTS: Final = [form.weight for form in FORMS]


@dataclass(frozen=True)
class _Plan:
    """What a harmful text and its twin have in common. `lane` picks the leading sentence in either pool."""

    form: Form
    lane: int
    lanes: int
    told: int  # sentences of the pool
    neutral: tuple[tuple[float, str], ...]  # where each stands, as a share of the text
    frame: str
    joint: str
    habit: str
    bound: Mapping[str, str]


def family(grammar: Grammar, rng: random.Random) -> list[Made]:
    """A harmful text and, four times out of five, its harmless twin. Both have the leading sentence's group."""
    form = rng.choices(FORMS, _WEIGHTS)[0]
    plan = _planned(grammar, rng, form)
    made = [_made(grammar, rng, plan, harmful=True)]
    if rng.random() < _TWIN_SHARE:
        made.append(_made(grammar, rng, plan, harmful=False))
    return made


def _planned(grammar: Grammar, rng: random.Random, form: Form) -> _Plan:
    count = rng.choices(list(form.lengths), list(form.lengths.values()))[0]
    neutral = sum(rng.random() < 0.33 for _ in range(count - 1))
    bound: dict[str, str] = {}
    lanes = min(len(grammar.rules[f"hp_{form.name}_{side}"]) for side in ("pos", "neg"))
    mixed = dict.fromkeys(grammar.draw(f"hp_mix_{form.mix}", rng, bound) for _ in range(neutral))
    return _Plan(
        form=form,
        lane=rng.randrange(lanes),
        lanes=lanes,
        told=count - neutral,
        neutral=tuple((rng.random(), sentence) for sentence in mixed),
        frame=grammar.draw(f"hp_frame_{form.frame}", rng) if rng.random() < _FRAMED else "",
        joint="\n" if rng.random() < 0.12 else " ",
        habit=rng.choices(list(_HABITS), list(_HABITS.values()))[0],
        bound=bound,
    )


def _made(grammar: Grammar, rng: random.Random, plan: _Plan, *, harmful: bool) -> Made:
    form = plan.form
    sentences = _sentences(grammar, rng, plan, f"hp_{form.name}_{'pos' if harmful else 'neg'}")
    text = _typed(plan.frame + plan.joint.join(sentences), plan.habit, rng)
    return Made(
        text=text.strip(),
        kind=Kind.HARM if harmful else Kind.BENIGN,
        group=f"hp/{form.name}/{plan.lane}",
        labels={"form": form.name, "intent": "harm" if harmful else "none", "style": plan.habit},
        harm_categories=form.categories if harmful else frozenset(),
        direction=form.direction,
    )


def _sentences(grammar: Grammar, rng: random.Random, plan: _Plan, rule: str) -> list[str]:
    """The leading sentence of the lane, others of the same pool, and the neutral ones anywhere between them."""
    pool = range(len(grammar.rules[rule]))
    lead = rng.choice([index for index in pool if index % plan.lanes == plan.lane])
    others = rng.sample([index for index in pool if index != lead], min(plan.told - 1, len(pool) - 1))
    bound = dict(plan.bound)
    told = [grammar.expand(grammar.rules[rule][index], rng, bound) for index in [lead, *others]]
    for share, sentence in plan.neutral:
        told.insert(round(share * len(told)), sentence)
    return told


def _typed(text: str, habit: str, rng: random.Random) -> str:
    if habit == "lower":
        return styles.lower(text, rng)
    if habit == "typos":
        return styles.typos(text, rng)
    if habit == "careless":
        return styles.typos(text.lower(), rng).replace(",", "").replace(". ", " ").rstrip(".")
    if habit == "shouted":
        return styles.shouted(text, rng)
    return text[:1].upper() + text[1:] if rng.random() < 0.7 else text
