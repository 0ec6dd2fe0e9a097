import pytest
from test_phase import TINY, go

from voiceflow_model.config import parse_config
from voiceflow_model.data.corpora import open_corpus
from voiceflow_model.diarization.card import ModelCard
from voiceflow_model.diarization.onnx_runtime import Diarizer
from voiceflow_model.evaluation.oracle import oracle_table
from voiceflow_model.evaluation.simulated import heldout_recordings
from voiceflow_model.evaluation.tuning import SIMILARITIES
from voiceflow_model.export.onnx import export_onnx
from voiceflow_model.network.model import seeded_model
from voiceflow_model.training.unseen import UnseenVoices

SETTINGS = TINY["evaluation"] | {"validation_recordings": 2, "dev_recordings": 2, "recording_s": 10.0}
CONFIG = parse_config(TINY | {"evaluation": SETTINGS})


def test_it_measures_what_the_exported_file_would_do():
    model = seeded_model(CONFIG.network, 0).eval()
    found = UnseenVoices(CONFIG).measure(model)
    assert found is not None
    recordings = list(heldout_recordings(CONFIG, open_corpus(CONFIG.corpus), "dev"))
    card = ModelCard(
        num_speakers=3, window_s=2.0, powerset=model.powerset.classes, spectrum_bands=CONFIG.network.mels,
        config_hash="", run_id="", step=0,
    )  # fmt: skip
    tunings = [card.tuning.model_copy(update={"merge_similarity": value}) for value in SIMILARITIES]
    exported = [export_onnx(model, card.model_copy(update={"tuning": tuning})) for tuning in tunings[::6]]
    possible = [oracle_table(Diarizer.load(data), recordings) for data in exported]
    assert found.clustering == pytest.approx(possible[0].clustering, abs=0.01)  # which no threshold changes
    assert found.nothing <= max(one.nothing for one in possible) + 0.01


def test_a_phase_tells_it_and_keeps_it_in_the_curve():
    result, _ = go("memory://unseen", config=CONFIG)
    assert result.accuracy.unseen_nothing is not None
    assert [point for point in result.curve if "held_out_unseen_clustering" in point]
    assert result.accuracy.unseen_nothing == result.curve[-1]["held_out_unseen_nothing"]


def test_nobody_is_diarized_where_no_recordings_are_asked_for():
    assert UnseenVoices(parse_config(TINY)).measure(seeded_model(CONFIG.network, 0).eval()) is None
