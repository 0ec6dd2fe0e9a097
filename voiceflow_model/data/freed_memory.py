"""Freed memory goes back to the system, so that a process holds what its pools hold and not what it ever read."""

import ctypes
from contextlib import suppress
from functools import cache

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_MAPPED_BYTES = 8 << 20
_KEPT_BYTES = 16 << 20


@cache
def give_back() -> None:
    """Once per process, for glibc; see also voiceflow_model/__init__.py.

    As it sees mapped blocks freed, glibc raises the size from which it maps blocks, up to 32 MB; row groups of 20 MB
    then leave holes in its heaps. Setting the size stops that; it also stops glibc from learning how much of a heap to
    keep, so that is set too, or every window's arrays would be mapped anew.
    """
    with suppress(OSError, AttributeError):  # another C library
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES)
        library.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
