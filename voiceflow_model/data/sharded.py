"""What every corpus of shards (parquet, tar, recordings) has in common: which files are for which split."""

import difflib
import hashlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Self, TypeVar

from pydantic import Field, model_validator

from voiceflow_model.data.corpus import Split
from voiceflow_model.data.sources import Entry, Source, open_source
from voiceflow_model.data.sources.range_file import RangeFile
from voiceflow_model.errors import ConfigError, CorpusError
from voiceflow_model.section import Section

PLACEHOLDER = "YOUR-"  # in the shipped configurations

Patterns = tuple[str, ...]
_Part = TypeVar("_Part")
_HELD_OUT: tuple[Split, ...] = ("dev", "test")
_AT_ONCE = 16


class ShardedConfig(Section):
    """Where the shards are, and whose they are."""

    url: str = Field(
        min_length=1,
        description="hf://datasets/ORG/NAME[@REVISION], gs://bucket/prefix, a folder, or any other fsspec URL",
    )
    train: Patterns = Field(
        (), description='files below the URL, such as "clean/train.100/*.parquet"; none where it is only measured on'
    )
    dev: Patterns = Field((), description="files whose speakers thresholds are tuned on")
    test: Patterns = Field((), description="files whose speakers DER is reported on")
    heldout_share: float = Field(0.05, ge=0, le=0.5, description="of the rows in `train`: they are validated on")

    @model_validator(mode="after")
    def _names_files(self) -> Self:
        if not (self.train or self.dev or self.test):
            raise ValueError('train, dev or test must name files, such as train = ["*.parquet"]')
        return self


class SplitFiles:
    """The files of each split, listed once. Safe to use from many threads once a split has been asked for."""

    def __init__(self, config: ShardedConfig) -> None:
        if PLACEHOLDER in config.url:
            raise ConfigError(
                f"corpus.url is still the placeholder {config.url}: name your own, as in "
                "--set corpus.url=gs://bucket/folder (or phases.PHASE.corpus.url)"
            )
        self.config = config
        self.source: Source = open_source(config.url)

    def of(self, split: Split) -> dict[str, Entry]:
        """Path -> entry, sorted; validation has the files of train, from which its rows are held out.

        Raises CorpusError for a pattern that matches nothing; without any pattern there is just nothing.
        """
        return self._listed["train" if split == "validation" else split]

    def home(self, split: Split) -> Split:
        """The split whose files hold the rows of `split`: where one of dev and test is named, it serves both.

        Raises CorpusError for train and validation where no files of train are named.
        """
        if split in ("train", "validation"):
            if not self.config.train:
                raise CorpusError(
                    f"{self.config.url} can only be measured on (evaluation.corpus): corpus.train names no files"
                )
            return "train"
        if self.of(split):
            return split
        return next((other for other in _HELD_OUT if self.of(other)), "train")

    def index(self, read: Callable[[str, Entry], list[_Part]]) -> dict[Split, list[_Part]]:
        """What `read` finds in each file, of each split in the order of its files; many are read at once."""
        with ThreadPoolExecutor(_AT_ONCE, "index") as readers:
            found = {s: [readers.submit(read, *file) for file in files.items()] for s, files in self._listed.items()}
            return {split: [part for file in files for part in file.result()] for split, files in found.items()}

    def open(self, path: str, entry: Entry) -> RangeFile:
        """The file, read in ranges that outlive a bad network."""
        return RangeFile(self.source, path, entry)

    def fingerprint(self) -> str:
        """Of every file's path, size and content where known: the same at the Hub and at a mirror."""
        content = {s: [(path, e.size, e.digest) for path, e in files.items()] for s, files in self._listed.items()}
        return hashlib.sha256(repr(content).encode()).hexdigest()

    @cached_property
    def listing(self) -> dict[str, Entry]:
        """Path -> entry of all files in the folders that patterns name, whether or not one matches them."""
        folders = {_folder(p) for ps in self._patterns.values() for p in ps}
        listing: dict[str, Entry] = {}
        for folder in sorted(folders):
            if not any(other != folder and f"{folder}/".startswith(f"{other}/" if other else "") for other in folders):
                listing |= self.source.files(folder)
        return listing

    @property
    def _patterns(self) -> dict[Split, Patterns]:
        return {"train": self.config.train, "dev": self.config.dev, "test": self.config.test}

    @cached_property
    def _listed(self) -> dict[Split, dict[str, Entry]]:
        found = {split: self._matching(self.listing, split, ps) for split, ps in self._patterns.items()}
        for split in _HELD_OUT:
            if both := found["train"].keys() & found[split].keys():
                raise CorpusError(
                    f"{self.config.url}: {min(both)} is in corpus.train and in corpus.{split}; what is measured on "
                    "must never be trained on"
                )
        return found

    def _matching(self, listing: dict[str, Entry], split: Split, patterns: Patterns) -> dict[str, Entry]:
        found: dict[str, Entry] = {}
        for pattern in patterns:
            matched = {path: entry for path, entry in listing.items() if _matches(path, pattern)}
            if not matched:
                there = ", ".join(list(listing)[:3]) or "nothing"
                raise CorpusError(
                    f"{self.config.url} has no {pattern} (corpus.{split}); found {len(listing)} files there: {there}"
                )
            found |= matched
        return dict(sorted(found.items()))


def is_held_out(key: str, share: float) -> bool:
    """Whether a row of the train files is validated on instead: by a hash of its key, the same on every machine."""
    digest = hashlib.sha256(f"voiceflow-heldout/{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def belongs(key: str, split: Split, share: float) -> bool:
    """Whether the row of that key is for the split that its file is for."""
    return split in ("dev", "test") or is_held_out(key, share) == (split == "validation")


def _matches(path: str, pattern: str) -> bool:
    """A wildcard stays within its folder."""
    names, wanted = path.split("/"), pattern.split("/")
    return len(names) == len(wanted) and all(map(fnmatchcase, names, wanted))


def _folder(pattern: str) -> str:
    """The longest folder without a wildcard: all that has to be listed."""
    parts: list[str] = []
    for part in pattern.split("/")[:-1]:
        if any(c in part for c in "*?["):
            break
        parts.append(part)
    return "/".join(parts)


def nearest(name: str, names: Iterable[str]) -> str:
    """Words for an error about a name that is not among `names`."""
    known = list(names)
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
