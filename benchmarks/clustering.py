"""How DER depends on the two settings of clustering that matter most, on dev and test speakers apart.

Prints DER / confusion / share of recordings with the right number of speakers, for each `max_run_s` (10: runs are not
cut) and `merge_similarity`; all else is the default. docs/adr/0006-clustering-runs.md quotes it.

    python -m benchmarks.clustering --model RUN_OR_ONNX --config demo evaluation.dev_recordings=48
"""

from collections.abc import Sequence

from benchmarks.model import arguments
from voiceflow_model.cli.model import find_model
from voiceflow_model.config import load_config
from voiceflow_model.data.corpora import open_corpus
from voiceflow_model.data.corpus import Split
from voiceflow_model.diarization.analysis import Analysis
from voiceflow_model.diarization.card import Tuning
from voiceflow_model.diarization.decision import decide
from voiceflow_model.diarization.onnx_runtime import Diarizer
from voiceflow_model.evaluation.der import errors, total
from voiceflow_model.evaluation.recording import Recording
from voiceflow_model.evaluation.simulated import simulated_recordings

MAX_RUN_S = (1.5, 2.0, 3.0, 5.0, 10.0)
SIMILARITIES = (0.3, 0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.8)
SPLITS: tuple[Split, ...] = ("dev", "test")


def cell(recordings: Sequence[Recording], analysed: Sequence[Analysis], tuning: Tuning) -> str:
    """DER / confusion / share of recordings with the right count, in percent."""
    found = [decide(analysis, tuning) for analysis in analysed]
    pairs = list(zip(recordings, found, strict=True))
    sums = total([errors(one.reference, turns, one.scored) for one, turns in pairs])
    counted = [len({t.speaker for t in turns}) == len({t.speaker for t in one.reference}) for one, turns in pairs]
    return f"{sums.rate:.1%} / {sums.confusion_s / sums.speech_s:.1%} / {sum(counted) / len(counted):.0%}"


def main() -> None:
    """One Markdown table per split."""
    asked = arguments(__doc__).parse_args()
    config = load_config(asked.config, asked.overrides)
    corpus = open_corpus(config.corpus_of("train"))
    diarizer = Diarizer.load(find_model(asked.model, asked.store))
    for split in SPLITS:
        recordings = simulated_recordings(config, corpus, split)
        print(f"{split}: {len(recordings)} recordings of {config.evaluation.recording_s:.0f} s\n")
        print("| max_run_s |", " | ".join(map(str, SIMILARITIES)), "|")
        print("| ---: |", " ---: |" * len(SIMILARITIES))
        for max_run_s in MAX_RUN_S:
            tuning = Tuning(max_run_s=max_run_s)
            analysed = [diarizer.analyse(one.samples, tuning) for one in recordings]
            thresholds = [tuning.model_copy(update={"merge_similarity": value}) for value in SIMILARITIES]
            cells = [cell(recordings, analysed, one) for one in thresholds]
            print(f"| {max_run_s} |", " | ".join(cells), "|", flush=True)
        print()


if __name__ == "__main__":
    main()
