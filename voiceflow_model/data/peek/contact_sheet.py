"""Conversations to look at and to listen to: one picture of a few, and their sound with labels."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import soundfile
from numpy.typing import NDArray

from voiceflow_model.data.conversation import Conversation
from voiceflow_model.data.corpus import FRAME_SAMPLES, SAMPLE_RATE_HZ, Samples
from voiceflow_model.data.speakers import SpeakerClasses
from voiceflow_model.diarization.plot import INK, PALETTE
from voiceflow_model.diarization.rttm import Turn, one_word, write_rttm

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FRAME_S = FRAME_SAMPLES / SAMPLE_RATE_HZ
_LEAST_PAUSE = 25  # frames, to tell what lies under the speech
_NAME_LENGTH = 18
_SOUND_IN, _ROW_IN, _GAP_IN = 1.25, 0.24, 0.62  # heights in the picture, in inches
_TOP_IN, _BOTTOM_IN, _WIDTH_IN, _LEFT_IN, _RIGHT_IN = 0.75, 0.55, 12.0, 1.9, 0.25
_TWO_TALK = "#BBBBBB"


class Example(NamedTuple):
    """A conversation with the names of its speakers."""

    conversation: Conversation
    speakers: tuple[str, ...]  # of each column; with its speed where that is not 1

    @classmethod
    def of(cls, conversation: Conversation, names: SpeakerClasses) -> "Example":
        """With the names of its classes."""
        speeds = [names.speeds[c % len(names.speeds)] for c in conversation.speakers]
        spoken = zip(conversation.speakers, speeds, strict=True)
        return cls(conversation, tuple(names.speaker(c) + (f"@{speed:g}" if speed != 1 else "") for c, speed in spoken))


def write_examples(folder: Path, split: str, examples: Sequence[Example]) -> list[Path]:
    """A WAV of 16 bits for each, and beside it who speaks when as RTTM. The paths of the WAVs."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for number, (one, speakers) in enumerate(examples, 1):
        name = f"{split}-{number}"
        soundfile.write(folder / f"{name}.wav", one.samples, SAMPLE_RATE_HZ, subtype="PCM_16")
        turns = [
            Turn(round(start_s, 3), round(length_s, 3), one_word(speaker))
            for speaker, active in zip(speakers, one.activity.T, strict=True)
            for start_s, length_s in _spans(active)
        ]
        write_rttm(str(folder / f"{name}.rttm"), name, turns)
        written.append(folder / f"{name}.wav")
    return written


