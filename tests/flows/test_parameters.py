from datetime import UTC, datetime

import pytest

from flows.parameters import configuration, run_name, store_url
from voiceflow_model.config import RunConfig, load_config
from voiceflow_model.errors import ConfigError


def test_a_configuration_is_named_or_given_and_settings_change_either(tiny_config: RunConfig) -> None:
    assert configuration("demo", []) == load_config("demo")
    assert configuration(tiny_config, []) == tiny_config
    assert configuration("demo", ["seed=7"]).seed == 7
    changed = configuration(tiny_config, ["phases.validate.epochs=3"])
    assert changed.phase("validate").epochs == 3
    assert changed.phase("train") == tiny_config.phase("train")


def test_an_unknown_setting_is_named(tiny_config: RunConfig) -> None:
    with pytest.raises(ConfigError, match="batch_size"):
        configuration(tiny_config, ["training.batchsize=3"])


def test_the_store_given_wins_over_the_workers_and_that_over_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VOICEFLOW_STORE", raising=False)
    assert store_url("") == "./voiceflow-store"
    monkeypatch.setenv("VOICEFLOW_STORE", "gs://worker")
    assert store_url("") == "gs://worker"
    assert store_url("gs://given") == "gs://given"


def test_only_a_schedule_starts_a_run_of_its_own(tiny_config: RunConfig) -> None:
    sunday = datetime(2026, 11, 22, 2, tzinfo=UTC)
    assert run_name(tiny_config, None, None) == "tiny"
    assert run_name(tiny_config, None, sunday) == "tiny-2026-11-22"
    assert run_name(tiny_config, "mine", sunday) == "mine"
