"""What the network says about a recording, before any decision that a tuning parameter could change."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from voiceflow_model.diarization.pitch import mean_pitch
from voiceflow_model.diarization.pooling import Floats, Mask, attentive_statistics, clean_masks

Ints = NDArray[np.int64]

MIN_CLEAN_S = 0.2  # an embedding of less speech than this is mostly noise
PIECE_S = 2.0  # of a run that votes by itself on who is heard


@dataclass(frozen=True)
class Runs:
    """Stretches of activity of one local speaker in one window, ordered by (window, local, start)."""

    window: Ints  # (runs,)
    local: Ints  # (runs,)
    start: Ints  # (runs,) first frame, counted from the start of the window
    end: Ints  # (runs,) one past the last frame
    embedding: Floats  # (runs, dim), unit length
    pitch: Floats  # (runs, 2), a point on the unit circle, zeros where too little is voiced
    clean_s: Floats  # (runs,) seconds during which nobody else speaks

    def __len__(self) -> int:
        return len(self.window)

    def voices(self, pitch_weight: float) -> Floats:
        """What runs are told apart by, (runs, dim + 2), unit length: the embedding, and the pitch with its weight.

        The cosine of two is (1 - weight) of their embeddings' and weight times that of the angle between their pitches;
        a run without pitch is known by its embedding alone.
        """
        weight = np.float32(pitch_weight) * self.pitch.any(axis=1, keepdims=True)
        return np.concatenate([np.sqrt(1 - weight) * self.embedding, np.sqrt(weight) * self.pitch], axis=1)


@dataclass(frozen=True)
class Analysis:
    """Who talks in every window, and the voice of each stretch.

    Depends on the model, `window_hop_s` and `max_run_s` only, so a threshold search analyses each recording once.
    Features are pooled while they are at hand and not kept: an hour needs about 50 MB, not gigabytes.
    """

    frame_s: float
    total_frames: int
    starts: Ints  # (windows,) first frame of each window
    probabilities: Floats  # (windows, frames, num_speakers)
    runs: Runs
    pieces: Runs  # the runs once more, each cut into parts of at most PIECE_S
    trees: dict[tuple[float, ...], Any] = field(
        default_factory=dict, repr=False, compare=False
    )  # `clustering` keeps them here


def local_activity(logits: Floats, powerset: Sequence[Sequence[int]], num_speakers: int) -> tuple[Floats, Mask]:
    """Probabilities and decisions (windows, frames, num_speakers) from powerset logits (windows, frames, classes).

    The decision is the most probable *class* (Plaquet and Bredin 2023, arXiv:2310.13025); it needs no threshold.
    """
    member = np.zeros((len(powerset), num_speakers), np.float32)
    for row, speakers in enumerate(powerset):
        member[row, list(speakers)] = 1
    probabilities = softmax(logits.astype(np.float32), axis=-1) @ member
    return probabilities, member[logits.argmax(axis=-1)] > 0


def find_runs(active: Mask) -> tuple[Ints, Ints, Ints, Ints]:
    """Window, local speaker, start and end (runs,) of every stretch of True in (windows, frames, num_speakers)."""
    by_speaker = np.moveaxis(active, 1, 2).astype(np.int8)  # (windows, num_speakers, frames)
    edges = np.diff(by_speaker, axis=2, prepend=0, append=0)
    window, local, start = np.nonzero(edges == 1)
    return window, local, start, np.nonzero(edges == -1)[2]


def cut_runs(decisions: Mask, max_frames: int) -> tuple[Ints, Ints, Ints, Ints]:
    """`find_runs` of decisions (windows, frames, num_speakers), each cut into the fewest equal parts that are allowed.

    A speaker change that the network missed spoils one part of a long run and not all of it.
    """
    window, local, start, end = find_runs(decisions)
    parts = -(-(end - start) // max_frames)
    run = np.repeat(np.arange(len(start)), parts)
    part = np.arange(len(run)) - np.repeat(np.cumsum(parts) - parts, parts)
    cut = [start[run] + (end - start)[run] * number // parts[run] for number in (part, part + 1)]
    return window[run], local[run], cut[0], cut[1]


def pool_runs(
    decisions: Mask,
    features: Floats,
    attention: Floats,
    pitch: Floats,
    weight: Floats,
    bias: Floats,
    frame_s: float,
    max_run_s: float,
) -> Runs:
    """The runs of a few windows, at most `max_run_s` long.

    decisions (windows, frames, num_speakers), features (windows, frames, width), attention (windows, frames),
    pitch (windows, frames, 2).
    """
    solo = decisions.sum(axis=2) == 1  # (windows, frames)
    window, local, start, end = cut_runs(decisions, max(round(max_run_s / frame_s), 1))
    embedding = np.zeros((len(window), len(bias)), np.float32)
    height = np.zeros((len(window), 2), np.float32)
    clean_s = np.zeros(len(window), np.float32)
    for w in np.unique(window):
        mine = np.flatnonzero(window == w)
        frames = np.arange(decisions.shape[1])
        masks = (frames >= start[mine, None]) & (frames < end[mine, None])  # (runs, frames)
        clean_s[mine] = (masks & solo[w]).sum(axis=1) * frame_s
        masks = clean_masks(masks, solo[w], round(MIN_CLEAN_S / frame_s))
        embedding[mine] = attentive_statistics(features[w], attention[w], masks, weight, bias)
        height[mine] = mean_pitch(pitch[w], masks)
    return Runs(window, local, start, end, embedding, height, clean_s)


def join_runs(parts: Sequence[tuple[int, Runs]], dim: int) -> Runs:
    """One `Runs` from (number of its first window, runs) parts in order."""
    if not parts:
        none = np.empty(0, np.int64)
        voices, pitch = np.empty((0, dim), np.float32), np.empty((0, 2), np.float32)
        return Runs(none, none, none, none, voices, pitch, np.empty(0, np.float32))
    return Runs(
        np.concatenate([runs.window + first for first, runs in parts]),
        *(
            np.concatenate([getattr(runs, name) for _, runs in parts])
            for name in ("local", "start", "end", "embedding", "pitch", "clean_s")
        ),
    )
