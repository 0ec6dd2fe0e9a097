"""What each decision after the network is worth, without training again: DER on dev and on test, one change at a time.

Every variant is tuned anew on the dev recordings, as an evaluation does, and then measured on the test recordings. The
last ones are alternatives that VoiceFlow does not have, because they earned nothing here.

    python -m benchmarks.decisions --model RUN_OR_ONNX --config demo evaluation.dev_recordings=48
"""

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import NamedTuple

import numpy as np
from scipy.ndimage import median_filter

from benchmarks.model import arguments, cells
from voiceflow_model.cli.model import find_model
from voiceflow_model.config import load_config
from voiceflow_model.data.corpora import open_corpus
from voiceflow_model.diarization.aggregation import to_turns
from voiceflow_model.diarization.analysis import Analysis
from voiceflow_model.diarization.card import Tuning
from voiceflow_model.diarization.clustering import NOBODY, cluster, tracks, tree_of
from voiceflow_model.diarization.decision import activity, decide, turns_of
from voiceflow_model.diarization.linkage import Ints
from voiceflow_model.diarization.onnx_runtime import Diarizer
from voiceflow_model.diarization.rttm import Turn
from voiceflow_model.evaluation.der import errors, score, total
from voiceflow_model.evaluation.recording import Recording
from voiceflow_model.evaluation.report import DerReport
from voiceflow_model.evaluation.simulated import simulated_recordings
from voiceflow_model.evaluation.tuning import search

Decide = Callable[[Analysis, Tuning], list[Turn]]


class Variant(NamedTuple):
    """Parameters that tuning starts from, and what decides."""

    changes: dict[str, float] = {}  # noqa: RUF012 # never written to
    decide: Decide = decide


def reassigned(analysis: Analysis, tuning: Tuning, *, rounds: int) -> list[Turn]:
    """Spherical k-means from the clusters found: each run goes to the nearest centroid, the cleanest first.

    As VBx refines AHC, without its model of time; two that sound at once stay apart.
    """
    speaker = cluster(analysis, tuning)
    for _ in range(rounds if len(speaker) else 0):
        before, speaker = speaker, _nearest(analysis, speaker, tuning)
        if np.array_equal(before, speaker):
            break
    return turns_of(analysis, speaker, tuning)


def _nearest(analysis: Analysis, speaker: Ints, tuning: Tuning) -> Ints:
    runs, tree = analysis.runs, tree_of(analysis, tuning)
    apart, centroids = tree.apart, tree.centroids(speaker)
    likeness, found = runs.voices(tuning.pitch_weight) @ centroids.T, np.full(len(runs), NOBODY)
    for run in np.argsort(-runs.clean_s, kind="stable"):
        beside = found[apart.indices[apart.indptr[run] : apart.indptr[run + 1]]]
        taken = np.isin(np.arange(len(centroids)), beside)
        keeps = runs.clean_s[run] < tuning.min_embed_s
        found[run] = speaker[run] if keeps else (likeness[run] - 9 * taken).argmax()
    return found


def with_their_tracks(analysis: Analysis, tuning: Tuning) -> list[Turn]:
    """Runs too short to found go with most of their local speaker's seconds in the window, whatever they sound like."""
    speaker, runs = cluster(analysis, tuning), analysis.runs
    if not len(speaker):
        return []
    founds, track = tree_of(analysis, tuning).founds, tracks(runs)
    seconds = np.zeros((track.max() + 1, speaker.max() + 1))
    np.add.at(seconds, (track[founds], speaker[founds]), runs.clean_s[founds])
    short = ~founds & seconds.any(axis=1)[track]
    speaker[short] = seconds[track[short]].argmax(axis=1)
    return turns_of(analysis, speaker, tuning, by_voice=False)


def voted_by_runs(analysis: Analysis, tuning: Tuning) -> list[Turn]:
    """Each run votes for the speaker it was clustered to, all of it and with all its weight."""
    return turns_of(analysis, cluster(analysis, tuning), tuning, by_voice=False)


