"""Randomness by name: every draw is a pure function of (seed, what it is for, which one).

No generator travels through threads or checkpoints; whoever needs example 1,000,000 of lane 3 makes its generator.
"""

import zlib

import numpy as np


def keyed(*path: int | str) -> np.random.Generator:
    """A counter-based generator (Philox; Salmon et al. 2011) for each path, such as `keyed(seed, "draw", 3, 17)`."""
    words = [zlib.crc32(p.encode()) if isinstance(p, str) else p for p in path]
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(words)))
