"""Copies the shards that a corpus names to a bucket or folder, through RAM, and goes on where it was stopped.

A file counts as mirrored when it is in the manifest, and it is put there only after it was stored and checked.
"""

import math
import os
import time
from collections.abc import Callable
from datetime import timedelta
from typing import NamedTuple

from voiceflow_model.data.corpora import CorpusConfig
from voiceflow_model.data.corpus import Split
from voiceflow_model.data.espeak import EspeakCorpusConfig
from voiceflow_model.data.files import FilesCorpus, FilesCorpusConfig
from voiceflow_model.data.mirror.manifest import Manifest
from voiceflow_model.data.mirror.target import open_target
from voiceflow_model.data.mirror.work import Work
from voiceflow_model.data.sharded import PLACEHOLDER, ShardedConfig, SplitFiles
from voiceflow_model.data.sources import Entry, Source, open_source
from voiceflow_model.data.sources.range_file import Patience
from voiceflow_model.errors import ConfigError, CorpusError
from voiceflow_model.section import Section
from voiceflow_model.store import open_store
from voiceflow_model.store.paths import checked

_LINE_EVERY_S = 10.0


class MirrorResult(Section):
    """What is mirrored now; `skipped` files were there already."""

    source: str
    to: str
    files: int
    bytes: int
    copied: int
    copied_bytes: int
    skipped: int
    seconds: float


class Progress(NamedTuple):
    """How far a mirror is, files of earlier sessions included. The rate is this session's; at 0, `eta_s` is inf."""

    files: int
    total_files: int
    bytes: int
    total_bytes: int
    bytes_per_s: float
    eta_s: float


def mirror(
    config: CorpusConfig,
    to: str,
    *,
    at_once: int = 4,
    progress: Callable[[Progress], None] = lambda _: None,
    patience: Patience | None = None,
) -> MirrorResult:
    """Copy every file of the corpus that is not at `to` already. On any error, also KeyboardInterrupt, what is done is
    kept, and the same call goes on.

    Raises ConfigError, CorpusError, StoreUnavailable; the message names the file. `progress` hears several times a
    second. RAM: `at_once` x a few PIECE_BYTES.
    """
    began = time.monotonic()
    if isinstance(config, EspeakCorpusConfig):
        raise ConfigError(
            "the embedded voices (corpus.kind = espeak) are made on the spot: there is nothing to mirror; choose "
            "another --config or --phase"
        )
    _refuse_place(config.url, to)
    store, target = open_store(to), open_target(to)
    source, files = _named(config)
    there = {info.path: info.size for info in store.list()}
    manifest = Manifest(store)
    missing = [path for path, entry in files.items() if not manifest.holds(source.url, path, entry, there.get(path))]
    manifest.prepare(source.url, str(getattr(source, "commit", "")), missing)
    work = Work(source, target, {path: files[path] for path in missing}, patience or Patience())
    total = sum(entry.size for entry in files.values())
    skipped_bytes = total - sum(files[path].size for path in missing)
    copying_since = time.monotonic()

    def tell() -> None:
        moved = work.bytes
        rate = moved / max(time.monotonic() - copying_since, 1e-3)
        left = total - skipped_bytes - moved
        left_s = left / rate if rate else math.inf if left else 0.0
        done = len(files) - len(missing) + work.done
        progress(Progress(done, len(files), skipped_bytes + moved, total, rate, left_s))

    tell()
    if missing:
        work.run(at_once, manifest, tell)
        tell()
    return MirrorResult(
        source=source.url,
        to=store.url,
        files=len(files),
        bytes=total,
        copied=len(missing),
        copied_bytes=total - skipped_bytes,
        skipped=len(files) - len(missing),
        seconds=round(time.monotonic() - began, 3),
    )


class Lines:
    """A line of progress when it begins, about every ten seconds, and when it ends."""

    def __init__(self, say: Callable[[str], object], clock: Callable[[], float] = time.monotonic) -> None:
        self._say, self._clock, self._due_at = say, clock, -math.inf

    def __call__(self, progress: Progress) -> None:
        """Hear of it; says it when it is time."""
        if self._clock() < self._due_at and progress.files < progress.total_files:
            return
        self._due_at = self._clock() + _LINE_EVERY_S
        moved = f"{size(progress.bytes)} of {size(progress.total_bytes)}  {size(progress.bytes_per_s)}/s"
        left = timedelta(seconds=round(progress.eta_s)) if math.isfinite(progress.eta_s) else "unknown"
        self._say(f"mirror {progress.files}/{progress.total_files} files  {moved}  ETA {left}")


def size(count: float) -> str:
    """A number of bytes for people."""
    unit = next((power for power in (4, 3, 2, 1) if count >= 1000**power), 0)
    return f"{count / 1000**unit:.{1 if unit else 0}f} {('B', 'kB', 'MB', 'GB', 'TB')[unit]}"


def _named(config: FilesCorpusConfig | ShardedConfig) -> tuple[Source, dict[str, Entry]]:
    """The corpus's source, and every file in it that the corpus reads."""
    if isinstance(config, FilesCorpusConfig):
        FilesCorpus(config)  # refuses a placeholder
        source = open_source(config.url)
        # What is hidden is not of the corpus: .gitattributes, .DS_Store, the lock and the unfinished files of a mirror.
        files = {checked(path): entry for path, entry in source.files().items() if "/." not in f"/{path}"}
        if not files:
            raise CorpusError(f"{config.url} has no files: check corpus.url")
        return source, files
    shards = SplitFiles(config)
    splits: tuple[Split, ...] = ("train", "dev", "test")
    named = {path: entry for split in splits for path, entry in shards.of(split).items()}
    return shards.source, {checked(path): entry for path, entry in named.items()}  # a name must not lead elsewhere


def _refuse_place(source: str, to: str) -> None:
    """Nowhere, and into the corpus itself, where the next mirror would find twice as much."""
    if not to:
        raise ConfigError("nowhere to copy to: give --to gs://bucket/prefix or a folder, or set VOICEFLOW_MIRROR")
    if PLACEHOLDER in to:
        raise ConfigError(f"--to {to} is still the placeholder: name your own bucket or folder")
    if f"{_location(to)}/".startswith(f"{_location(source)}/"):
        raise ConfigError(f"--to {to} is, or lies in, the source {source}: choose another place")


def _location(url: str) -> str:
    scheme, colon, rest = url.rpartition("://")
    if not colon or scheme == "file":
        return os.path.realpath(os.path.expanduser(rest))
    return f"{scheme.replace('gcs', 'gs')}://{rest.strip('/')}"
