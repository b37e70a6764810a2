from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from models.normalize import MAIN, View, normalize
from models.windows import Cut, TokenizerError, Windower

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def definition(*extra: str) -> bytes:
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *LETTERS, *(f"##{letter}" for letter in LETTERS), *extra]
    tokenizer = Tokenizer(models.WordPiece({t: i for i, t in enumerate(tokens)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=16)
    return tokenizer.to_str().encode()


def windower(max_length: int = 10, stride: int = 5) -> Windower:
    return Windower.load(definition("hello"), max_length=max_length, stride=stride)


def cut(text: str, max_length: int = 10, stride: int = 5) -> Cut:
    return windower(max_length, stride).windows(View(text, MAIN))


def test_a_short_text_is_one_window_between_the_special_tokens_unpadded() -> None:
    windows, tokens, _ = cut("hello a")
    assert tokens == 2
    assert [window.ids.tolist() for window in windows] == [[2, 56, 4, 3]]
    assert (windows[0].span.start, windows[0].span.end) == (0, 7)


@pytest.mark.parametrize("text", ["", " ", "\n\n"])
def test_a_text_without_tokens_is_one_window_of_special_tokens(text: str) -> None:
    windows, tokens, _ = cut(text)
    assert tokens == 0
    assert [window.ids.tolist() for window in windows] == [[2, 3]]


@given(tokens=st.integers(0, 200), max_length=st.integers(3, 40), data=st.data())
def test_windows_cover_every_token_and_none_is_short_but_a_lone_one(
    tokens: int, max_length: int, data: st.DataObject
) -> None:
    stride = data.draw(st.integers(1, max_length - 2))
    bounds = windower(max_length, stride).bounds(tokens)
    covered = {token for start, end in bounds for token in range(start, end)}
    assert covered == set(range(tokens))
    assert {end - start for start, end in bounds} == {min(tokens, max_length - 2)}
    starts = [start for start, _ in bounds]
    assert all(0 < later - earlier <= stride for earlier, later in pairwise(starts))


def test_spans_are_those_of_the_callers_text() -> None:
    text = "a\u200bb " + "c " * 20
    windows, _, _ = windower().windows(normalize(text).views[0])
    assert [text[w.span.start : w.span.end].replace(" ", "") for w in windows] == [
        "a\u200bbcccccc", "cccccccc", "cccccccc", "cccccccc",
    ]  # fmt: skip


def test_a_special_token_that_somebody_wrote_is_not_the_real_one() -> None:
    tokenizer = Tokenizer.from_str(definition("[", "]", "sep").decode())
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    guarded = Windower.load(tokenizer.to_str().encode(), max_length=10, stride=5)
    (window,), tokens, _ = guarded.windows(View("a [SEP] b", MAIN))
    assert tokens == 5
    assert window.ids.tolist().count(guarded.end_id) == 1


def test_a_long_unbroken_string_is_seen_and_not_one_unknown_token() -> None:
    windows, tokens, _ = cut("z" * 500)
    assert tokens == 500
    assert all(1 not in window.ids for window in windows)


@pytest.mark.parametrize("text", ["hello😀", "😀hello", "hel😀lo", "hello\u4e00", "helloж", "hello\U0001f3fb"])
def test_a_foreign_character_does_not_make_an_unknown_token_of_the_word_beside_it(text: str) -> None:
    windows, _, _ = cut(text)
    ids = set(windows[0].ids.tolist())
    assert ids & {56, 4 + LETTERS.index("h")}


def test_a_second_view_keeps_only_windows_that_show_something_new() -> None:
    text = "a " * 30 + "x\u200by" + " b" * 30
    main, alternate = normalize(text).views
    whole, _, _ = windower().windows(main)
    extra, _, _ = windower().windows(alternate)
    assert len(whole) > 8
    assert 1 <= len(extra) <= 2
    assert all(window.span.start <= 61 < window.span.end for window in extra)


def test_a_long_text_is_tokenised_as_its_parts_are() -> None:
    (short,), _, _ = cut("hello a " * 3, max_length=5_000, stride=4_000)
    (long,), _, _ = cut("hello a " * 600, max_length=5_000, stride=4_000)
    assert long.ids[1:-1].tolist() == short.ids[1:-1].tolist() * 200


def test_words_that_the_vocabulary_lacks_are_given_back_as_they_stand() -> None:
    assert cut("hello привет a мир!").unknown == "приветмир!"
    assert cut("hello a").unknown == ""


def test_a_vocabulary_without_special_tokens_is_refused() -> None:
    broken = definition().replace(b"[CLS]", b"[XXX]")
    with pytest.raises(TokenizerError, match=r"lacks \[CLS\]"):
        Windower.load(broken, max_length=10, stride=5)


def test_something_else_than_a_tokenizer_is_refused() -> None:
    with pytest.raises(TokenizerError, match=r"not a tokenizer\.json"):
        Windower.load(b"{}", max_length=10, stride=5)
