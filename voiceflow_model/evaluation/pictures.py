"""Pictures of a run for its report: how it learned."""

import io
import math
from collections.abc import Mapping, Sequence

from voiceflow_model.diarization.plot import INK, PALETTE

_JUDGED = (
    ("frame_accuracy", "-o", "frames"),
    ("speaker_accuracy", ":s", "speakers"),
    ("unseen_nothing", "--^", "DER, unseen voices"),
)


def curves_png(curves: Mapping[str, Sequence[Mapping[str, float]]], gate: float | None = None) -> bytes:
    """Loss and accuracy over steps, one phase after the other; `curves` maps a phase to its points."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    loss, accuracy = figure.subplots(1, 2)
    start = 0.0
    for number, (phase, points) in enumerate(curves.items()):
        steps = [start + point["step"] for point in points]
        colour = PALETTE[number % len(PALETTE)]
        loss.plot(
            steps,
            [point.get("segmentation", math.nan) for point in points],
            color=colour,
            label=f"{phase}: segmentation",
        )
        loss.plot(steps, [point["speaker"] for point in points], color=colour, ls=":", label=f"{phase}: speaker")
        for key, style, label in _JUDGED:
            held = [(s, p[f"held_out_{key}"]) for s, p in zip(steps, points, strict=True) if f"held_out_{key}" in p]
            if held:
                accuracy.plot(*zip(*held, strict=True), style, color=colour, markersize=4, label=f"{phase}: {label}")
        start = steps[-1] if steps else start
    loss.set(xlabel="step", ylabel="loss", yscale="log", title="Training loss")
    accuracy.set(xlabel="step", ylabel="share", ylim=(0, 1.02), title="On held-out speech")
    if gate is not None:
        accuracy.axhline(gate, color=INK, lw=0.8, ls="--", label="gate")
    for axes in (loss, accuracy):
        axes.grid(color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=8, frameon=False)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    png = io.BytesIO()
    figure.savefig(png, format="png")
    return png.getvalue()
