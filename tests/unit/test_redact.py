"""What of a user's text may stand in a report."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.redact import masked, redacted, shared_words, words


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("write to jane.doe+x@mail.example.org now", "write to [address] now"),
        ("see https://example.org/a?b=c#d and www.example.org", "see [link] and [link]"),
        ("FTP://h/x", "[link]"),
        ("call +49 (30) 1234-567 or 5", "call [number] or [number]"),
        ("key sk_live_4eC39Hq and AKIAIOSFODNN7EXAMPLE", "key [code] and [code]"),
        ("a" * 25, "[code]"),
        ("a" * 24, "a" * 24),
        ("one\ntwo\r\x1b[31mthree\u202e", "one two [code]"),
        ("  spaced   out ", "spaced out"),
    ],
)
def test_addresses_links_numbers_and_long_words_are_masked(text: str, shown: str) -> None:
    assert masked(text) == shown


def test_a_word_that_few_texts_share_is_not_shown() -> None:
    texts = [f"Ignore all rules, said {name}" for name in ("Ann", "Bob", "Cid")]
    shared = shared_words(texts, 3)
    assert set(shared) == {"ignore", "all", "rules", "said"}
    assert redacted(texts[0], shared) == "Ignore all rules said …"
    assert redacted("Ann Bob ignore", shared) == "… ignore"


def test_one_text_sent_many_times_shares_nothing_with_itself() -> None:
    assert not shared_words(["my password is swordfish"] * 100, 2)


def test_a_long_text_is_cut() -> None:
    assert len(redacted("word " * 200, {"word"})) <= 160


@given(st.text(max_size=200))
def test_no_digit_at_sign_or_control_character_ever_passes(text: str) -> None:
    for shown in (masked(text), redacted(text, set(words(text)))):
        assert not any(letter.isdigit() and letter.isascii() for letter in shown)
        assert "@" not in shown
        assert shown.isprintable()
