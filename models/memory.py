"""Keeping freed memory in the process instead of handing it back to the kernel after every run."""

from __future__ import annotations

import ctypes
import sys
from typing import Final

# Names of malloc.h, and the largest threshold that glibc takes on 64 bits.
_TRIM_THRESHOLD: Final = -1
_TOP_PAD: Final = -2
_MMAP_THRESHOLD: Final = -3
_MMAP_MAX: Final = -4
_LARGEST_THRESHOLD: Final = 32 * 1024 * 1024
_GROWTH: Final = 16 * 1024 * 1024  # bytes that the heap grows by at least


def keep_freed_memory(most: int, *, large_too: bool = False) -> bool:
    """Let the C library keep up to `most` bytes that were freed, and with `large_too` buffers of any size.

    A run of the model asks for the same buffers each time. By default glibc gives them back and has the kernel find,
    clear and map them anew; on a virtual machine that reports free pages to its host, training ran at half its speed
    for that. Returns whether this C library could be told.
    """
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl
        return False
    told = mallopt(_TRIM_THRESHOLD, min(most, 2**31 - 1)) and mallopt(_TOP_PAD, _GROWTH)
    told = told and mallopt(_MMAP_THRESHOLD, _LARGEST_THRESHOLD)
    return bool(told and (not large_too or mallopt(_MMAP_MAX, 0)))
