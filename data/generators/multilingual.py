"""Harmless texts, injections and jailbreaks in many languages, and in two languages at once.

Public corpora hold harmful requests in many scripts and hardly any harmless ones, so a model learns that a
foreign script is bad in itself. Here every language gets more harmless texts than attacks, on the topics and
with the trigger words of the attacks. Each language `xx` has the rules `ml_xx_b` (requests), `ml_xx_t` (trigger
words in innocent use), `ml_xx_s` (plain statements for documents), `ml_xx_a` (attacks), `ml_xx_o` (an override
clause) and `ml_xx_g` (what an attacker wants), some also `ml_xx_x` (short everyday lines); the assets decide
which languages there are.
"""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from data.generators.grammar import Choice, Grammar, capitalised
from data.generators.made import Made
from data.schema import Kind

_NON_LATIN: Final = frozenset({"zh", "ja", "ko", "th", "bn", "hi", "ar", "fa", "he", "ru", "uk", "el"})
_UNSPACED: Final = frozenset({"zh", "ja"})
# Languages in which public corpora hold harmful requests: these need harmless ones most.
_BURDENED: Final = frozenset({"zh", "it", "vi", "ar", "ko", "th", "bn", "sw", "jv"})

# Harmless alone, an attack with its harmless twin, an attack alone: about 40 % of the texts are attacks.
_SHAPES: Final = {"benign": 45, "pair": 40, "attack": 15}
_BENIGN_FORMS: Final = {"request": 46, "trigger": 26, "request_and_trigger": 10, "document": 8, "two_languages": 10}
_PAIR_FORMS: Final = {"lead": 40, "in_document": 15, "english_attack": 20, "english_document": 25}
_ATTACK_FORMS: Final = {"plain": 70, "half_english": 20, "two_languages": 10}


@dataclass(frozen=True)
class _Draft:
    """A text, its language and the template that names its group."""

    text: str
    language: str
    group: str
    form: str
    placement: str = "none"


def family(grammar: Grammar, rng: random.Random) -> list[Made]:
    """One harmless text, one attack, or an attack with its harmless twin."""
    language = _language(grammar, rng)
    shape = _pick(_SHAPES, rng)
    if shape == "benign":
        return [_made(_benign(grammar, rng, language), Kind.BENIGN, rng)]
    if shape == "attack":
        return [_made(_attack(grammar, rng, language), _kind(rng), rng)]
    attack, twin = _pair(grammar, rng, language)
    return [_made(attack, _kind(rng), rng), _made(twin, Kind.BENIGN, rng)]


def languages(grammar: Grammar) -> list[str]:
    """Codes of the languages that the grammar files hold."""
    return sorted(name[3:-2] for name in grammar.rules if name.startswith("ml_") and name.endswith("_b"))


def _language(grammar: Grammar, rng: random.Random) -> str:
    """Half of the texts are in scripts other than Latin; languages of the harm corpora come more often."""
    known = languages(grammar)
    script = rng.random() < 0.5
    pool = [code for code in known if (code in _NON_LATIN) == script] or known
    return rng.choices(pool, [1.6 if code in _BURDENED else 1.0 for code in pool])[0]


def _pick(weights: dict[str, int], rng: random.Random) -> str:
    return rng.choices(list(weights), list(weights.values()))[0]


def _kind(rng: random.Random) -> Kind:
    """Both kinds teach the same; the attacks here mix persona and override freely."""
    return Kind.JAILBREAK if rng.random() < 0.25 else Kind.INJECTION


def _choose(grammar: Grammar, rng: random.Random, language: str, rule: str) -> Choice:
    """One alternative of a language's rule; `~` in the assets is a space that the expander must not mend."""
    choice = grammar.choose(f"ml_{language}_{rule}", rng)
    return replace(choice, text=capitalised(choice.text.replace("~", " ")))


def _joined(parts: list[str], language: str, rng: random.Random) -> str:
    """Parts in a row or on lines of their own, each closed with a full stop if it has no mark of its own."""
    stop = {"zh": "。", "ja": "。", "hi": "।", "bn": "।", "th": ""}.get(language, ".")
    closed = [
        part if unicodedata.category(part[-1])[0] == "P" or index == len(parts) - 1 else part + stop
        for index, part in enumerate(parts)
    ]
    space = "" if language in _UNSPACED else " "
    return rng.choices([space, "\n", "\n\n"], [7, 2, 1])[0].join(closed)


def _english(grammar: Grammar, rng: random.Random, *, attack: bool) -> Choice:
    """An English attack, or an English harmless request that uses the same words."""
    if attack:
        rule = rng.choice(["chat_override", "chat_override", "ml_en_a"])
    else:
        rule = rng.choice(["trigger_prompt", "people_line", "plain_request", "ml_en_t", "ml_en_t"])
    choice = grammar.choose(rule, rng)
    return replace(choice, text=capitalised(choice.text))


def _document(grammar: Grammar, rng: random.Random, language: str) -> list[str]:
    """Two to five plain statements: the text of a mail, a note or a report."""
    templates = grammar.rules[f"ml_{language}_s"]
    chosen = rng.sample(templates, rng.randint(2, min(5, len(templates))))
    return [capitalised(grammar.expand(template, rng).replace("~", " ")) for template in chosen]


def _english_document(grammar: Grammar, rng: random.Random) -> list[str]:
    rules = ["plain_sentence", "people_line", *(grammar.draw("domains", rng) for _ in range(3))]
    sentences = [capitalised(grammar.draw(rng.choice(rules), rng)) for _ in range(rng.randint(2, 5))]
    return list(dict.fromkeys(sentences))


