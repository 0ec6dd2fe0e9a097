"""`voiceflow train` as a process of its own, and what its run's record says meanwhile."""

import subprocess
import sys
import time
from pathlib import Path

from voiceflow_model.cli.record import record_if_any
from voiceflow_model.runs.record import RunRecord
from voiceflow_model.store import open_store

SAVE_EVERY = 2  # as in command_line.TINY
PATIENCE_S = 200


def record_in(store: str) -> RunRecord | None:
    return record_if_any(open_store(store), "tiny")


def train(config: str, store: str, *settings: str) -> list[str]:
    """Arguments of `voiceflow`."""
    chosen = ("phases.train.continue_from_validate=false", *settings)
    return ["train", "--config", config, "--store", store, *(f"--set={each}" for each in chosen)]


def start(arguments: list[str], env: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    """`voiceflow` in an interpreter of its own."""
    with log.open("ab") as sink:
        return subprocess.Popen([sys.executable, "-m", "flows.cli", *arguments], env=env, stdout=sink, stderr=sink)


def await_session(process: subprocess.Popen[bytes], store: str, fence: int, log: Path, commits: int) -> None:
    """Until the process holds the lease and has committed so often."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        assert process.poll() is None, f"ended by itself:\n{log.read_text()}"
        record = record_in(store)
        if record is not None and record.fence > fence:
            mine = record.sessions[-1]
            done = 0 if mine.to_step is None else mine.to_step - (mine.from_step or 0)
            if done >= commits * SAVE_EVERY:
                return
        time.sleep(0.002)
    raise AssertionError(f"no progress within {PATIENCE_S} s:\n{log.read_text()}")
