"""The held-out speakers divided anew into dev and test: how much of a DER is who happened to tune it.

For each division, ours is tuned on conversations of its dev speakers, as an evaluation does, and measured on its test
speakers, in the conditions of `benchmarks.diarization`; the peer has the threshold that is best on the very recordings
that are scored. The last rows are of all recordings of all divisions: so, and with the tuning stored with the model,
which may have seen any of the ten. Needs what `benchmarks.diarization` needs.

    python -m benchmarks.divisions --model MODEL --config speech corpus.url=... corpus.heldout_url=...
"""

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np

from benchmarks.diarization import CONDITIONS, THRESHOLDS, Peer
from benchmarks.model import arguments
from voiceflow_model.cli.model import find_model
from voiceflow_model.config import RunConfig, load_config
from voiceflow_model.data.corpus import Split
from voiceflow_model.data.files import FilesCorpus, FilesCorpusConfig
from voiceflow_model.diarization.card import Tuning
from voiceflow_model.diarization.decision import decide
from voiceflow_model.diarization.onnx_runtime import Diarizer
from voiceflow_model.errors import ConfigError
from voiceflow_model.evaluation.der import Errors, errors, total
from voiceflow_model.evaluation.simulated import simulated_recordings
from voiceflow_model.evaluation.tuning import tune


class Divided(FilesCorpus):
    """The corpus with its held-out speakers halved by a seed."""

    def __init__(self, config: FilesCorpusConfig, seed: int) -> None:
        super().__init__(config)
        held = np.random.default_rng(seed).permutation(sorted((*super().speakers("dev"), *super().speakers("test"))))
        self._halves = {"dev": tuple(sorted(held[::2].tolist())), "test": tuple(sorted(held[1::2].tolist()))}

    def speakers(self, split: Split) -> tuple[str, ...]:
        """Folder names, sorted."""
        return self._halves.get(split) or super().speakers(split)


class Wrong(NamedTuple):
    """What is wrong in the same recordings: tuned on the division's dev speakers, tuned as stored, and the peer."""

    tuned: Errors
    stored: Errors
    peer: Errors


def beside(ours: Errors, peer: Errors) -> str:
    """A cell of the table."""
    return f"{ours.rate:.1%} / {peer.rate:.1%} = {ours.rate / peer.rate:.2f}"


def divided(model: str, config_of: dict[str, RunConfig], seed: int) -> tuple[float, dict[str, Wrong]]:
    """The threshold of this division's dev speakers, and the errors in each condition."""
    usual = config_of["as trained"]
    corpus = Divided(usual.test_corpus, seed)
    ours, peer = Diarizer.load(model), Peer()
    stored = ours.card.tuning
    ours.card = ours.card.model_copy(update={"tuning": Tuning()})
    tuned = tune(ours, simulated_recordings(usual, corpus, "dev"))
    wrong = {}
    for condition, config in config_of.items():
        recordings = simulated_recordings(config, corpus, "test")
        analyses = [ours.analyse(one.samples) for one in recordings]
        ways = [[decide(one, tuning) for one in analyses] for tuning in (tuned, stored)]
        heard = [peer.hear(one.samples) for one in recordings]
        ways += [[peer.decide(one, threshold) for one in heard] for threshold in THRESHOLDS]
        rated = [
            total([errors(one.reference, turns, one.scored) for one, turns in zip(recordings, way, strict=True)])
            for way in ways
        ]
        wrong[condition] = Wrong(rated[0], rated[1], min(rated[2:], key=lambda one: one.rate))
    return tuned.merge_similarity, wrong


def main() -> None:
    """A Markdown table."""
    parser = arguments(__doc__)
    parser.add_argument("--divisions", type=int, default=6)
    parser.add_argument("--jobs", type=int, default=2)
    asked = parser.parse_args()
    configs = {name: load_config(asked.config, [*asked.overrides, *changes]) for name, changes in CONDITIONS.items()}
    if not isinstance(configs["as trained"].test_corpus, FilesCorpusConfig):
        raise ConfigError("divisions are of the speakers of a folder: use --config speech and name corpus.heldout_url")
    print(f"| division | threshold | {' | '.join(configs)} |\n| ---: | ---: |" + " ---: |" * len(configs))
    found = []
    with ProcessPoolExecutor(asked.jobs) as pool:
        way = partial(divided, find_model(asked.model, asked.store), configs)
        for seed, (threshold, wrong) in enumerate(pool.map(way, range(asked.divisions))):
            found.append(wrong)
            cells = [beside(one.tuned, one.peer) for one in wrong.values()]
            print(f"| {seed} | {threshold:g} | {' | '.join(cells)} |", flush=True)
    everything = [Wrong(*map(total, zip(*(wrong[name] for wrong in found), strict=True))) for name in configs]
    print(f"| all | | {' | '.join(beside(one.tuned, one.peer) for one in everything)} |")
    print(f"| all, as stored | | {' | '.join(beside(one.stored, one.peer) for one in everything)} |")


if __name__ == "__main__":
    main()
