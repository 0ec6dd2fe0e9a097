import json
import sys
import types
from pathlib import Path

import pytest
from command_line import VoiceFlow, audio
from tone_model import tones

from voiceflow_model.cli.record import record_if_any
from voiceflow_model.cli.settings import configured, of_run
from voiceflow_model.config import load_config
from voiceflow_model.data.corpora import open_corpus
from voiceflow_model.errors import ConfigError, GateMissed, StoreUnavailable
from voiceflow_model.store import open_store


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """Stands in for the flows: `run_pipeline` raises `error` if there is one, and notes how it was called."""
    module = types.ModuleType("flows.pipeline")
    module.error, module.calls = None, []  # type: ignore[attr-defined]

    def run_pipeline(config: object, store_url: str, run_id: str) -> None:
        module.calls.append((config, store_url, run_id))
        if module.error is not None:
            raise module.error

    module.run_pipeline = run_pipeline  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "flows.pipeline", module)
    return module


def test_the_settings_of_a_run_are_read_back_from_its_record(tiny: str, finished: str) -> None:
    record = record_if_any(open_store(finished), "tiny")
    assert record is not None
    assert of_run(record).hash() == load_config(tiny).hash()


def test_run_ends_with_all_that_was_reached(
    voiceflow: VoiceFlow, tiny: str, finished: str, pipeline: types.ModuleType
) -> None:
    result = voiceflow("run", "--config", tiny, "--store", finished)
    assert result.exit_code == 0, result.stderr
    assert pipeline.calls == [(load_config(tiny), finished, "tiny")]
    for part in (
        "frame accuracy", "(majority class", "speaker accuracy", "DER", "false alarm", "missed", "confusion", "EER",
        "equals torch within", f"{finished}/models/tiny/latest.onnx", "report.md", "curves.png", "timeline-worst.png",
        "done before, skipped",
    ):  # fmt: skip
        assert part in result.stdout, part
    command = next(line for line in result.stdout.splitlines() if line.startswith("try")).split()
    Path("meeting.wav").write_bytes(audio(tones([(0, 2, 0)], 3)))
    assert voiceflow(*command[2:]).exit_code == 0


def test_run_prints_one_json_document(
    voiceflow: VoiceFlow, tiny: str, finished: str, pipeline: types.ModuleType
) -> None:
    document = json.loads(voiceflow("run", "-c", tiny, "--store", finished, "--json").stdout)
    assert document["skipped"] == ["validate", "train", "evaluate", "export"]
    assert document["promoted"]
    assert document["evaluation"]["ci_low"] <= document["evaluation"]["der"] <= document["evaluation"]["ci_high"]


def test_a_run_that_misses_a_gate_still_says_what_it_reached(
    voiceflow: VoiceFlow, tiny: str, finished: str, pipeline: types.ModuleType
) -> None:
    pipeline.error = GateMissed("evaluate: DER 40 % is not under 15 %")
    result = voiceflow("run", "--config", tiny, "--store", finished)
    assert result.exit_code == 3
    assert "error: evaluate: DER 40 % is not under 15 %" in result.stderr
    assert "DER" in result.stdout


def test_a_run_whose_store_goes_away_says_only_that(
    voiceflow: VoiceFlow, tiny: str, pipeline: types.ModuleType
) -> None:
    pipeline.error = StoreUnavailable("the bucket is gone")
    result = voiceflow("run", "--config", tiny, "--store", "store")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "the bucket is gone" in result.stderr


def test_status_lists_runs(voiceflow: VoiceFlow, finished: str) -> None:
    document = json.loads(voiceflow("status", "--store", finished, "--json").stdout)
    assert [(run["run_id"], run["state"]) for run in document] == [("tiny", "done")]
    assert document[0]["stages"] == ["validate", "train", "evaluate", "export"]
    assert document[0]["steps"] == {"validate": [6, 6], "train": [48, 48]}
    assert "train 48/48" in voiceflow("status", "--store", finished).stdout
    details = voiceflow("status", "--store", finished, "--run-id", "tiny")
    assert "runs/tiny/train/step-00000048" in details.stdout
    unknown = voiceflow("status", "--store", finished, "--run-id", "other")
    assert unknown.exit_code == 2
    assert "runs there: tiny" in unknown.stderr


