"""A double of the Hugging Face Hub on 127.0.0.1 that serves dataset repositories to the real clients, faults included.

The Hub answers on one port and its "CDN", to whose signed addresses it redirects, on another: as on the real Hub they
are two origins, so that clients stop following HEAD at the second, and keep their token from it.
"""

import argparse
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from tests.doubles.answers import Answer, Question, answer, error
from tests.doubles.faults import CUT, RESET, SHORT, Fault, Next, OneIn, Plan, Random, Route, hang, slow, status
from tests.doubles.repository import Blob, Commit, Content, Virtual

__all__ = [
    "CUT",
    "RESET",
    "SHORT",
    "Fault",
    "Hub",
    "Next",
    "OneIn",
    "Plan",
    "Random",
    "Request",
    "Route",
    "Virtual",
    "hang",
    "slow",
    "status",
]


class Request(NamedTuple):
    """A line of the Hub's log; `status` is 0 when the connection was closed without an answer."""

    number: int  # among those of its route
    method: str
    path: str  # with its query
    route: Route
    range: str | None
    status: int


@dataclass
class _Repo:
    gated_token: str | None
    commits: dict[str, Commit]
    main: str = ""


class Hub:
    """A context manager; `faults`, `redirect` and `page_size` may be set while clients are at work."""

    def __init__(self, port: int = 0) -> None:
        self.faults: Plan | Sequence[Fault | None] | None = None
        self.redirect = True  # to the CDN, as the real Hub does for files in LFS; False: bytes come from the Hub itself
        self.page_size = 1000  # entries of a tree
        self.requests: list[Request] = []
        self.bytes_sent = 0  # of bodies, counted before they leave: a client that has its answer finds it counted
        self.closed = threading.Event()
        self.repos: dict[str, _Repo] = {}
        self.blobs: dict[str, Blob] = {}
        self.signature = 0
        self._by_identity: dict[int, Blob] = {}  # the same bytes under many paths are hashed once
        self._lock = threading.Lock()
        self._numbers: Counter[Route] = Counter()
        self._outage_until = 0.0
        self._servers = [_Server(("127.0.0.1", number), partial(_Handler, self)) for number in (port, 0)]
        self.endpoint, self.cdn = (f"http://127.0.0.1:{server.server_port}" for server in self._servers)

    def __enter__(self) -> "Hub":
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closed.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()
            server.hang_up()

    def add(self, repo: str, files: Mapping[str, Content], gated_token: str | None = None) -> str:
        """Make the dataset repository `org/name`; the sha of its commit. With a token, only its bearer reads files."""
        self.repos[repo] = _Repo(gated_token, {})
        return self.commit(repo, files)

    def commit(self, repo: str, files: Mapping[str, Content | None]) -> str:
        """Put files over those of `main` (None removes one); the new sha. The old ones stay readable."""
        known = self.repos[repo]
        kept = dict(known.commits[known.main].files) if known.main else {}
        for path, content in files.items():
            if content is None:
                del kept[path]
                continue
            kept[path] = self._by_identity.get(id(content)) or Blob.of(content, f"{repo}/{path}")
            self._by_identity[id(content)] = self.blobs[kept[path].sha] = kept[path]
        commit = Commit(kept, known.main)
        known.commits[commit.sha], known.main = commit, commit.sha
        return commit.sha

    def goes_wrong(self, plan: Plan) -> None:
        """Set `faults` to a plan that counts from the next request: which of them meet one is the same in every run."""
        with self._lock:
            self._numbers.clear()
            self.faults = plan

    def outage(self, seconds: float) -> None:
        """Reset whatever is asked from now on for so long; 0 ends an outage."""
        self._outage_until = time.monotonic() + seconds

    def expire_signatures(self) -> None:
        """Signed addresses that were given out until now answer 403."""
        self.signature += 1

    def environment(self, home: Path) -> dict[str, str]:
        """What a process needs in its environment before it imports `huggingface_hub` or `datasets`."""
        return {"HF_ENDPOINT": self.endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", "DO_NOT_TRACK": "1"}

    def admit(self, method: str, path: str, route: Route) -> tuple[int, Fault | None]:
        """A request's number and what is to go wrong with it."""
        with self._lock:
            number = self._numbers[route]
            self._numbers[route] += 1
            if self.faults is not None and not callable(self.faults):
                self.faults = Next(self.faults)
            fault = self.faults(number, method, path, route) if self.faults else None
        return number, RESET if time.monotonic() < self._outage_until else fault

    def count(self, size: int) -> None:
        """Add to bytes_sent."""
        with self._lock:
            self.bytes_sent += size


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *args: Any) -> None:
        self.open: set[socket.socket] = set()
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End the connections that are open; a client that keeps one alive must not get answers from a closed Hub."""
        for connection in tuple(self.open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients come and go; a defect of the double must show."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def __init__(self, hub: Hub, *args: Any) -> None:
        self.hub = hub
        super().__init__(*args)

    def log_message(self, *_: Any) -> None:
        """The log is Hub.requests."""

    def do_GET(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())
        given = answer(self.hub, Question(self.command, self.path, self.headers, form))
        number, fault = self.hub.admit(self.command, self.path, given.route)
        if fault and fault.kind == "status":
            retry = {} if fault.retry_after_s is None else {"Retry-After": str(fault.retry_after_s)}
            given = error(given.route, fault.code, None, retry)
        silent = fault is not None and fault.kind in ("reset", "hang")
        asked = self.headers.get("Range")
        line = Request(number, self.command, self.path, given.route, asked, 0 if silent else given.status)
        self.hub.requests.append(line)
        if fault and silent:
            self._fall_silent(fault)
        else:
            self._send(given, fault)

    do_HEAD = do_POST = do_GET  # noqa: N815

    def _send(self, given: Answer, fault: Fault | None) -> None:
        start, end = given.span
        half = start + (end - start) // 2
        if fault and fault.kind == "short":
            end = half
        self.send_response(given.status)
        for name, value in given.headers.items():
            self.send_header(name, value)
        if given.status == 206:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{given.body.size}")
        self.send_header("Content-Length", str(end - start))
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault and fault.kind == "cut":
            self.close_connection, end = True, half
        for chunk in given.body.chunks(start, end):
            if fault and fault.kind == "slow":
                self._trickle(chunk, fault.bytes_per_s)
            else:
                self.hub.count(len(chunk))
                self.wfile.write(chunk)

    def _trickle(self, chunk: bytes | memoryview, bytes_per_s: int) -> None:
        step = max(1, bytes_per_s // 50)
        for at in range(0, len(chunk), step):
            if self.hub.closed.wait(0.02):
                raise ConnectionAbortedError
            self.hub.count(len(chunk[at : at + step]))
            self.wfile.write(chunk[at : at + step])

    def _fall_silent(self, fault: Fault) -> None:
        self.close_connection = True
        if fault.kind == "hang":
            self.hub.closed.wait(fault.seconds)
            return
        # A socket of our own: the server's is closed only after a FIN, which is an end, not a reset.
        with socket.socket(fileno=self.connection.detach()) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def main() -> None:
    """Serve the folders ORG/NAME below a folder; the first line of output is the endpoint."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--fault-share", type=float, default=0.0)
    options = parser.parse_args()
    with Hub(options.port) as hub:
        for repo in sorted(folder for folder in options.folder.glob("*/*") if folder.is_dir()):
            files = {str(path.relative_to(repo)): path for path in sorted(repo.rglob("*")) if path.is_file()}
            hub.add(str(repo.relative_to(options.folder)), files)
        hub.faults = Random(options.fault_share)
        print(hub.endpoint, flush=True)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
