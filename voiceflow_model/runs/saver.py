"""Saving beside the work: it waits for a copy in RAM, never for the store, until the next save is due."""

import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import TracebackType

from voiceflow_model.errors import StoreUnavailable, VoiceFlowError
from voiceflow_model.runs.checkpoints import Say

Commit = Callable[[], object]

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0
_UNNOTICED_S = 1.0
_LOOK_UP_S = 0.2  # so that a second Ctrl-C is heard while waiting


class Saver:
    """Carries out one commit at a time in a thread of its own; leaving its `with` block waits for the last one.

    A store that is away is tried again for `patience_s`. Whatever a commit raises in the end (LeaseLost,
    StoreUnavailable, ...) is raised by the next call here: `check`, `save` or `settle`.
    """

    def __init__(self, patience_s: float, say: Say = print, clock: Callable[[], float] = time.monotonic) -> None:
        self._patience_s, self._say, self._clock = patience_s, say, clock
        self._thread = ThreadPoolExecutor(1, "save")
        self._abandoned = threading.Event()
        self._pending: Future[None] | None = None
        self.waited_s = 0.0  # all that the work has waited, for copies and for the store
        self.took_s = math.inf  # of the last commit

    def save(self, copy: Callable[[], Commit]) -> None:
        """Begin a commit, when the one before has ended: `copy` makes it here and now, of all that it needs.

        What is committed must be safe to repeat.
        """
        self.settle()
        began = self._clock()
        commit = copy()
        self.waited_s += self._clock() - began
        self._pending = self._thread.submit(self._persist, commit)

    def settle(self) -> None:
        """Wait until nothing is pending; said when that takes a while."""
        if self._pending is None:
            return
        began, said = self._clock(), False
        while not wait([self._pending], _LOOK_UP_S).done:
            if not said and self._clock() - began > _UNNOTICED_S:
                self._say("the store is slower than saving is due: training waits for it")
                said = True
        self.waited_s += self._clock() - began
        self.check()

    def check(self) -> None:
        """Raise what a commit has ended with by now; never waits."""
        if self._pending is not None and self._pending.done():
            done, self._pending = self._pending, None
            done.result()

    def __enter__(self) -> "Saver":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.settle()
                return
            self._abandoned.set()  # one more try is made, none after it
            if isinstance(error, Exception):  # an abort waits for nothing
                self.settle()
        except VoiceFlowError as second:
            if error is None:
                raise
            self._say(f"the last save failed too: {second}")
        finally:
            self._thread.shutdown(wait=False, cancel_futures=True)

    def _persist(self, commit: Commit) -> None:
        pause, failing_since, began = _FIRST_PAUSE_S, None, self._clock()
        while True:
            try:
                commit()
                self.took_s = self._clock() - began
                return
            except StoreUnavailable as error:
                failing_since = failing_since or self._clock()
                left = failing_since + self._patience_s - self._clock()
                if left <= 0 or self._abandoned.is_set():
                    raise
                self._say(f"saving failed and is tried again for {left:.0f} s, training goes on: {error}")
            self._abandoned.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)
