"""What the network alone says about single windows of one, two and three people, before anything is clustered.

Frames that are right; frames where the number of voices is right; and frames where it is and the voice is another's:
one person taken for two, or two for one. Of held-out speech of training speakers, of dev and of test speakers.

    python -m benchmarks.windows --model RUN_OR_ONNX --config speech corpus.url=... corpus.heldout_url=...
"""

from itertools import permutations
from typing import NamedTuple

import numpy as np

from benchmarks.model import arguments
from voiceflow_model.cli.model import find_model
from voiceflow_model.config import load_config
from voiceflow_model.data.corpora import open_corpus
from voiceflow_model.diarization.onnx_runtime import Diarizer
from voiceflow_model.evaluation.oracle import true_activity
from voiceflow_model.evaluation.recording import Recording
from voiceflow_model.evaluation.simulated import simulated_recordings

SPLITS = {"validation": "training speakers, held-out speech", "dev": "dev speakers", "test": "test speakers"}


class Rates(NamedTuple):
    """Shares of all frames."""

    right: float
    number_right: float
    another: float


def main() -> None:
    """A Markdown table."""
    parser = arguments(__doc__)
    parser.add_argument("--windows", type=int, default=200, help="of each kind")
    asked = parser.parse_args()
    diarizer = Diarizer.load(find_model(asked.model, asked.store))
    corpus = open_corpus(load_config(asked.config, asked.overrides).test_corpus)
    print(
        "| whose | in a window | frames right | number right | another's voice |\n| --- | ---: | ---: | ---: | ---: |"
    )
    for split, whose in SPLITS.items():
        for speakers in (1, 2, 3):
            settings = [f"evaluation.{part}_recordings={asked.windows}" for part in ("dev", "test")]
            settings += [f"evaluation.speakers=[{speakers}, {speakers}]"]
            settings += [f"evaluation.recording_s={diarizer.card.window_s}"]
            config = load_config(asked.config, [*asked.overrides, *settings])
            windows = simulated_recordings(config, corpus, split)
            rates = np.mean([judged(diarizer, one) for one in windows], axis=0)
            print(f"| {whose} | {speakers} | {' | '.join(f'{rate:.1%}' for rate in rates)} |", flush=True)


def judged(diarizer: Diarizer, window: Recording) -> Rates:
    """Of one window, local speakers renamed to fit best."""
    known, names = true_activity(window)
    truth = np.zeros((len(known), diarizer.card.num_speakers), np.bool_)
    truth[:, : len(names)] = known
    said = np.zeros_like(truth)
    runs = diarizer.analyse(window.samples).runs
    for local, start, end in zip(runs.local, runs.start, runs.end, strict=True):
        said[start:end, local] = True
    number = said.sum(axis=1) == truth.sum(axis=1)
    right = max((said[:, list(order)] == truth).all(axis=1).mean() for order in permutations(range(said.shape[1])))
    return Rates(float(right), float(number.mean()), float(number.mean() - right))


if __name__ == "__main__":
    main()
