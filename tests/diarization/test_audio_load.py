import numpy as np
import pytest
import soundfile

from voiceflow_model.diarization.audio import load
from voiceflow_model.errors import BrokenAudio


@pytest.mark.parametrize(("rate_hz", "channels"), [(16_000, 1), (44_100, 2), (8_000, 1)])
def test_any_rate_and_channels_become_mono_at_16_khz(tmp_path, rate_hz, channels):
    time = np.arange(2 * rate_hz) / rate_hz
    wave = 0.5 * np.sin(2 * np.pi * 440 * time)
    path = str(tmp_path / "tone.wav")
    soundfile.write(path, np.stack([wave] * channels, axis=1), rate_hz, subtype="FLOAT")
    samples = load(path)
    assert samples.dtype == np.float32
    assert samples.shape == (32_000,)
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(32_000) / 16_000)
    np.testing.assert_allclose(samples[1000:-1000], expected[1000:-1000], atol=5e-3)


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(BrokenAudio, match="no such file"):
        load(str(tmp_path / "none.wav"))
