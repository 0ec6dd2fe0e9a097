"""Who spoke when, as a picture."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from voiceflow_model.diarization.rttm import Turn

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito (2008), told apart with every common form of colour blindness; yellow last, since it is faint on white.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#555555", "#F0E442")
HATCHES = ("", "///", "...", "xxx")  # from the ninth speaker on
TICKS_S = (10, 30, 60, 120, 300, 600, 900, 1800)
INK = "#333333"


def timeline_png(
    hypothesis: Sequence[Turn], duration_s: float, *, reference: Sequence[Turn] | None = None, title: str = ""
) -> bytes:
    """A PNG with one row per speaker; the reference above the hypothesis when given, matched speakers in one colour.

    Drawn without pyplot, so it needs no display and leaves no state behind.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = _speakers(hypothesis)
    style = {name: number for number, name in enumerate(names)}
    panels = [("Hypothesis", hypothesis, names, style)]
    if reference is not None:
        matched = match_speakers(reference, hypothesis)
        reference_names = _speakers(reference)
        style = {name: number for number, name in enumerate(reference_names)}
        spare = iter(range(len(reference_names), len(reference_names) + len(names)))
        of_hypothesis = {name: style[matched[name]] if name in matched else next(spare) for name in names}
        names = sorted(names, key=lambda name: of_hypothesis[name])
        panels = [("Reference", reference, reference_names, style), ("Hypothesis", hypothesis, names, of_hypothesis)]
    rows = [max(len(panel[2]), 1) for panel in panels]
    figure = Figure(figsize=(12, 1.3 + 0.36 * sum(rows) + 0.4 * len(rows)), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": rows})[:, 0]
    for ax, (label, turns, speakers, styles) in zip(axes, panels, strict=True):
        _draw(ax, label, turns, speakers, styles)
    axes[-1].set_xlim(0, max(duration_s, 0.1))
    axes[-1].set_xlabel("time (min:s)" if duration_s >= 60 else "time (s)", color=INK)
    if duration_s >= 60:
        step = next((s for s in TICKS_S if duration_s <= 12 * s), 3600)
        axes[-1].set_xticks(range(0, int(duration_s) + 1, step * max(1, int(duration_s) // (12 * step))))
        axes[-1].xaxis.set_major_formatter(lambda seconds, _: f"{int(seconds) // 60}:{int(seconds) % 60:02d}")
    if title:
        figure.suptitle(title, color=INK, fontsize=12, x=0.01, ha="left")
    png = io.BytesIO()
    figure.savefig(png, format="png")
    return png.getvalue()


def match_speakers(reference: Sequence[Turn], hypothesis: Sequence[Turn]) -> dict[str, str]:
    """Hypothesis speaker -> reference speaker, one to one, with the most seconds of common speech."""
    theirs, ours = _speakers(hypothesis), _speakers(reference)
    shared = np.zeros((len(theirs), len(ours)))
    start, end = np.array([[turn.start_s, turn.end_s] for turn in reference]).reshape(-1, 2).T
    column = np.array([ours.index(turn.speaker) for turn in reference], np.int64)
    for turn in hypothesis:
        overlap = np.maximum(np.minimum(end, turn.end_s) - np.maximum(start, turn.start_s), 0)
        np.add.at(shared[theirs.index(turn.speaker)], column, overlap)
    rows, columns = linear_sum_assignment(shared, maximize=True)
    return {theirs[i]: ours[j] for i, j in zip(rows, columns, strict=True) if shared[i, j] > 0}


def _speakers(turns: Sequence[Turn]) -> list[str]:
    return list(dict.fromkeys(turn.speaker for turn in sorted(turns)))


def _draw(ax: "Axes", label: str, turns: Sequence[Turn], speakers: list[str], style: dict[str, int]) -> None:
    for row, name in enumerate(speakers):
        number = style[name]
        bars = [(turn.start_s, turn.duration_s) for turn in turns if turn.speaker == name]
        look: dict[str, Any] = {"facecolors": PALETTE[number % len(PALETTE)], "edgecolors": "white", "linewidth": 0.4}
        hatch = HATCHES[number // len(PALETTE) % len(HATCHES)]
        ax.broken_barh(bars, (row - 0.36, 0.72), hatch=hatch, **look)
    if not speakers:
        ax.text(0.5, 0.5, "no speech", transform=ax.transAxes, ha="center", va="center", color=INK, style="italic")
    ax.set_yticks(range(len(speakers)), speakers, color=INK, fontsize=9)
    ax.set_ylim(max(len(speakers), 1) - 0.5, -0.5)
    ax.set_title(label, loc="left", fontsize=10, color=INK)
    ax.grid(axis="x", color="#dddddd", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.tick_params(length=0)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
