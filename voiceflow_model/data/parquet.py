"""Utterances in parquet files, as the Hub holds LibriSpeech, Common Voice and VoxCeleb1: one shard is one row group."""

import hashlib
from collections.abc import Iterator
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from voiceflow_model.data.corpus import Row, Samples, Shard, Split
from voiceflow_model.data.freed_memory import give_back
from voiceflow_model.data.holdout import SpeakerSplit, halve, split_speakers
from voiceflow_model.data.sharded import ShardedConfig, SplitFiles, belongs, nearest
from voiceflow_model.data.sources import Entry
from voiceflow_model.data.sources.range_file import RangeFile
from voiceflow_model.data.utterance import decode_utterance
from voiceflow_model.errors import BrokenAudio, CorpusError, VoiceFlowError

_BUFFER_BYTES = 256 << 10


class ParquetCorpusConfig(ShardedConfig):
    """Parquet files with one utterance per row."""

    kind: Literal["parquet"] = "parquet"
    audio_column: str = Field("audio", description="bytes of a file, or {bytes, path} as `datasets` writes it")
    speaker_column: str = "speaker_id"
    key_column: str = Field("", description="a name for each row; without it, its place")
    heldout_speakers_share: float = Field(0.1, ge=0, le=0.5, description="of the train speakers, without dev and test")


class RowGroup(NamedTuple):
    """A shard: where it is, and who speaks in it."""

    path: str
    entry: Entry
    metadata: pq.FileMetaData
    number: int
    speakers: frozenset[str]


class ParquetCorpus:
    """A Corpus over parquet files. Footers and the speaker column are read once; audio as it is walked over.

    Without `dev` and `test`, speakers are held out of train by their names; with one of the two, its speakers are
    halved.
    """

    def __init__(self, config: ParquetCorpusConfig) -> None:
        self._config = config
        self._files = SplitFiles(config)

    def speakers(self, split: Split) -> tuple[str, ...]:
        """As in the speaker column, sorted; those of validation are those of train."""
        self._files.home(split)  # refuses to train on what is only measured on
        return self._split.train if split == "validation" else getattr(self._split, split)

    def shards(self, split: Split) -> tuple[Shard, ...]:
        """The row groups in which speakers of the split speak, in the order of the files."""
        wanted = set(self.speakers(split))
        found = [group for group in self._groups[self._files.home(split)] if not wanted.isdisjoint(group.speakers)]
        if not found or (split == "validation" and not self._config.heldout_share):
            raise CorpusError(
                f"{self._config.url} has nothing for the {split} split: name files in corpus.dev and corpus.test, "
                "raise corpus.heldout_speakers_share or corpus.heldout_share, or set evaluation.corpus"
            )
        return tuple(Shard(f"{group.path}#{group.number}", split, group) for group in found)

    def rows(self, shard: Shard, start: int = 0) -> Iterator[Row]:
        """The row group's rows that are for the split; `start` counts rows of the group."""
        group: RowGroup = shard.payload
        wanted = set(self.speakers(shard.split))
        config = self._config
        columns = [config.audio_column, config.speaker_column, *([config.key_column] if config.key_column else [])]
        if start >= group.metadata.row_group(group.number).num_rows:
            return
        with readable(self._config.url, group.path):
            file = open_parquet(self._files, group.path, group.entry, group.metadata)
            # Whole: writers put the hundred rows of a group into one page, so reading it in parts would only hold more.
            table = file.read_row_group(group.number, columns, use_threads=False)
            audio, speakers, *keys = (table.column(name) for name in columns)
            audio = audio.combine_chunks() if audio.num_chunks != 1 else audio.chunk(0)
            for number in range(start, table.num_rows):
                speaker = str(speakers[number]) if speakers[number].is_valid else ""  # whom no split wants
                key = str(keys[0][number]) if keys else f"{group.path}#{group.number}/{number}"
                if speaker in wanted and belongs(key, shard.split, config.heldout_share):
                    yield Row(key, speaker, audio_bytes(audio, number), following=number + 1)

    def decode(self, row: Row) -> Samples:
        """The row's sound, (samples,) at 16 kHz. Raises BrokenAudio; "no-bytes" where only a path was stored."""
        if row.payload is None:
            raise BrokenAudio(row.key, "no-bytes", "the audio column holds no bytes")
        return decode_utterance(bytes(row.payload), row.key, row.part)

    def reading_mb(self, split: Split) -> float:
        """The largest row group, twice: as a page, and as the rows in it."""
        groups, audio = self._groups[self._files.home(split)], self._config.audio_column
        return 2 * max((column_bytes(g.metadata, g.number, audio) for g in groups), default=0) / 1e6

    def fingerprint(self) -> str:
        """Of the files and of which columns are read."""
        config = self._config
        read = (config.audio_column, config.speaker_column, config.key_column, self._files.fingerprint())
        return hashlib.sha256(repr(read).encode()).hexdigest()

    @cached_property
    def _split(self) -> SpeakerSplit:
        names = {split: {name for g in groups for name in g.speakers} for split, groups in self._groups.items()}
        config = self._config
        if not config.dev and not config.test:
            return split_speakers(names["train"], config.heldout_speakers_share)
        dev, test = names["dev"], names["test"]
        halves = (tuple(sorted(dev)), tuple(sorted(test))) if dev and test else halve(dev | test)
        if known := (names["train"] & (dev | test)) | (dev & test):
            raise CorpusError(
                f"{self._config.url}: {len(known)} speakers ({min(known)} ...) are in two of train, dev and test: "
                "the held-out figures would be of known voices"
            )
        return SpeakerSplit(tuple(sorted(names["train"])), *halves)

    @cached_property
    def _groups(self) -> dict[Split, list[RowGroup]]:
        return self._files.index(self._index)

    def _index(self, path: str, entry: Entry) -> list[RowGroup]:
        column = self._config.speaker_column
        with readable(self._config.url, path):
            file = open_parquet(self._files, path, entry)
            for name in filter(None, (self._config.audio_column, column, self._config.key_column)):
                if name not in file.schema_arrow.names:
                    raise CorpusError(
                        f"{self._config.url}: {path} has no column {name!r}; {nearest(name, file.schema_arrow.names)}"
                    )
            groups = []
            for number in range(file.num_row_groups):
                spoken = file.read_row_group(number, [column], use_threads=False).column(column)
                speakers = frozenset(map(str, spoken.unique().drop_null().to_pylist()))
                groups.append(RowGroup(path, entry, file.metadata, number, speakers))
            return groups


