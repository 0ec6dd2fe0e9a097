"""Recordings in parquet, as the Hub holds AMI and VoxConverse: one row is a meeting of up to hours, with its turns."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import PurePosixPath
from typing import Literal, NamedTuple

import pyarrow.parquet as pq

from voiceflow_model.data.corpus import Label, Shard, Split
from voiceflow_model.data.parquet import audio_bytes, column_bytes, dictionary_bytes, open_parquet, readable
from voiceflow_model.data.passages import PassagesConfig, PassagesCorpus, Taped
from voiceflow_model.data.sharded import SplitFiles, nearest
from voiceflow_model.data.sources import Entry
from voiceflow_model.errors import CorpusError


class RecordingsCorpusConfig(PassagesConfig):
    """Parquet files with one recording per row: its sound, and lists of who spoke from when to when (seconds)."""

    kind: Literal["recordings"] = "recordings"
    audio_column: str = "audio"
    start_column: str = "timestamps_start"
    end_column: str = "timestamps_end"
    speakers_column: str = "speakers"


class _Group(NamedTuple):
    """A row group, and of each of its recordings the name and the names in it."""

    path: str
    entry: Entry
    metadata: pq.FileMetaData
    number: int
    recordings: tuple[tuple[str, frozenset[str]], ...]


class RecordingsCorpus(PassagesCorpus):
    """A Corpus whose rows are passages of recordings, with labels; one shard is one row group.

    A share of the passages of train is held out for validation. Dev and test are other recordings; when only one of
    them is named, its recordings are halved.
    """

    def __init__(self, config: RecordingsCorpusConfig) -> None:
        super().__init__(config)
        self._config = config
        self._files = SplitFiles(config)

    def speakers(self, split: Split) -> tuple[str, ...]:
        """Everyone who speaks in the split's recordings, sorted; those of validation are those of train."""
        wanted = self._names(split)
        recordings = [one for group in self._groups[self._files.home(split)] for one in group.recordings]
        return tuple(sorted({self.person(name, one) for name, who in recordings if name in wanted for one in who}))

    def shards(self, split: Split) -> tuple[Shard, ...]:
        """The row groups that hold recordings of the split, in the order of the files."""
        wanted = self._names(split)
        found = [g for g in self._groups[self._files.home(split)] if any(name in wanted for name, _ in g.recordings)]
        self.require(found, split)
        return tuple(Shard(f"{group.path}#{group.number}", split, group) for group in found)

    def reading_mb(self, split: Split) -> float:
        """Of the worst row group: a page, unpacked and once more as values, the recording itself, and the next one."""
        return (
            max((self._held_bytes(g) for g in self._groups[self._files.home(split)] if g.recordings), default=0) / 1e6
        )

    def _held_bytes(self, group: _Group) -> float:
        column = self._config.audio_column
        recording = column_bytes(group.metadata, group.number, column) / len(group.recordings)
        page = max(recording, dictionary_bytes(group.metadata, group.number, column))
        return 2 * page + recording * min(2, len(group.recordings))

    def fingerprint(self) -> str:
        """Of the files and of how they are read."""
        how = self._config.model_dump(exclude={"url"})
        return hashlib.sha256(repr((how, self._files.fingerprint())).encode()).hexdigest()

    def recordings(self, shard: Shard, first: int) -> Iterator[Taped]:
        """See PassagesCorpus; `number` is that in the row group."""
        group: _Group = shard.payload
        config, wanted = self._config, self._names(shard.split)
        if first >= len(group.recordings):
            return
        columns = [config.audio_column, config.start_column, config.end_column, config.speakers_column]
        with readable(config.url, group.path):
            file = open_parquet(self._files, group.path, group.entry, group.metadata)
            batches = file.iter_batches(1, [group.number], columns, use_threads=False)
            for number, (name, _) in enumerate(group.recordings):
                batch = next(batches)
                if number == len(group.recordings) - 1:
                    batches = file = None  # they hold the page that the recording was unpacked from
                if number < first or name not in wanted:
                    continue
                audio, *turns = (batch.column(column) for column in columns)
                starts, ends, who = (column[0].as_py() or [] for column in turns)
                if not len(starts) == len(ends) == len(who):
                    raise CorpusError(
                        f"{config.url}: {group.path} has {len(starts)} starts, {len(ends)} ends and {len(who)} names "
                        f"of turns for {name}, and needs as many of each"
                    )
                labels = tuple(
                    Label(float(start), float(end), self.person(name, speaker))
                    for start, end, speaker in zip(starts, ends, who, strict=True)
                )
                data = audio_bytes(audio, 0)
                small = data is not None and data.size <= config.max_recording_mb << 20
                del batch, audio, turns  # as long as the passages are read, the recording is all that is held
                yield Taped(number, name, data if small else None, labels)
                del data

    def _names(self, split: Split) -> frozenset[str]:
        """Names of the recordings of a split."""
        groups = self._groups[self._files.home(split)]
        return self.chosen([name for group in groups for name, _ in group.recordings], split)

    @cached_property
    def _groups(self) -> dict[Split, list[_Group]]:
        found = self._files.index(self._index)
        count = Counter(name for groups in found.values() for group in groups for name, _ in group.recordings)
        return {split: [_told_apart(group, count) for group in groups] for split, groups in found.items()}

    def _index(self, path: str, entry: Entry) -> list[_Group]:
        config = self._config
        groups = []
        with readable(config.url, path):
            file = open_parquet(self._files, path, entry)
            for column in (config.audio_column, config.start_column, config.end_column, config.speakers_column):
                if column not in file.schema_arrow.names:
                    raise CorpusError(
                        f"{config.url}: {path} has no column {column!r}; {nearest(column, file.schema_arrow.names)}"
                    )
            for number in range(file.num_row_groups):
                columns = [config.speakers_column, f"{config.audio_column}.path"]
                table = file.read_row_group(number, columns, use_threads=False)
                known = config.audio_column in table.column_names
                paths = table.column(config.audio_column).to_pylist() if known else []
                recordings = []
                for i, speakers in enumerate(table.column(config.speakers_column).to_pylist()):
                    stored = paths[i].get("path") if paths and paths[i] else None
                    name = PurePosixPath(stored).stem if stored else _place(path, number, i)
                    recordings.append((name, frozenset(speakers or [])))
                groups.append(_Group(path, entry, file.metadata, number, tuple(recordings)))
        return groups


def _told_apart(group: _Group, count: Counter[str]) -> _Group:
    """The group with places behind the names that other recordings have too."""
    names = [
        (name if count[name] == 1 else f"{name}-{_place(group.path, group.number, i)}", who)
        for i, (name, who) in enumerate(group.recordings)
    ]
    return group._replace(recordings=tuple(names))


def _place(path: str, number: int, row: int) -> str:
    return f"{path.removesuffix('.parquet').replace('/', '-')}-{number}-{row}"
