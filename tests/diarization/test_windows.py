import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from voiceflow_model.diarization.windows import cut_batches, window_starts

sizes = st.integers(1, 60)


@given(total=st.integers(0, 500), window=sizes, hop=sizes)
def test_every_frame_is_seen_and_the_last_window_ends_with_the_recording(total, window, hop):
    starts = window_starts(total, window, hop)
    seen = np.zeros(total, int)
    for start in starts:
        seen[start : start + window] += 1
    assert (seen > 0).all()
    assert (np.diff(starts) > 0).all()
    if total >= window:
        assert starts[-1] + window == total
    else:
        assert list(starts) == [0] * (total > 0)


@given(windows=st.integers(1, 20), batch=st.integers(1, 7))
def test_batches_hold_the_samples_of_their_windows(windows, batch):
    samples = np.arange(20 * windows + 40, dtype=np.float32)
    starts = window_starts(2 * windows + 4, 6, 2)
    seen = []
    for here, waveforms in cut_batches(samples, starts, 60, 10, batch):
        assert len(waveforms) <= batch
        np.testing.assert_array_equal(waveforms, samples[starts[here, None] * 10 + np.arange(60)])
        seen += range(len(starts))[here]
    assert seen == list(range(len(starts)))


def test_a_short_recording_is_repeated_rather_than_followed_by_silence():
    ((_, waveforms),) = cut_batches(np.array([1, 2, 3], np.float32), np.array([0]), 8, 1, 4)
    assert waveforms.tolist() == [[1, 2, 3, 1, 2, 3, 1, 2]]
