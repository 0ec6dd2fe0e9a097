from voiceflow_model.config import parse_config
from voiceflow_model.data.corpora import open_corpus
from voiceflow_model.evaluation.simulated import simulated_recordings


def recordings(trained: str, measured: str | None = None):
    """Of two dev speakers, `trained` on one style of turns and measured on another."""
    config = parse_config(
        {
            "corpus": {
                "kind": "espeak",
                "voices_train": 4,
                "utterances_per_voice": 4,
                "heldout_utterances_per_voice": 4,
            },
            "conversation": {"turn_style": trained},
            "phases": {
                "validate": {"epochs": 1, "windows_per_epoch": 8},
                "train": {"epochs": 1, "windows_per_epoch": 8},
            },
            "evaluation": {"turn_style": measured, "dev_recordings": 2, "recording_s": 20.0, "speakers": [2, 2]},
        }
    )
    return [
        (one.reference, one.samples.tobytes())
        for one in simulated_recordings(config, open_corpus(config.corpus), "dev")
    ]


def test_turns_that_are_measured_need_not_be_those_trained_on():
    ami = recordings("ami")
    assert recordings("voxconverse", "ami") == ami
    assert recordings("voxconverse") != ami
