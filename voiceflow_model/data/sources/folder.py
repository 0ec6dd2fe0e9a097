"""Any fsspec URL as a source, with errors that say whether to fix the configuration or to try again."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import fsspec

from voiceflow_model.data.sources import Entry
from voiceflow_model.errors import ConfigError, CorpusError, StoreUnavailable

_LOGIN = "gcloud auth application-default login"
# Their errors are plain Exceptions, and importing them to name the classes would make every backend a dependency.
_BACKENDS = {
    "aiohttp", "botocore", "gcsfs", "google", "h11", "httpcore", "httpcore2", "httpx", "httpx2", "huggingface_hub",
    "requests", "s3fs", "urllib3",
}  # fmt: skip
MANIFEST = "voiceflow-mirror.json"
"""Written by `voiceflow mirror` beside what it copied: path -> [size, sha256]."""


class Folder:
    """Everything below one URL: a local path, file://, gs://, memory:// or another that fsspec knows."""

    def __init__(self, url: str) -> None:
        self.url = url

    def files(self, under: str = "") -> dict[str, Entry]:
        """See Source.files. What a mirror's manifest lists has its sha256 as digest, the rest what a bucket tells."""
        filesystem, root = self._place
        folder = "/".join(part.strip("/") if i else part.rstrip("/") for i, part in enumerate((root, under)) if part)
        with explained(self.url):
            found: dict[str, Any] = filesystem.find(folder, detail=True)
            if not found and not filesystem.isdir(folder):
                place = filesystem.unstrip_protocol(folder)
                raise CorpusError(f"{place} does not exist, or is no folder: check corpus.url")
        start = len(root.rstrip("/")) + 1
        entries = {path[start:]: _entry(info) for path, info in sorted(found.items())}
        mirrored = self._mirrored
        for path, entry in entries.items():
            size, digest = mirrored.get(path, (-1, ""))
            if size == entry.size:
                entries[path] = entry._replace(digest=digest)
        return {path: entry for path, entry in entries.items() if path != MANIFEST}

    def fetch(self, path: str, entry: Entry, start: int, end: int) -> Iterator[bytes]:
        """See Source.fetch. A bucket is asked for the very generation that was listed."""
        filesystem, root = self._place
        full = f"{root.rstrip('/')}/{path}"
        with explained(f"{self.url.rstrip('/')}/{path}"):
            if self.url.startswith("gs://"):
                yield filesystem.cat_file(full, start=start, end=end, generation=entry.version)
                return
            if start == 0 and _entry(filesystem.info(full)).version != entry.version:
                raise CorpusError(f"{self.url}: {path} was replaced while it is read; start again to read the new one")
            yield filesystem.cat_file(full, start=start, end=end)

    def read(self, path: str) -> bytes:
        """The whole file. Raises StoreUnavailable, or CorpusError when it is gone."""
        filesystem, root = self._place
        with explained(f"{self.url.rstrip('/')}/{path}"):
            data: bytes = filesystem.cat_file(f"{root.rstrip('/')}/{path}")
        return data

    @cached_property
    def _mirrored(self) -> dict[str, tuple[int, str]]:
        filesystem, root = self._place
        try:
            manifest = json.loads(filesystem.cat_file(f"{root.rstrip('/')}/{MANIFEST}"))
        except FileNotFoundError:
            return {}
        return {path: (size, sha256) for path, (size, sha256) in manifest["files"].items()}

    @cached_property
    def _place(self) -> tuple[fsspec.AbstractFileSystem, str]:
        # Read by gcsfs once, at import: with its default, gcsfs asks every bucket whether it is hierarchical, and an
        # emulator lets it hang a minute for that (FACTS.md).
        os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
        try:
            with explained(self.url):
                filesystem, root = fsspec.core.url_to_fs(self.url)
        except (ImportError, ValueError) as error:
            raise ConfigError(f"{self.url} is no URL that can be read here: {error}") from error
        return filesystem, str(root)


def _entry(info: dict[str, Any]) -> Entry:
    version = next((info[key] for key in ("generation", "etag", "ETag", "mtime") if info.get(key)), "")
    return Entry(int(info["size"] or 0), str(info.get("md5Hash") or ""), str(version))


@contextmanager
def explained(url: str) -> Iterator[None]:
    """Errors of any backend that reads `url`, as ours."""
    try:
        yield
    except FileNotFoundError as error:
        raise CorpusError(f"{url} does not exist: check corpus.url, or whether it was removed meanwhile") from error
    except Exception as error:
        if type(error).__name__ == "DefaultCredentialsError" or "anonymous caller" in str(error).lower():
            raise ConfigError(f"no Google credentials to read {url}: run `{_LOGIN}` ({error})") from error
        if isinstance(error, OSError | TimeoutError) or type(error).__module__.split(".")[0] in _BACKENDS:
            raise StoreUnavailable(
                f"{url} cannot be read ({type(error).__name__}: {error}): check network and permissions, run again",
                passing=not isinstance(error, PermissionError),
            ) from error
        raise
