"""Where a corpus's bytes lie: a dataset of the Hugging Face Hub, a bucket, a folder. Listed once, read in ranges.

A source pins what it lists. Whatever is replaced upstream after that is an error, never other bytes under an old name.
"""

from collections.abc import Iterator
from typing import NamedTuple, Protocol


class Entry(NamedTuple):
    """A file as listed. `digest` names its content where the source knows it ("" elsewhere): two places that hold the
    same file give it the same one. `version` changes whenever this place's file is replaced."""

    size: int
    digest: str = ""
    version: str = ""


class Source(Protocol):
    """Files below one URL. Every method may raise StoreUnavailable, which a later try may settle."""

    url: str

    def files(self, under: str = "") -> dict[str, Entry]:
        """Path relative to the URL -> entry, sorted by path, of all files in the folder `under`.

        Raises CorpusError when there is no such place, ConfigError when it may not be read.
        """

    def fetch(self, path: str, entry: Entry, start: int, end: int) -> Iterator[bytes]:
        """Bytes [start, end) in pieces as they arrive, in one try; what came before an error counts.

        Raises CorpusError when the file is gone or is not `entry` any more.
        """


def open_source(url: str) -> Source:
    """The source at `hf://datasets/ORG/NAME[@REVISION][/FOLDER]`, or at any URL or path that fsspec can read."""
    if url.startswith("hf://"):
        from voiceflow_model.data.sources.hub import HubDataset

        return HubDataset(url)
    from voiceflow_model.data.sources.folder import Folder

    return Folder(url)