def _benign(grammar: Grammar, rng: random.Random, language: str) -> _Draft:
    form = _pick(_BENIGN_FORMS, rng)
    rule = "t" if form == "trigger" else "b"
    if rule == "b" and f"ml_{language}_x" in grammar.rules and rng.random() < 0.25:
        rule = "x"
    first = _choose(grammar, rng, language, rule)
    parts = [first.text]
    if form == "request_and_trigger":
        parts.append(_choose(grammar, rng, language, "t").text)
        rng.shuffle(parts)
    elif form == "document":
        parts = [first.text, *_document(grammar, rng, language)]
        if rng.random() < 0.4:
            parts = [*parts[1:], parts[0]]
    elif form == "two_languages":
        other = rng.choice(["plain_request", "trigger_prompt", "plain_sentence"])
        parts.append(capitalised(grammar.draw(other, rng)))
        rng.shuffle(parts)
    elif rng.random() < 0.4:  # as long as the attacks, which often have two sentences
        for statement in _document(grammar, rng, language)[: rng.randint(1, 2)]:
            parts.insert(rng.randint(0, len(parts)), statement)
    return _Draft(_joined(parts, language, rng), language, first.key, form)


def _attack_line(grammar: Grammar, rng: random.Random, language: str) -> Choice:
    """A whole attack, or an override clause with a goal."""
    if rng.random() < 0.65:
        return _choose(grammar, rng, language, "a")
    override = _choose(grammar, rng, language, "o")
    if rng.random() < 0.25:
        return override
    goal = _choose(grammar, rng, language, "g")
    return replace(override, text=_joined([override.text, goal.text], language, rng))


def _attack(grammar: Grammar, rng: random.Random, language: str) -> _Draft:
    form = _pick(_ATTACK_FORMS, rng)
    if form == "plain":
        line = _attack_line(grammar, rng, language)
        return _Draft(line.text, language, line.key, form)
    if form == "half_english":
        override, goal = _choose(grammar, rng, language, "o"), _choose(grammar, rng, language, "g")
        if rng.random() < 0.5:
            parts = [override.text, capitalised(grammar.draw("persona_task", rng))]
        else:
            parts = [capitalised(grammar.draw("ignore_clause", rng)), goal.text]
        return _Draft(_joined(parts, language, rng), language, override.key, form)
    other = rng.choice([code for code in languages(grammar) if code != language])
    override, goal = _choose(grammar, rng, language, "o"), _choose(grammar, rng, other, "g")
    return _Draft(_joined([override.text, goal.text], language, rng), language, override.key, form)


def _pair(grammar: Grammar, rng: random.Random, language: str) -> tuple[_Draft, _Draft]:
    """The same surroundings with an attack and with a harmless line in its place."""
    form = _pick(_PAIR_FORMS, rng)
    if form == "lead":
        surroundings = [_choose(grammar, rng, language, "b").text]
    elif form == "english_document":
        surroundings = _english_document(grammar, rng)
    else:
        surroundings = _document(grammar, rng, language)
    if form == "english_attack":
        attack, twin = _english(grammar, rng, attack=True), _english(grammar, rng, attack=False)
    else:
        attack, twin = _attack_line(grammar, rng, language), _choose(grammar, rng, language, rng.choice("bttt"))
    group = f"{language}:{attack.key}" if form == "english_attack" else attack.key
    place = rng.choices([len(surroundings), 0, rng.randint(0, len(surroundings))], [5, 2, 3])[0]
    placement = "end" if place == len(surroundings) else "start" if place == 0 else "middle"

    def drafted(line: Choice) -> _Draft:
        parts = [*surroundings[:place], line.text, *surroundings[place:]]
        return _Draft(_joined(parts, language, rng), language, group, form, placement)

    return drafted(attack), drafted(twin)


def _made(draft: _Draft, kind: Kind, rng: random.Random) -> Made:
    """The labelled text, typed as people type: one in three is a little careless, attack or not."""
    style, change = _careless(rng) if rng.random() < 0.33 else ("plain", str)
    labels = {
        "form": "benign" if kind is Kind.BENIGN else "attack",
        "intent": "none" if kind is Kind.BENIGN else "override",
        "shape": draft.form,
        "carrier": "none",
        "placement": draft.placement,
        "language": draft.language,
        "style": style,
        "evasion": "none",
    }
    return Made(change(draft.text), kind, f"multilingual:{draft.group}", labels)


def _careless(rng: random.Random) -> tuple[str, Callable[[str], str]]:
    """A way to type carelessly, by its name."""
    ways: dict[str, Callable[[str], str]] = {
        "lower": str.lower,
        "no_stop": lambda text: text.rstrip(".。।!?؟"),
        "unaccented": _unaccented,
        "shouted_end": lambda text: text.rstrip(".。।") + "!!",
        "one_line": lambda text: " ".join(text.split()),
        "quoted": lambda text: f'"{text}"',
    }
    name = rng.choices(list(ways), [5, 6, 3, 1, 2, 2])[0]
    return name, ways[name]


def _unaccented(text: str) -> str:
    """Latin letters without their accents, as on a foreign keyboard; other scripts stay."""
    return "".join(
        unicodedata.normalize("NFD", letter)[0] if "LATIN" in unicodedata.name(letter, "") else letter
        for letter in text
    )
