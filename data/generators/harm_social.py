"""Hate, harassment and illicit requests beside the harmless texts that look like them.

The harmless half is made of the harmful half's own parts: the same sentence denied or reported, the same frame round
a safe deed, the same insult in a play, so that neither a word nor an opening gives the label away.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Final

from data.generators.grammar import Choice, Grammar, capitalised
from data.generators.made import Made
from data.generators.styles import lower, shouted, typos
from data.schema import Category, Direction, Kind

_GROUP, _SENTENCE = "§", "¤"
_TWIN = " => "
_LEET: Final = str.maketrans("aeios", "43105")
_STYLES: Final = {"plain": 62, "lower": 12, "typos": 9, "chatty": 10, "odd_spelling": 5, "shouted": 2}
_LONG: Final = 0.12


def family(grammar: Grammar, rng: random.Random) -> list[Made]:
    """One harmful text with its harmless twin, or a harmless text that looks harmful."""
    form = rng.choices(list(_FORMS), [weight for _, weight in _FORMS.values()])[0]
    return _FORMS[form][0](grammar, rng)


def _hate_said(grammar: Grammar, rng: random.Random) -> list[Made]:
    """A hateful sentence about a group, and the same sentence denounced, quoted or answered."""
    predicate = grammar.choose("hs_badpred", rng)
    sentence = f"{grammar.draw('hs_group', rng)} {predicate.text}"
    made = [_made(grammar, rng, _framed(grammar, rng, "hs_say", sentence), predicate, "hate", category=Category.HATE)]
    if rng.random() < 0.28:
        made.append(_made(grammar, rng, _framed(grammar, rng, "hs_denounce", sentence), predicate, "denounced"))
    return made


def _hate_implied(grammar: Grammar, rng: random.Random) -> list[Made]:
    choice = grammar.choose("hs_hate", rng)
    return [_made(grammar, rng, choice.text, choice, "hate_implied", category=Category.HATE)]


def _hate_to_the_face(grammar: Grammar, rng: random.Random) -> list[Made]:
    choice = grammar.choose("hs_hate_you", rng)
    return [_made(grammar, rng, choice.text, choice, "hate_to_the_face", category=Category.HATE)]


def _member_lookalike(grammar: Grammar, rng: random.Random) -> list[Made]:
    choice = grammar.choose("hs_member_not", rng)
    return [_made(grammar, rng, choice.text, choice, "hate_lookalike")]


def _others_abused(grammar: Grammar, rng: random.Random) -> list[Made]:
    """The words and frames of hate, aimed at things or at a group that people choose to be in."""
    predicate = grammar.choose("hs_mildpred", rng)
    sentence = f"{grammar.draw(rng.choice(['hs_others', 'hs_things']), rng)} {predicate.text}"
    return [_made(grammar, rng, _framed(grammar, rng, "hs_say", sentence), predicate, "others_abused")]


def _group_praised(grammar: Grammar, rng: random.Random) -> list[Made]:
    """The frames of hate round a kind or neutral sentence."""
    predicate = grammar.choose("hs_goodpred", rng)
    sentence = f"{grammar.draw('hs_group', rng)} {predicate.text}"
    return [_made(grammar, rng, _framed(grammar, rng, "hs_say", sentence), predicate, "group_praised")]


def _hate_lookalike(grammar: Grammar, rng: random.Random) -> list[Made]:
    choice = grammar.choose("hs_hate_not", rng)
    return [_made(grammar, rng, choice.text, choice, "hate_lookalike")]


def _insulted(grammar: Grammar, rng: random.Random) -> list[Made]:
    """An insult or threat to somebody, and the same words quoted, staged or reported."""
    insult = grammar.choose("hs_insult", rng)
    said = _around(grammar, rng, "hs_insult_frame", "{hs_insult}", insult.text)
    made = [_made(grammar, rng, said, insult, "insult", category=Category.HARASSMENT)]
    if rng.random() < 0.4:
        quoted = _around(grammar, rng, "hs_insult_safe", "{hs_insult}", insult.text)
        made.append(_made(grammar, rng, quoted, insult, "insult_quoted"))
    return made


def _kindly_told(grammar: Grammar, rng: random.Random) -> list[Made]:
    """The frames of insults round something kind or neutral."""
    words = grammar.choose("hs_kind", rng)
    said = _around(grammar, rng, "hs_insult_frame", "{hs_insult}", words.text)
    return [_made(grammar, rng, said, words, "kind_words")]


def _bullied(grammar: Grammar, rng: random.Random) -> list[Made]:
    choice = grammar.choose("hs_harass", rng)
    return [_made(grammar, rng, choice.text, choice, "bullying", category=Category.HARASSMENT)]


def _harassment_lookalike(grammar: Grammar, rng: random.Random) -> list[Made]:
    choice = grammar.choose("hs_harass_not", rng)
    return [_made(grammar, rng, choice.text, choice, "harassment_lookalike")]


def _crime_asked(grammar: Grammar, rng: random.Random) -> list[Made]:
    """A request for help with a crime, and the crime in a frame of law, news or fiction."""
    deed = grammar.choose("hs_deed", rng)
    made = [
        _made(grammar, rng, _framed(grammar, rng, _ask(rng), deed.text), deed, "crime_asked", category=Category.ILLICIT)
    ]
    if rng.random() < 0.3:
        made.append(_made(grammar, rng, _framed(grammar, rng, "hs_safe", deed.text), deed, "crime_discussed"))
    return made


def _ask(rng: random.Random) -> str:
    return "hs_ask" if rng.random() < 0.68 else "hs_ask_more"


def _deed_asked(grammar: Grammar, rng: random.Random) -> list[Made]:
    """A harmless deed with a criminal's verbs, asked for as a crime is."""
    deed = grammar.choose("hs_okdeed", rng)
    return [_made(grammar, rng, _framed(grammar, rng, _ask(rng), deed.text), deed, "safe_deed_asked")]


