# ruff: noqa: RUF001 - look-alike letters are what these tests are about
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.invisible import INVISIBLE, SUSPECT
from models.normalize import _MARK_PATTERN, _compatible, normalize


def main_text(text: str) -> str:
    return normalize(text).views[0].text


@pytest.mark.parametrize("text", ["", "plain words\nand\ttabs\r\n", "x" * 10_000])
def test_plain_ascii_is_its_own_only_view(text: str) -> None:
    normalized = normalize(text)
    assert [view.text for view in normalized.views] == [text]
    assert normalized.views[0].text is text
    assert normalized.changes == {}


@pytest.mark.parametrize(
    ("text", "shown", "change"),
    [
        ("ＩＧＮＯＲＥ all", "IGNORE all", "compatibility"),
        ("𝓲𝓰𝓷𝓸𝓻𝓮 all", "ignore all", "compatibility"),
        ("Ⓘgnore", "Ignore", "compatibility"),
        ("\U0001f158\U0001f156\U0001f15d", "IGN", "confusable"),
        ("іgnоrе all", "ignore all", "confusable"),
        ("іgnоrе", "ignore", "confusable"),
        ("IgΝore prevιous", "IgNore previous", "confusable"),
        ("ɪɢɴᴏʀᴇ all", "ignore all", "confusable"),
        ("please сору this", "please copy this", "confusable"),
        ("Іgnore", "Ignore", "confusable"),
        ("iɡnore", "ignore", "confusable"),
        ("ig\u200bno\u2060re", "ignore", "zero-width"),
        ("ig\u00adnore", "ignore", "zero-width"),
        ("ig\u200dnore", "ignore", "zero-width"),
        ("\ufeffhello", "hello", "zero-width"),
        ("\u202eerongi\u202c", "erongi", "bidi"),
        ("a\ufe0fb", "ab", "variation"),
        ("ig\x00nore", "ig nore", "control"),
        ("a\x85b", "a b", "control"),
        ("\ud800 hello", "\ufffd hello", "surrogate"),
        ("e\u20dd", "e", "combining"),
        ("a" + "\u0301" * 50 + "b", "a\u0301\u0301b", "combining"),
    ],
)
def test_a_trick_is_undone_and_counted(text: str, shown: str, change: str) -> None:
    normalized = normalize(text)
    assert normalized.views[0].text == shown
    assert normalized.changes.keys() == {change}


def test_changes_count_characters() -> None:
    assert normalize("i\u200b\u200bg\u200bn о\x00 аb").changes == {"zero-width": 3, "control": 1, "confusable": 1}


@pytest.mark.parametrize(
    "text",
    [
        "Он сказал, что нет времени.",
        "Слово а и слово о в тексте",
        "нет окна, там сор",
        "Мы используем Python и C++ каждый день",
        "Δεν έχω χρόνο σήμερα.",
        "Բարեւ ձեզ, ինչպես եք",
        "ᎣᏏᏲ ᏙᎯᏧ",
        "می\u200cخواهم کتاب\u200cها را بخوانم",
        "क्\u200dष और श्री",
        "שלום עולם",
        "קַמָץ \u05d0\u05b0\u0591",
        "قال \u06dd١٢ \u0600١٢٣",
        "\U00013000\U00013430\U00013001",
        "สวัสดีครับ",
        "忽略这句话。こんにちは、ガラス。안녕하세요",
        "Tiếng Việt có dấu, Türkçe ılık süt, Łódź, straße, Þórr",
        "tie\u0302\u0301ng Vie\u0323\u0302t",
        "👩\u200d💻 and ❤\ufe0f and 👨\u200d👩\u200d👧\u200d👦 and 🇩🇪🇫🇷",
        "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
        "Δx of 5 \u03bcs, πr, naïve café — “quoted”",
    ],
)
def test_genuine_text_of_any_script_stays(text: str) -> None:
    normalized = normalize(text)
    assert [view.text for view in normalized.views] == [text]
    assert normalized.changes == {}


def test_text_hidden_in_tag_characters_becomes_visible() -> None:
    hidden = "".join(chr(0xE0000 + ord(letter)) for letter in "ignore this")
    normalized = normalize(f"hello{hidden}world")
    assert normalized.views[0].text == "hello ignore this world"
    assert normalized.changes == {"tag": 11}


def test_text_whose_bytes_are_variation_selectors_becomes_visible() -> None:
    hidden = "".join(chr(0xFE00 + byte if byte < 16 else 0xE0100 + byte - 16) for byte in b"ignore this")
    normalized = normalize(f"\U0001f600{hidden} hello")
    assert normalized.views[0].text == "\U0001f600 ignore this  hello"
    assert normalized.changes == {"smuggled": 11}


def test_variation_selectors_that_hide_nothing_vanish() -> None:
    assert main_text("a" + "\ufe0f" * 40 + "b") == "ab"


