"""A token that was used, accepted or refused, stands in nothing that is kept: logs, artifacts, the store."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Watcher  # type: ignore[attr-defined]

from flows.mirror import mirror
from flows.pipeline import pipeline
from tests.doubles.hub import Hub
from voiceflow_model.config import RunConfig, parse_config

# isort: split
from prefect.logging.handlers import APILogHandler

pytestmark = pytest.mark.xdist_group("prefect")

ACCEPTED, REFUSED = "hf_acceptedButSecret", "hf_refusedButSecret"


@pytest.fixture
def gated(tiny_config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunConfig]:
    with Hub() as hub:
        hub.add("org/gated", {"train/0.parquet": b"rows" * 100}, gated_token=ACCEPTED)
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        corpus = {"kind": "parquet", "url": "hf://datasets/org/gated", "train": ["train/*"]}
        yield parse_config(tiny_config.model_dump(mode="json", by_alias=True) | {"corpus": corpus})


def kept_in(*folders: Path) -> bytes:
    """Every byte of every file below `folders`."""
    return b"".join(path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file())


def test_no_token_is_kept_anywhere(
    gated: RunConfig,
    server: Watcher,
    prefect_environment: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HF_TOKEN", REFUSED)
    state = pipeline(gated, store=str(tmp_path / "store"), run_id="refused", return_state=True)
    assert state.is_failed()
    assert "HF_TOKEN was refused" in str(state.message)
    monkeypatch.setenv("HF_TOKEN", ACCEPTED)
    assert mirror(gated, str(tmp_path / "copy")).copied == 1
    APILogHandler().flush()
    kept = kept_in(Path(prefect_environment["PREFECT_HOME"]), tmp_path) + "".join(capfd.readouterr()).encode()
    assert kept.count(b"HF_TOKEN was refused") > 1, "the search would find nothing"
    assert server.last_flow_run().name.encode() in kept
    assert ACCEPTED.encode() not in kept
    assert REFUSED.encode() not in kept
