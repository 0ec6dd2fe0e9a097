"""The whole torch-free path, from samples through a real ONNX graph to turns, on recordings whose truth is exact."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tone_model import RATE_HZ, tone_card, tone_model, tones

from voiceflow_model.diarization.card import Tuning
from voiceflow_model.diarization.onnx_runtime import Diarizer
from voiceflow_model.errors import BrokenAudio, ConfigError

SECONDS = 0.02


def as_script(turns):
    """Turns as (start, end, speaker number in order of appearance)."""
    return [(turn.start_s, round(turn.end_s, 3), int(turn.speaker.split("_")[1]) - 1) for turn in turns]


def in_order_of_appearance(script):
    names = {}
    return [(a, b, names.setdefault(who, len(names))) for a, b, who in sorted(script)]


@pytest.mark.parametrize(
    ("script", "duration_s"),
    [
        pytest.param([(0.5, 3.1, 0), (3.5, 7.02, 1), (7.02, 9.0, 0)], 10.0, id="one window"),
        pytest.param([(1.0, 6.0, 0), (5.0, 9.0, 1), (12.0, 15.0, 1), (14.0, 18.0, 0)], 20.0, id="overlap"),
        pytest.param([(0.0, 8.0, 0), (8.0, 40.0, 1), (40.0, 50.0, 0)], 50.0, id="leaves and returns"),
        pytest.param([(6.0 * i, 6.0 * i + 5, i) for i in range(5)], 31.0, id="more speakers than local ones"),
        pytest.param([(2.0, 33.3, 3)], 37.7, id="one speaker"),
        pytest.param([(0.2, 1.2, 2), (1.4, 2.4, 4)], 2.6, id="shorter than a window"),
        pytest.param([(0.0, 11.34, 1)], 11.34, id="speech until the end"),
    ],
)
def test_finds_exactly_who_spoke_when_without_being_told_how_many(diarizer, script, duration_s):
    assert as_script(diarizer.diarize(tones(script, duration_s))) == in_order_of_appearance(script)


def test_local_speakers_in_another_order_in_each_window_are_recognised(diarizer):
    script = [(0.0, 7.0, 0), (7.4, 10.0, 1), (10.4, 13.0, 0), (13.4, 20.0, 1)]
    samples = tones(script, 20.0)
    analysis = diarizer.analyse(samples)
    voices_of_first_local = analysis.runs.embedding[analysis.runs.local == 0].argmax(axis=1)
    assert set(voices_of_first_local) == {0, 1}, (
        "the loudest tone should differ between windows, else this tests nothing"
    )
    assert as_script(diarizer.diarize(samples)) == script


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_conversation_of_tones_is_recovered(diarizer, data):
    cast = data.draw(st.permutations(range(5)))[:3]  # a window of this network holds no more
    script, at, last = [], 0, None
    for _ in range(data.draw(st.integers(1, 8))):
        who = data.draw(st.sampled_from(cast).filter(lambda x, last=last: x != last))
        at += data.draw(st.integers(10, 60))
        length = data.draw(st.integers(100, 300))
        script.append((round(at * SECONDS, 2), round((at + length) * SECONDS, 2), who))
        at, last = at + length, who
    turns = diarizer.diarize(tones(script, script[-1][1] + 0.5))
    assert as_script(turns) == in_order_of_appearance(script)


@pytest.mark.parametrize("hop_s", [0.5, 1.0, 2.5, 7.3, 10.0])
def test_the_hop_does_not_change_an_easy_recording(hop_s):
    card = tone_card(tuning=Tuning(window_hop_s=hop_s))
    script = [(0.0, 9.0, 0), (9.5, 12.0, 1), (13.0, 26.0, 0)]
    assert as_script(Diarizer.load(tone_model(card)).diarize(tones(script, 27.5))) == script


def test_cutting_runs_does_not_change_an_easy_recording(diarizer):
    script = [(0.0, 9.0, 0), (9.5, 12.0, 1), (13.0, 26.0, 0)]
    samples, short = tones(script, 27.5), Tuning(max_run_s=0.5)
    runs = diarizer.analyse(samples, short).runs
    assert (runs.end - runs.start).max() == 25
    assert as_script(diarizer.diarize(samples, tuning=short)) == script


@pytest.mark.parametrize("samples", [0, 48, 319, 320, 1600, 160_000, 400_000])
def test_nobody_speaks_in_silence_of_any_length(diarizer, samples):
    assert diarizer.diarize(np.zeros(samples, np.float32)) == []


def test_digital_silence_is_never_speech_whatever_the_network_says():
    hears_everything = Diarizer.load(tone_model(audible=-1.0))
    assert hears_everything.diarize(np.zeros(25 * RATE_HZ, np.float32)) == []
    assert hears_everything.diarize(tones([(0.0, 25.0, 0)], 25.0)) != []


def test_bounds_on_the_number_of_speakers_hold(diarizer):
    samples = tones([(6.0 * i, 6.0 * i + 5, i % 4) for i in range(8)], 50.0)

    def count(**bounds):
        return len({turn.speaker for turn in diarizer.diarize(samples, **bounds)})

    assert count() == 4
    assert [count(max_speakers=n) for n in (1, 2, 3, 4, 9)] == [1, 2, 3, 4, 4]
    assert count(min_speakers=5) >= 4
    with pytest.raises(ConfigError, match="min_speakers <= max_speakers"):
        count(min_speakers=3, max_speakers=2)


def test_a_tuning_given_by_the_caller_replaces_the_stored_one(diarizer):
    samples = tones([(1.0, 4.0, 0), (4.5, 4.7, 0), (6.0, 9.0, 1)], 10.0)
    assert len(diarizer.diarize(samples)) == 3
    assert len(diarizer.diarize(samples, tuning=Tuning(min_turn_s=0.3))) == 2
    assert len(diarizer.diarize(samples, tuning=Tuning(min_pause_s=0.5))) == 2


def test_the_same_recording_gives_the_same_turns(diarizer):
    noise = np.random.default_rng(1).normal(0, 0.1, 40 * RATE_HZ).astype(np.float32)
    assert diarizer.diarize(noise) == diarizer.diarize(noise)


def test_an_analysis_of_a_long_recording_stays_small(diarizer):
    minutes = 10
    samples = tones([(5.0 * i, 5.0 * i + 4.5, i % 3) for i in range(12 * minutes)], 60.0 * minutes)
    analysis = diarizer.analyse(samples)
    arrays = [a for part in (analysis, analysis.runs) for a in vars(part).values() if isinstance(a, np.ndarray)]
    assert sum(a.nbytes for a in arrays) < 8_000 * 60 * minutes


@pytest.mark.parametrize(
    ("samples", "cause"),
    [
        (np.zeros((2, 16_000), np.float32), "shape"),
        (np.zeros(16_000, np.int16), "shape"),
        (np.full(16_000, np.nan, np.float32), "not finite"),
    ],
)
def test_samples_of_another_kind_are_refused(diarizer, samples, cause):
    with pytest.raises(BrokenAudio) as error:
        diarizer.diarize(samples)
    assert error.value.cause == cause


def test_a_voice_is_embedded_from_the_chosen_frames(diarizer):
    samples = tones([(0.0, 1.0, 2), (1.0, 3.0, 0)], 3.0)
    speech = np.arange(150) < 50
    np.testing.assert_allclose(diarizer.embed(samples, speech), np.eye(5)[2], atol=1e-3)
    both = diarizer.embed(samples)
    np.testing.assert_allclose(np.linalg.norm(both), 1, atol=1e-6)
    assert both[0] > both[2] > 0.3
    np.testing.assert_array_equal(diarizer.embed(samples, np.zeros(150, bool)), both)


def test_embedding_needs_a_frame_and_a_mask_that_fits(diarizer):
    with pytest.raises(BrokenAudio, match="too-short"):
        diarizer.embed(np.zeros(319, np.float32))
    with pytest.raises(ConfigError, match=r"need \(50,\)"):
        diarizer.embed(np.zeros(16_000, np.float32), np.ones(49, bool))
