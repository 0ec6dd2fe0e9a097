"""`Diarizer`: an exported model, run by ONNX Runtime on a CPU."""

import json
from typing import Any

import fsspec
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from pydantic import ValidationError

from voiceflow_model.data.corpus import Samples
from voiceflow_model.diarization.analysis import PIECE_S, Analysis, Runs, join_runs, local_activity, pool_runs
from voiceflow_model.diarization.card import METADATA_KEY, ModelCard, Tuning
from voiceflow_model.diarization.decision import decide
from voiceflow_model.diarization.pitch import pitch_circle
from voiceflow_model.diarization.pooling import Floats, Mask, attentive_statistics
from voiceflow_model.diarization.rttm import Turn
from voiceflow_model.diarization.windows import cut_batches, window_starts
from voiceflow_model.errors import BrokenAudio, ConfigError, ModelError

BATCH = 4  # windows per call of the graph; more gains nothing on a CPU and costs memory
SILENCE = 1e-6  # a window that never exceeds this is digital silence, of which the network knows nothing
PER_WINDOW = ("logits", "features", "attention")
CONSTANTS = ("pool_weight", "pool_bias")
SPECTRUM = "spectrum"


class Diarizer:
    """Who spoke when, according to one exported model. Safe to share between threads."""

    def __init__(self, session: Any, card: ModelCard) -> None:
        self.card = card
        self._session = session
        self._pool_weight, self._pool_bias = self._fetch(CONSTANTS, np.zeros((1, self._frame_samples), np.float32))

    @classmethod
    def load(cls, model: str | bytes, *, threads: int = 1) -> "Diarizer":
        """Open an exported model: a path, any fsspec URL, or the file's bytes. Raises ModelError, which says why."""
        where = model if isinstance(model, str) else "the model"
        data = _read(model) if isinstance(model, str) else model
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        try:
            session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's errors share no class of their own
            raise ModelError(
                f"{where}: not an ONNX file that this ONNX Runtime can open; pass the model.onnx that "
                f"`voiceflow export` wrote ({error})"
            ) from error
        card = _read_card(session, where)
        needed = (*PER_WINDOW, *CONSTANTS, *([SPECTRUM] if card.spectrum_bands else ()))
        if missing := sorted({*needed} - {output.name for output in session.get_outputs()}):
            raise ModelError(f"{where}: the graph lacks {', '.join(missing)}; export the checkpoint again")
        return cls(session, card)

    def diarize(
        self,
        samples: Samples,
        min_speakers: int | None = None,
        max_speakers: int | None = None,
        tuning: Tuning | None = None,
    ) -> list[Turn]:
        """Turns, in order of time, of mono 16 kHz samples (samples,) in [-1, 1]; none when nobody speaks.

        `tuning` replaces the one stored with the model. Raises BrokenAudio for samples of another kind, ConfigError
        for bounds that contradict each other.
        """
        tuning = tuning or self.card.tuning
        return decide(self.analyse(samples, tuning), tuning, min_speakers, max_speakers)

    def analyse(self, samples: Samples, tuning: Tuning | None = None, truth: Mask | None = None) -> Analysis:
        """Run the network once over every window of mono 16 kHz samples (samples,). Raises BrokenAudio.

        Of `tuning`, by default the one stored with the model, `window_hop_s` and `max_run_s` matter here. `truth`
        (samples // 320, speakers), where it is known, takes the place of what the network says about who talks.
        Batches are cut, run and pooled one after the other, so memory beyond the samples grows by ~14 KB per second.
        """
        check_samples(samples)
        card, frame = self.card, self._frame_samples
        tuning = tuning or card.tuning
        in_window = round(card.window_s / card.frame_s)
        total = samples.size // frame
        hop = max(round(tuning.window_hop_s / card.frame_s), 1)
        starts = window_starts(total, in_window, hop)
        shape = (len(starts), min(in_window, total), card.num_speakers if truth is None else truth.shape[1])
        reference = self._recording_spectrum(samples, in_window)
        pitch = pitch_circle(samples, card.sample_rate_hz, frame)
        probabilities = np.zeros(shape, np.float32)
        runs: list[tuple[int, Runs]] = []
        pieces: list[tuple[int, Runs]] = []
        for here, waveforms in cut_batches(samples, starts, in_window * frame, frame, BATCH):
            logits, features, attention = self._fetch(PER_WINDOW, waveforms, reference)
            logits[_silent(waveforms)] = np.eye(1, logits.shape[2]) * 100
            part = slice(shape[1])  # what lies beyond is the filling of a short recording
            if truth is None:
                probabilities[here], active = local_activity(logits[:, part], card.powerset, card.num_speakers)
            else:
                active = np.stack([truth[start : start + shape[1]] for start in starts[here]])
                probabilities[here] = active
            heights = np.stack([pitch[start : start + shape[1]] for start in starts[here]])
            pool = (features[:, part], attention[:, part], heights, self._pool_weight, self._pool_bias)
            runs.append((here.start, pool_runs(active, *pool, card.frame_s, tuning.max_run_s)))
            pieces.append((here.start, pool_runs(active, *pool, card.frame_s, PIECE_S)))
        dim = len(self._pool_bias)
        return Analysis(card.frame_s, total, starts, probabilities, join_runs(runs, dim), join_runs(pieces, dim))

    def embed(self, samples: Samples, active: Mask | None = None) -> Floats:
        """The voice of one speaker, (dim,) of unit length, from mono 16 kHz samples without anyone else in them.

        `active` (samples // 320,) chooses frames; without it, or when it chooses none, all are pooled. Raises
        BrokenAudio for samples shorter than a frame, ConfigError for a mask of another length.
        """
        check_samples(samples)
        if (frames := samples.size // self._frame_samples) == 0:
            raise BrokenAudio("samples", "too-short", f"{samples.size} samples; a frame has {self._frame_samples}")
        mask = np.ones(frames, np.bool_) if active is None or not active.any() else active
        if mask.shape != (frames,):
            raise ConfigError(f"active has shape {mask.shape}, need ({frames},): one value for each frame of samples")
        waveform = samples[None, : frames * self._frame_samples]
        features, attention = self._fetch(PER_WINDOW[1:], waveform, self._recording_spectrum(waveform[0], frames))
        pooled = attentive_statistics(features[0], attention[0], mask[None], self._pool_weight, self._pool_bias)
        voice: Floats = pooled[0]
        return voice

    @property
    def _frame_samples(self) -> int:
        return round(self.card.frame_s * self.card.sample_rate_hz)

    def _recording_spectrum(self, samples: Samples, in_window: int) -> Floats | None:
        """The mean spectrum (1, bands) of windows of `in_window` frames side by side; None if all are silent.

        Voices are heard against it: a window's own depends on who else talks there (docs/adr/0017-one-spectrum.md).
        """
        if not self.card.spectrum_bands:
            return None
        spectra: list[Floats] = []
        frame = self._frame_samples
        starts = window_starts(samples.size // frame, in_window, in_window)
        for _, waveforms in cut_batches(samples, starts, in_window * frame, frame, BATCH):
            spectra.extend(self._fetch((SPECTRUM,), waveforms)[0][~_silent(waveforms)])
        return np.mean(spectra, axis=0, keepdims=True) if spectra else None

    def _fetch(
        self, outputs: tuple[str, ...], waveforms: NDArray[np.float32], reference: Floats | None = None
    ) -> list[NDArray[np.float32]]:
        options = ort.RunOptions()
        options.only_execute_path_to_fetches = True  # the graph's own embeddings are not asked for, nor computed
        inputs = {"waveform": waveforms}
        if bands := self.card.spectrum_bands:
            inputs["reference"] = np.zeros((1, bands), np.float32) if reference is None else reference
        values: list[NDArray[np.float32]] = self._session.run(outputs, inputs, options)
        return values


def _silent(waveforms: NDArray[np.float32]) -> Mask:
    return np.asarray(np.abs(waveforms).max(axis=1) <= SILENCE)


def check_samples(samples: Samples) -> None:
    """Raises BrokenAudio unless samples are one channel of finite floats."""
    if samples.ndim != 1 or samples.dtype != np.float32:
        raise BrokenAudio(
            "samples", "shape", f"{samples.dtype} {samples.shape}; give one channel of float32 within [-1, 1]"
        )
    if not np.isfinite(samples).all():
        raise BrokenAudio("samples", "not finite", "NaN or infinity among them; decode the file again")


def _read(path: str) -> bytes:
    try:
        with fsspec.open(path, "rb") as file:
            return bytes(file.read())
    except (FileNotFoundError, IsADirectoryError):
        raise ModelError(f"{path}: no such model; pass the model.onnx that `voiceflow export` wrote") from None
    except ImportError as error:
        raise ModelError(f"{path}: {error}; or copy the model to a local file") from error


def _read_card(session: Any, where: str) -> ModelCard:
    text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    if text is None:
        raise ModelError(f"{where}: an ONNX file, but not one of VoiceFlow's; pass what `voiceflow export` wrote")
    try:
        content = json.loads(text)
        newest = ModelCard.model_fields["schema_version"].default
        if (version := content["schema_version"]) > newest:
            raise ModelError(f"{where}: its schema {version} is newer than {newest}; update VoiceFlow")
        if version == 1:  # its thresholds were found without pitch
            content |= {"schema_version": newest, "tuning": {"pitch_weight": 0.0} | content.get("tuning", {})}
        return ModelCard.model_validate(content)
    except (ValueError, TypeError, KeyError, ValidationError) as error:
        raise ModelError(f"{where}: its metadata cannot be read; export the checkpoint again ({error})") from error
