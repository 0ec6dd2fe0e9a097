"""A lease kept alive beside the work, however long one piece of it takes."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from voiceflow_model.errors import LeaseLost, VoiceFlowError
from voiceflow_model.runs.checkpoints import Say
from voiceflow_model.runs.session import Session


@contextmanager
def heartbeat(session: Session, every_s: float, lost: Callable[[str], object], say: Say = print) -> Iterator[None]:
    """Call `session.beat` every `every_s` seconds; `lost(reason)` once when the lease turns out to be another's.

    The work need not poll: its next commit raises LeaseLost anyway. `lost` only lets it stop sooner.
    """
    done = threading.Event()

    def beat() -> None:
        while not done.wait(every_s):
            try:
                session.beat()
            except LeaseLost as error:
                lost(str(error))
                return
            except VoiceFlowError as error:  # the store may be back before the lease expires
                say(f"the lease could not be renewed, trying again: {error}")

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
