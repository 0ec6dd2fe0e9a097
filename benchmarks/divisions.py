"""The held-out speakers divided anew into dev and test: how much of a DER is who happened to tune it.

For each division, ours is tuned on conversations of its dev speakers, as an evaluation does, and measured on its test
speakers, in the conditions of `benchmarks.diarization`; the peer has the threshold that is best on the very recordings
that are scored. The last rows are of all recordings of all divisions: tuned so; tuned by each of the other divisions in
turn; and as stored with the model, which may have seen any of the ten. Halves of ten people are not independent: two
who are alike are never in both. So a division's own threshold suits it less than that of any five people would, and
that of the others, some of whom are scored as well, a little better. Needs what `benchmarks.diarization` needs.

    python -m benchmarks.divisions --model MODEL --config speech corpus.url=... corpus.heldout_url=...
"""

from collections.abc import Sequence
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
    """Errors in the same recordings, by who tuned."""

    its_own: Errors
    others: Errors
    stored: Errors
    peer: Errors


def beside(ours: Errors, peer: Errors) -> str:
    """A cell of the table."""
    return f"{ours.rate:.1%} / {peer.rate:.1%} = {ours.rate / peer.rate:.2f}"


def tuned(model: str, config: RunConfig, seed: int) -> Tuning:
    """By a division's dev speakers, from the defaults."""
    ours = Diarizer.load(model)
    ours.card = ours.card.model_copy(update={"tuning": Tuning()})
    return tune(ours, simulated_recordings(config, Divided(config.test_corpus, seed), "dev"))


def measured(model: str, config_of: dict[str, RunConfig], tunings: Sequence[Tuning], seed: int) -> dict[str, Wrong]:
    """The errors in each condition with a division's test speakers, given what each division was tuned to."""
    ours, peer, wrong = Diarizer.load(model), Peer(), {}
    for condition, config in config_of.items():
        recordings = simulated_recordings(config, Divided(config.test_corpus, seed), "test")
        analyses = [ours.analyse(one.samples) for one in recordings]
        heard = [peer.hear(one.samples) for one in recordings]
        ways = [[decide(one, tuning) for one in analyses] for tuning in (*tunings, ours.card.tuning)]
        ways += [[peer.decide(one, threshold) for one in heard] for threshold in THRESHOLDS]
        rated = [
            total([errors(one.reference, turns, one.scored) for one, turns in zip(recordings, way, strict=True)])
            for way in ways
        ]
        own, others = rated[seed], total([*rated[:seed], *rated[seed + 1 : len(tunings)]])
        stored, *peers = rated[len(tunings) :]
        wrong[condition] = Wrong(own, others, stored, min(peers, key=lambda one: one.rate))
    return wrong


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
    model, found, divisions = find_model(asked.model, asked.store), [], range(asked.divisions)
    with ProcessPoolExecutor(asked.jobs) as pool:
        tunings = list(pool.map(partial(tuned, model, configs["as trained"]), divisions))
        for seed, wrong in enumerate(pool.map(partial(measured, model, configs, tunings), divisions)):
            found.append(wrong)
            cells = [beside(one.its_own, one.peer) for one in wrong.values()]
            print(f"| {seed} | {tunings[seed].merge_similarity:g} | {' | '.join(cells)} |", flush=True)
    everything = [Wrong(*map(total, zip(*(wrong[name] for wrong in found), strict=True))) for name in configs]
    for who, name in (("its_own", "all"), ("others", "all, tuned by the others"), ("stored", "all, as stored")):
        print(f"| {name} | | {' | '.join(beside(getattr(one, who), one.peer) for one in everything)} |")


if __name__ == "__main__":
    main()
