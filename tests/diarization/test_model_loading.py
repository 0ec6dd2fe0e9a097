import json

import fsspec
import onnx
import pytest
from tone_model import tone_card, tone_model

from voiceflow_model.diarization.card import ModelCard, Tuning
from voiceflow_model.diarization.onnx_runtime import Diarizer
from voiceflow_model.errors import ModelError


def test_loads_from_bytes_a_path_and_a_url(tmp_path):
    data = tone_model()
    path, url = tmp_path / "model.onnx", "memory://models/model.onnx"
    path.write_bytes(data)
    with fsspec.open(url, "wb") as file:
        file.write(data)
    assert Diarizer.load(data).card == Diarizer.load(str(path)).card == Diarizer.load(url).card == tone_card()


def test_a_missing_model_says_where_models_come_from(tmp_path):
    with pytest.raises(ModelError, match=r"no such model.*voiceflow export"):
        Diarizer.load(str(tmp_path / "none.onnx"))


@pytest.mark.parametrize("data", [b"", b"RIFF0000WAVE", tone_model()[:200]])
def test_what_is_no_onnx_file_is_refused(data):
    with pytest.raises(ModelError, match="not an ONNX file"):
        Diarizer.load(data)


def test_another_programs_onnx_is_refused():
    with pytest.raises(ModelError, match="not one of VoiceFlow's"):
        Diarizer.load(tone_model(""))


@pytest.mark.parametrize("card", ["{", "[1]", "{}", '{"schema_version": 1, "num_speakers": "many"}'])
def test_metadata_that_cannot_be_read_is_refused(card):
    with pytest.raises(ModelError, match="metadata cannot be read"):
        Diarizer.load(tone_model(card))


def test_a_newer_schema_asks_for_an_upgrade_even_with_unknown_fields():
    card = {**json.loads(tone_card().model_dump_json()), "invented_later": 1}
    card["schema_version"] = ModelCard.model_fields["schema_version"].default + 1
    with pytest.raises(ModelError, match="update VoiceFlow"):
        Diarizer.load(tone_model(json.dumps(card)))


def test_thresholds_that_were_found_without_pitch_go_without():
    card = json.loads(tone_card(tuning=Tuning(merge_similarity=0.3)).model_dump_json())
    assert Diarizer.load(tone_model(json.dumps(card))).card.tuning.pitch_weight == Tuning().pitch_weight
    del card["tuning"]["pitch_weight"]
    loaded = Diarizer.load(tone_model(json.dumps(card | {"schema_version": 1}))).card
    assert loaded.tuning == Tuning(merge_similarity=0.3, pitch_weight=0)
    assert loaded.schema_version == ModelCard.model_fields["schema_version"].default


def test_a_graph_without_features_is_refused():
    with pytest.raises(ModelError, match="lacks features"):
        Diarizer.load(tone_model(without="features"))


def test_a_graph_without_the_spectrum_that_its_card_promises_is_refused():
    with pytest.raises(ModelError, match="lacks spectrum"):
        Diarizer.load(tone_model(tone_card(spectrum_bands=40)))


def test_the_graphs_own_embeddings_are_not_needed():
    data = tone_model(without="embeddings")
    assert "embeddings" not in [output.name for output in onnx.load_from_string(data).graph.output]
    Diarizer.load(data)
