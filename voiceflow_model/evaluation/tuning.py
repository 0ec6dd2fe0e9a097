"""Decision parameters from development recordings, chosen for what surrounds them and not for the luckiest point."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from voiceflow_model.diarization.card import Tuning
from voiceflow_model.diarization.decision import decide
from voiceflow_model.diarization.onnx_runtime import Diarizer
from voiceflow_model.diarization.rttm import Turn
from voiceflow_model.errors import CorpusError
from voiceflow_model.evaluation.der import Errors, errors, total
from voiceflow_model.evaluation.recording import Recording

Option = TypeVar("Option", float, Tuning)

FLAT = 0.02  # DERs of a dozen recordings this close (absolute) are the same
HELPS = 0.005  # a parameter leaves its default only for at least this much: less is noise on a dozen recordings

SIMILARITIES = tuple(np.round(np.arange(0.0, 0.901, 0.05), 2).tolist())
SHARES = (0.02, 0.05, 0.08)
OTHERS: tuple[tuple[dict[str, float], ...], ...] = (
    tuple({"min_embed_s": x} for x in (0.4, 0.8, 1.2)),
    tuple({"onset": x, "offset": round(x - gap, 2)} for x in (0.4, 0.5, 0.6) for gap in (0.0, 0.1)),
    tuple({"min_pause_s": x} for x in (0.0, 0.1, 0.2, 0.4)),
    tuple({"min_turn_s": x} for x in (0.0, 0.1, 0.2)),
)


def tune(diarizer: Diarizer, recordings: Iterable[Recording]) -> Tuning:
    """The tuning with the least DER (collar 0) on development recordings.

    The network runs once per recording, so `window_hop_s` and `max_run_s` stay as stored with the model.
    Deterministic. Raises CorpusError when there is nothing to tune on.
    """
    return search(_rated(diarizer, recordings), diarizer.card.tuning)


def tune_merging(diarizer: Diarizer, recordings: Iterable[Recording]) -> Tuning:
    """The card's tuning with the best `merge_similarity` alone: a twentieth of the search. Raises CorpusError."""
    der, start = _rated(diarizer, recordings), diarizer.card.tuning
    return _with(start, {"merge_similarity": middle_of_flat(SIMILARITIES, _curve(der, start))})


def _rated(diarizer: Diarizer, recordings: Iterable[Recording]) -> Callable[[Tuning], float]:
    """The DER (collar 0) of a tuning on recordings, each of which the network hears once."""
    analysed = [(diarizer.analyse(one.samples), one.reference, one.scored) for one in recordings]
    if not any(reference for _, reference, _ in analysed):
        raise CorpusError("nobody speaks in the development recordings; tune on some with reference turns")

    known: dict[tuple[int, tuple[Turn, ...]], Errors] = {}  # neighbouring thresholds often decide alike

    def der(tuning: Tuning) -> float:
        found = []
        for number, (analysis, reference, uem) in enumerate(analysed):
            turns = tuple(decide(analysis, tuning))
            if (number, turns) not in known:
                known[number, turns] = errors(reference, turns, uem)
            found.append(known[number, turns])
        return total(found).rate

    return der


def search(der: Callable[[Tuning], float], start: Tuning) -> Tuning:
    """The tuning near the least `der`: the clustering's two thresholds together, then the others one at a time.

    Every parameter keeps its value in `start` unless a change helps, but for `merge_similarity`: it goes to the middle
    of the flat region of its smoothed curve, because DER is noisy there and rises steeply on both sides.
    """
    curves = {start.min_cluster_share: _curve(der, start)}
    for share in SHARES:
        if share not in curves:
            curves[share] = _curve(der, _with(start, {"min_cluster_share": share}))
    share = _least({share: min(curve) for share, curve in curves.items()}, start.min_cluster_share)
    similarity = middle_of_flat(SIMILARITIES, curves[share])
    best = _with(start, {"min_cluster_share": share, "merge_similarity": similarity})
    for options in OTHERS:
        rated = {tuning: der(tuning) for tuning in (best, *(_with(best, values) for values in options))}
        best = _least(rated, best)
    return best


def smoothed(rates: Sequence[float]) -> list[float]:
    """Each rate averaged with its two neighbours, of which the first and the last have one."""
    return [float(np.mean(rates[max(i - 1, 0) : i + 2])) for i in range(len(rates))]


def middle_of_flat(values: Sequence[float], rates: Sequence[float], flat: float = FLAT) -> float:
    """The middle of the widest stretch of neighbouring values whose rates are within `flat` of the least."""
    good = np.asarray(rates) <= min(rates) + flat
    edges = np.flatnonzero(np.diff(good.astype(np.int8), prepend=0, append=0)).reshape(-1, 2)
    first, end = map(int, edges[np.argmax(edges[:, 1] - edges[:, 0])])
    return round((values[first] + values[end - 1]) / 2, 4)


def _curve(der: Callable[[Tuning], float], tuning: Tuning) -> list[float]:
    return smoothed([der(_with(tuning, {"merge_similarity": value})) for value in SIMILARITIES])


def _least(rates: Mapping[Option, float], usual: Option) -> Option:
    """The option with the least rate, or the usual one unless that is worse by HELPS."""
    best = min(rates, key=lambda option: rates[option])
    return best if rates[best] <= rates[usual] - HELPS else usual


def _with(tuning: Tuning, values: dict[str, Any]) -> Tuning:
    return Tuning.model_validate({**tuning.model_dump(), **values})
