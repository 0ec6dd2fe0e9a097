"""What a training step is made of, at demo size and at full size, on the embedded voices.

Steps are taken as a phase takes them, with data made beside them, and a checkpoint is written to RAM at the end. "data"
is waiting for it: what making it takes from the cores shows in the other parts. Prints Markdown.

    python -m benchmarks.step
"""

import argparse
import time

import torch

from benchmarks.corpus import machine, table
from benchmarks.saving import full_size
from voiceflow_model.config import RunConfig, load_config
from voiceflow_model.data.corpora import open_corpus
from voiceflow_model.data.speakers import SpeakerClasses
from voiceflow_model.network.model import parameter_count
from voiceflow_model.training.hardware import choose_hardware
from voiceflow_model.training.phase import open_stream
from voiceflow_model.training.state import TrainState
from voiceflow_model.training.step import Stepper

WARM_UP = 3


def measured(name: str, config: RunConfig, steps: int) -> tuple[str, ...]:
    """One row of the table."""
    hardware = choose_hardware(config.session, config.training)
    corpus = open_corpus(config.corpus)
    names = SpeakerClasses(corpus.speakers("train"), config.stream.speeds)
    fp16 = hardware.dtype == torch.float16
    state = TrainState.fresh(
        config.network, config.training, len(names), seed=0, config_hash="", device=hardware.device, fp16=fp16
    )
    leg = config.legs("train")[-1]
    with (
        open_stream(config, "train", leg, corpus, names, {}) as stream,
        Stepper(state, config.training, config.cycles("train"), threads=hardware.threads, dtype=hardware.dtype) as step,
    ):
        for _ in range(WARM_UP):
            step(next(stream))
        before, waited, began = dict(step.seconds), 0.0, time.perf_counter()
        for _ in range(steps):
            asked = time.perf_counter()
            batch = next(stream)
            waited += time.perf_counter() - asked
            step(batch)
        passed = time.perf_counter() - began
        spent = {part: step.seconds[part] - before[part] for part in before}
    asked = time.perf_counter()
    size = len(state.snapshot().to_bytes())
    checkpoint = time.perf_counter() - asked
    differentiating = spent["forward"] + spent["backward"]
    stepping = passed - waited - spent["update"]  # shards are differentiated side by side
    parts = (
        waited,
        stepping * spent["forward"] / differentiating,
        stepping * spent["backward"] / differentiating,
        spent["update"],
    )
    memory = f"{torch.cuda.max_memory_allocated() / 2**30:.1f} GiB" if hardware.device.type == "cuda" else ""
    return (
        name,
        f"{parameter_count(state.model) / 1e6:.2f} M",
        f"{config.training.batch_size}",
        f"{passed / steps:.3f}",
        f"{steps * config.training.batch_size / passed:.1f}",
        " / ".join(f"{part / passed:.0%}" for part in parts),
        f"{checkpoint:.2f} s, {size / 1e6:.1f} MB",
        memory,
    )


def main() -> None:
    """The table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=60, help="of demo size; a tenth of it at full size")
    asked = parser.parse_args()
    print(machine())
    rows = [
        measured("demo", load_config("demo"), asked.steps),
        measured("full", full_size(), max(3, asked.steps // 10)),
    ]
    heads = (
        "size",
        "parameters",
        "batch",
        "s per step",
        "windows per s",
        "data / forward / backward / update",
        "checkpoint to RAM",
        "GPU memory",
    )
    print(table(heads, rows))


if __name__ == "__main__":
    main()
