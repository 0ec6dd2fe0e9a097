"""Only a model that met every gate, and only the very file that was measured, becomes `latest`."""

import json

import pytest

from voiceflow_model.config import RunConfig
from voiceflow_model.diarization.onnx_runtime import Diarizer
from voiceflow_model.errors import CheckpointCorrupt, ConfigError, GateMissed
from voiceflow_model.runs.run import Run
from voiceflow_model.stages import open_run, run_evaluation, run_export, run_phase
from voiceflow_model.store import Store, open_store


@pytest.fixture(scope="module")
def evaluated(tiny_config: RunConfig) -> tuple[RunConfig, dict[str, bytes]]:
    """Everything that a run consists of before its export."""
    store = open_store("memory://before-export")
    run_phase(tiny_config, "validate", store, "r")
    run_phase(tiny_config, "train", store, "r")
    run_evaluation(tiny_config, store, "r")
    return tiny_config, {info.path: store.read(info.path).data for info in store.list()}


@pytest.fixture
def store(evaluated, tmp_path) -> Store:
    """A store of its own for each test."""
    copy = open_store(str(tmp_path))
    for path, data in evaluated[1].items():
        copy.write(path, data)
    return copy


def test_a_model_that_met_its_gates_becomes_latest_and_runs(evaluated, store):
    result = run_export(evaluated[0], store, "r")
    data = store.read("models/tiny/latest.onnx").data
    assert data == store.read("runs/r/model.onnx").data
    assert json.loads(store.read("models/tiny/latest.json").data)["run_id"] == "r"
    assert result.parity <= 1e-4
    assert Diarizer.load(data).card.run_id == "r"
    assert Run.load(store, "r").record.state == "done"


def test_a_file_that_is_not_the_measured_one_is_never_promoted(evaluated, store):
    store.write("runs/r/model.onnx", store.read("runs/r/model.onnx").data + b" ")
    with pytest.raises(CheckpointCorrupt, match="not the file that was evaluated"):
        run_export(evaluated[0], store, "r")
    assert not store.list("models/")


@pytest.mark.parametrize("gate", ["accuracy", "der"])
def test_a_missed_gate_keeps_the_model_and_does_not_promote_it(evaluated, store, gate):
    record = json.loads(store.read("runs/r/run.json").data)
    config = evaluated[0]
    if gate == "accuracy":
        config = config.model_copy(update={"gates": config.gates.model_copy(update={"accuracy": 0.99})})
        record["config_hash"] = open_run(config, open_store("memory://strict"), "r").record.config_hash
    else:
        record["stages"]["evaluate"]["result"]["report"]["der"] = 10.0
    store.write("runs/r/run.json", json.dumps(record).encode())
    with pytest.raises(GateMissed, match=f"gates.{gate}"):
        run_export(config, store, "r")
    assert not store.list("models/")
    assert store.list("runs/r/model.onnx")
    assert Run.load(store, "r").record.state != "failed"


def test_stages_out_of_order_name_the_one_to_run_first_and_change_nothing(tiny_config, tmp_path):
    empty = open_store(str(tmp_path / "empty"))
    for stage, first in ((run_evaluation, "voiceflow train"), (run_export, "voiceflow evaluate")):
        with pytest.raises(ConfigError, match=f"first `{first}"):
            stage(tiny_config, empty, "r")
    assert not (tmp_path / "empty").exists()
