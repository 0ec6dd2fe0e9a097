"""The Prefect server of a flow that was told of none: there for as long as the flow's process is.

Prefect's own gets the Ctrl-C of a terminal and the SIGTERM of `timeout`, systemd or Slurm, which go to a flow and all
of its processes, and stops before it has heard how the run yielded; the flow would try for minutes to tell it. And it
stays when the flow is killed. This one takes no signals and ends when its standard input does.
"""

import os
import signal
import subprocess
import sys
from threading import Thread

from prefect.client.orchestration import get_client
from prefect.settings import get_current_settings

_STARTUP_FAILURE = 3  # upon which Prefect tries another port


def serve() -> None:
    """Start the server, unless PREFECT_API_URL names one. Prefect stops it at exit."""
    if get_current_settings().api.url is None:
        from prefect.server.api.server import SubprocessASGIServer  # most of a server, so not before it is wanted

        server = SubprocessASGIServer()  # the one that Prefect's client will ask for
        server._run_uvicorn_command = lambda: _start(server.port)  # type: ignore[method-assign]
        get_client(sync_client=True)


def _start(port: int | None) -> "_Deaf":
    environment = {
        **os.environ,
        "PREFECT_UI_ENABLED": "0",
        "PREFECT__SERVER_EPHEMERAL": "1",
        "PREFECT__SERVER_FINAL": "1",
        **get_current_settings().to_environment_variables(exclude_unset=True),
    }
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})  # which a new process inherits
    try:
        return _Deaf([sys.executable, "-P", __file__, str(port)], env=environment, stdin=subprocess.PIPE)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Deaf(subprocess.Popen[bytes]):
    def terminate(self) -> None:
        if self.stdin:
            self.stdin.close()


def _run(port: int) -> None:
    """Serve until standard input ends, as it does however the process at its other end ends."""
    from uvicorn import Config, Server

    app = "prefect.server.api.server:create_app"
    server = Server(Config(app, factory=True, host="127.0.0.1", port=port, log_level="error", lifespan="on"))

    def end_with_input() -> None:
        while os.read(0, 1):
            pass
        server.should_exit = True

    Thread(target=end_with_input, daemon=True).start()
    server.run()
    if not server.started:
        sys.exit(_STARTUP_FAILURE)


if __name__ == "__main__":
    _run(int(sys.argv[1]))
