"""kill -9 at arbitrary moments, again and again, costs at most a save interval and changes not one bit."""

import json
import multiprocessing
import os
import random
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from training_process import PATIENCE_S, record_in, train

from voiceflow_model.runs.record import RunRecord
from voiceflow_model.store import open_store

KILLS = 20
SAVE_EVERY = 4
STEPS = 140
# Each session is a process of its own, forked from a server that has imported torch and run nothing: saves seconds.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["voiceflow_model.stages", "flows.cli", "torch._dynamo", "google.cloud.storage"])
# Starting a process also asks after all others, and of two threads that ask at once one reads no exit code (255).
ONE_ASKS = threading.Lock()


def voiceflow(arguments: list[str], env: dict[str, str], log: str, at: Any) -> None:
    """`voiceflow ...` in this process, which also tells each step that it takes."""
    with open(log, "ab") as sink:
        os.dup2(sink.fileno(), 1)
        os.dup2(sink.fileno(), 2)
    os.environ.update(env)
    from flows.cli import main
    from voiceflow_model.runs.session import Session

    note = Session.at

    def at_step(self: Session, phase: str, step: int, steps_per_s: float | None = None) -> None:
        note(self, phase, step, steps_per_s)
        at.value = step

    Session.at = at_step  # type: ignore[method-assign]
    sys.argv = ["voiceflow", *arguments]
    main()


@dataclass
class Chain:
    """A run that is killed again and again; `lost` holds the steps that each kill cost."""

    config: str
    store: str
    env: dict[str, str]
    log: Path
    seed: int
    lost: list[int]

    def start(self, threads: int, decode_threads: int, processes: int = 0) -> tuple[BaseProcess, Any]:
        at = PROCESSES.Value("q", -1, lock=False)
        settings = (
            f"session.threads={threads}", f"session.save_every_steps={SAVE_EVERY}",
            f"stream.decode_threads={decode_threads}", f"stream.worker_processes={processes}",
            "phases.train.windows_per_epoch=280", "conversation.window_s=1.0",
        )  # fmt: skip
        arguments = train(self.config, self.store, *settings)
        process = PROCESSES.Process(target=voiceflow, args=(arguments, self.env, str(self.log), at))
        with ONE_ASKS:
            process.start()
        return process, at

    def survive(self) -> RunRecord:
        """Train to the end through KILLS kills, each session with other threads, some with worker processes."""
        rng = random.Random(self.seed)
        for number in range(KILLS):
            began = self.committed()
            process, at = self.start(1 + number % 2, rng.randint(1, 4), 2 if number % 7 == 6 else 0)
            until, deadline = began + rng.randint(0, 2 * STEPS // KILLS - 6), time.monotonic() + PATIENCE_S
            while at.value < until and not wait([process.sentinel], 0.001) and time.monotonic() < deadline:
                pass
            time.sleep(rng.uniform(0, 0.02))
            process.kill()
            assert exit_code(process) == -signal.SIGKILL, f"ended by itself: give the test more steps\n{self.said()}"
            self.lost.append(max(0, at.value - self.committed()))
        return self.finish()

    def finish(self) -> RunRecord:
        process, _ = self.start(2, 3)
        assert exit_code(process) == 0, self.said()
        record = record_in(self.store)
        assert record is not None
        return record

    def committed(self) -> int:
        record = record_in(self.store)
        return record.phases["train"].step if record and "train" in record.phases else 0

    def said(self) -> str:
        return self.log.read_text()


def exit_code(process: BaseProcess) -> int | None:
    wait([process.sentinel], PATIENCE_S)
    with ONE_ASKS:
        return process.exitcode


def result(store: str, record: RunRecord) -> tuple[bytes, bytes, dict[str, float], dict[str, Any]]:
    """The final state (weights, averages, optimizer), the best weights, metrics, and the stage's own result."""
    phase = record.phases["train"]
    last, best = phase.checkpoints[-1], phase.best
    assert last.step == STEPS
    assert best is not None
    outcome = {key: value for key, value in record.stages["train"].result.items() if key != "checkpoint"}
    return open_store(store).read(last.path).data, open_store(store).read(best.path).data, phase.metrics, outcome


def test_killed_twenty_times_training_ends_in_the_very_same_bits(
    tiny: str, tmp_path: Path, gcs_url: str, subprocess_env: dict[str, str]
) -> None:
    stores = {"calm": f"file://{tmp_path / 'calm'}", "folder": f"file://{tmp_path / 'killed'}", "bucket": gcs_url}
    env = {**subprocess_env, "STORAGE_EMULATOR_HOST": os.environ["STORAGE_EMULATOR_HOST"]}
    chains = {
        name: Chain(tiny, store, env, tmp_path / f"{name}.log", number, [])
        for number, (name, store) in enumerate(stores.items())
    }
    with ThreadPoolExecutor(2) as side_by_side:
        killed = {name: side_by_side.submit(chains[name].survive) for name in ("folder", "bucket")}
        undisturbed = result(stores["calm"], chains["calm"].finish())
        records = {name: each.result() for name, each in killed.items()}
    for name, record in records.items():
        assert result(stores[name], record) == undisturbed, name
        assert [session.why.endswith("died") for session in record.sessions] == [True] * KILLS + [False]
        assert max(chains[name].lost) <= SAVE_EVERY, f"{name}: {chains[name].lost}"
        committed = [session for session in record.sessions if session.to_step is not None]
        assert (committed[0].from_step, committed[-1].to_step) == (0, STEPS)
        assert all(after.from_step == before.to_step for before, after in pairwise(committed))
        print(json.dumps({"store": name, "lost": chains[name].lost}))
