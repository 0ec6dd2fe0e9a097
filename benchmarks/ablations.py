"""What each design choice of training is worth: runs that differ in one setting, a short and equal budget, two seeds.

Each run is crops, then about 8,000 windows, then an evaluation, as `voiceflow run` does it; so runs may be interrupted,
and the same command goes on with what is missing. Runs are single-threaded, `--jobs` of them at a time. Prints Markdown
as far as it has come.

    python -m benchmarks.ablations --store /tmp/ablations --jobs 2 -- corpus.url=... corpus.heldout_url=...
"""

import argparse
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import numpy as np

from benchmarks.corpus import machine, table
from voiceflow_model.cli.record import record_if_any
from voiceflow_model.data.turns import TurnStatistics
from voiceflow_model.store import open_store

BUDGET = (
    "phases.validate.crops.steps=300",
    "phases.validate.epochs=1",
    "phases.validate.windows_per_epoch=8",
    "phases.train.epochs=1",
    "phases.train.windows_per_epoch=8000",
    "evaluation.validation_recordings=0",
    "evaluation.dev_recordings=24",
    "evaluation.test_recordings=36",
    "gates.accuracy=0",
    "gates.der=9",
    "session.threads=1",
)
NAIVE = "naive-turns.json"
CHOICES: dict[str, tuple[str, ...]] = {
    "the recipe": (),
    "AdamW moves everything": (
        "training.optimizer=adamw",
        "training.learning_rate=2e-3",
        "training.weight_decay=0.01",
    ),
    "a voice is known by all it says": ("training.voice_stretches=0",),
    "voices heard through all blocks": ("network.voice_blocks=6",),
    "split trunk": ("network.split_trunk=true",),
    "distillation to clean sources": ("training.distillation_weight=1.0",),
    # whose frames are those of naive windows, which are easier: no comparison; DER and EER are of what the others have
    "naive turn statistics": (f"conversation.turn_style={NAIVE}", "evaluation.turn_style=voxconverse"),
    "no speeds": ("stream.speeds=[1.0]",),
    "five speeds": ("stream.speeds=[0.84, 0.92, 1.0, 1.09, 1.19]",),
    "no microphones": ("stream.microphone.response_db=0",),
    "two centres per speaker": ("training.speaker_centres=2",),
    "a tenth of the noise is babble": ("conversation.babble_share=0.1",),
    "no crops": ("phases.validate.crops.steps=1",),
    "attention is not told": ("training.likeness_weight=0",),
}


class Found(NamedTuple):
    """What a run reached, as shares."""

    frames: float
    speakers: float
    eer: float
    der: float
    clustering: float
    segmentation: float


def naive_turns() -> TurnStatistics:
    """Everybody talks for one to five seconds, then somebody else after up to a second; a tenth overlaps instead."""
    upto = tuple(np.linspace(0.0, 1.0, 25).round(3).tolist())
    turns = tuple(np.linspace(1.0, 5.0, 25).round(3).tolist())
    return TurnStatistics(
        source="naive",
        turns=1,
        change_probability=1.0,
        overlap_probability=0.1,
        turn_s=turns,
        pause_same_s=upto,
        pause_change_s=upto,
        overlap_s=upto,
    )


def run(store: str, name: str, seed: int, settings: list[str]) -> Found | None:
    """The run, or what is missing of it; None where it failed, which its log explains."""
    run_id = f"{name.replace(' ', '-')}-{seed}"
    given = [*BUDGET, *settings, *CHOICES[name], f"seed={seed}"]
    given = [one.replace(NAIVE, str(Path(store) / NAIVE)) for one in given]
    command = [str(Path(sys.executable).with_name("voiceflow")), "run", "--config", "speech", "--store", store]
    command += ["--run-id", run_id, *(part for one in given for part in ("--set", one))]
    with (Path(store) / f"{run_id}.log").open("a") as log:
        subprocess.run(command, stdout=log, stderr=log, check=False)
    record = record_if_any(open_store(store), run_id)
    if record is None or "evaluate" not in record.stages:
        return None
    accuracy, result = record.stages["train"].result["accuracy"], record.stages["evaluate"].result
    oracle = result["oracle"]
    return Found(
        accuracy["frame_accuracy"],
        accuracy["speaker_accuracy"],
        result["eer"],
        result["report"]["der"],
        oracle["clustering"],
        oracle["segmentation"],
    )


def main() -> None:
    """The table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", required=True, help="a folder for the runs and their logs")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--only", nargs="+", default=list(CHOICES), choices=list(CHOICES))
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE", help="for every run")
    asked = parser.parse_args()
    Path(asked.store).mkdir(parents=True, exist_ok=True)
    (Path(asked.store) / NAIVE).write_text(json.dumps(naive_turns().model_dump()))
    wanted = list(product(asked.only, asked.seeds))
    with ThreadPoolExecutor(asked.jobs) as jobs:
        started = {(name, seed): jobs.submit(run, asked.store, name, seed, asked.settings) for name, seed in wanted}
        rows = []
        for name in asked.only:
            found = [started[name, seed].result() for seed in asked.seeds]
            whole = [one for one in found if one is not None]
            cells = [
                f"{mean(values):.1%} ({', '.join(f'{100 * value:.1f}' for value in values)})"
                for values in zip(*whole, strict=True)
            ]
            rows.append((name, *(cells or [f"see {asked.store}"] * len(Found._fields))))
            print(rows[-1], file=sys.stderr, flush=True)
    print(machine())
    heads = ("", "frames", "speakers", "EER", "DER", "with true clustering", "with true segmentation")
    print(table(heads, rows))


if __name__ == "__main__":
    main()
