"""What the notebook is tried with."""

from pathlib import Path

import pytest


@pytest.fixture
def tiny(tmp_path: Path) -> str:
    """A configuration that trains in seconds, and whose gates let everything through."""
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return str(path)


TINY = """
name = "tiny"
[corpus]
kind = "espeak"
voices_train = 4
voices_dev = 2
voices_test = 2
utterances_per_voice = 8
heldout_utterances_per_voice = 4
[stream]
lanes = 2
pool_blocks = 2
block_rows = 4
[conversation]
window_s = 2.0
[network]
hidden_size = 16
blocks = 1
attention_blocks = 0
mels = 20
embedding_dim = 16
[training]
batch_size = 4
[phases.validate]
epochs = 1
windows_per_epoch = 16
[phases.train]
epochs = 1
windows_per_epoch = 24
continue_from_validate = true
[evaluation]
validation_conversations = 4
validation_utterances = 8
dev_recordings = 2
test_recordings = 2
recording_s = 10.0
speakers = [2, 2]
[gates]
accuracy = 0.0
der = 9.0
"""
