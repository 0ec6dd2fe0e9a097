"""Bytes of an audio file to mono samples, in RAM and without torch: training and `voiceflow diarize` both come here."""

import io
import math
from collections.abc import Iterator
from typing import BinaryIO

import av
import numpy as np
import soundfile
from numpy.typing import NDArray

from voiceflow_model.errors import BrokenAudio

MAX_BYTES = 4 << 30
MAX_CHANNELS = 64
MAX_DURATION_S = 6 * 3600.0
MIN_DURATION_S = 0.1
_MAX_FRAMES = int(MAX_DURATION_S) * 48_000  # caps the RAM of a long file with an absurd sample rate
_BLOCK_FRAMES = 1 << 20

# FFmpeg also reads playlists, which name other files and addresses. Only containers that hold their own sound are let
# in; what libsndfile reads (WAV, FLAC, OGG, MP3, AIFF ...) never gets here.
_CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,aac,matroska,webm,asf,amr"
_KNOWN_BEGINNINGS = (b"fLaC", b"RIFF", b"OggS", b"ID3", b"\x1aE\xdf\xa3")

Mono = NDArray[np.float32]  # (samples,), at the file's own rate


def decode_bytes(data: bytes, key: str, *, max_duration_s: float = MAX_DURATION_S) -> tuple[Mono, int]:
    """The channels' mean (samples,), nominally within [-1, 1], and its sample rate in Hz; `key` names it in errors.

    libsndfile decodes what it knows and FFmpeg the rest (AAC). Raises BrokenAudio with one of the causes "empty",
    "not-audio", "truncated", "too-short", "too-long", "too-large", "too-many-channels", "not-finite".
    """
    if not data:
        raise BrokenAudio(key, "empty", "0 bytes")
    if len(data) > MAX_BYTES:
        raise BrokenAudio(key, "too-large", f"{len(data)} bytes; split files above {MAX_BYTES}")
    try:
        file = soundfile.SoundFile(io.BytesIO(data))
    except soundfile.LibsndfileError:
        samples, rate_hz = _read_container(data, key, max_duration_s)
    else:
        with file:
            samples, rate_hz = _read_file(file, data, key, max_duration_s), int(file.samplerate)
    return _usable(samples, rate_hz, key), rate_hz


def _usable(samples: Mono, rate_hz: int, key: str) -> Mono:
    if len(samples) < MIN_DURATION_S * rate_hz:
        raise BrokenAudio(key, "too-short", f"{len(samples) / rate_hz:.3f} s, at least {MIN_DURATION_S} s is needed")
    if not np.isfinite(samples).all():
        raise BrokenAudio(key, "not-finite", "NaN or infinity among the samples")
    return samples


def _read_file(file: soundfile.SoundFile, data: bytes, key: str, max_duration_s: float) -> Mono:
    _refuse_channels(file.channels, key)
    _refuse_length(file.frames, file.samplerate, max_duration_s, key)
    if _riff_bytes(data) > len(data):
        raise BrokenAudio(key, "truncated", f"{len(data)} of {_riff_bytes(data)} bytes")
    blocks: list[Mono] = []
    try:
        # Not `file.blocks`: it fills up a short read with whatever was in memory.
        while len(block := file.read(_BLOCK_FRAMES, dtype="float32", always_2d=True)):
            blocks.append(_mix(block))
    except soundfile.LibsndfileError as error:
        raise BrokenAudio(key, "truncated", str(error)) from error
    frames = sum(len(block) for block in blocks)
    # MP3 states its frames in a header; an OGG cut between pages is merely shorter, one cut elsewhere claims none.
    if frames < 0.98 * file.frames or not frames:
        raise BrokenAudio(key, "truncated", f"{frames} of {file.frames} frames")
    return np.concatenate(blocks)


def _riff_bytes(data: bytes) -> int:
    """The size that a WAV header states, which libsndfile silently corrects; 0 when it states none."""
    size = int.from_bytes(data[4:8], "little") if data[:4] == b"RIFF" else 0
    return size + 8 if 0 < size < 0x7FFF_0000 else 0  # streamed WAVs carry 0 or the largest number


