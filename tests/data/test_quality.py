"""Conflicts, duplicates and the counts of the report."""

from dataclasses import replace

from data.quality import contradict, length_summary, resolve, target_counts
from data.schema import Category, Example, Kind


def row(name: str, text: str, kind: Kind = Kind.BENIGN, **fields: object) -> Example:
    return replace(Example(id=name, text=text, source="corpus", kind=kind), **fields)  # type: ignore[arg-type]


def kept(*examples: Example, clusters: list[int] | None = None) -> list[str]:
    numbers = clusters if clusters is not None else list(range(len(examples)))
    return [example.id for example in resolve(examples, numbers).examples]


def test_one_of_two_equal_texts_stays_and_it_is_the_trusted_one() -> None:
    assert kept(row("weak", "A text.", weak=True), row("strong", "a text")) == ["strong"]


def test_two_trusted_rows_that_contradict_one_another_both_leave() -> None:
    assert kept(row("a", "same", Kind.INJECTION), row("b", "Same!"), row("c", "other")) == ["c"]


def test_a_weak_row_that_a_trusted_row_denies_leaves_alone() -> None:
    assert kept(row("a", "same", Kind.INJECTION, weak=True), row("b", "same")) == ["b"]


def test_a_weak_near_duplicate_of_a_trusted_row_with_another_label_leaves() -> None:
    rows = [row("a", "one two three", Kind.INJECTION, weak=True), row("b", "one two four")]
    assert kept(*rows, clusters=[0, 0]) == ["b"]
    assert kept(*rows, clusters=[0, 1]) == ["a", "b"]


def test_what_left_is_counted_by_reason_and_source() -> None:
    cleaned = resolve([row("a", "same"), row("b", "same"), row("c", "x"), row("d", "x", Kind.JAILBREAK)], [0, 1, 2, 3])
    assert {reason: dict(count) for reason, count in cleaned.dropped.items()} == {
        "duplicate": {"corpus": 1},
        "conflict": {"corpus": 2},
    }


def test_a_masked_target_contradicts_nothing() -> None:
    hate = row("a", "x", Kind.HARM, harm_categories=frozenset({Category.HATE}))
    harassment = row("b", "x", Kind.HARM, harm_categories=frozenset({Category.HARASSMENT}))
    sexual = row("c", "x", Kind.HARM, harm_categories=frozenset({Category.SEXUAL}))
    assert not contradict(hate, harassment)
    assert contradict(hate, sexual)


def test_targets_are_counted_as_positive_negative_and_masked() -> None:
    counts = target_counts([row("a", "x"), row("b", "y", Kind.JAILBREAK)])
    assert counts[Category.INJECTION] == {"positive": 1, "negative": 1, "masked": 0}
    assert counts[Category.HATE] == {"positive": 0, "negative": 1, "masked": 1}


def test_lengths_are_given_at_quantiles_and_nothing_has_none() -> None:
    assert length_summary([5, 1, 3]) == {"min": 1, "p50": 3, "p90": 5, "p99": 5, "max": 5}
    assert length_summary([]) == {}
