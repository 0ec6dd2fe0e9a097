"""A lease kept alive beside the work, however long one piece of it takes."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from voiceflow_model.errors import LeaseLost, VoiceFlowError
from voiceflow_model.runs.checkpoints import Say
from voiceflow_model.runs.session import Session


@contextmanager
def heartbeat(session: Session, every_s: float, stop: Callable[[str], object], say: Say = print) -> Iterator[None]:
    """Renew the lease every `every_s` seconds; call `stop(reason)` when it turns out to be another's, or is asked back.

    The work need not poll: after a loss its next commit raises LeaseLost anyway. `stop` only lets it stop sooner.
    """
    done = threading.Event()

    def beat() -> None:
        while not done.wait(every_s):
            try:
                session.renew()
                if note := session.record.stop:
                    stop(f"{note.by} asked the run to stop")
            except LeaseLost as error:
                stop(str(error))
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