def _crime_ordered(grammar: Grammar, rng: random.Random) -> list[Made]:
    """A pair written as one template: a few words apart, one criminal, one not."""
    choice = grammar.choose("hs_np_twin", rng)
    bad, good = choice.text.split(_TWIN)
    return [
        _made(grammar, rng, bad, choice, "crime_ordered", category=Category.ILLICIT),
        _made(grammar, rng, good, choice, "safe_order"),
    ]


def _illicit_lookalike(grammar: Grammar, rng: random.Random) -> list[Made]:
    choice = grammar.choose("hs_illicit_not", rng)
    return [_made(grammar, rng, choice.text, choice, "illicit_lookalike")]


def _answered(grammar: Grammar, rng: random.Random) -> list[Made]:
    """Model answers: compliance with a crime, refusal of the same, and the complying words for a harmless deed."""
    deed = grammar.choose("hs_deed", rng)
    if rng.random() < 0.4:
        safe = grammar.choose("hs_okdeed", rng)
        return [_made(grammar, rng, _framed(grammar, rng, "hs_comply", safe.text), safe, "helped")]
    return [
        _made(grammar, rng, _framed(grammar, rng, "hs_comply", deed.text), deed, "complied", category=Category.ILLICIT),
        _made(grammar, rng, _framed(grammar, rng, "hs_refuse", deed.text), deed, "refused"),
    ]


def _opinion_answered(grammar: Grammar, rng: random.Random) -> list[Made]:
    """Model answers: hate written as asked, the same declined or explained, and the same frames round kind words."""
    group = grammar.draw("hs_group", rng)
    if rng.random() < 0.4:
        kind = grammar.choose("hs_goodpred", rng)
        return [
            _made(grammar, rng, _framed(grammar, rng, "hs_written", f"{group} {kind.text}"), kind, "praise_written")
        ]
    hate = grammar.choose("hs_badpred", rng)
    sentence = f"{group} {hate.text}"
    written = _framed(grammar, rng, "hs_written", sentence)
    return [
        _made(grammar, rng, written, hate, "hate_written", category=Category.HATE),
        _made(grammar, rng, _framed(grammar, rng, "hs_declined", sentence), hate, "hate_declined"),
    ]


_OUTPUTS: Final = frozenset({"complied", "refused", "helped", "hate_written", "hate_declined", "praise_written"})

_FORMS: Final[dict[str, tuple[Callable[[Grammar, random.Random], list[Made]], int]]] = {
    "hate_said": (_hate_said, 165),
    "hate_implied": (_hate_implied, 82),
    "hate_to_the_face": (_hate_to_the_face, 45),
    "member_lookalike": (_member_lookalike, 20),
    "others_abused": (_others_abused, 45),
    "group_praised": (_group_praised, 72),
    "hate_lookalike": (_hate_lookalike, 45),
    "insulted": (_insulted, 110),
    "kind_words": (_kindly_told, 30),
    "bullied": (_bullied, 75),
    "harassment_lookalike": (_harassment_lookalike, 50),
    "crime_asked": (_crime_asked, 195),
    "deed_asked": (_deed_asked, 80),
    "crime_ordered": (_crime_ordered, 30),
    "illicit_lookalike": (_illicit_lookalike, 30),
    "answered": (_answered, 55),
    "opinion_answered": (_opinion_answered, 35),
}


