"""A short attack amid honest callers through the real service, as `make bench-abuse` does it at length."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.abuse.corpus import Corpus
from benchmarks.abuse.population import Span
from benchmarks.abuse.service import Plan, through_service
from benchmarks.abuse.traffic import MINUTE
from tests.tiny_bundle import ATTACK, CLEAN, EMBEDDING_SIZE


async def test_an_attack_is_kept_out_of_the_real_service_and_honest_callers_are_not(tiny_bundle: Path) -> None:
    corpus = Corpus([CLEAN, ATTACK], np.array([False, True]), np.eye(2, EMBEDDING_SIZE, dtype=np.float32))
    plan = Plan(attacks=("spam",), speed=40, scale=0.02, span=Span(0, MINUTE // 2, 5 * MINUTE // 2, 3 * MINUTE))
    found = await through_service(plan, corpus, str(tiny_bundle))
    (spam,) = found.attacks
    assert spam.plainly > 60
    assert spam.reduction > 0.9
    assert spam.room_back
    assert found.groups["overall"].sent > 20
    assert found.groups["overall"].share < 0.1  # on a busy machine requests come late, and some over a limit
