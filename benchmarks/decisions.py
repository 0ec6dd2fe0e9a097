"""What each decision after the network is worth, without training again: DER on dev and on test, one change at a time.

Every variant is tuned anew on the dev recordings, as an evaluation does, and then measured on the test recordings.

    python -m benchmarks.decisions --model RUN_OR_ONNX --config demo evaluation.dev_recordings=48
"""

from benchmarks.model import arguments, cells
from voiceflow_model.cli.model import find_model
from voiceflow_model.config import load_config
from voiceflow_model.data.corpora import open_corpus
from voiceflow_model.diarization.card import Tuning
from voiceflow_model.diarization.onnx_runtime import Diarizer
from voiceflow_model.evaluation.simulated import simulated_recordings
from voiceflow_model.evaluation.stage import score_recordings
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


def main() -> None:
    """A Markdown table."""
    asked = arguments(__doc__).parse_args()
    config = load_config(asked.config, asked.overrides)
    corpus = open_corpus(config.test_corpus)
    dev, test = (simulated_recordings(config, corpus, split) for split in ("dev", "test"))
    diarizer = Diarizer.load(find_model(asked.model, asked.store), threads=2)
    print(
        "| | dev DER | FA / missed / confusion | test DER | FA / missed / confusion |\n"
        "| --- | ---: | --- | ---: | --- |"
    )
    for name, changes in VARIANTS.items():
        start = Tuning.model_validate(Tuning().model_dump() | changes)
        diarizer.card = diarizer.card.model_copy(update={"tuning": start})
        diarizer.card = diarizer.card.model_copy(update={"tuning": tune(diarizer, dev)})
        both = [cells(score_recordings(diarizer, part, name)[0]) for part in (dev, test)]
        print(f"| {name} | {' | '.join(both)} |", flush=True)


if __name__ == "__main__":
    main()