def _framed(grammar: Grammar, rng: random.Random, rule: str, content: str) -> str:
    """`content` in a frame of `rule`, with the grammar's own capital where the frame asks for one."""
    template = rng.choice(grammar.rules[rule])
    mark = _SENTENCE if _SENTENCE in template else _GROUP
    text = grammar.expand(template, rng)
    return text.replace("^" + mark, capitalised(content)).replace(mark, content)


def _around(grammar: Grammar, rng: random.Random, rule: str, slot: str, content: str) -> str:
    """Like `_framed`, for frames that name the slot itself, so that both halves of a pair hold the same words."""
    template = rng.choice(grammar.rules[rule])
    marked = template.replace(slot.replace("{", "{^"), capitalised(content)).replace(slot, content)
    return grammar.expand(marked, rng)


def _made(
    grammar: Grammar, rng: random.Random, text: str, choice: Choice, form: str, *, category: Category | None = None
) -> Made:
    """The finished text in a style; answers of a model keep the plain one."""
    output = form in _OUTPUTS
    text = _mended(text)
    text, style = (text, "plain") if output else _styled(text, rng, grammar)
    if not output and rng.random() < _LONG:
        text, style = _lengthened(text, rng, grammar), f"{style}_long"
    return Made(
        text=capitalised(text) if style == "plain" and rng.random() < 0.9 else text,
        kind=Kind.BENIGN if category is None else Kind.HARM,
        group=f"hs/{choice.key}",
        labels={"form": form, "style": style, "intent": "none" if category is None else category.value},
        harm_categories=frozenset() if category is None else frozenset({category}),
        direction=Direction.OUTPUT if output else Direction.INPUT,
    )


def _mended(text: str) -> str:
    """Close the gaps and drop the doubled marks that an empty choice leaves where two expansions meet."""
    text = re.sub(r" +([.,;:!?])(?=\s|$)", r"\1", re.sub(r" {2,}", " ", text))
    return re.sub(r"([!?])[.,]", r"\1", text).strip()


def _styled(text: str, rng: random.Random, grammar: Grammar) -> tuple[str, str]:
    name = rng.choices(list(_STYLES), list(_STYLES.values()))[0]
    if name == "chatty":
        chat = grammar.draw("hs_chat", rng)
        return (f"{chat} {text}" if rng.random() < 0.6 else f"{text} {chat}"), name
    if name == "odd_spelling":
        return _odd_spelling(text, rng), name
    typed = {"lower": lower, "typos": typos, "shouted": shouted}.get(name)
    return (text if typed is None else typed(text, rng)), name


def _lengthened(text: str, rng: random.Random, grammar: Grammar) -> str:
    """The text among two to eight sentences that say nothing."""
    sentences = [grammar.draw("hs_chat", rng) for _ in range(rng.randint(2, 8))]
    spot = rng.randint(0, len(sentences))
    return rng.choice([" ", " ", "\n"]).join([*sentences[:spot], text, *sentences[spot:]])


def _odd_spelling(text: str, rng: random.Random) -> str:
    """One to four longer words written so that a word list would miss them."""
    words = text.split(" ")
    long = [number for number, word in enumerate(words) if re.fullmatch(r"[A-Za-z]{4,}[.,!?:]?", word)]
    for number in rng.sample(long, min(len(long), rng.randint(1, 4))):
        words[number] = _odd_word(words[number], rng)
    return " ".join(words)


def _odd_word(word: str, rng: random.Random) -> str:
    inner = word[1:-1]
    spot = rng.randrange(1, len(word) - 1)
    return rng.choice([
        word.translate(_LEET),
        " ".join(word),
        ".".join(word.rstrip(".,!?:")),
        word[0] + re.sub("[aeiou]", "", inner) + word[-1],
        word[0] + re.sub("[aeiou]", "*", inner, count=1) + word[-1],
        word[:spot] + word[spot] * 2 + word[spot:],
        word[:spot] + word[spot + 1 :],
    ])  # fmt: skip
