"""NanoGuard: `scan`, on overlapping windows of the 511 tokens that it reads; the decision is that of the text as it is.

It pads every text to 512 tokens and attends to the padding, so its scores need the full length.
"""

from __future__ import annotations

from nanoguard import NanoGuard  # type: ignore[import-not-found]

from benchmarks.accuracy.runners.exchange import Judge, answer, overlapping


def load() -> Judge:
    """The bundled model on the CPU, with its threshold of 0.5."""
    guard = NanoGuard(device="cpu")
    window = guard.config.sequence_len - 1  # less the leading mark

    def judge(text: str) -> tuple[float, bool]:
        whole = guard.scan(text)  # of a long text the start: the first window
        rest = list(overlapping(text, _offsets(guard.tokenizer.enc, text), window))[1:]
        return max([whole.injection_score, *(guard.scan(part).injection_score for part in rest)]), whole.is_injection

    return judge


def _offsets(encoding: object, text: str) -> list[tuple[int, int]]:
    """Character ranges of the tokens, from where each of them starts."""
    _, starts = encoding.decode_with_offsets(encoding.encode_ordinary(text))  # type: ignore[attr-defined]
    return list(zip(starts, [*starts[1:], len(text)], strict=True))


if __name__ == "__main__":
    answer(load())
