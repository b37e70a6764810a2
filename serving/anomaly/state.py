"""What is remembered of one principal or address, what one request shows of it, and both as the bytes Redis keeps."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from typing import Final, Self

from serving.anomaly import sketch
from serving.anomaly.standing import STANDING, Standing

RECENT: Final = 4
_OBSERVATION: Final = struct.Struct("<9d8s8s")
_REST: Final = struct.Struct(f"<12d8s{8 * RECENT}s{8 * RECENT}s{sketch.REGISTERS}s{sketch.REGISTERS}s")
BYTES: Final = STANDING.size + _REST.size


@dataclass(frozen=True, slots=True)
class Observation:
    """One judged text, or one failed credential, as the rule sees it; no text, no score of a model.

    `injection`, `harm` and `similarity` are evidence in [0, 1] (:mod:`serving.anomaly.evidence`), `hot` is the heat
    of the text's pattern (:mod:`serving.anomaly.patterns`). `tokens` is what the text cost this caller, 0 if another
    account paid. `other` is 64 hashed bits of the address (for a principal) or of the key (for an address), 0 for
    none; `pattern` the text's fingerprint, 0 for none. Of an `unknown_key` only `other` counts: the credential tried.
    What is not the caller's `own`, such as a tool's answer or a model's, counts by its size and its coming only.
    """

    injection: float = 0.0
    harm: float = 0.0
    similarity: float = 0.0
    near_threshold: bool = False
    tokens: int = 0
    other: int = 0
    hot: float = 0.0
    pattern: int = 0
    unknown_key: bool = False
    own: bool = True

    @property
    def ordinary(self) -> bool:
        """Whether nothing about the text itself gives cause."""
        return not (self.unknown_key or self.near_threshold) and max(self.injection, self.harm, self.hot) < 0.5

    def pack(self) -> bytes:
        """As `observe.lua` reads it."""
        return _OBSERVATION.pack(
            self.injection,
            self.harm,
            self.similarity,
            self.near_threshold,
            self.tokens,
            self.hot,
            self.unknown_key,
            self.ordinary,
            self.own,
            self.other.to_bytes(8, "big"),
            self.pattern.to_bytes(8, "big"),
        )


@dataclass(frozen=True, slots=True)
class State:
    """All that is remembered of one principal or address, 568 bytes.

    `rate` and `flow` are decayed counts of requests and tokens; `*_norm` is what is usual for this caller. `count` is
    how many others were seen lately, in the two generations `newer` and `older`. `last`, `run` and `rotation` follow
    keys that are used one after another, `recent` and `alike` texts of one structure, `tried` the last credentials that
    opened nothing.
    """

    standing: Standing = field(default_factory=Standing)
    cut_us: int = 0
    rate: float = 0.0
    rate_norm: float = 0.0
    flow: float = 0.0
    flow_norm: float = 0.0
    size_norm: float = 0.0
    count: float = 0.0
    count_norm: float = 0.0
    turned_us: int = 0
    run: int = 0
    rotation: float = 0.0
    alike: float = 0.0
    last: int = 0
    recent: tuple[int, ...] = (0,) * RECENT
    tried: tuple[int, ...] = (0,) * RECENT
    newer: bytes = sketch.EMPTY
    older: bytes = sketch.EMPTY

    def pack(self) -> bytes:
        """The bytes that Redis keeps; they begin with the standing."""
        numbers = (self.cut_us, self.rate, self.rate_norm, self.flow, self.flow_norm, self.size_norm, self.count)
        more = (self.count_norm, self.turned_us, self.run, self.rotation, self.alike)
        hashes = (self.last.to_bytes(8, "big"), _joined(self.recent), _joined(self.tried))
        rest = _REST.pack(*numbers, *more, *hashes, self.newer, self.older)
        return self.standing.pack() + rest

    @classmethod
    def unpack(cls, packed: bytes) -> Self:
        """Read :meth:`pack`. Raises struct.error."""
        *numbers, last, recent, tried, newer, older = _REST.unpack_from(packed, STANDING.size)
        state = cls(Standing.unpack(packed), *numbers)
        return replace(
            state,
            cut_us=int(state.cut_us),
            turned_us=int(state.turned_us),
            run=int(state.run),
            last=int.from_bytes(last, "big"),
            recent=_parted(recent),
            tried=_parted(tried),
            newer=newer,
            older=older,
        )


def _joined(hashes: tuple[int, ...]) -> bytes:
    return b"".join(each.to_bytes(8, "big") for each in hashes)


def _parted(joined: bytes) -> tuple[int, ...]:
    return tuple(int.from_bytes(joined[at : at + 8], "big") for at in range(0, len(joined), 8))
