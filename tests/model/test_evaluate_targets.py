"""What a row is measured against."""

from __future__ import annotations

import json

import numpy as np
import pytest

from data.schema import CATEGORIES
from training.targets import OPENAI_MODERATION, any_harm_target, row_targets


def by_name(
    source: str, kind: str | None, harms: list[str], labels: dict[str, int] | None = None
) -> dict[str, float | None]:
    found = row_targets(source, kind, harms, json.dumps(labels) if labels is not None else None)
    return {c.value: None if np.isnan(t) else float(t) for c, t in zip(CATEGORIES, found, strict=True)}


def test_an_attack_says_nothing_about_harm() -> None:
    assert by_name("s", "jailbreak", []) == {"injection": 1.0} | dict.fromkeys([c.value for c in CATEGORIES[1:]])


def test_a_plain_harm_row_is_left_out_of_the_injection_figures() -> None:
    found = by_name("s", "harm", ["sexual"])
    assert (found["injection"], found["sexual"], found["self-harm"]) == (None, 1.0, 0.0)


def test_a_benign_row_is_negative_for_everything() -> None:
    assert set(by_name("s", "benign", []).values()) == {0.0}


def test_an_unlabelled_row_says_nothing() -> None:
    assert set(by_name("s", None, []).values()) == {None}
    assert np.isnan(any_harm_target(""))
    assert np.isnan(any_harm_target("injection"))
    assert (any_harm_target("harm"), any_harm_target("benign")) == (1.0, 0.0)


def test_openai_moderation_masks_what_its_annotators_did_not_look_at() -> None:
    found = by_name(OPENAI_MODERATION, "harm", ["self-harm"], {"SH": 1, "V": 0, "HR": 0, "V2": 0})
    assert found == {
        "injection": None, "hate": None, "harassment": 0.0, "self-harm": 1.0,
        "sexual": None, "violence": 0.0, "illicit": None,
    }  # fmt: skip


def test_openai_moderation_takes_a_sub_category_for_its_category() -> None:
    found = by_name(OPENAI_MODERATION, "harm", [], {"H": 0, "H2": 1, "V2": 1, "S3": 0})
    assert (found["hate"], found["violence"], found["sexual"]) == (1.0, 1.0, None)


def test_openai_moderation_benign_rows_are_negative_for_injection() -> None:
    found = by_name(OPENAI_MODERATION, "benign", [], {"S": 0, "H": 0, "V": 0, "HR": 0, "SH": 0})
    assert found == dict.fromkeys([c.value for c in CATEGORIES], 0.0) | {"illicit": None}


def test_a_category_that_is_not_ours_is_refused() -> None:
    with pytest.raises(ValueError, match="rudeness"):
        row_targets("s", "harm", ["rudeness"], None)
