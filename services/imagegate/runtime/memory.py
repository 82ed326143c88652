"""Tell glibc's allocator to keep large blocks, and Python's collector to look less often, before the first picture
passes.

By default every block above a moving threshold is mapped and unmapped anew: about a thousand page faults per picture of
1.2 MB, which is half of the CPU that passing it on costs. And Python looks for cycles after every 700 objects, which a
call or two make: a fifteenth of the router's CPU.
"""

import ctypes
import gc
import sys

M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
M_ARENA_MAX = -8
MIB = 1024 * 1024
# 32 MiB is glibc's own upper bound for the mmap threshold; one arena halves the memory at no cost,
# since all work is done by one event loop.
SETTINGS = ((M_MMAP_THRESHOLD, 32 * MIB), (M_TRIM_THRESHOLD, 64 * MIB), (M_ARENA_MAX, 1))
# Objects made and not freed, until the youngest are looked at.
YOUNGEST = 10_000


def tune() -> bool:
    """Apply the settings; False where this is not glibc (musl, macOS), which need none of the allocator's."""
    gc.set_threshold(YOUNGEST)
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(mallopt(option, value) == 1 for option, value in SETTINGS)
