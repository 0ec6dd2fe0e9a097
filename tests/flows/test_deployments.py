"""prefect.yaml: what `prefect deploy --all` will read."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect import Flow
from prefect.client.schemas.schedules import CronSchedule
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.templating import apply_values

from flows.parameters import configuration
from voiceflow_model.config import shipped

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = yaml.safe_load((ROOT / "prefect.yaml").read_text())
DEPLOYMENTS: dict[str, dict[str, Any]] = {d["name"]: d for d in PROJECT["deployments"]}


def _flow(name: str) -> "Flow[..., Any]":
    return load_flow_from_entrypoint(DEPLOYMENTS[name]["entrypoint"])


def test_every_stage_and_every_configuration_of_the_chain_has_a_deployment() -> None:
    assert list(DEPLOYMENTS) == [
        "demo",
        "librispeech",
        "voxceleb",
        "validate",
        "train",
        "evaluate",
        "export",
        "supervise",
        "mirror",
    ]


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_entrypoints_lead_to_the_flow_that_the_deployment_is_named_after(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    expected = "pipeline" if name in shipped() else name
    assert _flow(name).name == f"voiceflow-{expected}"


@pytest.mark.parametrize("place", ["", "gs://bucket/prefix"])
@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_parameters_are_valid_with_and_without_a_place(name: str, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    parameter, variable = ("to", "VOICEFLOW_MIRROR") if name == "mirror" else ("store", "VOICEFLOW_STORE")
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv(variable, raising=False)
    if place:
        monkeypatch.setenv(variable, place)
    parameters = apply_values(DEPLOYMENTS[name]["parameters"], {})
    validated = _flow(name).validate_parameters(parameters)
    if name == "supervise":
        assert validated["store"] == place
        return
    assert validated.items() >= {"config": parameters["config"], parameter: place}.items()
    assert parameters["config"] in shipped()
    configuration(parameters["config"], [])


def test_a_form_can_be_drawn_for_the_whole_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    schema = _flow("demo").parameters
    assert list(schema.properties) == ["config", "store", "run_id", "settings"]
    assert "RunConfig" in schema.definitions
    assert schema.required == []
    assert all("description" in schema.properties[name] for name in schema.properties)


def test_a_form_can_be_drawn_for_a_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    schema = _flow("mirror").parameters
    assert list(schema.properties) == ["config", "to", "phase", "settings"]
    assert schema.required == []
    assert all("description" in schema.properties[name] for name in schema.properties)


def test_retraining_is_weekly_alone_and_starts_paused() -> None:
    (schedule,) = DEPLOYMENTS["librispeech"]["schedules"]
    assert CronSchedule(cron=schedule["cron"], timezone=schedule["timezone"]).cron.endswith("* * 0")
    assert schedule["active"] is False
    assert DEPLOYMENTS["librispeech"]["concurrency_limit"] == {"limit": 1, "collision_strategy": "CANCEL_NEW"}
    assert [name for name, d in DEPLOYMENTS.items() if "schedules" in d] == ["librispeech", "supervise"]
