"""A configuration that contradicts itself is refused, and by the keys that do."""

import pytest

from voiceflow_model.config import load_config
from voiceflow_model.errors import ConfigError


def test_a_phase_is_crops_and_then_its_epochs():
    config = load_config("demo", ["phases.train.crops={steps = 10, batch_size = 32, window_s = 1.0}"])
    crops, conversations = config.legs("train")
    assert (crops.start, crops.end, crops.batch_size, crops.conversation.window_s) == (0, 10, 32, 1.0)
    assert crops.conversation.speakers == (0.0, 1.0)
    assert conversations.start == 10
    assert conversations.conversation == config.conversation
    assert [crops.windows(step) for step in (0, 4, 10, 99)] == [0, 128, 320, 320]
    assert conversations.windows(11) == config.training.batch_size
    assert len(config.legs("validate")) == 1


def test_restarts_follow_the_epochs_each_with_a_cosine_of_its_own():
    restarted = "phases.train.restarts={count = 2, epochs = 3, learning_rate_share = 0.5, sounds_share = 0.4}"
    config = load_config("demo", ["phases.train.epochs=10", "phases.train.crops={steps = 10}", restarted])
    epoch = config.steps_per_epoch("train")
    ends = [10 + epochs * epoch for epochs in (10, 13, 16)]
    _, conversations, again = config.legs("train")
    assert (conversations.end, again.start, again.end) == (ends[0], ends[0], ends[2])
    assert (conversations.conversation.sounds_share, again.conversation.sounds_share) == (0.0, 0.4)
    assert config.cycles("train") == ((0, ends[0], 1.0), (ends[0], ends[1], 0.5), (ends[1], ends[2], 0.5))


def test_a_batch_of_crops_is_shared_by_lanes_like_any_other():
    with pytest.raises(
        ConfigError, match=r"phases\.train\.crops\.batch_size \(30\) must be a multiple of stream\.lanes"
    ):
        load_config("demo", ["phases.train.crops={steps = 10, batch_size = 30}"])


def test_recordings_of_conversations_have_no_single_voices_to_crop():
    with pytest.raises(ConfigError, match=r"phases\.train\.crops: recordings"):
        load_config("ami", ["phases.train.crops.steps=10"])
