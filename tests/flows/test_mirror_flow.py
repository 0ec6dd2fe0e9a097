"""The mirror as a flow under a real server, and its task without one."""

import json
from pathlib import Path

import pytest
from conftest import Watcher  # type: ignore[attr-defined]

from flows.mirror import mirror
from tasks.mirror import mirror_corpus
from voiceflow_model.config import RunConfig, parse_config
from voiceflow_model.errors import ConfigError

pytestmark = pytest.mark.xdist_group("prefect")


@pytest.fixture
def config(tiny_config: RunConfig, tmp_path: Path) -> RunConfig:
    folder = tmp_path / "speech" / "train"
    folder.mkdir(parents=True)
    (folder / "0.parquet").write_bytes(b"rows")
    corpus = {"kind": "parquet", "url": str(tmp_path / "speech"), "train": ["train/*"]}
    return parse_config(tiny_config.model_dump(mode="json", by_alias=True) | {"corpus": corpus})


def test_the_task_is_a_plain_function_too(config: RunConfig, tmp_path: Path) -> None:
    assert mirror_corpus.fn(config, str(tmp_path / "copy"), "train").copied == 1


def test_the_flow_copies_shows_what_it_did_and_skips_it_the_next_time(
    config: RunConfig, server: Watcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOICEFLOW_MIRROR", str(tmp_path / "copy"))
    assert mirror(config).copied == 1
    (row,) = json.loads(str(server.artifacts()["tiny-mirror"].data))
    assert (row["files"], row["bytes"], row["skipped"]) == (1, "4 B", 0)
    assert f"--set corpus.url=file://{tmp_path}/copy" in str(server.artifacts()["tiny-mirror"].description)
    assert mirror(config).skipped == 1


def test_what_cannot_be_mirrored_fails_the_flow_with_the_reason(tiny_config: RunConfig, server: Watcher) -> None:
    state = mirror(tiny_config, "somewhere", return_state=True)
    assert state.is_failed()
    assert "nothing to mirror" in str(state.message)
    assert isinstance(state.data.result, ConfigError)
