import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from spyder.der import _DER

from voiceflow_model.diarization.rttm import Turn
from voiceflow_model.errors import ConfigError
from voiceflow_model.evaluation.der import errors, score

WHOLE = [(0.0, 20.0)]
tenths = st.integers(0, 150).map(lambda n: n / 10)
lengths = st.integers(1, 50).map(lambda n: n / 10)


def turns_of(names):
    return st.lists(st.builds(Turn, tenths, lengths, st.sampled_from(names)), min_size=1, max_size=8)


def united(turns):
    """Turns with overlaps of a speaker with himself united: what spy-der needs and `errors` does by itself."""
    result = []
    for name in {turn.speaker for turn in turns}:
        spans = []
        for turn in sorted(turn for turn in turns if turn.speaker == name):
            if spans and turn.start_s <= spans[-1][1]:
                spans[-1][1] = max(spans[-1][1], turn.end_s)
            else:
                spans.append([turn.start_s, turn.end_s])
        result += [(name, start, end) for start, end in spans]
    return result


def spy(reference, hypothesis, collar):

    return _DER(united(reference), united(hypothesis), WHOLE, regions="all", collar=collar)


@settings(max_examples=60, deadline=None)
@given(reference=turns_of("ABC"), hypothesis=turns_of("xyz"), collar_s=st.sampled_from([0.0, 0.25]))
@example(reference=[Turn(12.1, 1.2, "B"), Turn(13.3, 0.1, "B")], hypothesis=[Turn(0.0, 0.1, "x")], collar_s=0.25)
def test_agrees_with_spy_der(reference, hypothesis, collar_s):
    ours, theirs = errors(reference, hypothesis, WHOLE, collar_s=collar_s), spy(reference, hypothesis, collar_s)
    assert ours.speech_s == pytest.approx(theirs.duration, abs=1e-6)
    assume(ours.speech_s > 0.01)  # spy-der gives rates only
    assert ours.missed_s == pytest.approx(theirs.miss * theirs.duration, abs=1e-6)
    assert ours.false_alarm_s == pytest.approx(theirs.falarm * theirs.duration, abs=1e-6)
    if collar_s == 0:
        assert ours.confusion_s == pytest.approx(theirs.conf * theirs.duration, abs=1e-6)
    else:  # spy-der maps speakers before it cuts the collar out, pyannote after, which can only be better
        assert ours.confusion_s <= theirs.conf * theirs.duration + 1e-6


@settings(max_examples=30, deadline=None)
@given(reference=turns_of("ABC"))
def test_names_do_not_matter_and_nothing_found_is_all_missed(reference):
    renamed = [Turn(turn.start_s, turn.duration_s, turn.speaker + "_") for turn in reference]
    assert score("x", reference, renamed, WHOLE).der == pytest.approx(0, abs=1e-9)
    silent = score("x", reference, [], WHOLE)
    assert (silent.der, silent.jer) == (pytest.approx(1), 1)
    assert silent.errors.missed_s == pytest.approx(silent.errors.speech_s)


def test_each_kind_of_error_is_counted_in_seconds():
    reference = [Turn(0, 10, "A"), Turn(10, 4, "B")]
    hypothesis = [Turn(0, 9, "x"), Turn(9, 1, "y"), Turn(10, 2, "y"), Turn(15, 3, "x")]
    found = score("one", reference, hypothesis, WHOLE)
    assert found.errors.confusion_s == pytest.approx(1)
    assert found.errors.missed_s == pytest.approx(2)
    assert found.errors.false_alarm_s == pytest.approx(3)
    assert found.der == pytest.approx(6 / 14)
    assert found.jer == pytest.approx(((1 + 3) / 13 + (1 + 2) / 5) / 2)
    assert (found.speakers_ref, found.speakers_hyp) == (2, 2)


def test_a_collar_is_a_half_width():
    reference, late = [Turn(5, 10, "A")], [Turn(5.2, 10, "x")]
    assert errors(reference, late, WHOLE).rate == pytest.approx(0.04)
    assert errors(reference, late, WHOLE, collar_s=0.1).error_s == pytest.approx(0.2)
    assert score("x", reference, late, WHOLE).errors_collar.rate == 0


def test_overlaps_of_a_speaker_with_himself_count_once():
    twice = [Turn(0, 6, "A"), Turn(4, 6, "A")]
    assert errors(twice, [Turn(0, 10, "x")], WHOLE).rate == 0
    assert errors([Turn(0, 10, "A")], twice, WHOLE).rate == 0


def test_nothing_outside_the_uem_counts():
    reference, hypothesis = [Turn(0, 5, "A"), Turn(12, 2, "B")], [Turn(0, 5, "x"), Turn(16, 4, "y")]
    found = score("x", reference, hypothesis, [(0.0, 10.0)])
    assert (found.der, found.speakers_ref, found.speakers_hyp) == (0, 1, 1)


def test_a_recording_without_speech_is_right_only_when_nothing_is_found():
    nothing, alarm = score("x", [], [], WHOLE), score("x", [], [Turn(0, 1, "x")], WHOLE)
    assert (nothing.der, nothing.jer) == (0, 0)
    assert (alarm.der, alarm.jer) == (1, 1)


def test_an_empty_uem_and_a_negative_collar_are_refused():
    with pytest.raises(ConfigError, match="nothing to score"):
        score("x", [], [], [])
    with pytest.raises(ConfigError, match="half-width"):
        errors([], [], WHOLE, collar_s=-0.25)