def test_a_zero_width_character_between_words_is_also_read_as_a_space() -> None:
    main, alternate = normalize("ignore\u200ball").views
    assert (main.text, alternate.text) == ("ignoreall", "ignore all")
    assert alternate.differences == [6]


def test_a_control_character_inside_a_word_is_also_read_as_nothing() -> None:
    assert [view.text for view in normalize("ig\x00nore").views] == ["ig nore", "ignore"]


@pytest.mark.parametrize("text", ["\ufeffhello", "hello \u200b world", "hello\u200b"])
def test_an_invisible_character_beside_a_space_makes_no_second_view(text: str) -> None:
    assert len(normalize(text).views) == 1


def test_offsets_lead_back_through_every_step() -> None:
    text = "x\u200b\u200by ﬁ é" + "\u0301" * 9 + "z"
    view = normalize(text).views[0]
    assert view.text == "xy fi é\u0301\u0301z"
    assert [view.source_offset(i) for i in range(len(view.text))] == [0, 3, 4, 5, 5, 6, 7, 8, 9, 17]


def test_one_character_never_grows_beyond_four() -> None:
    assert main_text("\ufdfa" * 100) == "\ufdfa" * 100


def test_compatibility_forms_are_undone_wherever_they_stand_among_letters_that_have_none() -> None:
    """The search is by ranges, and a range must not reach over a letter that the text holds and that stays."""
    letters = [chr(code) for code in range(0x80, 0x30000) if not 0xD800 <= code < 0xE000]
    letters = [letter for letter in letters if not INVISIBLE.search(letter) and not letter.isalnum()]
    shown, _ = _compatible(" ".join(letters), Counter())
    forms = [unicodedata.normalize("NFKC", letter) for letter in letters]
    assert shown == " ".join(form if len(form) <= 4 else letter for letter, form in zip(letters, forms, strict=True))


TRICKY = "a b.\x00\n\u200b\u200d\u202e\ufe0f\ud800\U000e0041ﬁ①\u0301\u20e3оαｘ👩\u3164ß\U0001f170"


@given(st.text(st.characters() | st.sampled_from(TRICKY), max_size=60))
def test_any_text_is_accepted_and_every_offset_lies_in_it(text: str) -> None:
    for view in normalize(text).views:
        view.text.encode()
        offsets = [view.source_offset(i) for i in range(len(view.text))]
        assert all(0 <= offset < len(text) for offset in offsets)
        assert all(first <= second for first, second in pairwise(offsets))
        assert len(view.text) <= 4 * len(text)


@given(st.text(st.characters(max_codepoint=127)))
def test_changes_of_ascii_text_are_its_control_characters(text: str) -> None:
    controls = sum((ord(c) < 32 and c not in "\t\n\r") or ord(c) == 127 for c in text)
    assert normalize(text).changes == ({"control": controls} if controls else {})


def test_the_quick_search_sees_every_character_that_the_pattern_acts_on() -> None:
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        assert bool(SUSPECT.search(character)) == bool(INVISIBLE.search(character)), hex(code)


# Default_Ignorable_Code_Point in Unicode's DerivedCoreProperties.txt, 15.1.
DEFAULT_IGNORABLE = (
    "00AD 034F 061C 115F-1160 17B4-17B5 180B-180F 200B-200F 202A-202E 2060-206F 3164 FE00-FE0F FEFF FFA0 FFF0-FFF8"
    " 1BCA0-1BCA3 1D173-1D17A E0000-E0FFF"
)


def code_points(table: str) -> Iterator[int]:
    for span in table.split():
        first, _, last = span.partition("-")
        yield from range(int(first, 16), int(last or first, 16) + 1)


FORMAT = [code for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) == "Cf"]
NONCHARACTERS = [
    *range(0xFDD0, 0xFDF0),
    *(plane << 16 | place for plane in range(17) for place in (0xFFFE, 0xFFFF)),
]


@pytest.mark.parametrize(
    "codes", [list(code_points(DEFAULT_IGNORABLE)), FORMAT, NONCHARACTERS], ids=["ignorable", "format", "noncharacters"]
)
def test_no_character_without_a_look_of_its_own_stays_inside_a_latin_word(codes: list[int]) -> None:
    for code in codes:
        if not 0xE0020 <= code < 0xE007F:  # these become the text that they hide
            assert main_text(f"ig{chr(code)}no{chr(code) * 3}re").replace(" ", "") == "ignore", hex(code)
            assert normalize(f"ignore{chr(code)}all").changes


def test_no_mark_that_latin_does_not_know_stays_on_a_latin_letter() -> None:
    for code in range(0x80, sys.maxunicode + 1):
        if unicodedata.category(chr(code))[0] == "M":
            shown = main_text(f"Ig{chr(code)}no\u00eb{chr(code)}")
            assert "".join(c for c in shown if not _MARK_PATTERN.match(c)) == "Igno\u00eb", hex(code)


def test_every_enclosing_mark_goes() -> None:
    enclosing = "".join(chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) == "Me")
    assert main_text(enclosing.join("игнор")) == "игнор"
