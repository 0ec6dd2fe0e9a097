"""The metadata server's word is heard; its silence is said once."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from voiceflow_model.training.gce import watched
from voiceflow_model.training.preemption import StopRequest

PATIENCE_S = 20


class Metadata(BaseHTTPRequestHandler):
    """Says FALSE twice, then TRUE; refuses who does not send the header, as the real one does."""

    asked = 0

    def do_GET(self) -> None:
        """See BaseHTTPRequestHandler."""
        assert self.path == "/computeMetadata/v1/instance/preempted"
        allowed = self.headers["Metadata-Flavor"] == "Google"
        Metadata.asked += 1
        self.send_response(200 if allowed else 403)
        self.end_headers()
        self.wfile.write(b"TRUE" if Metadata.asked > 2 else b"FALSE")

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def metadata(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setenv("GCE_METADATA_HOST", f"127.0.0.1:{server.server_port}")
    yield
    server.shutdown()
    server.server_close()


def test_a_preempted_machine_asks_training_to_stop(metadata: None) -> None:
    told, stop = threading.Event(), StopRequest()
    with watched(lambda reason: (stop.request(reason), told.set()), lambda _: None, every_s=0.01):
        assert told.wait(PATIENCE_S)
    assert "takes this machine away" in stop.reason
    assert Metadata.asked == 3


def test_where_there_is_no_metadata_server_that_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GCE_METADATA_HOST", "127.0.0.1:1")
    said: list[str] = []
    told = threading.Event()
    with watched(lambda _: told.set(), said.append, every_s=0.01):
        assert not told.wait(0.5)
    assert len(said) == 1
    assert "127.0.0.1:1 does not answer" in said[0]
