"""Stretches of real recordings with their labels, and training windows cut out of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from voiceflow_model.data.conversation import Conversation, ConversationConfig, Turn
from voiceflow_model.data.corpus import FRAME_SAMPLES, SAMPLE_RATE_HZ, Label

_FRAMES_PER_S = SAMPLE_RATE_HZ // FRAME_SAMPLES
_MOST_AT_ONCE = 2  # as in the powerset


@dataclass(frozen=True)
class Passage:
    """A stretch of a recording in the pool."""

    key: str
    speakers: tuple[int, ...]  # class of each column
    samples: NDArray[np.int16] = field(repr=False)  # a whole number of frames
    activity: NDArray[np.bool_] = field(repr=False)  # (frames, speakers)


def label_activity(labels: Sequence[Label], frames: int) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Labels as activity (frames, speakers), and the speakers' names, sorted."""
    names = tuple(sorted({label.speaker for label in labels}))
    activity = np.zeros((frames, len(names)), bool)
    for start_s, end_s, speaker in labels:
        first, last = (max(0, round(edge_s * _FRAMES_PER_S)) for edge_s in (start_s, end_s))
        activity[first:last, names.index(speaker)] = True
    return activity, names


def excerpt(passages: Sequence[Passage], rng: np.random.Generator, config: ConversationConfig) -> Conversation:
    """A window out of one of the passages, each of its places equally likely; silence fills up a shorter passage.

    The network's limits hold for the labels: of more speakers than it has tracks for, those who talk most are kept, and
    of more than two at once, the two who talk most in the window. There are no clean sources of a real recording.
    """
    frames = round(config.window_s * _FRAMES_PER_S)
    places = np.array([max(1, len(p.activity) - frames + 1) for p in passages])
    place = int(rng.integers(places.sum()))
    number = int(np.searchsorted(np.cumsum(places), place, side="right"))
    passage, offset = passages[number], place - int(places[:number].sum())
    active = passage.activity[offset : offset + frames]
    active = np.pad(active, ((0, frames - len(active)), (0, 0)))
    talk = active.sum(axis=0)
    kept = [c for c in np.argsort(-talk, kind="stable")[: len(config.speakers) - 1] if talk[c]]
    active = active[:, kept]
    active &= np.cumsum(active, axis=1) <= _MOST_AT_ONCE
    samples = np.zeros(frames * FRAME_SAMPLES, np.float32)
    sound = passage.samples[offset * FRAME_SAMPLES : (offset + frames) * FRAME_SAMPLES]
    gain = 10 ** (rng.uniform(-25, -1) / 20) / max(int(np.abs(sound.astype(np.int32)).max(initial=0)), 33)
    samples[: len(sound)] = sound * np.float32(gain)
    turns = (Turn(0, passage.key, offset, 0, frames),)
    no_sources = np.zeros((0, len(samples)), np.float32)
    return Conversation(samples, active, tuple(passage.speakers[c] for c in kept), turns, no_sources)
