import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def prefect_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A Prefect server for all notebooks of the session: one embedded in each `voiceflow run` would cost 15 s each."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "PREFECT_HOME": str(tmp_path_factory.mktemp("prefect")),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--no-ui", "--port", str(port)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen(command, env=os.environ | settings, **quiet)
    try:
        _wait_until_it_answers(f"http://127.0.0.1:{port}/api")
        yield settings | {"PREFECT_API_URL": f"http://127.0.0.1:{port}/api"}
    finally:
        server.terminate()
        server.wait()


def _wait_until_it_answers(url: str) -> None:
    for _ in range(600):
        try:
            urllib.request.urlopen(f"{url}/health").close()
            return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    raise RuntimeError(f"no Prefect server at {url} after a minute")


@pytest.fixture
def tiny(tmp_path: Path) -> str:
    """A configuration that trains in seconds, and whose gates let everything through."""
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return str(path)


TINY = """
name = "tiny"
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
[conversation]
window_s = 2.0
[network]
hidden_size = 16
blocks = 1
attention_blocks = 0
mels = 20
embedding_dim = 16
[training]
batch_size = 4
[phases.validate]
epochs = 1
windows_per_epoch = 16
[phases.train]
epochs = 1
windows_per_epoch = 24
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
der = 9.0
"""
