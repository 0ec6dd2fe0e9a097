import io
import subprocess
import sys

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceflow_model import audio
from voiceflow_model.audio import decode_bytes
from voiceflow_model.errors import BrokenAudio


def tone(seconds: float, rate_hz: int = 16_000, channels: int = 1) -> np.ndarray:
    wave = 0.3 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate_hz)) / rate_hz)
    return np.stack([wave] * channels, axis=1).astype(np.float32)


def encode(samples: np.ndarray, rate_hz: int, kind: str, subtype: str | None = None) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate_hz, format=kind, subtype=subtype)
    return buffer.getvalue()


def encode_aac(samples: np.ndarray, rate_hz: int, container: str) -> bytes:
    buffer = io.BytesIO()
    options = {"movflags": "frag_keyframe+empty_moov"} if container == "fragmented" else {}
    with av.open(buffer, "w", format="mp4" if container == "fragmented" else container, options=options) as output:
        stream = output.add_stream("aac", rate=rate_hz, layout="stereo")
        for start in range(0, len(samples) - 1023, 1024):
            block = np.ascontiguousarray(samples[start : start + 1024].T)
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts = rate_hz, start
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return buffer.getvalue()


def cause(data: bytes, **options: float) -> str:
    with pytest.raises(BrokenAudio) as raised:
        decode_bytes(data, "some/key.flac", **options)
    assert raised.value.key == "some/key.flac"
    return raised.value.cause


@pytest.mark.parametrize(("kind", "subtype"), [("FLAC", None), ("WAV", "PCM_16"), ("WAV", "FLOAT"), ("OGG", "VORBIS")])
def test_what_was_written_is_read_at_its_own_rate(kind: str, subtype: str | None) -> None:
    written = tone(1.0, 22_050)
    samples, rate_hz = decode_bytes(encode(written, 22_050, kind, subtype), "k")
    assert rate_hz == 22_050
    assert samples.dtype == np.float32
    assert samples.shape == (22_050,)
    assert np.abs(samples - written[:, 0]).max() < (0.05 if kind == "OGG" else 1e-3)


def test_stereo_mp3_becomes_the_mean_of_its_channels() -> None:
    stereo = tone(2.0, 44_100, channels=2)
    stereo[:, 1] = 0
    samples, rate_hz = decode_bytes(encode(stereo, 44_100, "MP3"), "k")
    assert (rate_hz, samples.ndim) == (44_100, 1)
    assert samples.std() == pytest.approx(stereo[:, 0].std() / 2, rel=0.05)


@pytest.mark.parametrize("container", ["mp4", "adts", "fragmented"])
def test_aac_which_libsndfile_does_not_know_is_read(container: str) -> None:
    stereo = tone(2.0, 44_100, channels=2)
    data = encode_aac(stereo, 44_100, container)
    samples, rate_hz = decode_bytes(data, "k.m4a")
    assert rate_hz == 44_100
    assert len(samples) / rate_hz == pytest.approx(2.0, abs=0.06)
    assert samples[4096:-4096].std() == pytest.approx(stereo[:, 0].std(), rel=0.05)
    assert np.array_equal(samples, decode_bytes(data, "k.m4a")[0])


def test_no_bytes_are_empty() -> None:
    assert cause(b"") == "empty"


@pytest.mark.parametrize(
    "data",
    [b"This is a transcript, not a sound.\n" * 50, b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n", b"\x00" * 5000],
    ids=["text", "playlist", "zeros"],
)
def test_a_file_that_only_has_the_name_of_audio_is_not_audio(data: bytes) -> None:
    assert cause(data) == "not-audio"


@pytest.mark.parametrize("kind", ["FLAC", "WAV", "MP3"])
def test_a_file_cut_off_in_the_middle_is_truncated(kind: str) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 48_000).astype(np.float32)
    data = encode(noise, 16_000, kind)
    assert cause(data[: len(data) * 6 // 10]) == "truncated"


@pytest.mark.parametrize("container", ["mp4", "fragmented"])
def test_a_container_cut_off_in_the_middle_is_truncated(container: str) -> None:
    data = encode_aac(tone(3.0, 44_100, 2), 44_100, container)
    assert cause(data[: len(data) * 6 // 10]) == "truncated"


def test_a_header_alone_is_truncated() -> None:
    assert cause(encode(tone(1.0), 16_000, "FLAC")[:30]) == "truncated"


def test_a_streamed_wav_that_states_no_size_is_read() -> None:
    data = bytearray(encode(tone(1.0), 16_000, "WAV"))
    data[4:8] = b"\xff\xff\xff\xff"
    assert len(decode_bytes(bytes(data), "k")[0]) == 16_000


def test_3_ms_are_too_short() -> None:
    assert cause(encode(tone(0.003), 16_000, "FLAC")) == "too-short"


def test_a_length_above_the_limit_is_refused_before_decoding() -> None:
    assert cause(encode(tone(3.0), 16_000, "FLAC"), max_duration_s=2.0) == "too-long"
    assert cause(encode_aac(tone(3.0, 44_100, 2), 44_100, "mp4"), max_duration_s=2.0) == "too-long"


def test_bytes_and_channels_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(tone(0.5, channels=8), 16_000, "WAV")
    monkeypatch.setattr(audio, "MAX_CHANNELS", 7)
    assert cause(data) == "too-many-channels"
    monkeypatch.setattr(audio, "MAX_BYTES", len(data) - 1)
    assert cause(data) == "too-large"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_samples_that_are_no_numbers_are_refused(bad: float) -> None:
    samples = tone(0.5)
    samples[100] = bad
    assert cause(encode(samples, 16_000, "WAV", "FLOAT")) == "not-finite"


def test_silence_is_a_sound_like_any_other() -> None:
    samples, _ = decode_bytes(encode(np.zeros(8000, np.float32), 16_000, "FLAC"), "k")
    assert not samples.any()


@settings(max_examples=60, deadline=None)
@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"fLaC", b"RIFF", b"OggS", b"ID3", b"\xff\xfb", b"\x00\x00\x00 ftyp"]),
)
def test_garbage_never_escapes_as_another_error(garbage: bytes, beginning: bytes) -> None:
    try:
        samples, _ = decode_bytes(beginning + garbage, "k")
    except BrokenAudio:
        return
    assert np.isfinite(samples).all()


def test_decoding_needs_no_torch() -> None:
    program = "import sys, voiceflow_model.audio; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
