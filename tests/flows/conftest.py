"""One real Prefect server, started once for everything here; tests that use it share an xdist worker."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import tasks  # noqa: F401 - sets Prefect's defaults, so it comes before prefect

# isort: split
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import Artifact, FlowRun
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def prefect_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a process that talks to a server started by `prefect server start`, on this machine only."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = tmp_path_factory.mktemp("prefect")
    url = f"http://127.0.0.1:{port}/api"
    environment = {**os.environ, "PREFECT_HOME": str(home), "PREFECT_API_URL": url, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (home / "server.log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        _wait_until_it_answers(f"{url}/health", server)
        with temporary_settings({PREFECT_API_URL: url, PREFECT_HOME: str(home)}):
            yield environment
            for worker in (APILogWorker, EventsWorker):  # else they try again for minutes when the server is gone
                worker.drain_all(timeout=10)
    finally:
        server.terminate()
        server.wait()


def _wait_until_it_answers(url: str, server: "subprocess.Popen[bytes]") -> None:
    for _ in range(600):
        try:
            urllib.request.urlopen(url).close()
            return
        except OSError:
            assert server.poll() is None, "the Prefect server died"
            time.sleep(0.2)
    raise AssertionError(f"no Prefect server at {url}")


class Watcher:
    """What the server knows, newest first."""

    def __init__(self, client: SyncPrefectClient) -> None:
        self._client = client

    def last_flow_run(self) -> FlowRun:
        """The flow run created last that somebody, and no schedule, asked for."""
        runs: list[FlowRun] = [run for run in self._client.read_flow_runs() if not run.auto_scheduled]
        return max(runs, key=lambda run: run.created)

    def schedules(self, deployment: str) -> bool:
        """Whether runs of the deployment stand in the schedule within a minute; the server looks every few seconds."""
        wanted = self._client.read_deployment_by_name(deployment).id
        for _ in range(120):
            if any(run.auto_scheduled and run.deployment_id == wanted for run in self._client.read_flow_runs()):
                return True
            time.sleep(0.5)
        return False

    def task_states(self, *stages: str) -> dict[str, str]:
        """Names of the final states of the last flow run's tasks, which must be `stages`; task states arrive late."""
        flow_run = self.last_flow_run().id
        for _ in range(150):
            runs = [run for run in self._client.read_task_runs() if run.flow_run_id == flow_run]
            found = {run.name.split()[0]: run.state.name or "" for run in runs if run.state and run.state.is_final()}
            if len(found) == len(runs) == len(stages):
                break
            time.sleep(0.1)
        assert found.keys() == set(stages)
        return found

    def artifacts(self) -> dict[str, Artifact]:
        """The artifacts of the last flow run, by key."""
        flow_run = self.last_flow_run().id
        return {a.key: a for a in self._client.read_artifacts() if a.flow_run_id == flow_run and a.key}


@pytest.fixture
def server(prefect_environment: dict[str, str]) -> Iterator[Watcher]:
    """The running server, as its user interface would see it."""
    with get_client(sync_client=True) as client:
        yield Watcher(client)


@pytest.fixture(scope="session")
def prefect_command(prefect_environment: dict[str, str]) -> Callable[..., Any]:
    """Run `prefect ...` in the repository's root; fails the test with the output when the command fails."""

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "prefect", "--no-prompt", *arguments],
            env=prefect_environment,
            cwd=ROOT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    return run
