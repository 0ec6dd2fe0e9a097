"""The whole way of a deployed run: server, work pool, deploy, run, worker. Nothing is faked."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Watcher  # type: ignore[attr-defined]

from voiceflow_model.config import RunConfig
from voiceflow_model.store import open_store

pytestmark = pytest.mark.xdist_group("prefect")


def test_a_deployed_pipeline_runs_on_a_worker(
    prefect_command: Callable[..., str], server: Watcher, tiny_config: RunConfig, tmp_path: Path
) -> None:
    for pool in ("voiceflow", "voiceflow-control"):
        prefect_command("work-pool", "create", pool, "--type", "process")
    deployed = prefect_command("deploy", "--all")
    assert set(re.findall(r"'(voiceflow-\w+/\w+)' successfully created", deployed)) == {
        "voiceflow-pipeline/demo",
        "voiceflow-pipeline/librispeech",
        "voiceflow-pipeline/voxceleb",
        "voiceflow-validate/validate",
        "voiceflow-train/train",
        "voiceflow-evaluate/evaluate",
        "voiceflow-export/export",
        "voiceflow-supervise/supervise",
        "voiceflow-mirror/mirror",
    }
    config = tiny_config.model_dump(mode="json", by_alias=True)
    parameters = {"config": config, "store": str(tmp_path), "run_id": "deployed"}
    prefect_command("deployment", "run", "voiceflow-pipeline/demo", "--params", json.dumps(parameters))
    log = prefect_command("worker", "start", "--pool", "voiceflow", "--run-once")
    state = server.last_flow_run().state
    assert state
    assert state.name == "Completed", log
    assert json.loads(open_store(str(tmp_path)).read("models/tiny/latest.json").data)["run_id"] == "deployed"
    assert server.artifacts()["tiny-train-progress"].data == 100
    assert server.schedules("voiceflow-supervise/supervise"), "the supervisor would never run"
