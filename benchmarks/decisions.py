"""What each decision after the network is worth, without training again: DER on dev and on test, one change at a time.

Every variant is tuned anew on the dev recordings, as an evaluation does, and then measured on the test recordings.

    python -m benchmarks.decisions --model RUN_OR_ONNX --config demo evaluation.dev_recordings=48
"""

import argparse
from collections.abc import Sequence

from voiceflow_model.cli.model import find_model
from voiceflow_model.config import load_config
from voiceflow_model.data.corpora import open_corpus
from voiceflow_model.diarization.card import Tuning
from voiceflow_model.diarization.onnx_runtime import Diarizer
from voiceflow_model.evaluation.der import errors, total
from voiceflow_model.evaluation.recording import Recording
from voiceflow_model.evaluation.simulated import simulated_recordings
from voiceflow_model.evaluation.tuning import tune

VARIANTS: dict[str, dict[str, float]] = {
    "as it is": {},
    "window hop 5 s": {"window_hop_s": 5.0},
    "window hop 2.5 s": {"window_hop_s": 2.5},
    "window hop 1.25 s": {"window_hop_s": 1.25},
    "window hop 0.625 s": {"window_hop_s": 0.625},
    "runs never cut": {"max_run_s": 10.0},
    "runs of at most 2.5 s": {"max_run_s": 2.5},
    "every run founds a cluster": {"min_embed_s": 0.0},
    "only runs of 0.8 s found clusters": {"min_embed_s": 0.8},
}


def measure(diarizer: Diarizer, recordings: Sequence[Recording]) -> str:
    """DER and what it is made of."""
    sums = total([errors(one.reference, diarizer.diarize(one.samples), one.scored) for one in recordings])
    parts = (sums.false_alarm_s, sums.missed_s, sums.confusion_s)
    return f"{sums.rate:.1%} | {' / '.join(f'{100 * part / sums.speech_s:.1f}' for part in parts)}"


def main() -> None:
    """A Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--store", default="voiceflow-store")
    parser.add_argument("--config", required=True)
    parser.add_argument("settings", nargs="*")
    given = parser.parse_args()
    config = load_config(given.config, given.settings)
    corpus = open_corpus(config.test_corpus)
    dev, test = (simulated_recordings(config, corpus, split) for split in ("dev", "test"))
    diarizer = Diarizer.load(find_model(given.model, given.store), threads=2)
    print(
        "| | dev DER | FA / missed / confusion | test DER | FA / missed / confusion |\n"
        "| --- | ---: | --- | ---: | --- |"
    )
    for name, changes in VARIANTS.items():
        start = Tuning.model_validate(Tuning().model_dump() | changes)
        diarizer.card = diarizer.card.model_copy(update={"tuning": start})
        diarizer.card = diarizer.card.model_copy(update={"tuning": tune(diarizer, dev)})
        print(f"| {name} | {measure(diarizer, dev)} | {measure(diarizer, test)} |", flush=True)


if __name__ == "__main__":
    main()
