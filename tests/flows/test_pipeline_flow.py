"""Flows under a real server: what they return and raise, and what the server then shows."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from conftest import ROOT, Watcher  # type: ignore[attr-defined]

from flows.pipeline import PipelineResult, run_pipeline
from flows.stage_flow import run_here, stage_flow
from flows.validate import validate
from tasks.stage_task import stage_task
from voiceflow_model.config import RunConfig
from voiceflow_model.errors import ConfigError, GateMissed, StoreUnavailable, Yielded
from voiceflow_model.runs.record import RunRecord
from voiceflow_model.section import Section
from voiceflow_model.store import open_store

pytestmark = pytest.mark.xdist_group("prefect")


class Answer(Section):
    value: int


@pytest.fixture(scope="module")
def finished(
    prefect_environment: dict[str, str], tiny_config: RunConfig, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, PipelineResult]:
    """A store in which the whole chain has run once, and its result."""
    url = f"file://{tmp_path_factory.mktemp('store')}"
    return url, run_pipeline(tiny_config, url)


def _record(url: str) -> RunRecord:
    return RunRecord.from_bytes(open_store(url).read("runs/tiny/run.json").data, url)


def test_the_chain_trains_measures_and_promotes(finished: tuple[str, PipelineResult], server: Watcher) -> None:
    url, result = finished
    assert result.run_id == "tiny"
    assert json.loads(open_store(url).read("models/tiny/latest.json").data)["der"] == result.exported.der
    state = server.last_flow_run().state
    assert state
    assert state.name == "Completed"


def test_the_server_shows_accuracies_report_pictures_and_model(
    finished: tuple[str, PipelineResult], server: Watcher
) -> None:
    url, result = finished
    artifacts = server.artifacts()
    assert artifacts.keys() == {
        "tiny-validate-accuracy",
        "tiny-validate-curves",
        "tiny-validate-progress",
        "tiny-train-accuracy",
        "tiny-train-curves",
        "tiny-train-progress",
        "tiny-report",
        "tiny-model",
    }
    assert artifacts["tiny-train-progress"].data == 100
    frames, speakers = json.loads(str(artifacts["tiny-train-accuracy"].data))
    assert frames["held out"] == f"{result.trained.accuracy.frame_accuracy:.1%}"
    assert speakers["majority class"] == f"{result.trained.accuracy.speaker_majority:.1%}"
    report = str(artifacts["tiny-report"].data)
    assert report.count("](data:image/png;base64,") == len(result.evaluated.pictures)
    assert ".png)" not in report
    assert f"{result.evaluated.report.der:.1%}" in report
    assert f"{url}/models/tiny/latest.onnx" in str(artifacts["tiny-model"].data)


def test_running_again_skips_all_four_stages_and_says_so(
    finished: tuple[str, PipelineResult], tiny_config: RunConfig, server: Watcher
) -> None:
    url, result = finished
    before = _record(url)
    assert run_pipeline(tiny_config, url) == result
    assert _record(url) == before
    stages = ("validate", "train", "evaluate", "export")
    assert server.task_states(*stages) == dict.fromkeys(stages, "Skipped")


def test_a_missed_gate_fails_the_flow_shows_the_figures_and_stops_the_chain(
    tiny_config: RunConfig, server: Watcher, tmp_path: Path
) -> None:
    strict = tiny_config.model_copy(update={"gates": tiny_config.gates.model_copy(update={"accuracy": 1.0})})
    with pytest.raises(GateMissed, match="exceed 100%") as missed:
        run_pipeline(strict, str(tmp_path))
    assert missed.value.exit_code == 3
    state = server.last_flow_run().state
    assert state
    assert state.is_failed()
    assert str(state.message).startswith("GateMissed: validate: frame accuracy")
    assert server.task_states("validate") == {"validate": "Failed"}
    assert "tiny-validate-accuracy" in server.artifacts()


def test_a_yield_ends_the_flow_in_order_and_the_next_run_continues(
    tiny_config: RunConfig, server: Watcher, tmp_path: Path
) -> None:
    session = tiny_config.session.model_copy(update={"session_minutes": 1e-6})
    with pytest.raises(Yielded, match="session budget") as stopped:
        run_pipeline(tiny_config.model_copy(update={"session": session}), str(tmp_path))
    assert stopped.value.exit_code == 75
    state = server.last_flow_run().state
    assert state
    assert (state.name, state.is_completed()) == ("Yielded", True)
    assert server.task_states("validate") == {"validate": "Yielded"}
    assert run_here(validate, tiny_config, str(tmp_path)).steps == 2


def test_a_wrong_setting_fails_the_flow_with_the_advice(server: Watcher, tmp_path: Path) -> None:
    state = validate("demo", str(tmp_path), settings=["training.batchsize=3"], return_state=True)
    assert state.is_failed()
    assert "did you mean 'batch_size'" in str(state.message)
    assert isinstance(state.data.result, ConfigError)


def _flow_of(
    failures: list[Exception], delays_s: tuple[float, ...], publish: object = None
) -> tuple[object, list[int]]:
    """A flow of one task that raises the failures in turn, then answers; and a list that grows with each try.

    Like a stage that is done, one that has answered is only read, which `run_here` does where an answer got lost.
    """
    tries: list[int] = []

    def fail_then_answer(config: RunConfig, store_url: str, run_id: str) -> Answer:
        if len(tries) <= len(failures):
            tries.append(len(tries))
        if len(tries) <= len(failures):
            raise failures[len(tries) - 1]
        return Answer(value=42)

    made = stage_task("answer", Answer, publish or (lambda *_: None), delays_s)(fail_then_answer)  # type: ignore[arg-type]

    @stage_flow(f"voiceflow-test-{uuid4().hex[:6]}", until="answer")
    def asking(config: RunConfig, store_url: str, run_id: str) -> Answer:
        """Ask."""
        return made(config, store_url, run_id)

    return asking, tries


@pytest.mark.usefixtures("server")
def test_an_unreachable_store_is_tried_again(tiny_config: RunConfig, tmp_path: Path) -> None:
    flow, tries = _flow_of([StoreUnavailable("503"), ConnectionResetError()], (0, 0))
    assert run_here(flow, tiny_config, str(tmp_path)) == Answer(value=42)  # type: ignore[arg-type]
    assert len(tries) == 3


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("error", [ConfigError("wrong"), RuntimeError("CUDA out of memory")])
def test_what_no_retry_cures_is_raised_at_once(error: Exception, tiny_config: RunConfig, tmp_path: Path) -> None:
    flow, tries = _flow_of([error], (0, 0))
    with pytest.raises(type(error), match=str(error)):
        run_here(flow, tiny_config, str(tmp_path))  # type: ignore[arg-type]
    assert len(tries) == 1


@pytest.mark.usefixtures("server")
def test_an_artifact_that_fails_costs_no_result(tiny_config: RunConfig, tmp_path: Path) -> None:
    def publish(*_: object) -> None:
        raise OSError("no space for artifacts")

    flow, _ = _flow_of([], (), publish)
    assert run_here(flow, tiny_config, str(tmp_path)) == Answer(value=42)  # type: ignore[arg-type]


@pytest.mark.usefixtures("server")
def test_an_answer_of_the_server_that_gets_lost_costs_no_result(
    tiny_config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = httpx.Client.send

    def asked_again(client: httpx.Client, request: httpx.Request, **options: Any) -> httpx.Response:
        answer = send(client, request, **options)
        final = request.url.path.endswith("/set_state") and b"COMPLETED" in request.content
        return send(client, request, **options) if final else answer

    monkeypatch.setattr(httpx.Client, "send", asked_again)
    flow, _ = _flow_of([], ())
    assert run_here(flow, tiny_config, str(tmp_path)) == Answer(value=42)  # type: ignore[arg-type]


SERVED = """
import os, signal, time
signals = signal.SIGINT, signal.SIGTERM
for number in signals:
    signal.signal(number, lambda *_: None)  # as whoever trains does
from flows.server import serve
from prefect.client.orchestration import get_client
serve()
with get_client(sync_client=True) as client:
    print(client.api_url.port, flush=True)
    for number in signals:
        os.killpg(0, number)
    time.sleep(2)
    print(client.hello().status_code, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_embedded_server_outlives_ctrl_c_and_sigterm_but_not_its_flow(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "PREFECT_API_URL"} | {"PREFECT_HOME": str(tmp_path)}
    command = [sys.executable, "-c", SERVED]
    told = subprocess.run(
        command, env=environment, cwd=ROOT, start_new_session=True, stdout=subprocess.PIPE, check=False
    )
    assert told.returncode == -signal.SIGKILL
    port, answer = map(int, told.stdout.split())
    assert answer == 200
    refused, deadline = 0, time.monotonic() + 60
    while not refused and time.monotonic() < deadline:
        with socket.socket() as asking:
            refused = asking.connect_ex(("127.0.0.1", port))
        time.sleep(0.1)
    assert refused == errno.ECONNREFUSED
