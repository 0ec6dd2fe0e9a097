"""What saving costs training at full size, and how long a new worker takes to go on, with a store of 20 MB/s.

Trains the network of configs/voxceleb.toml on the embedded voices for a few steps, saving every fifth: twenty times as
often as shipped. The store is a folder whose every transfer is held up to the given rate. Then a fresh process goes
on; its clock starts before Python does. Prints Markdown.

    python -m benchmarks.saving
"""

import argparse
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence

from benchmarks.corpus import machine, table
from voiceflow_model.config import RunConfig, load_config, parse_config
from voiceflow_model.data.stream import Batch
from voiceflow_model.errors import Yielded
from voiceflow_model.runs.run import Run
from voiceflow_model.stages import run_phase
from voiceflow_model.store import Blob, open_store
from voiceflow_model.store.faults import FaultyStore
from voiceflow_model.training.preemption import StopRequest
from voiceflow_model.training.progress import Terminal, Tick
from voiceflow_model.training.step import Stepper, StepReport

STEPS, SAVE_EVERY = 20, 5
BYTES_PER_S = 20_000_000


class Throttled(FaultyStore):
    """A store without faults, whose transfers take their time."""

    def read(self, path: str) -> Blob:
        """See Store.read."""
        began = time.monotonic()
        blob = super().read(path)
        _hold(began, len(blob.data))
        return blob

    def write(self, path: str, data: bytes, *, if_generation: int | None = None) -> int:
        """See Store.write."""
        began = time.monotonic()
        generation = super().write(path, data, if_generation=if_generation)
        _hold(began, len(data))
        return generation


def _hold(began: float, size: int) -> None:
    time.sleep(max(0.0, size / BYTES_PER_S - (time.monotonic() - began)))


class Clock(Terminal):
    """Ticks and words, with the time; `on_tick` may ask to stop."""

    def __init__(self, on_tick: Callable[[], object] = lambda: None) -> None:
        super().__init__()
        self.ticks: list[float] = []
        self.said: list[str] = []
        self.on_tick = on_tick

    def tick(self, tick: Tick) -> None:
        """See Listener."""
        self.ticks.append(time.time())
        self.on_tick()

    def say(self, message: str) -> None:
        """See Listener."""
        self.said.append(message)


def full_size() -> RunConfig:
    """The demo's voices and data, the network of the full recipe."""
    demo, full = load_config("demo"), load_config("voxceleb")
    whole = demo.model_dump(mode="json", by_alias=True)
    whole["network"] = full.network.model_dump(mode="json")
    whole["training"] |= {"batch_size": full.training.batch_size}
    once = {"epochs": 1, "windows_per_epoch": STEPS * full.training.batch_size, "continue_from_validate": False}
    whole["phases"]["train"] |= once
    whole["session"] |= {"save_every_steps": SAVE_EVERY, "device": "cpu"}
    return parse_config(whole)


def continue_once(url: str, began: float) -> None:
    """Go on with the run for one step, and print the seconds until it began."""
    stop, steps = StopRequest(), list[float]()
    clock = Clock(lambda: stop.request("one step is enough"))
    take = Stepper.__call__

    def noted(self: Stepper, batches: Sequence[Batch]) -> StepReport:
        steps.append(time.time())
        return take(self, batches)

    Stepper.__call__ = noted  # type: ignore[method-assign]
    try:
        run_phase(full_size(), "train", Throttled(open_store(url)), "saving", stop=stop, listener=clock)
    except Yielded:
        print(steps[0] - began)


def main() -> None:
    """The table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resume", nargs=2, metavar=("STORE", "BEGAN"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.resume:
        continue_once(options.resume[0], float(options.resume[1]))
        return
    with tempfile.TemporaryDirectory() as folder:
        store, stop = Throttled(open_store(folder)), StopRequest()
        clock = Clock()
        clock.on_tick = lambda: stop.request("enough") if len(clock.ticks) == STEPS - SAVE_EVERY else None
        with contextlib.suppress(Yielded):
            run_phase(full_size(), "train", store, "saving", stop=stop, listener=clock)
        held_up = next(each for each in clock.said if "held training up" in each).split(" up for ")[1]
        entry = Run.load(store, "saving").record.phases["train"].checkpoints[-1]
        command = [sys.executable, "-m", "benchmarks.saving", "--resume", folder, str(time.time())]
        resumed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    step_s = (clock.ticks[-1] - clock.ticks[0]) / (len(clock.ticks) - 1)
    print(machine())
    rows = [
        (
            "checkpoint",
            f"{entry.bytes / 1e6:.0f} MB: {entry.bytes / BYTES_PER_S:.1f} s at {BYTES_PER_S / 1e6:.0f} MB/s",
        ),
        ("step", f"{step_s:.2f} s"),
        (f"training held up, saving every {SAVE_EVERY} steps", held_up),
        ("from nothing to the first step of a new process, pools filled", f"{float(resumed):.1f} s"),
    ]
    print(table(("what", "measured"), rows))


if __name__ == "__main__":
    main()
