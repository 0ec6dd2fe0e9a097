"""A trained model beside silero-vad + Resemblyzer + agglomerative clustering, on the same recordings.

The peer is what one gets from PyPI with weights inside the wheels and no training. Each is rated with the clustering
threshold that dev speakers give it (ours as exported, the peer on the configuration's dev recordings), and with the one
that is best on the very recordings that are scored: between the two lies what a threshold costs. Simulated
conversations of the configuration's test speakers are made as it says, and in three ways that no shipped configuration
trains on: with AMI's turn taking, with a room each and noise at 0 to 10 dB, and with both. `--real FOLDER` adds
recordings with RTTMs.

    pip install silero-vad resemblyzer "setuptools<81"
    python -m benchmarks.diarization --model MODEL --config speech corpus.url=... corpus.heldout_url=... --real ami
"""

from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from resemblyzer import VoiceEncoder, normalize_volume
from scipy.cluster.hierarchy import fcluster, linkage
from silero_vad import get_speech_timestamps, load_silero_vad

from benchmarks.model import AMIS_TURNS, HARDER, LOUD, arguments, cells
from voiceflow_model.cli.model import find_model
from voiceflow_model.config import load_config
from voiceflow_model.data.corpora import open_corpus
from voiceflow_model.data.corpus import FRAME_SAMPLES, SAMPLE_RATE_HZ, Corpus, Samples
from voiceflow_model.diarization.analysis import Analysis
from voiceflow_model.diarization.card import Tuning
from voiceflow_model.diarization.decision import decide
from voiceflow_model.diarization.onnx_runtime import Diarizer
from voiceflow_model.diarization.rttm import Turn
from voiceflow_model.evaluation.der import score
from voiceflow_model.evaluation.recording import Recording, load_folder
from voiceflow_model.evaluation.report import DerReport
from voiceflow_model.evaluation.simulated import simulated_recordings
from voiceflow_model.evaluation.tuning import SIMILARITIES

What = TypeVar("What")

CONDITIONS: dict[str, tuple[str, ...]] = {
    "as trained": (),
    "AMI's turns": AMIS_TURNS,
    "rooms, loud noise": LOUD,
    "AMI's turns, rooms, loud noise": HARDER,
}
THRESHOLDS: tuple[float, ...] = tuple(np.arange(0.1, 0.701, 0.025).round(3).tolist())
FRAME_S = FRAME_SAMPLES / SAMPLE_RATE_HZ


class Heard(NamedTuple):
    """What the peer knows of a recording before its one threshold."""

    voice: NDArray[np.int64]  # (frames,) which embedding a frame belongs to, -1 without speech
    embeddings: NDArray[np.float32]  # (embeddings, 256)


