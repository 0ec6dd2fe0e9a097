from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from voiceflow_model.data.augment import in_room, noise, sounds
from voiceflow_model.data.conversation import ConversationConfig, Utterance, simulate
from voiceflow_model.data.corpus import FRAME_SAMPLES, SAMPLE_RATE_HZ
from voiceflow_model.data.keyed import keyed
from voiceflow_model.data.turns import TurnStatistics, fit_turns, turn_statistics


def voice(speaker: int, number: int, frames: int) -> Utterance:
    rng = keyed("voice", speaker, number)
    return Utterance(
        f"{speaker}/{number}",
        speaker,
        (3000 * rng.standard_normal(frames * FRAME_SAMPLES)).astype(np.int16),
        rng.random(frames) > 0.1,
    )


POOL = {s: [voice(s, n, 60 + 40 * n) for n in range(3)] for s in range(5)}
seeds = st.integers(0, 10**6)


@settings(max_examples=40, deadline=None)
@given(seeds, st.sampled_from(["ami", "voxconverse"]), st.integers(0, 4))
def test_at_most_two_speak_at_once_and_nobody_over_themselves(seed, style, speakers):
    made = simulate(POOL, keyed(seed), ConversationConfig(turn_style=style), speakers=speakers)
    assert made.activity.sum(axis=1).max(initial=0) <= 2
    for slot in range(len(made.speakers)):
        mine = sorted((t.into, t.into + t.frames) for t in made.turns if t.slot == slot)
        assert all(end <= start for (_, end), (start, _) in pairwise(mine))


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_labels_are_where_the_clean_sources_are(seed):
    made = simulate(POOL, keyed(seed), ConversationConfig(), speakers=3)
    energy = (made.sources.reshape(len(made.speakers), -1, FRAME_SAMPLES) ** 2).sum(-1).T  # (frames, speakers)
    assert (energy[made.activity] > 0).all()
    assert len(made.samples) == made.activity.shape[0] * FRAME_SAMPLES == 160_000
    assert np.isfinite(made.samples).all()
    assert np.abs(made.samples).max() <= 1


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_each_speaker_keeps_the_order_of_their_speech(seed):
    made = simulate(POOL, keyed(seed), ConversationConfig(), speakers=2)
    for slot in range(2):
        turns = [t for t in made.turns if t.slot == slot]
        for before, after in pairwise(turns):
            if before.key == after.key and after.offset:
                assert after.offset == before.offset + before.frames


def test_the_generator_alone_decides():
    one, two = (simulate(POOL, keyed("again", 5), ConversationConfig()) for _ in range(2))
    assert one.turns == two.turns
    np.testing.assert_array_equal(one.samples, two.samples)


def test_utterances_that_share_a_key_are_not_mixed_up():
    same_key = {s: [replace(u, key="one") for u in us] for s, us in POOL.items()}
    one, two = (simulate(pool, keyed("key", 5), ConversationConfig(), speakers=3) for pool in (POOL, same_key))
    assert {t.key for t in two.turns} == {"one"}
    assert [t._replace(key="one") for t in one.turns] == list(two.turns)
    np.testing.assert_array_equal(one.samples, two.samples)
    np.testing.assert_array_equal(one.activity, two.activity)


@settings(max_examples=20, deadline=None)
@given(seeds, st.lists(st.tuples(st.integers(0, 1), st.integers(0, 159_999)), min_size=1, max_size=6, unique=True))
def test_a_room_answers_every_click_alike_at_each_place(seed, clicks):
    def wet(*at: tuple[int, int]) -> np.ndarray:
        dry = np.zeros((2, 160_000), np.float32)
        for place, sample in at:
            dry[place, sample] = 1
        return in_room(dry, keyed(seed))

    answers = [wet((place, 0)) for place in (0, 1)]
    expected = sum(np.pad(answers[place], (at, 0))[:160_000] for place, at in clicks)
    np.testing.assert_allclose(wet(*clicks), expected, atol=1e-5)


def test_places_in_a_room_sound_different():
    left, right = (in_room(np.eye(2, 16_000, dtype=np.float32)[[n, 1 - n]], keyed("room")) for n in (0, 1))
    assert np.abs(left - right).max() > 0.01


def test_noise_goes_round_and_round():
    long = noise(100 * SAMPLE_RATE_HZ, keyed("noise"))
    np.testing.assert_array_equal(long[: 40 * SAMPLE_RATE_HZ], long[30 * SAMPLE_RATE_HZ : 70 * SAMPLE_RATE_HZ])
    np.testing.assert_array_equal(long[:160_000], noise(160_000, keyed("noise")))


def test_sounds_come_and_go():
    bouts = [sounds(10 * SAMPLE_RATE_HZ, keyed("sounds", n)) for n in range(40)]
    np.testing.assert_array_equal(bouts[3], sounds(10 * SAMPLE_RATE_HZ, keyed("sounds", 3)))
    frames_db = 20 * np.log10(np.array(bouts).reshape(40, -1, FRAME_SAMPLES).std(axis=2) + 1e-6)  # of speech's level
    assert 0.05 < (frames_db > -20).mean() < 0.3
    assert (frames_db < -60).mean(axis=1).min() > 0.1
    assert all(np.isfinite(sounds(FRAME_SAMPLES, keyed(n))).all() for n in range(40))


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_sounds_are_nobodys_speech(seed):
    dry = ConversationConfig(noiseless_share=1.0, room_share=0.0)
    plain, among = (
        simulate(POOL, keyed(seed), dry.model_copy(update={"sounds_share": share}), speakers=2) for share in (0.0, 1.0)
    )
    np.testing.assert_array_equal(plain.activity, among.activity)
    np.testing.assert_array_equal(plain.sources, among.sources)
    assert plain.turns == among.turns
    mixed = [made.samples @ made.sources.sum(0) / np.square(made.sources.sum(0)).sum() for made in (plain, among)]
    added = among.samples / mixed[1] - plain.samples / mixed[0]
    assert added.std() > 1e-4