def conversations_png(examples: Sequence[Example], title: str = "") -> bytes:
    """Of each conversation the spectrogram, and below it a row per speaker; grey where two talk at once."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows_in = [_ROW_IN * max(1, len(example.speakers)) for example in examples]
    height_in = _TOP_IN + _BOTTOM_IN + sum(rows_in) + len(examples) * _SOUND_IN + (len(examples) - 1) * _GAP_IN
    figure = Figure(figsize=(_WIDTH_IN, height_in), dpi=110)
    FigureCanvasAgg(figure)

    def panel(top_in: float, panel_in: float) -> "Axes":
        width = 1 - (_LEFT_IN + _RIGHT_IN) / _WIDTH_IN
        return figure.add_axes((_LEFT_IN / _WIDTH_IN, 1 - (top_in + panel_in) / height_in, width, panel_in / height_in))

    top_in = _TOP_IN
    for number, (example, row_in) in enumerate(zip(examples, rows_in, strict=True), 1):
        sound, labels = panel(top_in, _SOUND_IN), panel(top_in + _SOUND_IN + 0.04, row_in)
        _draw_sound(sound, example.conversation.samples)
        sound.set_title(f"{number}   {_describe(example)}", loc="left", fontsize=10, color=INK)
        _draw_labels(labels, example)
        if number == len(examples):
            labels.set_xlabel("seconds", color=INK)
        top_in += _SOUND_IN + row_in + _GAP_IN
    heading = f"{title}: " if title else ""
    figure.text(
        0.1 / _WIDTH_IN, 1 - 0.3 / height_in, f"{heading}who speaks when; grey: two at once", fontsize=12, color=INK
    )
    png = io.BytesIO()
    figure.savefig(png, format="png")
    return png.getvalue()


def _describe(example: Example) -> str:
    """What is known of a conversation, in a line."""
    one = example.conversation
    talking = one.activity.sum(axis=1)  # (frames,)
    heard, spoken = int(one.activity.any(axis=0).sum()), int((talking > 0).sum())
    parts = ["nobody speaks" if not heard else "1 speaker" if heard == 1 else f"{heard} speakers"]
    if spoken:
        parts.append(f"speech {spoken / len(talking):.0%}")
    if heard > 1:
        parts.append(f"overlap {(talking > 1).sum() / spoken:.0%} of it")
    over = _over_pauses(one.samples, talking > 0)
    if over is not None:
        parts.append("pauses digitally silent" if np.isinf(over) else f"speech {over:.0f} dB above the pauses")
    parts.append(f"peak {20 * np.log10(np.abs(one.samples).max() + 1e-6):.0f} dBFS")
    if len(one.turns) == 1 and not len(one.sources):
        parts.append(f"from {_short(one.turns[0].key, 40)}")
    return " · ".join(parts)


def _over_pauses(samples: Samples, spoken: NDArray[np.bool_]) -> float | None:
    """Decibels of speech over what is heard in the pauses: the noise, as far as labels tell; None without pauses."""
    power = np.square(samples.reshape(len(spoken), FRAME_SAMPLES)).mean(axis=1)
    if not spoken.any() or (~spoken).sum() < _LEAST_PAUSE:
        return None
    pauses = float(np.median(power[~spoken]))
    return float(10 * np.log10(power[spoken].mean() / pauses)) if pauses > 1e-12 else float("inf")


def _draw_sound(ax: "Axes", samples: Samples) -> None:
    shown = _mel_db(samples)
    quiet, loud = float(np.percentile(shown, 15)), float(np.percentile(shown, 99.9))
    extent = (0, len(samples) / SAMPLE_RATE_HZ, 0, _mel(SAMPLE_RATE_HZ / 2))
    ax.imshow(shown, aspect="auto", origin="lower", extent=extent, cmap="magma", vmin=max(quiet, loud - 60), vmax=loud)
    ax.set_ylabel("kHz", color=INK, fontsize=8)
    ax.set_yticks([_mel(hz) for hz in (0, 500, 1000, 2000, 4000, 8000)], ["0", "0.5", "1", "2", "4", "8"])
    ax.set_xticks(())
    ax.tick_params(labelsize=8, labelcolor=INK, length=0)


def _draw_labels(ax: "Axes", example: Example) -> None:
    one, speakers = example.conversation, example.speakers
    for start_s, length_s in _spans(one.activity.sum(axis=1) > 1):
        ax.axvspan(start_s, start_s + length_s, color=_TWO_TALK, linewidth=0)
    for row, active in enumerate(one.activity.T):
        ax.broken_barh(_spans(active), (row - 0.34, 0.68), facecolors=PALETTE[row % len(PALETTE)])
    if not speakers:
        ax.text(0.5, 0.5, "nobody", transform=ax.transAxes, ha="center", va="center", color=INK, style="italic")
    ax.set_yticks(range(len(speakers)), [_label(example, row) for row in range(len(speakers))], fontsize=8, color=INK)
    ax.set(xlim=(0, len(one.samples) / SAMPLE_RATE_HZ), ylim=(max(len(speakers), 1) - 0.5, -0.5))
    ax.grid(axis="x", color="#dddddd", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.tick_params(length=0, labelsize=8, labelcolor=INK)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)


def _label(example: Example, row: int) -> str:
    """The speaker, and by how much their track was made louder than the others'."""
    name = _short(example.speakers[row], _NAME_LENGTH)
    one = example.conversation
    if not one.activity[:, row].any():
        return f"{name}  silent"
    if len(one.sources) < 2:
        return name
    levels = [20 * np.log10(np.sqrt(np.mean(np.square(s[s != 0])))) if s.any() else np.nan for s in one.sources]
    if np.isnan(levels[row]):
        return name
    return f"{name}  {round(levels[row] - np.nanmean(levels)):+d} dB"


def _spans(active: NDArray[np.bool_]) -> list[tuple[float, float]]:
    """(frames,) -> where each stretch starts and how long it lasts, in seconds."""
    edges = np.flatnonzero(np.diff(active.astype(np.int8), prepend=0, append=0)).reshape(-1, 2)
    return [(float(start) * _FRAME_S, float(end - start) * _FRAME_S) for start, end in edges]


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _mel_db(samples: Samples, bands: int = 80, window: int = 512, hop: int = 160) -> NDArray[np.float64]:
    """(samples,) -> (bands, frames), decibels, in triangular bands of equal width in mel: as low as voices are."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, window)[::hop] * np.hanning(window).astype(np.float32)
    power = np.square(np.abs(np.fft.rfft(frames, axis=1)))  # (frames, window // 2 + 1)
    place = _mel(np.fft.rfftfreq(window, 1 / SAMPLE_RATE_HZ)) / _mel(SAMPLE_RATE_HZ / 2) * (bands + 1)
    weights = np.maximum(0, 1 - np.abs(place - np.arange(1, bands + 1)[:, None]))
    for band in np.flatnonzero(weights.sum(axis=1) == 0):  # narrower than a bin: the nearest one
        weights[band, np.abs(place - band - 1).argmin()] = 1
    decibels: NDArray[np.float64] = 10 * np.log10(weights / weights.sum(axis=1, keepdims=True) @ power.T + 1e-10)
    return decibels


def _mel(hz: Any) -> Any:
    return 2595 * np.log10(1 + hz / 700)
