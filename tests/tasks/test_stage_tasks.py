"""Every task as a plain function: a temporary store, CPU, no server."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tasks import evaluate_model, export_model, train_model, validate_pipeline
from tasks.stage_task import StageTask
from voiceflow_model.config import RunConfig
from voiceflow_model.errors import ConfigError, GateMissed, Yielded
from voiceflow_model.runs.record import RunRecord
from voiceflow_model.store import open_store

STAGES: dict[str, StageTask[Any]] = {
    "validate": validate_pipeline,
    "train": train_model,
    "evaluate": evaluate_model,
    "export": export_model,
}


@pytest.fixture(autouse=True, scope="module")
def _no_server() -> Iterator[None]:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a task called as a function asked for a Prefect server")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("prefect.client.orchestration.get_client", refuse)
        patch.setattr("prefect.artifacts.get_client", refuse)
        yield


@pytest.fixture(scope="module")
def finished(tiny_config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    """A store in which all stages of run `r` have finished, and what the tasks returned."""
    url = f"file://{tmp_path_factory.mktemp('store')}"
    return url, {name: stage.fn(tiny_config, url, "r") for name, stage in STAGES.items()}


def _record(url: str) -> RunRecord:
    return RunRecord.from_bytes(open_store(url).read("runs/r/run.json").data, url)


def test_the_chain_leaves_a_promoted_model(finished: tuple[str, dict[str, Any]]) -> None:
    url, results = finished
    promoted = open_store(url).read("models/tiny/latest.onnx").data
    assert results["export"].bytes == len(promoted)
    assert _record(url).state == "done"


@pytest.mark.parametrize("name", STAGES)
def test_a_task_returns_the_record_that_its_run_keeps(name: str, finished: tuple[str, dict[str, Any]]) -> None:
    url, results = finished
    assert _record(url).stages[name].result == results[name].model_dump(mode="json")


@pytest.mark.parametrize("name", STAGES)
def test_a_second_call_takes_no_lease_and_returns_the_same(
    name: str, tiny_config: RunConfig, finished: tuple[str, dict[str, Any]]
) -> None:
    url, results = finished
    before = _record(url)
    assert STAGES[name].fn(tiny_config, url, "r") == results[name]
    assert _record(url) == before


@pytest.fixture
def refused(tiny_config: RunConfig) -> Callable[..., RunConfig]:
    def with_gate(**gate: float) -> RunConfig:
        return tiny_config.model_copy(update={"gates": tiny_config.gates.model_copy(update=gate)})

    return with_gate


def test_a_missed_gate_is_raised_each_time_and_trains_only_once(
    refused: Callable[..., RunConfig], tmp_path: Any
) -> None:
    config, url = refused(accuracy=1.0), str(tmp_path)
    with pytest.raises(GateMissed, match="validate"):
        validate_pipeline.fn(config, url, "r")
    fence = _record(url).fence
    with pytest.raises(GateMissed, match="validate"):
        validate_pipeline.fn(config, url, "r")
    assert _record(url).fence == fence


def test_a_spent_session_yields_and_the_next_one_finishes(tiny_config: RunConfig, tmp_path: Any) -> None:
    short = tiny_config.model_copy(update={"session": tiny_config.session.model_copy(update={"session_minutes": 1e-6})})
    with pytest.raises(Yielded, match="session budget"):
        validate_pipeline.fn(short, str(tmp_path), "r")
    assert _record(str(tmp_path)).state == "yielded"
    assert validate_pipeline.fn(tiny_config, str(tmp_path), "r").steps == 2


def test_a_url_that_names_no_store_is_a_configuration_error(tiny_config: RunConfig) -> None:
    with pytest.raises(ConfigError, match="names no store"):
        validate_pipeline.fn(tiny_config, "s3://elsewhere", "r")
