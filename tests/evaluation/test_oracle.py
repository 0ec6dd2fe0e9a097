import pytest
from tone_model import tone_card, tone_model, tones

from voiceflow_model.diarization.card import Tuning
from voiceflow_model.diarization.onnx_runtime import Diarizer
from voiceflow_model.diarization.rttm import Turn
from voiceflow_model.evaluation.oracle import oracle_table
from voiceflow_model.evaluation.recording import Recording

SCRIPT = [(0.0, 5.0, 0), (5.0, 10.0, 1), (10.0, 15.0, 0), (15.0, 20.0, 1)]
RECORDING = Recording("tones", tones(SCRIPT, 20.0), [Turn(a, b - a, f"tone{who}") for a, b, who in SCRIPT], 20.0)


def table(model: bytes) -> dict[str, float]:
    return oracle_table(Diarizer.load(model), [RECORDING]).model_dump()


def test_a_pipeline_that_is_right_gains_nothing():
    assert table(tone_model()) == pytest.approx(dict.fromkeys(table(tone_model()), 0.0), abs=0.01)


def test_a_threshold_that_merges_everybody_is_a_fault_of_clustering():
    found = table(tone_model(tone_card(tuning=Tuning(merge_similarity=-1.0))))
    assert found["nothing"] == found["segmentation"] == pytest.approx(0.5, abs=0.01)
    assert found["count"] == found["clustering"] == pytest.approx(0.0, abs=0.01)


def test_speech_that_is_not_heard_is_a_fault_of_segmentation():
    found = table(tone_model(audible=9.0))
    assert found["nothing"] == found["count"] == found["clustering"] == pytest.approx(1.0)
    assert found["segmentation"] == pytest.approx(0.0, abs=0.01)
