"""How well one threshold of clustering serves other people, louder rooms, monologues and larger meetings.

DER over `merge_similarity`, with all else as stored with the model, on conversations of dev and of test speakers: as
the configuration simulates them, harder (AMI's turns, a room each, noise at 0 to 10 dB), of one person, and of five.
Last what the model's own threshold gives, and in how many recordings it counts right. A change of clustering that helps
dev speakers alone, or conversations of as many people as it was tuned on, shows here.

    python -m benchmarks.thresholds --model RUN_OR_ONNX --config speech corpus.url=... evaluation.test_recordings=36
"""

from collections.abc import Sequence
from functools import cache

from benchmarks.model import HARDER, arguments
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
from voiceflow_model.evaluation.tuning import SIMILARITIES

CONDITIONS = {
    "as trained": (),
    "harder": HARDER,
    "one person": ("evaluation.speakers=[1,1]",),
    "five": ("evaluation.speakers=[5,5]",),
}
THRESHOLDS = [value for value in SIMILARITIES if 0.1 <= value <= 0.5]
SPLITS: tuple[Split, ...] = ("dev", "test")

Heard = Sequence[tuple[Recording, Analysis]]


def rate(heard: Heard, tuning: Tuning) -> float:
    """DER (collar 0) of all of them."""
    return total([errors(one.reference, decide(what, tuning), one.scored) for one, what in heard]).rate


def counted(heard: Heard, tuning: Tuning) -> float:
    """Share of the recordings in which as many people are heard as speak."""
    right = [
        len({turn.speaker for turn in decide(what, tuning)}) == len({turn.speaker for turn in one.reference})
        for one, what in heard
    ]
    return sum(right) / len(right)


def main() -> None:
    """A Markdown table."""
    asked = arguments(__doc__).parse_args()
    diarizer = Diarizer.load(find_model(asked.model, asked.store), threads=2)
    usual = diarizer.card.tuning
    corpus = open_corpus(load_config(asked.config, asked.overrides).test_corpus)

    @cache
    def heard(condition: str, split: Split) -> Heard:
        config = load_config(asked.config, [*asked.overrides, *CONDITIONS[condition]])
        recordings = simulated_recordings(config, corpus, split)
        return [(one, diarizer.analyse(one.samples)) for one in recordings]

    sets = [(condition, split) for condition in CONDITIONS for split in SPLITS]
    print(f"| merge_similarity | {' | '.join(f'{condition}, {split}' for condition, split in sets)} |")
    print("| --- |" + " ---: |" * len(sets))
    for value in (*THRESHOLDS, usual.merge_similarity):
        tuning = usual.model_copy(update={"merge_similarity": value})
        print(f"| {value:g} | {' | '.join(f'{rate(heard(*which), tuning):.1%}' for which in sets)} |", flush=True)
    print(f"| counted right | {' | '.join(f'{counted(heard(*which), usual):.0%}' for which in sets)} |")


if __name__ == "__main__":
    main()
