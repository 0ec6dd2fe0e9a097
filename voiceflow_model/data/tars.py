"""Utterances in tar files, as the Hub holds VoxCeleb2 (the WebDataset layout): one shard is one tar."""

import tarfile
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Literal, NamedTuple, Self

from pydantic import Field

from voiceflow_model.data.corpus import Row, Samples, Shard, Split
from voiceflow_model.data.sharded import Patterns, ShardedConfig, SplitFiles, belongs
from voiceflow_model.data.sources import Entry
from voiceflow_model.data.utterance import decode_utterance
from voiceflow_model.errors import BrokenAudio, CorpusError

_SUFFIXES = frozenset({"flac", "wav", "ogg", "opus", "mp3", "m4a", "aac"})
_MAX_BYTES = 64 << 20
_MAX_CLASS_BYTES = 64
_READ_BYTES = 256 << 10


class TarCorpusConfig(ShardedConfig):
    """Tar files of `KEY.m4a` (or flac, wav, ogg, opus, mp3, aac) beside `KEY.cls`, the speaker's class as a number."""

    kind: Literal["tar"] = "tar"
    train: Patterns = Field(min_length=1, description='files below the URL, such as "*.tar"')
    speakers: int = Field(ge=2, description="how many classes there are; tars do not tell before they are read")


class _Header(tarfile.TarInfo):
    """tarfile takes a damaged header, unless it is the first one, for the end of the tar."""

    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(tar)
        except (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError) as error:  # type: ignore[attr-defined]
            raise tarfile.ReadError(str(error)) from error


class _Member(NamedTuple):
    """A sample's files while its tar is walked over."""

    key: str
    audio: bytes | None = None
    size: int = 0
    speaker: str = ""


class TarCorpus:
    """A Corpus over uncompressed tars, read straight through from any member on. Nothing is ever unpacked to a disk."""

    def __init__(self, config: TarCorpusConfig) -> None:
        self._config = config
        self._files = SplitFiles(config)
        digits = len(str(config.speakers - 1))
        self._names = tuple(f"{number:0{digits}d}" for number in range(config.speakers))

    def speakers(self, split: Split) -> tuple[str, ...]:
        """Class numbers with leading zeros. Raises CorpusError for dev and test: tars do not tell who is in them."""
        if split in ("dev", "test"):
            raise CorpusError(
                f"{self._config.url} holds nobody out: set evaluation.corpus to a corpus of other speakers, as "
                "configs/voxceleb.toml does"
            )
        return self._names

    def shards(self, split: Split) -> tuple[Shard, ...]:
        """One per tar, sorted by path."""
        self.speakers(split)
        if split == "validation" and not self._config.heldout_share:
            raise CorpusError("nothing is held out to validate on: raise corpus.heldout_share")
        return tuple(Shard(path, split, entry) for path, entry in self._files.of(split).items())

    def rows(self, shard: Shard, start: int = 0) -> Iterator[Row]:
        """The tar's samples that are for the split; `start` is the byte at which one begins."""
        entry: Entry = shard.payload
        if start >= entry.size:
            return
        file = self._files.open(shard.name, entry)
        file.seek(start)
        try:
            # "r|": straight through, and no index of what was passed. Offsets count from where reading began. Names
            # that are no UTF-8 would come with surrogates, which cannot be hashed.
            with tarfile.open(
                fileobj=file,
                mode="r|",
                bufsize=_READ_BYTES,
                tarinfo=_Header,
                encoding="utf-8",
                errors="backslashreplace",
            ) as tar:
                for sample, following in _samples(tar, start, entry.size):
                    if belongs(sample.key, shard.split, self._config.heldout_share):
                        yield Row(f"{shard.name}/{sample.key}", self._name(sample, shard), sample, following=following)
        except tarfile.TarError as error:
            raise CorpusError(
                f"{self._config.url}: {shard.name} is no tar that can be read ({error}): copy it again, uncompressed"
            ) from error

    def decode(self, row: Row) -> Samples:
        """The sample's sound, (samples,) at 16 kHz. Raises BrokenAudio, also "no-audio" and "too-large"."""
        sample: _Member = row.payload
        if sample.audio is None:
            cause = "too-large" if sample.size > _MAX_BYTES else "no-audio"
            raise BrokenAudio(row.key, cause, f"{sample.size} bytes, at most {_MAX_BYTES} are read")
        if not row.speaker:
            raise BrokenAudio(row.key, "no-speaker", "no .cls beside it")
        return decode_utterance(sample.audio, row.key, row.part)

    def reading_mb(self, split: Split) -> float:
        """Windows of reading ahead; a sample is small."""
        return 8.0

    def fingerprint(self) -> str:
        """Of the files."""
        return self._files.fingerprint()

    def _name(self, sample: _Member, shard: Shard) -> str:
        if not sample.speaker:
            return ""
        number = int(sample.speaker) if sample.speaker.isdigit() else -1
        if not 0 <= number < len(self._names):
            raise CorpusError(
                f"{self._config.url}: {shard.name} has class {sample.speaker!r} ({sample.key}.cls), and "
                f"corpus.speakers = {len(self._names)} allows 0 to {len(self._names) - 1}"
            )
        return self._names[number]


def _samples(tar: tarfile.TarFile, start: int, end: int) -> Iterator[tuple[_Member, int]]:
    """Each run of members of one key, with the byte at which the next one begins."""
    current: _Member | None = None
    while (member := tar.next()) is not None:
        if start + tar.offset > end:
            raise tarfile.ReadError(f"{member.name} is cut off")
        path = PurePosixPath(member.name)
        if not member.isreg() or not path.name or path.name.startswith("."):
            continue
        stem, _, suffix = path.name.partition(".")
        key = str(path.with_name(stem))
        if current is not None and key != current.key:
            yield current, start + member.offset
        if current is None or key != current.key:
            current = _Member(key)
        if suffix.lower() in _SUFFIXES:
            current = current._replace(audio=_content(tar, member, _MAX_BYTES), size=member.size)
        elif suffix == "cls":
            text = _content(tar, member, _MAX_CLASS_BYTES) or b"?"
            current = current._replace(speaker=text.decode("ascii", "replace").strip())
    if current is not None:
        yield current, end


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo, limit: int) -> bytes | None:
    file = tar.extractfile(member) if member.size <= limit else None
    return file.read() if file else None