class Peer:
    """silero-vad finds speech, Resemblyzer embeds 1.6 s every quarter second, average linkage on cosine clusters."""

    def __init__(self) -> None:
        self._vad, self._encoder = load_silero_vad(), VoiceEncoder("cpu", verbose=False)

    def hear(self, samples: Samples) -> Heard:
        """Each frame with speech belongs to the nearest embedding whose 1.6 s are mostly speech."""
        speech = np.zeros(len(samples) // FRAME_SAMPLES, bool)
        for span in get_speech_timestamps(torch.from_numpy(samples), self._vad, sampling_rate=SAMPLE_RATE_HZ):
            speech[span["start"] // FRAME_SAMPLES : span["end"] // FRAME_SAMPLES] = True
        louder = normalize_volume(samples, -30, increase_only=True)
        _, embeddings, parts = self._encoder.embed_utterance(louder, return_partials=True, rate=4)
        spans = [slice(part.start // FRAME_SAMPLES, part.stop // FRAME_SAMPLES) for part in parts]
        kept = [i for i, span in enumerate(spans) if speech[span].mean() >= 0.5] or list(range(len(spans)))
        centres = np.array([(spans[i].start + spans[i].stop) / 2 for i in kept])
        nearest = np.abs(np.arange(len(speech))[:, None] - centres).argmin(axis=1)
        return Heard(np.where(speech, nearest, -1), embeddings[kept])

    @staticmethod
    def decide(heard: Heard, threshold: float) -> list[Turn]:
        """Turns, with clusters cut at this cosine distance."""
        labels = np.ones(1, np.int64)
        if len(heard.embeddings) > 1:
            labels = fcluster(linkage(heard.embeddings, "average", "cosine"), threshold, "distance")
        speaker = np.where(heard.voice >= 0, labels[heard.voice], 0)
        edges = np.flatnonzero(np.diff(speaker, prepend=-1, append=-1))
        return [
            Turn(round(a * FRAME_S, 3), round((b - a) * FRAME_S, 3), str(speaker[a]))
            for a, b in pairwise(edges.tolist())
            if speaker[a]
        ]


def rated(
    recordings: Sequence[Recording],
    heard: Sequence[What],
    way: Callable[[What, float], list[Turn]],
    thresholds: Sequence[float],
    name: str,
) -> dict[float, DerReport]:
    """What each threshold gives on these recordings."""
    return {
        threshold: DerReport.from_scores(
            [
                score(one.name, one.reference, way(what, threshold), one.scored)
                for one, what in zip(recordings, heard, strict=True)
            ],
            name,
        )
        for threshold in thresholds
    }


def best(reports: Mapping[float, DerReport]) -> float:
    """The threshold with the least DER."""
    return min(reports, key=lambda threshold: reports[threshold].der)


def merged_at(tuning: Tuning, analysis: Analysis, similarity: float) -> list[Turn]:
    """Turns with clusters merged down to this similarity, and all else as tuned."""
    return decide(analysis, tuning.model_copy(update={"merge_similarity": similarity}))


def row(system: str, report: DerReport) -> str:
    """One line of the table."""
    return f"| {report.dataset} | {system} | {cells(report)} | {report.speaker_count_accuracy:.0%} |"


def conditions(asked: Namespace, corpus: Corpus) -> Iterator[tuple[str, list[Recording]]]:
    """What is measured, by name."""
    for name, changes in CONDITIONS.items():
        yield name, simulated_recordings(load_config(asked.config, [*asked.overrides, *changes]), corpus, "test")
    if asked.real is not None:
        yield asked.real, list(load_folder(asked.real))


def main() -> None:
    """A Markdown table."""
    parser = arguments(__doc__)
    parser.add_argument("--real", help="a folder of audio and RTTM")
    asked = parser.parse_args()
    config = load_config(asked.config, asked.overrides)
    ours, peer = Diarizer.load(find_model(asked.model, asked.store)), Peer()
    print(
        "| recordings | system | DER | false alarm / missed / confusion | count right |\n"
        "| --- | --- | ---: | --- | ---: |"
    )
    corpus = open_corpus(config.test_corpus)
    tuning = ours.card.tuning
    similarities = sorted({*SIMILARITIES, tuning.merge_similarity})
    dev = simulated_recordings(config, corpus, "dev")
    tuned = best(rated(dev, [peer.hear(one.samples) for one in dev], peer.decide, THRESHOLDS, "dev"))
    for name, recordings in conditions(asked, corpus):
        analyses = [ours.analyse(one.samples) for one in recordings]
        heard = [peer.hear(one.samples) for one in recordings]
        for system, known, reports in (
            (
                "ours",
                tuning.merge_similarity,
                rated(recordings, analyses, partial(merged_at, tuning), similarities, name),
            ),
            ("silero + Resemblyzer + AHC", tuned, rated(recordings, heard, peer.decide, THRESHOLDS, name)),
        ):
            for how, threshold in (("tuned on dev", known), ("best", best(reports))):
                print(row(f"{system}, {how} ({threshold:g})", reports[threshold]), flush=True)


if __name__ == "__main__":
    main()
