"""An orphan that goes on training after its place was taken, and its successor: real processes, one bucket."""

import os
import re
import signal
import time
from pathlib import Path

from training_process import PATIENCE_S, await_session, record_in, start, train

from voiceflow_model.runs.checkpoints import named
from voiceflow_model.store import open_store

LEASE_S = 6.0
HEARTBEAT_S = LEASE_S / 4


def test_only_the_successor_is_recorded_and_the_orphan_ends_by_itself(
    tiny: str, tmp_path: Path, gcs_url: str, subprocess_env: dict[str, str]
) -> None:
    env = {**subprocess_env, "STORAGE_EMULATOR_HOST": os.environ["STORAGE_EMULATOR_HOST"]}
    arguments = train(tiny, gcs_url, f"session.lease_ttl_s={LEASE_S}", "phases.train.windows_per_epoch=40000")
    logs = {name: tmp_path / f"{name}.log" for name in ("orphan", "successor")}
    orphan = start(arguments, env, logs["orphan"])
    successor = None
    try:
        await_session(orphan, gcs_url, 0, logs["orphan"], commits=2)
        orphan.send_signal(signal.SIGSTOP)  # cut off: it neither renews its lease nor knows that it has lost it
        left = record_in(gcs_url)
        successor = start(arguments, env, logs["successor"])
        await_session(successor, gcs_url, 1, logs["successor"], commits=2)
        orphan.send_signal(signal.SIGCONT)
        woken = time.monotonic()
        assert orphan.wait(PATIENCE_S) == 1
        ended_after = time.monotonic() - woken
        during = record_in(gcs_url)
        await_session(successor, gcs_url, 1, logs["successor"], commits=4)
        successor.send_signal(signal.SIGTERM)
        assert successor.wait(PATIENCE_S) == 75
    finally:
        for process in (orphan, successor):
            if process is not None:
                process.kill()
    said = logs["orphan"].read_text().replace("\n", " ")
    assert re.search(r"the lease of run tiny \(fence 1\) is gone, its holder is now \S+ \(fence 2\)", said)
    assert "stops and writes nothing more" in said
    assert ended_after < 2 * HEARTBEAT_S + 20, "20 s: a busy machine, and the end of the interpreter"
    record = record_in(gcs_url)
    assert left is not None
    assert during is not None
    assert record is not None
    first, second = record.sessions
    assert "expired" in first.why or "silent" in first.why
    assert first.to_step == second.from_step == left.phases["train"].step
    for seen in (during, record):
        assert all("-f2" in entry.path for entry in named(seen, "train")[-2:])
        assert [session.fence for session in seen.sessions] == [1, 2]
    steps = [point["step"] for point in record.phases["train"].history]
    assert steps == sorted(set(steps))
    there = {info.path for info in open_store(gcs_url).list("runs/tiny/train/")}
    assert {entry.path for entry in named(record, "train")} <= there
