"""Google Compute Engine's notice that a spot machine is about to be taken away."""

import os
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_EVERY_S = 1.0
_TIMEOUT_S = 5.0


@contextmanager
def watched(
    preempted: Callable[[str], object], say: Callable[[str], object], every_s: float = _EVERY_S
) -> Iterator[None]:
    """Ask the machine's metadata server every second; call `preempted(reason)` once when it says so.

    A machine has 30 s then, in which it also gets SIGTERM, though not every container passes that on.
    Source: https://cloud.google.com/compute/docs/instances/create-use-spot#detect-preemption
    """
    host = os.environ.get("GCE_METADATA_HOST", "metadata.google.internal")
    address = f"http://{host}/computeMetadata/v1/instance/preempted"
    done = threading.Event()

    def watch() -> None:
        silent = False
        while not done.wait(every_s):
            try:
                request = urllib.request.Request(address, headers={"Metadata-Flavor": "Google"})
                with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
                    if answer.read(16).strip() == b"TRUE":
                        preempted("Google Compute Engine takes this machine away")
                        return
                silent = False
            except OSError as error:
                if not silent:
                    say(f"session.watch_preemption: {host} does not answer ({error}); asking on")
                silent = True

    thread = threading.Thread(target=watch, name="preempted", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
