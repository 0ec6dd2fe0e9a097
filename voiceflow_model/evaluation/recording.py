"""A recording with a reference, and folders of them."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import fsspec

from voiceflow_model.data.corpus import SAMPLE_RATE_HZ, Samples
from voiceflow_model.diarization.rttm import Span, Turn, of_recording, read_rttm, read_uem
from voiceflow_model.errors import CorpusError

AUDIO = (".flac", ".wav", ".ogg", ".mp3", ".m4a")


@dataclass(frozen=True)
class Recording:
    """Audio, who really spoke when, and the stretches to score (all of it when none are given)."""

    name: str
    samples: Samples = field(repr=False, compare=False)
    reference: list[Turn]
    duration_s: float
    uem: tuple[Span, ...] = ()

    @property
    def scored(self) -> tuple[Span, ...]:
        """The stretches to score, in seconds."""
        return self.uem or ((0.0, self.duration_s),)


def load_folder(folder: str) -> Iterator[Recording]:
    """Every NAME.rttm of a folder (a path or any fsspec URL) with its audio and optional NAME.uem, sorted by name.

    One recording is decoded at a time. Raises CorpusError when there are none, or when an RTTM has no audio.
    """
    from voiceflow_model.diarization.audio import load

    files = list_folder(folder)
    names = sorted(name.removesuffix(".rttm") for name in files if name.endswith(".rttm"))
    if not names:
        raise CorpusError(f"{folder}: no .rttm file in it; a test set is NAME.rttm beside NAME.flac or .wav")
    audio = {name: next((name + end for end in AUDIO if name + end in files), None) for name in names}
    if silent := [name for name in names if audio[name] is None]:
        raise CorpusError(f"{folder}: no audio ({', '.join(AUDIO)}) beside {silent[0]}.rttm ({len(silent)} such)")
    for name in names:
        samples = load(files[str(audio[name])])
        uem = read_uem(files[f"{name}.uem"]) if f"{name}.uem" in files else {}
        reference = of_recording(read_rttm(files[f"{name}.rttm"]), name, files[f"{name}.rttm"])
        spans = of_recording(uem, name, f"{name}.uem")
        yield Recording(name, samples, reference, samples.size / SAMPLE_RATE_HZ, tuple(spans))


def list_folder(folder: str) -> dict[str, str]:
    """File name -> full address of the files of a folder. Raises CorpusError when there is no such folder."""
    system, path = fsspec.core.url_to_fs(folder)
    try:
        found = [str(entry) for entry in system.ls(path, detail=False)]
    except (FileNotFoundError, NotADirectoryError):
        raise CorpusError(f"{folder}: no such folder; check the path") from None
    return {entry.rstrip("/").rsplit("/", 1)[-1]: system.unstrip_protocol(entry) for entry in sorted(found)}
