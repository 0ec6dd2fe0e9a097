"""Windows cut out of recordings: the network's limits hold, and sound and labels stay together."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceflow_model.data.conversation import Conversation, ConversationConfig
from voiceflow_model.data.corpus import FRAME_SAMPLES, Label
from voiceflow_model.data.keyed import keyed
from voiceflow_model.data.passage import Passage, excerpt, label_activity

FEW = 0.2, 0.4, 0.4  # a network of two tracks


def passage(frames: int, speakers: int, seed: int = 0, share: float = 0.4, key: str = "a") -> Passage:
    """Sample i of frame f is f + 1, and speaker c is class 10 c."""
    activity = keyed(seed, "activity").random((frames, speakers)) < share
    samples = np.repeat(np.arange(1, frames + 1, dtype=np.int16), FRAME_SAMPLES)
    return Passage(key, tuple(10 * c for c in range(speakers)), samples, activity)


def window(seconds: float, speakers: tuple[float, ...] = FEW) -> ConversationConfig:
    return ConversationConfig(window_s=seconds, speakers=speakers)


@given(
    st.integers(1, 200), st.integers(0, 6), st.sampled_from([0.6, 1.0, 2.0, 3.0]), st.integers(1, 4), st.integers(0, 99)
)
@settings(max_examples=150, deadline=None)
def test_a_window_keeps_the_limits_of_the_network_and_the_labels_of_the_passage(
    frames: int, speakers: int, seconds: float, tracks: int, seed: int
) -> None:
    whole = passage(frames, speakers, seed)
    config = window(seconds, (1 / (tracks + 1),) * (tracks + 1))
    made = excerpt([whole], keyed(seed, "draw"), config)
    wanted = round(seconds * 50)
    assert made.samples.shape == (wanted * FRAME_SAMPLES,)
    assert made.activity.shape == (wanted, len(made.speakers))
    assert len(made.speakers) == len(set(made.speakers)) <= min(tracks, speakers)
    assert made.activity.sum(axis=1).max(initial=0) <= 2
    assert made.sources.shape == (0, wanted * FRAME_SAMPLES)
    there = sound_of(made)
    offset = made.turns[0].offset
    assert np.array_equal(there[: frames - offset], np.arange(offset, min(frames, offset + wanted)))
    assert not made.samples[(frames - offset) * FRAME_SAMPLES :].any()
    assert not made.activity[frames - offset :].any()
    for class_number, active in zip(made.speakers, made.activity[: frames - offset].T, strict=True):
        truth = whole.activity[offset : offset + wanted, class_number // 10]
        assert not (active & ~truth).any()  # never heard where the labels know nothing of it


def sound_of(made: Conversation) -> np.ndarray:
    """Which frame of the passage each frame of the window is; the first sound fixes the unknown gain."""
    frames = made.samples[::FRAME_SAMPLES]
    first = made.turns[0].offset + 1
    return np.round(frames[frames > 0] / frames[0] * first).astype(int) - 1


def test_those_who_talk_most_are_kept_in_that_order() -> None:
    activity = np.zeros((100, 4), bool)
    for column, (first, last) in enumerate([(0, 10), (20, 60), (70, 75), (60, 90)]):
        activity[first:last, column] = True
    made = excerpt([Passage("a", (5, 6, 7, 8), np.ones(32_000, np.int16), activity)], keyed(0), window(2.0))
    assert made.speakers == (6, 8)
    assert np.array_equal(made.activity, activity[:, [1, 3]])


def test_of_three_at_once_the_two_stay_who_talk_most_in_the_window() -> None:
    activity = np.zeros((50, 3), bool)
    activity[:30, 0] = activity[20:50, 1] = activity[25:28, 2] = True
    activity[49, 0] = True  # 31, 30 and 3 frames
    made = excerpt([Passage("a", (0, 1, 2), np.ones(16_000, np.int16), activity)], keyed(0), window(1.0, (0.25,) * 4))
    assert made.speakers == (0, 1, 2)
    assert np.array_equal(made.activity[:, :2], activity[:, :2])
    assert not made.activity[:, 2].any()


def test_nobody_talks_in_a_window_of_silence() -> None:
    silent = Passage("a", (3, 4), np.zeros(32_000, np.int16), np.zeros((100, 2), bool))
    made = excerpt([silent], keyed(0), window(1.0))
    assert made.speakers == ()
    assert made.activity.shape == (50, 0)
    assert np.isfinite(made.samples).all()
    assert not made.samples.any()


def test_every_place_of_every_passage_is_equally_likely() -> None:
    passages = [passage(54, 1, key="five"), passage(10, 1, key="short"), passage(52, 1, key="three")]
    turns = [excerpt(passages, keyed(n, "draw"), window(1.0)).turns[0] for n in range(1800)]
    counts = {place: sum((t.key, t.offset) == place for t in turns) for place in {(t.key, t.offset) for t in turns}}
    assert set(counts) == {("short", 0), *(("five", n) for n in range(5)), *(("three", n) for n in range(3))}
    assert all(140 < count < 260 for count in counts.values())


def test_the_level_is_drawn_and_never_clips() -> None:
    loud = Passage("a", (0,), np.full(32_000, -32_768, np.int16), np.ones((100, 1), bool))
    peaks = [np.abs(excerpt([loud], keyed(n), window(1.0)).samples).max() for n in range(50)]
    assert max(peaks) < 1
    assert max(peaks) / min(peaks) > 4


def test_labels_become_frames_and_names_are_sorted() -> None:
    labels = [Label(0.0, 0.1, "bob"), Label(0.06, 0.5, "ann"), Label(0.3, 0.31, "bob"), Label(0.35, 9.0, "bob")]
    activity, names = label_activity(labels, 20)
    assert names == ("ann", "bob")
    assert np.flatnonzero(activity[:, 0]).tolist() == list(range(3, 20))
    assert np.flatnonzero(activity[:, 1]).tolist() == [0, 1, 2, 3, 4, 15, 18, 19]


@pytest.mark.parametrize("edges", [(2.0, 3.0), (-2.0, -1.0), (0.3, 0.2), (0.0, 0.0)])
def test_labels_outside_or_without_length_are_nothing(edges: tuple[float, float]) -> None:
    activity, names = label_activity([Label(*edges, "a")], 20)
    assert not activity.any()
    assert names == ("a",)
    assert label_activity([], 20)[0].shape == (20, 0)