def test_status_of_an_empty_store_says_how_to_start(voiceflow: VoiceFlow) -> None:
    result = voiceflow("status", "--store", "nothing")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "voiceflow run --config demo --store nothing" in result.stderr


def test_evaluate_of_a_finished_run_shows_its_stored_report(voiceflow: VoiceFlow, finished: str) -> None:
    result = voiceflow("evaluate", "--model", f"{finished}/runs/tiny", "--json")
    assert result.exit_code == 0, result.stderr
    assert "already done" in result.stderr
    assert json.loads(result.stdout)["recordings"] == 2


def test_evaluate_of_a_file_needs_something_to_measure_it_on(voiceflow: VoiceFlow, finished: str, tiny: str) -> None:
    model = f"{finished}/models/tiny/latest.onnx".removeprefix("file://")
    assert voiceflow("evaluate", "--model", model).exit_code == 2
    measured = voiceflow("evaluate", "--model", model, "--config", tiny, "--json")
    assert measured.exit_code == 0, measured.stderr
    stored = voiceflow("evaluate", "--model", "tiny", "--store", finished, "--json")
    assert json.loads(measured.stdout)["der"] == pytest.approx(json.loads(stored.stdout)["der"])
    missed = voiceflow("evaluate", "--model", model, "--config", tiny, "--set", "gates.der=0", "--json")
    assert missed.exit_code == 3
    assert json.loads(missed.stdout)["recordings"] == 2
    assert "gates.der" in missed.stderr


def test_evaluate_on_a_folder_of_recordings(voiceflow: VoiceFlow, tone_onnx: Path, two_tones: bytes) -> None:
    Path("data").mkdir()
    Path("data/a.wav").write_bytes(two_tones)
    Path("data/a.rttm").write_text("SPEAKER a 1 0 2 <NA> <NA> x <NA> <NA>\nSPEAKER a 1 2 2 <NA> <NA> y <NA> <NA>\n")
    result = voiceflow("evaluate", "--model", tone_onnx, "--data", "data", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["der"] == pytest.approx(0, abs=0.02)
    empty = voiceflow("evaluate", "--model", tone_onnx, "--data", ".")
    assert empty.exit_code == 2
    assert "no .rttm file" in empty.stderr


def test_export_brings_the_file_here(voiceflow: VoiceFlow, finished: str) -> None:
    result = voiceflow("export", "--model", "tiny", "--store", finished, "--out", "new/model.onnx")
    assert result.exit_code == 0, result.stderr
    stored = open_store(finished).read("models/tiny/latest.onnx").data
    assert Path("new/model.onnx").read_bytes() == stored
    assert voiceflow("export", "--model", "new/model.onnx").exit_code == 2


def test_a_run_that_was_not_trained_cannot_be_evaluated_or_used(
    voiceflow: VoiceFlow, tiny: str, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    trained = voiceflow(
        "train", "-c", tiny, "--phase", "validate", "--store", store, "--set", "phases.validate.windows_per_epoch=4"
    )
    assert trained.exit_code == 0, trained.stderr
    before = (store / "runs/tiny/run.json").read_bytes()
    for command, first in (("evaluate", "voiceflow train"), ("export", "voiceflow evaluate")):
        result = voiceflow(command, "--model", "tiny", "--store", store)
        assert result.exit_code == 2
        assert f"first `{first}" in result.stderr
    assert (store / "runs/tiny/run.json").read_bytes() == before
    unusable = voiceflow("diarize", "talk.wav", "--model", f"{store}/runs/tiny", "--out", "out")
    assert unusable.exit_code == 2
    assert "has no model.onnx yet" in unusable.stderr


def test_a_placeholder_in_a_phase_is_refused() -> None:
    config = configured("voxceleb", ["corpus.url=gs://YOUR-BUCKET/librispeech"])
    with pytest.raises(ConfigError, match=r"phases\.PHASE\.corpus\.url"):
        open_corpus(config.corpus_of("validate"))
