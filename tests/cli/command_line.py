"""What the tests of the command line share: the command in this process, a tiny configuration, and sounds."""

import io
from collections.abc import Callable

import numpy as np
import soundfile
from typer.testing import CliRunner, Result

from flows.cli import app

VoiceFlow = Callable[..., Result]

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
draws_per_block = 8
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
gradient_shards = 2
[phases.validate]
epochs = 1
windows_per_epoch = 24
[phases.train]
epochs = 2
windows_per_epoch = 96
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
der = 10.0
[session]
save_every_steps = 2
device = "cpu"
"""


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def audio(samples, rate_hz: int = 16_000, kind: str = "WAV") -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate_hz, format=kind)
    return buffer.getvalue()


def spoken(number: int, seconds: float = 2.0, rate_hz: int = 16_000, channels: int = 1):
    """Something with the envelope of speech: noise in syllables. (samples,) or (samples, channels)."""
    rng, length = np.random.default_rng(number), round(seconds * rate_hz)
    envelope = 0.5 - 0.5 * np.cos(2 * np.pi * 3 * np.arange(length) / rate_hz)
    mono = (0.1 * envelope * rng.standard_normal(length)).astype(np.float32)
    return mono if channels == 1 else np.stack([mono] * channels, axis=1)
