"""Decision parameters from development recordings, chosen for what surrounds them and not for the luckiest point."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from voiceflow_model.diarization.card import Tuning
from voiceflow_model.diarization.decision import decide
from voiceflow_model.diarization.onnx_runtime import Diarizer
from voiceflow_model.errors import CorpusError
from voiceflow_model.evaluation.der import errors, total
from voiceflow_model.evaluation.recording import Recording

FLAT = 0.005  # DERs this close (absolute) are the same
HELPS = 0.001  # a parameter leaves its default only for at least this much

SIMILARITIES = tuple(np.round(np.arange(0.0, 0.951, 0.05), 2).tolist())
OTHERS: tuple[tuple[dict[str, float], ...], ...] = (
    tuple({"reassign_margin": x} for x in (0.0, 0.05, 0.1, 0.2)),
    tuple({"min_cluster_share": x} for x in (0.0, 0.01, 0.02, 0.05)),
    tuple({"onset": x, "offset": round(x - gap, 2)} for x in (0.4, 0.5, 0.6) for gap in (0.0, 0.1)),
    tuple({"min_pause_s": x} for x in (0.0, 0.1, 0.2, 0.4)),
    tuple({"min_turn_s": x} for x in (0.0, 0.1, 0.2)),
)


def tune(diarizer: Diarizer, recordings: Iterable[Recording]) -> Tuning:
    """The tuning with the least DER (collar 0) on development recordings, `window_hop_s` as stored with the model.

    The network runs once per recording. `merge_similarity` is searched first and again at the end, and set to the
    middle of its best flat region, because DER rises steeply on one side of it; the others follow one at a time and
    keep their values unless a change helps. Deterministic. Raises CorpusError when there is nothing to tune on.
    """
    start = diarizer.card.tuning
    analysed = [(diarizer.analyse(one.samples), one.reference, one.scored) for one in recordings]
    if not any(reference for _, reference, _ in analysed):
        raise CorpusError("nobody speaks in the development recordings; tune on some with reference turns")

    def der(tuning: Tuning) -> float:
        found = [errors(reference, decide(analysis, tuning), uem) for analysis, reference, uem in analysed]
        return total(found).rate

    return search(der, start)


def search(der: Callable[[Tuning], float], start: Tuning) -> Tuning:
    """Coordinate search of the tuning that minimises `der`, from `start`."""
    best = _choose_similarity(der, start)
    changed = False
    for options in OTHERS:
        current = der(best)
        rated = [(der(option), option) for option in (_with(best, values) for values in options)]
        value, option = min(rated, key=lambda pair: pair[0])
        if value <= current - HELPS:
            best, changed = option, True
    return _choose_similarity(der, best) if changed else best


def middle_of_flat(values: Sequence[float], rates: Sequence[float], flat: float = FLAT) -> float:
    """The middle of the widest stretch of neighbouring values whose rates are within `flat` of the least."""
    good = np.asarray(rates) <= min(rates) + flat
    edges = np.flatnonzero(np.diff(good.astype(np.int8), prepend=0, append=0)).reshape(-1, 2)
    first, end = map(int, edges[np.argmax(edges[:, 1] - edges[:, 0])])
    return round((values[first] + values[end - 1]) / 2, 4)


def _choose_similarity(der: Callable[[Tuning], float], tuning: Tuning) -> Tuning:
    rates = [der(_with(tuning, {"merge_similarity": value})) for value in SIMILARITIES]
    return _with(tuning, {"merge_similarity": middle_of_flat(SIMILARITIES, rates)})


def _with(tuning: Tuning, values: dict[str, Any]) -> Tuning:
    return Tuning.model_validate({**tuning.model_dump(), **values})
