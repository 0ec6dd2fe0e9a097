"""Text to speech in RAM with the espeak-ng library inside the `espeakng-loader` wheel."""

import _ctypes
import ctypes
import sys
import threading

import espeakng_loader
import numpy as np

from voiceflow_model.data.corpus import Samples
from voiceflow_model.data.resample import to_16k
from voiceflow_model.data.voices import Voice

ENGINE_VERSION = "espeak-ng 1.52"

_SYNCHRONOUS, _BUFFER_MS, _UTF8, _OK = 2, 1000, 1, 0
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4
_ENGINE_VOLUME = 30  # per cent; at 100 the loudest variants clip inside the engine
_LEVEL, _PEAK = 0.06, 0.95
_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
_one_at_a_time = threading.Lock()
if sys.platform == "win32":
    _unload = _ctypes.FreeLibrary
else:
    _unload = _ctypes.dlclose


def synthesise(voice: Voice, text: str) -> Samples:
    """`text` spoken by `voice`, (samples,) at 16 kHz; the same bytes in any order, thread or process.

    espeak-ng keeps its flutter, wave and noise phases in static variables that no call resets, so what it says depends
    on all it said before. Loading the library anew for every utterance (under 1 ms) is what makes a row a function of
    its text; the lock is there because those statics are shared by all threads.
    """
    with _one_at_a_time:
        pcm = _speak(voice, text)
    samples: Samples = np.frombuffer(pcm, np.int16).astype(np.float32) / np.float32(32768)
    return _at_level(to_16k(samples, voice.read_as_hz))


def _at_level(samples: Samples) -> Samples:
    """All voices equally loud (variants differ by 20 dB), so that nobody can be told by level alone; never clipped."""
    power = float(np.dot(samples, samples)) / max(len(samples), 1)
    if power == 0:
        return samples
    return samples * np.float32(min(_LEVEL / np.sqrt(power), _PEAK / np.abs(samples).max()))


def _speak(voice: Voice, text: str) -> bytes:
    """16-bit mono PCM at 22 050 Hz."""
    pieces: list[bytes] = []

    def collect(address: int | None, samples: int, _events: int | None) -> int:
        if address and samples > 0:
            pieces.append(ctypes.string_at(address, 2 * samples))
        return 0

    callback = _Callback(collect)
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    try:
        library.espeak_Initialize(_SYNCHRONOUS, _BUFFER_MS, espeakng_loader.get_data_path().encode(), 0)
        library.espeak_SetSynthCallback(callback)
        if library.espeak_SetVoiceByName(voice.engine_name.encode()) != _OK:
            raise ValueError(f"espeak-ng has no voice {voice.engine_name!r}; see benchmarks/choose_voices.py")
        library.espeak_SetParameter(_RATE, voice.words_per_minute, 0)
        library.espeak_SetParameter(_VOLUME, _ENGINE_VOLUME, 0)
        library.espeak_SetParameter(_PITCH, voice.pitch, 0)
        library.espeak_SetParameter(_RANGE, voice.pitch_range, 0)
        library.espeak_ng_SetRandSeed(1)
        encoded = text.encode()
        library.espeak_Synth(encoded, len(encoded) + 1, 0, 0, 0, _UTF8, None, None)
        library.espeak_Terminate()
    finally:
        _unload(library._handle)
    return b"".join(pieces)
