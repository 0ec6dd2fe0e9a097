"""Reading any fsspec URL, with errors that say whether to fix the configuration or to try again."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import fsspec

from voiceflow_model.errors import ConfigError, CorpusError, StoreUnavailable

_LOGIN = "gcloud auth application-default login"
# Their errors are plain Exceptions, and importing them to name the classes would make every backend a dependency.
_BACKENDS = {"aiohttp", "botocore", "gcsfs", "google", "httpx", "huggingface_hub", "requests", "s3fs", "urllib3"}


class Folder:
    """Everything below one URL: a local path, file://, gs://, memory:// or another that fsspec knows."""

    def __init__(self, url: str) -> None:
        self.url = url

    def files(self) -> dict[str, int]:
        """Path relative to the folder -> size in bytes, sorted by path. Raises CorpusError when there is no folder."""
        filesystem, root = self._place
        with _explained(self.url):
            found: dict[str, Any] = filesystem.find(root, detail=True)
            if not found and not filesystem.isdir(root):
                raise CorpusError(f"{self.url} does not exist, or is no folder: check corpus.url")
        start = len(root.rstrip("/")) + 1
        return {path[start:]: int(info["size"] or 0) for path, info in sorted(found.items())}

    def read(self, path: str) -> bytes:
        """The whole file. Raises StoreUnavailable, or CorpusError when it is gone."""
        filesystem, root = self._place
        with _explained(f"{self.url.rstrip('/')}/{path}"):
            data: bytes = filesystem.cat_file(f"{root.rstrip('/')}/{path}")
        return data

    @cached_property
    def _place(self) -> tuple[fsspec.AbstractFileSystem, str]:
        # Read by gcsfs once, at import: with its default, gcsfs asks every bucket whether it is hierarchical, and an
        # emulator lets it hang a minute for that (FACTS.md).
        os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
        try:
            with _explained(self.url):
                filesystem, root = fsspec.core.url_to_fs(self.url)
        except (ImportError, ValueError) as error:
            raise ConfigError(f"{self.url} is no URL that can be read here: {error}") from error
        return filesystem, str(root)


@contextmanager
def _explained(url: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise CorpusError(f"{url} does not exist: check corpus.url, or whether it was removed meanwhile") from error
    except Exception as error:
        if type(error).__name__ == "DefaultCredentialsError" or "anonymous caller" in str(error).lower():
            raise ConfigError(f"no Google credentials to read {url}: run `{_LOGIN}` ({error})") from error
        if isinstance(error, OSError | TimeoutError) or type(error).__module__.split(".")[0] in _BACKENDS:
            raise StoreUnavailable(
                f"{url} cannot be read ({type(error).__name__}: {error}): check network and permissions, then run again"
            ) from error
        raise
