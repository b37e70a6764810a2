r"""A tiny seeded template expander: rules in text files, `{slot}` expansion, inline alternatives.

A grammar file is made of rules. `@name` opens a rule and every following line is one alternative;
`@name;` opens a word list whose lines are split at semicolons. `#` opens a comment line. In an alternative

- `{name}` is replaced by one alternative of the rule `name`; `{^name}` also capitalises its first letter;
- `{name#1}` is chosen once for all templates that share one `bound` mapping (the same sender all through a mail);
- `{this|that|}` is a choice on the spot, possibly empty, and may be nested; `{some words}` are just these words;
- `{n:3-20}`, `{hex:8}` and `{digits:5}` are a number in a range, hexadecimal digits, decimal digits;
- `\n` is a line break; `⟨`, `⟩` and `¦` stand for literal `{`, `}` and `|`.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ASSETS = Path(__file__).parent / "assets"
_INNERMOST = re.compile(r"\{([^{}]*)\}")
_ADDRESS = re.compile(r"(?:https?://|[\w.-]+@)[\w.-]+\.example")
_LITERALS = str.maketrans({"⟨": "{", "⟩": "}", "¦": "|"})
_MAX_STEPS = 4000


class GrammarError(Exception):
    """A grammar file or a template is wrong; the message names the file or the slot."""


@dataclass(frozen=True)
class Choice:
    """One expanded alternative: its text and which alternative of its rule it was made from."""

    text: str
    rule: str
    index: int

    @property
    def key(self) -> str:
        """Names the template, the same for all texts made from it."""
        return f"{self.rule}/{self.index}"


@dataclass(frozen=True)
class Grammar:
    """Named rules and the drawing of texts from them. Immutable: all randomness is in the caller's `rng`."""

    rules: Mapping[str, tuple[str, ...]]

    def choose(self, rule: str, rng: random.Random, bound: dict[str, str] | None = None) -> Choice:
        """Draw one alternative of `rule` and expand it. Raises GrammarError for an unknown rule or slot."""
        alternatives = self._alternatives(rule)
        index = rng.randrange(len(alternatives))
        return Choice(self.expand(alternatives[index], rng, bound), rule, index)

    def draw(self, rule: str, rng: random.Random, bound: dict[str, str] | None = None) -> str:
        """Like `choose`, the text only."""
        return self.choose(rule, rng, bound).text

    def expand(self, template: str, rng: random.Random, bound: dict[str, str] | None = None) -> str:
        """Replace every slot of `template`, innermost first, until none is left."""
        memory = {} if bound is None else bound
        text = template
        for _ in range(_MAX_STEPS):
            match = _INNERMOST.search(text)
            if match is None:
                return _tidy(text).translate(_LITERALS)
            text = text[: match.start()] + self._slot(match[1], rng, memory) + text[match.end() :]
        raise GrammarError(f"template never ends: {template[:80]!r}")

    def _slot(self, slot: str, rng: random.Random, bound: dict[str, str]) -> str:
        if "|" in slot:
            return rng.choice(slot.split("|"))
        if slot.startswith("^"):
            return capitalised(self.expand("{" + slot[1:] + "}", rng, bound))
        if ":" in slot:
            return _number(slot, rng)
        if "#" in slot:
            if slot not in bound:
                bound[slot] = self.expand("{" + slot.partition("#")[0] + "}", rng, bound)
            return bound[slot]
        if not slot.isidentifier():  # braces round words without a choice between them
            return slot
        return rng.choice(self._alternatives(slot))

    def _alternatives(self, rule: str) -> tuple[str, ...]:
        try:
            return self.rules[rule]
        except KeyError:
            raise GrammarError(f"no rule named {rule!r}") from None


def capitalised(text: str) -> str:
    """`text` with its first letter in upper case and the rest untouched."""
    return text[:1].upper() + text[1:]


def uncapitalised(text: str) -> str:
    """`text` with its first letter in lower case, unless it opens with an acronym or the word I."""
    opens_with_acronym = text[1:2].isupper() or text[:2] in {"I ", "I'"}
    return text if opens_with_acronym else text[:1].lower() + text[1:]


def _number(slot: str, rng: random.Random) -> str:
    name, _, argument = slot.partition(":")
    if name == "n":
        low, _, high = argument.partition("-")
        return str(rng.randint(int(low), int(high)))
    alphabet = {"hex": "0123456789abcdef", "digits": "0123456789"}.get(name)
    if alphabet is None:
        raise GrammarError(f"no rule named {slot!r}")
    return "".join(rng.choices(alphabet, k=int(argument)))


def _tidy(text: str) -> str:
    """Close the gaps that empty choices leave, fix a/an and doubled stops, write addresses in lower case."""
    text = re.sub(r"(?<=\S)  +", " ", text)
    text = re.sub(r" +([,.;:!?])(?=\s|$)", r"\1", text)
    text = re.sub(r"(?<=[a-zA-Z])\.\.(?!\.)", ".", text)
    text = re.sub(r"\b([Aa])n (?=[bcdfgjklmnpqrstvwxyz]|user|uni)", r"\1 ", text)
    text = re.sub(r"\b([Aa]) (?![\w.-]+@)(?=[aei]|o(?!ne\b)|un(?!i)|AI\b|LLM\b)", r"\1n ", text)
    return _ADDRESS.sub(lambda match: match[0].lower(), text)


def parse(lines: Iterable[str], origin: str) -> dict[str, list[str]]:
    """Rules of one grammar file. Raises GrammarError for text before the first rule or an empty rule."""
    rules: dict[str, list[str]] = {}
    name, is_list = "", False
    for number, raw in enumerate(lines, 1):
        line = raw.rstrip("\n")
        if not line.strip() or line.startswith("# "):
            continue
        if re.fullmatch(r"@\w+;?", line.strip()):
            name, is_list = line.strip().strip("@;"), line.strip().endswith(";")
            rules.setdefault(name, [])
        elif not name:
            raise GrammarError(f"{origin}:{number}: text before the first rule")
        elif is_list:
            rules[name] += [word.strip() for word in line.split(";") if word.strip()]
        else:
            rules[name].append(line.replace("\\n", "\n"))
    empty = [rule for rule, alternatives in rules.items() if not alternatives]
    if empty:
        raise GrammarError(f"{origin}: rules without alternatives: {', '.join(empty)}")
    return rules


@cache
def load_grammar(directory: Path = ASSETS) -> Grammar:
    """Every `*.grammar` file of `directory` as one grammar; a rule may stand in one file only."""
    rules: dict[str, tuple[str, ...]] = {}
    for path in sorted(directory.glob("*.grammar")):
        for name, alternatives in parse(path.read_text("utf-8").splitlines(), path.name).items():
            if name in rules:
                raise GrammarError(f"{path.name}: rule {name!r} stands in another file already")
            rules[name] = tuple(alternatives)
    return Grammar(rules)