def _read_container(data: bytes, key: str, max_duration_s: float) -> tuple[Mono, int]:
    blocks: list[Mono] = []
    promised = frames = 0
    try:
        with av.open(io.BytesIO(data), options={"format_whitelist": _CONTAINERS}) as container:
            if not container.streams.audio:
                raise BrokenAudio(key, "not-audio", "no audio stream")
            stream = container.streams.audio[0]
            rate_hz = int(stream.rate)
            _refuse_channels(stream.channels, key)
            if container.format.name != "aac" and stream.duration and stream.time_base:  # ADTS only estimates
                promised = int(stream.duration * stream.time_base * rate_hz)
            for block in _planes(container, stream):
                frames += len(block)
                _refuse_length(frames, rate_hz, max_duration_s, key)
                blocks.append(block)
    except (av.error.FFmpegError, ValueError) as error:  # ValueError: channels or rate change on the way
        known = frames or data[4:8] == b"ftyp" or data.startswith(_KNOWN_BEGINNINGS)
        raise BrokenAudio(key, "truncated" if known else "not-audio", str(error)) from error
    if frames < 0.98 * promised:
        raise BrokenAudio(key, "truncated", f"{frames} of {promised} frames")
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32), rate_hz


def _planes(container: av.container.InputContainer, stream: av.AudioStream) -> Iterator[Mono]:
    to_float, waiting = av.AudioResampler(format="fltp"), av.AudioFifo()  # frames are short: they go on by the block
    for frame in container.decode(stream):
        for converted in (frame,) if frame.format.name == "fltp" else to_float.resample(frame):
            converted.pts = None
            waiting.write(converted)
        if waiting.samples >= _BLOCK_FRAMES:
            yield _mix(waiting.read().to_ndarray().T)
    if waiting.samples:
        yield _mix(waiting.read().to_ndarray().T)


def _mix(block: NDArray[np.float32]) -> Mono:
    """(frames, channels) -> (frames,)."""
    mono: Mono = block[:, 0] if block.shape[1] == 1 else block.mean(axis=1, dtype=np.float32)
    return mono


def _refuse_channels(channels: int, key: str) -> None:
    if channels > MAX_CHANNELS:
        raise BrokenAudio(key, "too-many-channels", f"{channels}, at most {MAX_CHANNELS}")


def _refuse_length(frames: int, rate_hz: int, max_duration_s: float, key: str) -> None:
    if frames > min(max_duration_s * rate_hz, _MAX_FRAMES):
        raise BrokenAudio(key, "too-long", f"{frames / rate_hz:.0f} s, at most {max_duration_s:.0f} s")


def duration_of(file: BinaryIO, key: str) -> float:
    """Seconds of a seekable audio file, by its header. Raises BrokenAudio for what libsndfile cannot seek in."""
    with _opened(file, key) as sound:
        return float(sound.frames / sound.samplerate)


def decode_stretch(file: BinaryIO, key: str, start_s: float, end_s: float) -> tuple[Mono, int]:
    """The samples from `start_s` to `end_s` (or the end), as `decode_bytes` gives them, without decoding the rest."""
    with _opened(file, key) as sound:
        first = min(round(start_s * sound.samplerate), sound.frames)
        last = sound.frames if math.isinf(end_s) else min(round(end_s * sound.samplerate), sound.frames)
        blocks: list[Mono] = []
        try:
            sound.seek(first)
            while len(block := sound.read(min(_BLOCK_FRAMES, last - first), "float32", always_2d=True)):
                blocks.append(_mix(block))
                first += len(block)
        except soundfile.LibsndfileError as error:
            raise BrokenAudio(key, "truncated", str(error)) from error
        rate_hz = int(sound.samplerate)
    if first < last:
        raise BrokenAudio(key, "truncated", f"it ends {(last - first) / rate_hz:.1f} s early")
    return _usable(np.concatenate(blocks) if blocks else np.zeros(0, np.float32), rate_hz, key), rate_hz


def _opened(file: BinaryIO, key: str) -> soundfile.SoundFile:
    try:
        sound = soundfile.SoundFile(file)
    except soundfile.LibsndfileError as error:
        raise BrokenAudio(key, "not-audio", f"recordings must be WAV, FLAC, OGG or MP3 ({error})") from error
    _refuse_channels(sound.channels, key)
    _refuse_length(sound.frames, sound.samplerate, MAX_DURATION_S, key)
    return sound
