import pytest
from tone_model import tone_card, tone_model, tones

from voiceflow_model.diarization.card import Tuning
from voiceflow_model.diarization.onnx_runtime import Diarizer
from voiceflow_model.diarization.rttm import Turn
from voiceflow_model.errors import CorpusError
from voiceflow_model.evaluation.recording import Recording
from voiceflow_model.evaluation.tuning import SIMILARITIES, middle_of_flat, search, smoothed, tune


def recording(script, duration_s):
    reference = [Turn(start, end - start, f"tone{who}") for start, end, who in script]
    return Recording("tones", tones(script, duration_s), reference, duration_s)


def test_takes_the_middle_of_the_widest_flat_region_and_not_its_edge():
    values = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
    assert middle_of_flat(values, [0.1, 0.5, 0.104, 0.103, 0.102, 0.101, 0.4]) == 0.45
    assert middle_of_flat(values, [0.5, 0.5, 0.1, 0.5, 0.5, 0.5, 0.5]) == 0.3
    assert middle_of_flat(values, [0.2] * 7) == 0.4


def test_a_lucky_point_is_smoothed_away():
    assert smoothed([0.3, 0.0, 0.3, 0.15]) == pytest.approx([0.15, 0.2, 0.15, 0.225])
    lucky, broad = 0.25, {0.6, 0.65, 0.7}

    def der(tuning):
        return 0.05 if tuning.merge_similarity == lucky else 0.1 if tuning.merge_similarity in broad else 0.2

    assert search(der, Tuning()).merge_similarity == pytest.approx(0.65, abs=0.03)


def test_tones_that_never_resemble_each_other_put_the_threshold_in_the_middle_of_nothing():
    script = [(6.0 * i, 6.0 * i + 5, i % 4) for i in range(6)]
    start = Tuning(pitch_weight=0)  # most of these tones return every 10 ms, and so have one pitch
    tuned = tune(Diarizer.load(tone_model(tone_card(tuning=start))), [recording(script, 36.0)])
    assert tuned.merge_similarity == pytest.approx((SIMILARITIES[0] + SIMILARITIES[-1]) / 2, abs=0.05)
    assert tuned.model_copy(update={"merge_similarity": 0.6}) == start


def test_a_parameter_that_helps_is_moved(diarizer):
    pauses = [(2.0 * i, 2.0 * i + 1.6, i // 4) for i in range(12)]
    samples = tones(pauses, 24.0)
    reference = [Turn(8.0 * who, 7.6, f"tone{who}") for who in range(3)]
    assert tune(diarizer, [Recording("pauses", samples, reference, 24.0)]).min_pause_s == 0.4


def test_a_recording_is_analysed_once(diarizer):
    class Counting:
        card, calls = diarizer.card, 0

        def analyse(self, samples):
            self.calls += 1
            return diarizer.analyse(samples)

    counting = Counting()
    tune(counting, [recording([(0.0, 3.0, 0)], 4.0), recording([(0.0, 3.0, 1)], 4.0)])
    assert counting.calls == 2


def test_threshold_and_share_are_searched_together():
    def der(tuning):
        centre, least = (0.35, 0.1) if tuning.min_cluster_share == 0.08 else (0.7, 0.2)
        return least + abs(tuning.merge_similarity - centre)

    best = search(der, Tuning())
    assert (best.min_cluster_share, best.merge_similarity) == (0.08, 0.35)


def test_what_founds_a_cluster_is_chosen_too():
    assert search(lambda tuning: 0.2 - 0.01 * (tuning.min_embed_s == 0.8), Tuning()).min_embed_s == 0.8


def test_luck_below_a_tenth_of_a_percent_changes_nothing():
    assert search(lambda tuning: 0.2 - 0.0005 * (tuning.onset == 0.4), Tuning()).onset == Tuning().onset


def test_there_must_be_speech_to_tune_on(diarizer):
    with pytest.raises(CorpusError, match="nobody speaks"):
        tune(diarizer, [Recording("silence", tones([], 3.0), [], 3.0)])
