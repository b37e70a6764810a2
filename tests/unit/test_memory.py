"""What the C library does with freed memory."""

import ctypes
import subprocess
import sys

import pytest

FAULTS = """
import ctypes, resource, sys
from models.memory import keep_freed_memory
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
if sys.argv[1] == "keep":
    assert keep_freed_memory(2**30)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    buffers = [libc.malloc(8_000_000) for _ in range(6)]
    for buffer in buffers:
        ctypes.memset(buffer, 1, 8_000_000)
    for buffer in buffers:
        libc.free(buffer)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="a C library that cannot be told")
def test_buffers_that_are_freed_and_asked_for_again_are_not_mapped_anew() -> None:
    kept, given_back = (
        int(subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True).stdout)
        for how in ("keep", "as-is")
    )
    assert kept * 5 < given_back
