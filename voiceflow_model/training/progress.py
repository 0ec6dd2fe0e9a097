"""What the loop tells while it runs; a terminal, a log or a Prefect artifact listens."""

import sys
import time
from typing import NamedTuple, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from voiceflow_model.training.step import StepReport
from voiceflow_model.training.validation import Accuracy


class Tick(NamedTuple):
    """One step's news. Rates are of this session."""

    phase: str
    step: int
    total: int
    epoch: int
    report: StepReport
    examples_per_s: float
    eta_s: float


class Listener(Protocol):
    """Receives ticks and messages; must be quick and must not raise."""

    def tick(self, tick: Tick) -> None:
        """After every step."""

    def validated(self, phase: str, epoch: int, accuracy: Accuracy) -> None:
        """After every validation."""

    def say(self, message: str) -> None:
        """Anything a person should read."""

    def close(self) -> None:
        """No more news."""


class Pace:
    """Examples per second and time left, from a smoothed time per step."""

    def __init__(self, batch_size: int) -> None:
        self.batch_size, self._last, self._step_s = batch_size, time.monotonic(), 0.0

    def tick(self, phase: str, step: int, total: int, epoch: int, report: StepReport) -> Tick:
        """Measure one step."""
        now = time.monotonic()
        elapsed, self._last = now - self._last, now
        self._step_s = elapsed if not self._step_s else 0.9 * self._step_s + 0.1 * elapsed
        return Tick(phase, step, total, epoch, report, self.batch_size / self._step_s, (total - step) * self._step_s)

    def skip(self) -> None:
        """Do not count the time since the last tick (validation, saving)."""
        self._last = time.monotonic()


class Terminal:
    """A progress bar where there is a terminal, a line every ten seconds where there is none."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(file=sys.stderr)
        self._bar: Progress | None = None
        self._said_at = 0.0

    def tick(self, tick: Tick) -> None:
        """See Listener."""
        right = "single voices" if tick.report.frame_accuracy is None else f"frames {tick.report.frame_accuracy:6.1%}"
        pace = f"{tick.examples_per_s:5.0f} windows/s  ETA {_clock(tick.eta_s)}"
        text = f"loss {tick.report.loss:6.3f}  {right}  {pace}"
        if self.console.is_terminal:
            if self._bar is None:
                columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[text]}"))
                self._bar = Progress(*columns, TimeElapsedColumn(), console=self.console)
                self._bar.start()
                self._task = self._bar.add_task(tick.phase, total=tick.total, text="")
            self._bar.update(self._task, completed=tick.step, total=tick.total, description=tick.phase, text=text)
        elif time.monotonic() - self._said_at > 10 or tick.step == tick.total:
            self._said_at = time.monotonic()
            self.say(f"{tick.phase} {tick.step}/{tick.total}  {text}")

    def validated(self, phase: str, epoch: int, accuracy: Accuracy) -> None:
        """See Listener."""
        self.say(f"{phase} epoch {epoch}: {describe(accuracy)}")

    def say(self, message: str) -> None:
        """See Listener."""
        self.console.print(message, highlight=False, markup=False, soft_wrap=True)

    def close(self) -> None:
        """See Listener."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def describe(accuracy: Accuracy) -> str:
    """Both accuracies with their baselines, and how unseen voices are diarized where that was measured, on one line."""
    said = (
        f"frame accuracy {accuracy.frame_accuracy:.1%} (majority class {accuracy.frame_majority:.1%}), "
        f"speaker accuracy {accuracy.speaker_accuracy:.1%} (majority class {accuracy.speaker_majority:.1%})"
    )
    if accuracy.unseen_nothing is None:
        return said
    truths = f"{accuracy.unseen_clustering:.1%} / {accuracy.unseen_segmentation:.1%}"
    return f"{said}, DER on unseen voices {accuracy.unseen_nothing:.1%} (true clustering / segmentation: {truths})"


def _clock(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60:02d}:{rest % 60:02d}"
