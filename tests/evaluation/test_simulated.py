import pytest

from voiceflow_model.config import parse_config
from voiceflow_model.data.corpora import open_corpus
from voiceflow_model.data.corpus import Split
from voiceflow_model.diarization.rttm import Turn
from voiceflow_model.errors import ConfigError
from voiceflow_model.evaluation.recording import Recording
from voiceflow_model.evaluation.simulated import simulated_recordings


def heldout(split: Split, trained: str = "voxconverse", **evaluation: object) -> list[Recording]:
    """Conversations of two held-out speakers, `trained` on one style of turns and perhaps measured on another."""
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
            "evaluation": {
                "dev_recordings": 2,
                "test_recordings": 2,
                "recording_s": 20.0,
                "speakers": [2, 2],
                **evaluation,
            },
        }
    )
    return simulated_recordings(config, open_corpus(config.corpus), split)


def contents(recordings: list[Recording]) -> list[tuple[list[Turn], bytes]]:
    return [(one.reference, one.samples.tobytes()) for one in recordings]


def test_turns_that_are_measured_need_not_be_those_trained_on():
    ami = heldout("dev", "ami")
    assert contents(heldout("dev", turn_style="ami")) == contents(ami)
    assert contents(heldout("dev")) != contents(ami)


def test_dev_speakers_are_heard_at_other_speeds_and_test_speakers_never():
    speeds = (0.84, 1.0, 1.19)
    fast_and_slow = heldout("dev", dev_speeds=speeds)
    assert contents(fast_and_slow) != contents(heldout("dev"))
    for one in fast_and_slow:
        assert len({turn.speaker for turn in one.reference}) == 2, "nobody talks to himself at another speed"
    assert contents(heldout("test", dev_speeds=speeds)) == contents(heldout("test"))


def test_voices_of_dev_recordings_are_also_heard_as_recorded():
    with pytest.raises(ConfigError, match=r"dev_speeds.*must contain 1\.0"):
        heldout("dev", dev_speeds=(0.9, 1.1))