def test_silence_and_single_speakers_are_among_the_examples():
    made = [simulate(POOL, keyed(n), ConversationConfig()) for n in range(80)]
    assert {len(c.speakers) for c in made} == {0, 1, 2, 3}


def test_noiseless_conversations_keep_digital_silence():
    quiet = ConversationConfig(noiseless_share=1.0, room_share=0.0)
    made = simulate(POOL, keyed(3), quiet, speakers=0)
    assert not made.samples.any()


def test_probabilities_of_speakers_must_sum_to_one():
    with pytest.raises(ValueError, match="sum to 1"):
        ConversationConfig(speakers=(0.5, 0.4))


def test_more_overlap_asked_for_is_more_overlap():
    def overlap(probability: float) -> float:
        config = ConversationConfig(overlap_probability=probability)
        made = [simulate(POOL, keyed(n), config, speakers=2).activity.sum(1) for n in range(60)]
        return float(np.mean([(a == 2).sum() / max(1, (a > 0).sum()) for a in made]))

    assert overlap(0.0) < 0.01 < overlap(0.5) < overlap(1.0)


def test_turn_statistics_are_what_was_measured():
    fitted = fit_turns([[(0, 2, "a"), (2.5, 4, "b"), (3, 5, "a"), (5.2, 6, "a")]], "example")
    assert fitted.change_probability == round(2 / 3, 4)
    assert fitted.overlap_probability == 0.5
    assert set(fitted.overlap_s) == {1.0}
    assert set(fitted.pause_change_s) == {0.5}
    assert set(fitted.pause_same_s) == {0.2}


def test_own_statistics_are_read_into_the_configuration_and_used(tmp_path: Path):
    quick = fit_turns([[(0, 0.5, "a"), (0.6, 1.1, "b"), (1.2, 1.7, "a"), (1.8, 2.3, "a")]], "quick talkers")
    (tmp_path / "quick.json").write_text(quick.model_dump_json())
    config = ConversationConfig.model_validate({"turn_style": str(tmp_path / "quick.json")})
    assert config.turn_style == quick
    assert ConversationConfig.model_validate(config.model_dump(mode="json")) == config
    made = simulate(POOL, keyed(0), config, speakers=2)
    assert len(made.turns) > 1.5 * len(simulate(POOL, keyed(0), ConversationConfig(), speakers=2).turns)


@pytest.mark.parametrize(
    ("content", "said"), [(None, "cannot be read"), ("[", "cannot be read"), ('{"turns": 3}', "source")]
)
def test_statistics_that_are_none_say_who_writes_them(tmp_path: Path, content: str | None, said: str):
    if content is not None:
        (tmp_path / "turns.json").write_text(content)
    with pytest.raises(ValidationError, match=said):
        ConversationConfig.model_validate({"turn_style": str(tmp_path / "turns.json")})


def test_descending_quantiles_are_refused():
    shipped = turn_statistics("ami").model_dump()
    with pytest.raises(ValidationError, match="ascend"):
        TurnStatistics.model_validate({**shipped, "turn_s": shipped["turn_s"][::-1]})


@pytest.mark.parametrize("style", ["ami", "voxconverse"])
def test_shipped_statistics_are_sorted_quantiles(style):
    statistics = turn_statistics(style)
    for table in (statistics.turn_s, statistics.pause_same_s, statistics.pause_change_s, statistics.overlap_s):
        assert len(table) == 25
        assert list(table) == sorted(table)


def tone(speaker: int) -> Utterance:
    wave = 8000 * np.sin(2 * np.pi * 500 * (speaker + 1) * np.arange(100 * FRAME_SAMPLES) / SAMPLE_RATE_HZ)
    return Utterance(f"{speaker}", speaker, wave.astype(np.int16), np.ones(100, bool))


@pytest.mark.parametrize(("share", "heard"), [(0.0, 1), (1.0, 6)])
def test_babble_is_five_others_from_the_pool(share: float, heard: int):
    config = ConversationConfig(babble_share=share, noiseless_share=0, room_share=0, snr_db=(5, 5))
    for seed in range(5):
        made = simulate({s: [tone(s)] for s in range(9)}, keyed(seed), config, speakers=1)
        spectrum = np.abs(np.fft.rfft(made.samples)) ** 2
        energy = [spectrum[5000 * (s + 1) - 20 : 5000 * (s + 1) + 20].sum() for s in range(9)]
        assert sum(e > 0.01 * max(energy) for e in energy) == heard
        assert np.argmax(energy) == made.speakers[0]


def test_a_crowd_takes_five_others():
    config = ConversationConfig(babble_share=1.0, noiseless_share=0)
    assert np.isfinite(simulate(POOL, keyed(0), config, speakers=2).samples).all()  # three others: noise instead


def test_a_speaker_of_one_utterance_is_heard_from_anywhere_in_it():
    pool = {s: [voice(s, 9, 600)] for s in range(3)}
    offsets = [simulate(pool, keyed(seed), ConversationConfig(), speakers=2).turns[0].offset for seed in range(40)]
    assert np.ptp(offsets) > 400
