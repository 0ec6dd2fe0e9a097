"""Who hears of a stage's progress: the terminal, the run's log and a progress artifact, whichever exist."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from logging import Logger, LoggerAdapter
from typing import Any
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from rich.console import Console

from tasks.artifacts import artifact_key, harmless
from tasks.run_context import in_run, is_deployed, logger
from voiceflow_model.config import RunConfig
from voiceflow_model.training.progress import Listener, Terminal, Tick
from voiceflow_model.training.validation import Accuracy

_PUBLISH_EVERY_S = 10.0
_LAST_PUBLICATION_S = 5.0


def listener_for(config: RunConfig, stage: str) -> Listener:
    """The terminal when a person started this, and the log and the progress artifact when there is a Prefect run."""
    ears: list[Listener] = [] if is_deployed() else [Terminal()]
    if in_run():
        ears += [log_lines(logger()), ProgressArtifact(artifact_key(config, f"{stage}-progress"))]
    return Together(ears)


class Together:
    """Several listeners as one."""

    def __init__(self, listeners: list[Listener]) -> None:
        self._listeners = listeners

    def tick(self, tick: Tick) -> None:
        """See Listener."""
        for one in self._listeners:
            one.tick(tick)

    def validated(self, phase: str, epoch: int, accuracy: Accuracy) -> None:
        """See Listener."""
        for one in self._listeners:
            one.validated(phase, epoch, accuracy)

    def say(self, message: str) -> None:
        """See Listener."""
        for one in self._listeners:
            one.say(message)

    def close(self) -> None:
        """See Listener."""
        for one in self._listeners:
            one.close()


class _LogFile:
    def __init__(self, log: "Logger | LoggerAdapter[Any]") -> None:
        self._log = log

    def write(self, text: str) -> int:
        for line in filter(None, text.splitlines()):
            self._log.info(line)
        return len(text)

    def flush(self) -> None:
        pass


def log_lines(log: "Logger | LoggerAdapter[Any]") -> Listener:
    """What the terminal would show without a progress bar, as lines of a log."""
    return Terminal(Console(file=_LogFile(log), width=1000, force_terminal=False))  # type: ignore[arg-type]


class ProgressArtifact:
    """Percent of a stage's steps, at most every ten seconds, from a thread of its own: a slow server stops nobody."""

    def __init__(
        self,
        key: str,
        create: Callable[..., Any] = create_progress_artifact,
        update: Callable[..., Any] = update_progress_artifact,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._key, self._create, self._update, self._clock = key, create, update, clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="progress")
        self._artifact: UUID | None = None
        self._pending: Future[None] | None = None
        self._next_at = clock()

    def tick(self, tick: Tick) -> None:
        """See Listener."""
        busy = self._pending is not None and not self._pending.done()
        if tick.step == tick.total or (self._clock() >= self._next_at and not busy):
            self._next_at = self._clock() + _PUBLISH_EVERY_S
            percent = 100 * tick.step / tick.total
            here = copy_context()  # the Prefect run is known by context, which a thread does not inherit
            self._pending = self._thread.submit(here.run, harmless, self._key, lambda: self._publish(percent))

    def validated(self, phase: str, epoch: int, accuracy: Accuracy) -> None:
        """See Listener; the log tells it."""

    def say(self, message: str) -> None:
        """See Listener; the log tells it."""

    def close(self) -> None:
        """See Listener. Waits a moment for the last publication."""
        if self._pending is not None:
            wait([self._pending], timeout=_LAST_PUBLICATION_S)
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _publish(self, percent: float) -> None:
        if self._artifact is None:
            self._artifact = self._create(percent, key=self._key)
        else:
            self._update(self._artifact, percent)
