"""A deployed pipeline whose workers die, are told to go, and run out of time; nobody lifts a finger (`make chaos`).

Nothing is faked but the bucket: a Prefect server, two workers for training and one for the supervisor, each a process.
Prints the timeline as Markdown. With VOICEFLOW_WRITE_DOCS and a `chromium` on the PATH it also takes a picture of what
Prefect's user interface shows of the run.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from voiceflow_model.errors import ObjectNotFound
from voiceflow_model.runs.record import RunRecord, SessionRecord
from voiceflow_model.runs.record_file import RecordFile
from voiceflow_model.store import open_store

ROOT = Path(__file__).parents[2]
PATIENCE_S = 600.0
LEASE_S, SESSION_MINUTES = 15, 1.0
CONFIG = """
name = "chaos"
[corpus]
kind = "espeak"
voices_train = 4
voices_dev = 2
voices_test = 2
utterances_per_voice = 8
heldout_utterances_per_voice = 4
[stream]
lanes = 2
pool_blocks = 2
block_rows = 4
draws_per_block = 64
[conversation]
window_s = 2.0
[network]
hidden_size = 16
blocks = 1
attention_blocks = 0
mels = 20
embedding_dim = 16
[training]
batch_size = 8
gradient_shards = 2
[phases.validate]
epochs = 1
windows_per_epoch = 160
[phases.train]
epochs = 8
windows_per_epoch = 1600
continue_from_validate = true
[evaluation]
validation_conversations = 4
validation_utterances = 8
dev_recordings = 2
test_recordings = 2
recording_s = 10.0
speakers = [2, 2]
[gates]
accuracy = 0.0
der = 10.0
[session]
device = "cpu"
save_every_steps = 50
"""


@dataclass
class Stage:
    """The server, the workers and the run under test."""

    env: dict[str, str]
    folder: Path
    store: str
    workers: list["subprocess.Popen[bytes]"] = field(default_factory=list)
    rows: list[tuple[str, str, str]] = field(default_factory=list)
    began: float = field(default_factory=time.time)

    def prefect(self, *arguments: str) -> str:
        """`prefect ...`, to its end."""
        command = [sys.executable, "-m", "prefect", "--no-prompt", *arguments]
        done = subprocess.run(command, env=self.env, cwd=ROOT, text=True, capture_output=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self, name: str, *arguments: str) -> "subprocess.Popen[bytes]":
        """`python ...`, left running in a process group of its own."""
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, *arguments], env=self.env, cwd=ROOT, stdout=log, stderr=log, start_new_session=True
            )

    def record(self) -> RunRecord | None:
        """The run's record, if there is one yet."""
        try:
            return RecordFile(open_store(self.store), "chaos").read()
        except ObjectNotFound:
            return None

    def until(self, what: str, reached: Callable[[RunRecord], bool]) -> RunRecord:
        """Wait until the record says so."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            record = self.record()
            if record is not None and reached(record):
                return record
            time.sleep(0.2)
        raise AssertionError(f"not within {PATIENCE_S:.0f} s: {what}\n{self.record()}\n{self.logs()}")

    def logs(self) -> str:
        return "\n".join(f"== {log.name}\n{log.read_text()[-3000:]}" for log in self.folder.glob("*.log"))

    def continued(self, event: str, record: RunRecord) -> RunRecord:
        """Wait until another session has saved something, and note how long that took."""
        at = time.time()

        def saved(now: RunRecord) -> list[SessionRecord]:
            return [s for s in now.sessions if s.fence > record.fence and s.to_step is not None]

        after = self.until(f"continued after: {event}", lambda now: bool(saved(now)))
        session = saved(after)[0]
        self.rows.append(
            (event, f"{session.started_at - at:.0f} s", f"{time.time() - at:.0f} s, from step {session.from_step}")
        )
        return after


def progress(record: RunRecord) -> int:
    return record.phases["train"].step if "train" in record.phases else 0


def in_training(record: RunRecord) -> bool:
    """In the middle of the train phase, a while after a session took it."""
    return record.lease is not None and progress(record) > 0 and record.sessions[-1].to_step is not None


def ancestors(pid: int) -> Iterator[int]:
    while pid > 1:
        yield pid
        pid = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def stage(tmp_path: Path, gcs_url: str) -> Iterator[Stage]:
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    env = {
        **os.environ, "PREFECT_HOME": str(tmp_path / "prefect"), "PREFECT_API_URL": url, "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT), "VOICEFLOW_STORE": gcs_url, "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1", "PREFECT_WORKER_QUERY_SECONDS": "5",
    }  # fmt: skip
    stage = Stage(env, tmp_path, gcs_url)
    with ExitStack() as stack:
        server = stage.start("server", "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port))
        stack.callback(kill, server)
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{url}/health").close()
                break
            except OSError:
                time.sleep(0.2)
        for pool in ("voiceflow", "voiceflow-control"):
            stage.prefect("work-pool", "create", pool, "--type", "process")
        stage.prefect("deploy", "--all")
        subprocess.run([sys.executable, "-m", "flows.cli", "automations", "apply"], env=env, cwd=ROOT, check=True)
        for name, pool in (("first", "voiceflow"), ("second", "voiceflow"), ("control", "voiceflow-control")):
            worker = stage.start(name, "-m", "prefect", "worker", "start", "--pool", pool, "--name", name)
            stage.workers.append(worker)
            stack.callback(kill, worker)
        yield stage


def kill(process: "subprocess.Popen[bytes]") -> None:
    """The process and all that it started."""
    for pid in children(process.pid):
        os.kill(pid, signal.SIGKILL)
    process.kill()
    process.wait()


def children(pid: int) -> list[int]:
    """All descendants."""
    found = [int(each) for t in Path(f"/proc/{pid}/task").glob("*/children") for each in t.read_text().split()]
    return [each for child in found for each in (*children(child), child)]


def final(store: str) -> tuple[bytes, bytes]:
    """The last state and the best weights."""
    place = open_store(store)
    phase = RecordFile(place, "chaos").read().phases["train"]
    assert phase.best is not None
    return place.read(phase.checkpoints[-1].path).data, place.read(phase.best.path).data


def test_without_anybody_the_pipeline_survives_and_ends_completed(stage: Stage) -> None:
    config = stage.folder / "chaos.toml"
    config.write_text(CONFIG)
    settings = [f"session.session_minutes={SESSION_MINUTES}", f"session.lease_ttl_s={LEASE_S}"]
    parameters = {"config": str(config), "store": stage.store, "run_id": "chaos", "settings": settings}
    stage.prefect("deployment", "run", "voiceflow-pipeline/demo", "--params", json.dumps(parameters))

    record = stage.until("in training", in_training)
    assert record.lease is not None
    validated = record.stages["validate"]
    line = list(ancestors(record.lease.pid))
    victim = next(worker for worker in stage.workers if worker.pid in line)
    for pid in (*line[: line.index(victim.pid)], victim.pid):
        os.kill(pid, signal.SIGKILL)
    record = stage.continued("kill -9 of worker and flow", record)

    record = stage.until("in training", in_training)
    assert record.lease is not None
    os.kill(record.lease.pid, signal.SIGTERM)
    record = stage.continued("SIGTERM of the flow", record)

    record = stage.until("budget spent", lambda r: any("budget" in s.why for s in r.sessions))
    record = stage.continued("session budget spent", record)
    record = stage.until("the end", lambda r: r.state == "done")

    assert record.stages["validate"] == validated, "a finished stage was done again"
    assert list(record.stages) == ["validate", "train", "evaluate", "export"]
    report(stage, record)
    calm = f"file://{stage.folder / 'calm'}"
    command = [sys.executable, "-m", "flows.cli", "run", "--config", str(config), "--store", calm]
    undisturbed = {key: value for key, value in stage.env.items() if key != "PREFECT_API_URL"}
    undisturbed["PREFECT_HOME"] = str(stage.folder / "calm-prefect")
    subprocess.run(command, env=undisturbed, cwd=ROOT, check=True, capture_output=True)
    assert final(stage.store) == final(calm)
    last = json.loads(flow_runs(stage))[0]
    assert last["state"]["name"] == "Completed"


def flow_runs(stage: Stage) -> bytes:
    """The pipeline's flow runs as the server knows them, newest first."""
    body = {"sort": "EXPECTED_START_TIME_DESC", "flows": {"name": {"any_": ["voiceflow-pipeline"]}}}
    request = urllib.request.Request(
        f"{stage.env['PREFECT_API_URL']}/flow_runs/filter",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        found: bytes = answer.read()
    return found


def report(stage: Stage, record: RunRecord) -> None:
    """The timeline, and the picture."""
    print("\n| what happened | another session began after | and had saved something after |\n| --- | --- | --- |")
    for row in stage.rows:
        print(f"| {' | '.join(row)} |")
    print(f"\n{len(record.sessions)} sessions, {time.time() - stage.began:.0f} s in all.")
    for each in json.loads(flow_runs(stage)):
        print(f"{each['name']}: {each['state']['name']}, {each['state']['message']}")
    browser = shutil.which("chromium")
    if os.environ.get("VOICEFLOW_WRITE_DOCS") and browser:
        flow = json.loads(flow_runs(stage))[0]["flow_id"]
        address = f"{stage.env['PREFECT_API_URL'].removesuffix('/api')}/flows/flow/{flow}"
        picture = ROOT / "docs" / "prefect-history.png"
        still = ["--force-prefers-reduced-motion", "--virtual-time-budget=60000", "--window-size=1400,1000"]
        command = [browser, "--headless", "--no-sandbox", *still, f"--screenshot={picture}", address]
        subprocess.run(command, check=True, capture_output=True)