def column_bytes(metadata: pq.FileMetaData, number: int, column: str) -> int:
    """Uncompressed size of one column of a row group."""
    group = metadata.row_group(number)
    chunks = (group.column(i) for i in range(group.num_columns))
    return sum(c.total_uncompressed_size for c in chunks if c.path_in_schema.split(".")[0] == column)


def dictionary_bytes(metadata: pq.FileMetaData, number: int, column: str) -> int:
    """About how large the dictionary page of a column of a row group is, uncompressed.

    Writers look at its size only after a thousand values, so up to a thousand recordings may be in that one page.
    """
    group = metadata.row_group(number)
    chunks = (group.column(i) for i in range(group.num_columns))
    return sum(
        round((c.data_page_offset - c.dictionary_page_offset) * c.total_uncompressed_size / c.total_compressed_size)
        for c in chunks
        if c.path_in_schema.split(".")[0] == column and c.has_dictionary_page
    )


class _Views(RangeFile):
    """For pyarrow, which takes what `read` gives as it is and copies it itself: a page may be half a gigabyte."""

    def read(self, size: int | None = -1) -> memoryview:  # type: ignore[override]
        """`read_buffer`."""
        return self.read_buffer(size)


def open_parquet(files: SplitFiles, path: str, entry: Entry, metadata: pq.FileMetaData | None = None) -> pq.ParquetFile:
    """A parquet file read page by page: its row groups may be larger than RAM."""
    give_back()
    return pq.ParquetFile(
        _Views(files.source, path, entry),
        metadata=metadata,
        buffer_size=_BUFFER_BYTES,
        pre_buffer=False,
        memory_map=False,
    )


def audio_bytes(column: pa.Array, number: int) -> pa.Buffer | None:
    """The bytes in a cell of an audio column; None where there are none.

    A view into the column: taking the cell as a scalar copies it, and a recording has a hundred megabytes.
    """
    values = column.field("bytes") if pa.types.is_struct(column.type) else column
    if not (column[number : number + 1].null_count == 0 and values[number : number + 1].null_count == 0):
        return None
    if not (pa.types.is_binary(values.type) or pa.types.is_large_binary(values.type)):
        return values[number].as_buffer()
    _, offsets, data = values.buffers()
    kind = np.int64 if pa.types.is_large_binary(values.type) else np.int32
    first, last = np.frombuffer(offsets, kind)[values.offset + number : values.offset + number + 2]
    return data.slice(int(first), int(last - first))


class readable:  # noqa: N801 - reads as a word
    """Turns what pyarrow says of a damaged file into a CorpusError that names it."""

    def __init__(self, url: str, path: str) -> None:
        self.where = f"{url}: {path}"

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, _trace: Any) -> None:
        if isinstance(error, pa.ArrowException | OSError) and not isinstance(error, VoiceFlowError):
            raise CorpusError(f"{self.where} is no parquet file that can be read ({error}): copy it again") from error
