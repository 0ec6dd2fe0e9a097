import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceflow_model.errors import ConfigError, RunConflict
from voiceflow_model.runs.record import (
    SCHEMA_VERSION,
    CheckpointEntry,
    Lease,
    PhaseRecord,
    RunRecord,
    SessionRecord,
    StageRecord,
    checked_name,
)

FLOATS = st.floats(allow_nan=False)
NUMBERS = st.dictionaries(st.text(max_size=5), FLOATS, max_size=3)
CHECKPOINTS = st.builds(CheckpointEntry, step=st.integers(0, 10**9), metric=st.none() | FLOATS)
PHASES = st.builds(
    PhaseRecord, metrics=NUMBERS, checkpoints=st.tuples(CHECKPOINTS), history=st.lists(NUMBERS, max_size=3).map(tuple)
)
JSON = st.recursive(st.none() | st.booleans() | st.integers() | FLOATS | st.text(), st.lists, max_leaves=5)
OBJECTS = st.dictionaries(st.text(), JSON, max_size=3)
RECORDS = st.builds(
    RunRecord,
    schema_version=st.just(SCHEMA_VERSION),
    run_id=st.just("demo"),
    identity=OBJECTS,
    lease=st.none() | st.builds(Lease, ttl_s=FLOATS, expires_at=FLOATS),
    phases=st.dictionaries(st.text(), PHASES, max_size=2),
    stages=st.dictionaries(st.text(), st.builds(StageRecord, result=OBJECTS, finished_at=FLOATS), max_size=2),
    sessions=st.lists(st.builds(SessionRecord, started_at=FLOATS, ended_at=st.none() | FLOATS), max_size=2).map(tuple),
)


@given(RECORDS)
def test_a_record_survives_json(record: RunRecord) -> None:
    assert RunRecord.from_bytes(record.to_bytes(), "here") == record


def test_a_metric_that_is_not_a_number_survives_json() -> None:
    record = RunRecord(run_id="r", config_hash="h", identity={}, phases={"p": PhaseRecord(metrics={"der": math.nan})})
    assert math.isnan(RunRecord.from_bytes(record.to_bytes(), "here").phases["p"].metrics["der"])


def test_a_newer_schema_asks_for_an_upgrade() -> None:
    data = json.dumps({"schema_version": SCHEMA_VERSION + 1, "run_id": "r", "something": "new"}).encode()
    with pytest.raises(RunConflict, match="upgrade VoiceFlow"):
        RunRecord.from_bytes(data, "gs://b/runs/r/run.json")


def test_a_record_of_the_first_schema_is_read_as_one_of_today() -> None:
    entry = {"path": "p", "bytes": 1, "sha256": "x", "metric": None}
    entries = [{**entry, "step": step, "best": step == 10} for step in (10, 30, 40)]
    phase = {"status": "running", "step": 40, "total_steps": 50, "metrics": {}, "checkpoints": entries, "history": []}
    old = {"schema_version": 1, "run_id": "r", "config_hash": "h", "identity": {}, "phases": {"train": phase}}
    record = RunRecord.from_bytes(json.dumps(old).encode(), "here")
    assert record.schema_version == SCHEMA_VERSION
    assert [entry.step for entry in record.phases["train"].checkpoints] == [30, 40]
    assert record.phases["train"].best.step == 10


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"{}", b'{"schema_version": 1}', b'{"schema_version": "x"}', b"\xff"]
)
def test_a_damaged_record_names_its_place(data: bytes) -> None:
    with pytest.raises(RunConflict, match=r"gs://b/runs/r/run\.json is not a readable run record"):
        RunRecord.from_bytes(data, "gs://b/runs/r/run.json")


@pytest.mark.parametrize("name", ["", "A", "a/b", "..", ".a", "-a", "a b", "a\n", "x" * 64, "../x"])
def test_impossible_run_ids_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="refused"):
        checked_name(name)


@pytest.mark.parametrize("name", ["a", "0", "librispeech-2026.11_b", "x" * 63])
def test_usual_run_ids_pass(name: str) -> None:
    assert checked_name(name) == name
