"""status, stop and fsck: what they say of runs that trained, died, were damaged or are in somebody's hands."""

import json
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import VoiceFlow

from voiceflow_model.config import load_config
from voiceflow_model.errors import Yielded
from voiceflow_model.runs.record import RunRecord
from voiceflow_model.runs.run import Run
from voiceflow_model.stages import open_run, run_phase
from voiceflow_model.store import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(f"file://{tmp_path / 'store'}")


@pytest.fixture
def run(tiny: str, store: Store) -> Run:
    """Step 20 of 4,000 is saved, 26 was reached at two steps a second; then the worker was killed."""
    run = open_run(load_config(tiny), store, "tiny")
    with run.lease("colab") as session:
        session.at("train", 0)
        for step in (10, 20):
            session.commit("train", step, 4000, b"%d" % step, {"loss": 0.5}, {}, 0.9, b"w" if step == 10 else None)
        session.at("train", 26, 2.0)
        session.renew()
        held = session.record
    assert held.lease is not None
    dead = held.lease.model_copy(update={"pid": 2**22 + 1})  # no such process on this machine
    run.amend(lambda _: held.model_copy(update={"lease": dead}))
    return run


@pytest.fixture
def held(run: Run) -> Iterator[Run]:
    with run.lease("laptop"):
        yield run


def record_of(store: Store) -> RunRecord:
    return Run.load(store, "tiny").record


def test_status_tells_what_is_lost_and_what_is_left(voiceflow: VoiceFlow, held: Run, store: Store) -> None:
    said = voiceflow("status", "--store", store.url, "--run-id", "tiny").stdout
    for part in (
        "lease: laptop, pid", "train: step 20 of 4,000 at 2.00 steps/s, 33 min 10 s left, which takes 1 more session",
        "0 to 20", "died", "best weights", "together", "0.500",
    ):  # fmt: skip
        assert part in said, part
    row = next(line for line in said.splitlines() if "colab" in line)
    assert row.split("│")[7].strip() == "6"
    overview = json.loads(voiceflow("status", "--store", store.url, "--json").stdout)[0]
    assert (overview["left_s"], overview["sessions_needed"], overview["holder"]) == (1990.0, 1, "laptop")


def test_status_watches_until_ctrl_c(
    voiceflow: VoiceFlow, run: Run, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float] = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) > 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", sleep)
    result = voiceflow("status", "--store", store.url, "--watch")
    assert (result.exit_code, len(looks)) == (0, 3)
    assert "tiny" in result.stdout
    assert voiceflow("status", "--store", store.url, "--watch", "--json").exit_code == 2


def test_stop_is_heard_by_whoever_holds_the_run(voiceflow: VoiceFlow, held: Run, store: Store) -> None:
    result = voiceflow("stop", "tiny", "--store", store.url)
    assert result.exit_code == 0
    assert "laptop is asked to stop: it reads that within 15 s" in result.stderr
    assert record_of(store).stop is not None
    assert "stop asked by" in voiceflow("status", "--store", store.url).stdout


def test_a_stopped_run_is_not_continued_until_somebody_starts_it(
    voiceflow: VoiceFlow, run: Run, store: Store, tiny: str, tmp_path: Path
) -> None:
    config = load_config(tiny, ["phases.train.continue_from_validate=false"])
    elsewhere = open_store(f"file://{tmp_path / 'elsewhere'}")
    open_run(config, elsewhere, "tiny")
    assert "nobody holds run tiny" in voiceflow("stop", "tiny", "--store", elsewhere.url).stderr
    with pytest.raises(Yielded, match=r"train was not started: .* asked the run to stop"):
        run_phase(config, "train", elsewhere, "tiny")
    settings = ("--set", "phases.train.continue_from_validate=false")
    assert voiceflow("train", "--config", tiny, "--store", elsewhere.url, *settings).exit_code == 0
    assert record_of(elsewhere).stop is None
    assert "nothing to stop" in voiceflow("stop", "tiny", "--store", finished_store(elsewhere)).stderr


def finished_store(store: Store) -> str:
    Run.load(store, "tiny").amend(lambda record: record.model_copy(update={"state": "done"}))
    return store.url


def test_fsck_of_a_sound_run(voiceflow: VoiceFlow, finished: str) -> None:
    result = voiceflow("fsck", "tiny", "--store", finished, "--json")
    findings = json.loads(result.stdout)
    assert result.exit_code == 0
    assert {finding["verdict"] for finding in findings} == {"good"}
    assert {os.path.basename(finding["path"]) for finding in findings} >= {"run.json", "model.onnx"}


def test_fsck_finds_and_repairs_what_is_broken(voiceflow: VoiceFlow, run: Run, store: Store) -> None:
    real = safetensors_of(7)
    with run.lease("repairer", wait=False) as session:
        for step in (30, 40, 50):
            session.commit("train", step, 4000, real, {}, {})
    store.write("runs/tiny/train/step-00000035-f1.safetensors", b"left by a killed worker")
    newest = record_of(store).phases["train"].checkpoints[-1]
    store.write(newest.path, real[:-1] + b"x")
    result = voiceflow("fsck", "tiny", "--store", store.url, "--json")
    assert result.exit_code == 1
    assert "`voiceflow fsck tiny --repair`" in result.stderr
    why = {os.path.basename(finding["path"]): finding["why"] for finding in json.loads(result.stdout)}
    assert "sha256 is not the recorded one" in why["step-00000050-f2.safetensors"]
    assert "no safetensors file" in why["step-00000010-f1-weights.safetensors"]
    assert why["step-00000035-f1.safetensors"] == "no record names it"
    repaired = voiceflow("fsck", "tiny", "--store", store.url, "--repair")
    assert repaired.exit_code == 0, repaired.output
    assert "train goes on from step 40 instead of 50" in repaired.stderr
    phase = record_of(store).phases["train"]
    assert (phase.step, phase.best, [entry.step for entry in phase.checkpoints]) == (40, None, [40])
    assert [info.path for info in store.list("runs/tiny/train/")] == [phase.checkpoints[0].path]


def safetensors_of(number: int) -> bytes:
    import torch
    from safetensors.torch import save

    return save({"weights": torch.tensor([number, math.pi])})


def test_fsck_repairs_nothing_that_a_worker_holds(voiceflow: VoiceFlow, held: Run, store: Store) -> None:
    result = voiceflow("fsck", "tiny", "--store", store.url, "--repair")
    assert result.exit_code == 1
    assert "is held by a worker: `voiceflow stop tiny`" in result.stderr


def test_fsck_of_an_unreadable_record_says_what_to_restore(voiceflow: VoiceFlow, run: Run, store: Store) -> None:
    store.write("runs/tiny/run.json", b"{")
    for repair in ((), ("--repair",)):
        result = voiceflow("fsck", "tiny", "--store", store.url, *repair)
        assert result.exit_code in (1, 2)
        assert "restore" in result.stdout + result.stderr


def test_fsck_of_no_run_names_those_that_are_there(voiceflow: VoiceFlow, run: Run, store: Store) -> None:
    result = voiceflow("fsck", "tyni", "--store", store.url)
    assert result.exit_code == 2
    assert "runs there: tiny" in result.stderr
