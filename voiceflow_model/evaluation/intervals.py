"""How far a DER would move with another sample of recordings."""

from collections.abc import Sequence

import numpy as np


def bootstrap_interval(
    errors: Sequence[float], totals: Sequence[float], *, seed: int = 0, level: float = 0.95, resamples: int = 10_000
) -> tuple[float, float] | None:
    """Percentile interval of sum(errors) / sum(totals) over resampled recordings; None for fewer than two.

    Whole recordings are drawn, since errors within one are anything but independent (Bisani and Ney 2004). The same
    seed gives the same interval.
    """
    n = len(errors)
    if n < 2:
        return None
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=resamples)  # (resamples, recordings)
    error, total = drawn @ np.asarray(errors, float), drawn @ np.asarray(totals, float)
    if not (total > 0).any():
        return None
    rates = error[total > 0] / total[total > 0]
    low, high = np.quantile(rates, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
