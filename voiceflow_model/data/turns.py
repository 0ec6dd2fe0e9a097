"""Turn taking as measured on real conversations: how long people speak, pause, and talk over each other.

`voiceflow_model/data/turns_*.json` hold the statistics alone, fitted by `voiceflow fit-turns` from reference RTTMs of
AMI train and VoxConverse dev. Following Landini et al. 2022 ("From simulated mixtures to simulated conversations"),
gaps between turns are drawn from what was measured, not placed at random.
"""

import json
from bisect import bisect_right
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal

import fsspec
import numpy as np
from pydantic import AfterValidator, BeforeValidator, Field

from voiceflow_model.errors import CorpusError
from voiceflow_model.section import Section

TurnStyle = Literal["ami", "voxconverse"]
_QUANTILES: list[float] = np.linspace(0.01, 0.99, 25).tolist()


def _ascending(quantiles_s: tuple[float, ...]) -> tuple[float, ...]:
    if list(quantiles_s) != sorted(quantiles_s):
        raise ValueError("quantiles must ascend: let `voiceflow fit-turns` write them")
    return quantiles_s


Quantiles = Annotated[
    tuple[Annotated[float, Field(ge=0)], ...],
    Field(min_length=len(_QUANTILES), max_length=len(_QUANTILES)),
    AfterValidator(_ascending),
]


class TurnStatistics(Section):
    """Probabilities, and quantiles of durations in seconds (25 of them, from the 1st to the 99th percentile)."""

    source: str
    turns: int
    change_probability: float = Field(ge=0, le=1)
    overlap_probability: float = Field(ge=0, le=1)
    turn_s: Quantiles
    pause_same_s: Quantiles
    pause_change_s: Quantiles
    overlap_s: Quantiles

    def draw(self, quantiles_s: tuple[float, ...], rng: np.random.Generator) -> float:
        """One duration in seconds from a quantile table of this record, by inverse transform sampling."""
        at = rng.uniform(_QUANTILES[0], _QUANTILES[-1])
        i = bisect_right(_QUANTILES, at, 1, len(_QUANTILES) - 1)  # np.interp, without its arrays
        slope = (quantiles_s[i] - quantiles_s[i - 1]) / (_QUANTILES[i] - _QUANTILES[i - 1])
        return slope * (at - _QUANTILES[i - 1]) + quantiles_s[i - 1]


def turn_statistics(style: TurnStyle | TurnStatistics) -> TurnStatistics:
    """The shipped statistics of one kind of conversation; those given as they are."""
    return style if isinstance(style, TurnStatistics) else _shipped(style)


@cache
def _shipped(style: TurnStyle) -> TurnStatistics:
    return TurnStatistics(**json.loads((files("voiceflow_model.data") / f"turns_{style}.json").read_text()))


def read_turns(style: Any) -> Any:
    """For a name that ends in .json (a path or any fsspec URL), what `voiceflow fit-turns` wrote there."""
    if not (isinstance(style, str) and style.endswith(".json")):
        return style
    try:
        with fsspec.open(style, "r", encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError) as error:
        raise ValueError(f"{style} cannot be read ({error}): let `voiceflow fit-turns` write it") from error


Turns = Annotated[TurnStyle | TurnStatistics, BeforeValidator(read_turns)]  # as a configuration names them


def fit_turns(recordings: Iterable[list[tuple[float, float, str]]], source: str) -> TurnStatistics:
    """Measure statistics on recordings, each a list of (start_s, end_s, speaker) turns.

    A turn is compared with the latest end of speech before it: a positive gap is a pause (same speaker or change), a
    negative one with another speaker an overlap, whose length is what both share.
    """
    durations: list[float] = []
    same: list[float] = []
    change: list[float] = []
    overlap: list[float] = []
    for turns in recordings:
        end, who = float("-inf"), ""
        for start_s, end_s, speaker in sorted(turns):
            durations.append(end_s - start_s)
            if who and start_s >= end:
                (same if speaker == who else change).append(start_s - end)
            elif who and speaker != who:
                overlap.append(min(end, end_s) - start_s)
            if end_s > end:
                end, who = end_s, speaker
    others = len(change) + len(overlap)
    if not others:
        raise CorpusError(f"{source}: nobody speaks after somebody else in {len(durations)} turns; nothing to measure")
    return TurnStatistics(
        source=source,
        turns=len(durations),
        change_probability=round(others / (others + len(same)), 4),
        overlap_probability=round(len(overlap) / others, 4),
        turn_s=_table(durations),
        pause_same_s=_table(same),
        pause_change_s=_table(change),
        overlap_s=_table(overlap),
    )


def _table(values: list[float]) -> tuple[float, ...]:
    return tuple(np.quantile(values or [0.0], _QUANTILES).round(3).tolist())
