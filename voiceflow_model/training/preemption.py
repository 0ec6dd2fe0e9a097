"""Reasons to stop before the end: a signal, or a session budget that is spent. Handlers set a flag, nothing more."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

PROCESS_STARTED = time.monotonic()  # near enough: a session's budget covers all the phases that one process runs


class StopRequest:
    """Polled at step boundaries: `reason` is empty until training should commit and yield."""

    def __init__(
        self,
        session_minutes: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        since: float | None = None,
    ) -> None:
        self._clock = clock
        started = clock() if since is None else since
        self._deadline = None if session_minutes is None else started + 60 * session_minutes
        self._budget = f"the session budget of {session_minutes:g} minutes is spent" if session_minutes else ""
        self._signal = ""

    @property
    def reason(self) -> str:
        """Why to stop, or ""."""
        if self._signal:
            return self._signal
        if self._deadline is not None and self._clock() >= self._deadline:
            return self._budget
        return ""

    @property
    def at_once(self) -> bool:
        """Whether not even the next step may be waited for. With a spent budget it may: a session makes progress."""
        return bool(self._signal)

    def request(self, reason: str) -> None:
        """Ask for a stop at the next step boundary."""
        self._signal = self._signal or reason

    @contextmanager
    def on_signals(self) -> Iterator["StopRequest"]:
        """Take SIGTERM and SIGINT as stop requests; a second SIGINT aborts at once. Only in the main thread."""

        def handler(number: int, _frame: FrameType | None) -> None:
            if self._signal and number == signal.SIGINT:
                raise KeyboardInterrupt
            self.request(f"received {signal.Signals(number).name}")

        try:
            before = {s: signal.signal(s, handler) for s in (signal.SIGTERM, signal.SIGINT)}
        except ValueError:  # not the main thread: whoever owns the process handles its signals
            yield self
            return
        try:
            yield self
        finally:
            for number, previous in before.items():
                signal.signal(number, previous)