def median_filtered(analysis: Analysis, tuning: Tuning, *, seconds: float) -> list[Turn]:
    """Each speaker's decisions through a median filter, as in EEND (Fujita et al. 2019)."""
    active = activity(analysis, cluster(analysis, tuning), tuning)
    frames = round(seconds / analysis.frame_s) // 2 * 2 + 1
    return to_turns(median_filter(active.astype(np.int8), (frames, 1)) > 0, analysis.frame_s, tuning)


VARIANTS = {
    "as it is": Variant(),
    "window hop 5 s": Variant({"window_hop_s": 5.0}),
    "window hop 2.5 s": Variant({"window_hop_s": 2.5}),
    "window hop 0.625 s": Variant({"window_hop_s": 0.625}),
    "runs never cut": Variant({"max_run_s": 10.0}),
    "runs of at most 2.5 s": Variant({"max_run_s": 2.5}),
    "a run is known by itself alone": Variant({"track_weight": 0.0}),
    "a local speaker's voice counts as much as the run's": Variant({"track_weight": 1.0}),
    "without pitch": Variant({"pitch_weight": 0.0}),
    "pitch counts twice as much": Variant({"pitch_weight": 0.2}),
    "runs vote for the speaker they are clustered to": Variant(decide=voted_by_runs),
    "and short runs go with their local speakers": Variant(decide=with_their_tracks),
    "runs re-assigned to the nearest cluster, once": Variant(decide=partial(reassigned, rounds=1)),
    "the same until nothing moves": Variant(decide=partial(reassigned, rounds=20)),
    "median filter of 0.22 s": Variant(decide=partial(median_filtered, seconds=0.22)),
    "median filter of 0.5 s": Variant(decide=partial(median_filtered, seconds=0.5)),
}


def main() -> None:
    """A Markdown table."""
    asked = arguments(__doc__).parse_args()
    config = load_config(asked.config, asked.overrides)
    corpus = open_corpus(config.test_corpus)
    dev, test = (simulated_recordings(config, corpus, split) for split in ("dev", "test"))
    diarizer = Diarizer.load(find_model(asked.model, asked.store), threads=2)
    card = diarizer.card

    @cache
    def analysed(part: str, window_hop_s: float, max_run_s: float) -> list[Analysis]:
        tuning = Tuning(window_hop_s=window_hop_s, max_run_s=max_run_s)
        diarizer.card = card.model_copy(update={"tuning": tuning})
        return [diarizer.analyse(one.samples) for one in (dev if part == "dev" else test)]

    print(
        "| | dev DER | FA / missed / confusion | test DER | FA / missed / confusion |\n"
        "| --- | ---: | --- | ---: | --- |"
    )
    for name, (changes, way) in VARIANTS.items():
        start = Tuning.model_validate(Tuning().model_dump() | changes)
        heard = {part: analysed(part, start.window_hop_s, start.max_run_s) for part in ("dev", "test")}
        best = search(partial(_rate, way, dev, heard["dev"]), start)
        both = [cells(_report(way, *of, best)) for of in ((dev, heard["dev"]), (test, heard["test"]))]
        print(f"| {name} | {' | '.join(both)} |", flush=True)


def _rate(way: Decide, recordings: Sequence[Recording], heard: Sequence[Analysis], tuning: Tuning) -> float:
    pairs = zip(recordings, heard, strict=True)
    return total([errors(one.reference, way(what, tuning), one.scored) for one, what in pairs]).rate


def _report(way: Decide, recordings: Sequence[Recording], heard: Sequence[Analysis], tuning: Tuning) -> DerReport:
    pairs = zip(recordings, heard, strict=True)
    return DerReport.from_scores(
        [score(one.name, one.reference, way(what, tuning), one.scored) for one, what in pairs], ""
    )


if __name__ == "__main__":
    main()
