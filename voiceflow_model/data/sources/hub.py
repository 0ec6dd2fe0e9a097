"""A dataset repository of the Hugging Face Hub, pinned to one commit and read in ranges straight into RAM.

`huggingface_hub` brings the session, the token and the headers; its own file system writes nothing we want and forgets
what came before a connection broke (docs/adr/0007-sources.md).
"""

import os
import re
import time
from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple
from urllib.parse import quote

from huggingface_hub import get_session
from huggingface_hub.utils._headers import build_hf_headers

from voiceflow_model.data.sources import Entry
from voiceflow_model.data.sources.folder import explained
from voiceflow_model.data.sources.range_file import Patience
from voiceflow_model.errors import ConfigError, CorpusError, StoreUnavailable

_URL = re.compile(r"hf://datasets/(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[^/]+))?(?:/(?P<folder>.+?))?/*")
_TIMEOUT_S = 30.0  # to connect, and between two pieces of a body
_REDIRECT_LIVES_S = 600.0  # signed addresses of the Hub's storage hold for an hour
_PASSING = {408, 425, 429, 500, 502, 503, 504}


class _Redirect(NamedTuple):
    address: str
    since: float


class HubDataset:
    """`hf://datasets/ORG/NAME[@REVISION][/FOLDER]`; the revision (a branch, tag or commit; `main`) becomes a commit at
    the first question, and every byte is read at that commit.

    A gated or private repository takes the token of `HF_TOKEN` or of `hf auth login`. HF_ENDPOINT names another Hub.
    """

    def __init__(self, url: str, patience: Patience | None = None) -> None:
        match = _URL.fullmatch(url)
        if not match:
            raise ConfigError(f"{url!r} names no dataset of the Hub: write hf://datasets/ORG/NAME[@REVISION][/FOLDER]")
        self.url, self.repo, self.revision = url, match["repo"], (match["revision"] or "main").replace("%2F", "/")
        self._folder = f"{match['folder']}/" if match["folder"] else ""
        self._endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
        self._patience = patience or Patience(give_up_after_s=60)  # to list; whoever reads has a patience of their own
        self._redirects: dict[str, _Redirect] = {}

    @cached_property
    def commit(self) -> str:
        """The commit that everything is read at."""
        facts, _ = self._ask(f"/api/datasets/{self.repo}/revision/{quote(self.revision, safe='')}")
        return str(facts["sha"])

    def files(self, under: str = "") -> dict[str, Entry]:
        """See Source.files. Files in Git LFS or Xet have their sha256 as digest."""
        folder = quote(f"/{self._folder}{under}".rstrip("/"))
        address: str | None = f"/api/datasets/{self.repo}/tree/{self.commit}{folder}?recursive=true&expand=false"
        found: dict[str, Entry] = {}
        while address:
            page, address = self._ask(address)
            for one in page:
                if one["type"] == "file":
                    digest = str((one.get("lfs") or {}).get("oid", ""))
                    found[one["path"].removeprefix(self._folder)] = Entry(int(one["size"]), digest, self.commit)
        return dict(sorted(found.items()))

    def fetch(self, path: str, entry: Entry, start: int, end: int) -> Iterator[bytes]:
        """See Source.fetch. The Hub is asked once per file and ten minutes, its storage for every range."""
        resolve = f"{self._endpoint}/datasets/{self.repo}/resolve/{self.commit}/{quote(self._folder + path)}"
        known = self._redirects.get(path)
        direct = known is not None and time.monotonic() - known.since < _REDIRECT_LIVES_S
        address = known.address if known is not None and direct else resolve
        headers = {"Range": f"bytes={start}-{end - 1}", "Accept-Encoding": "identity"}
        with (
            explained(f"{self.url}: {path}"),
            get_session().stream(
                "GET", address, headers=headers if direct else {**build_hf_headers(), **headers}, timeout=_TIMEOUT_S
            ) as response,
        ):
            if direct and response.status_code in (401, 403, 404):
                self._redirects.pop(path, None)
                raise StoreUnavailable(f"{self.url}: the signed address of {path} has expired")
            self._check(response)
            if response.history:
                self._redirects[path] = _Redirect(str(response.url), time.monotonic())
            total = response.headers.get("Content-Range", "").rpartition("/")[2]
            if total.isdigit() and int(total) != entry.size:
                raise CorpusError(f"{self.url}: {path} has {total} bytes, and was listed with {entry.size}")
            if response.status_code != 206 and start:
                raise CorpusError(f"{self.url}: the server of {path} cannot read ranges")
            yield from response.iter_raw()

    def _ask(self, address: str) -> tuple[Any, str | None]:
        """The JSON at an address of the API, and the address of its next page."""
        address = address if address.startswith("http") else self._endpoint + address

        def request() -> Any:
            with explained(self.url):
                response = get_session().get(address, headers=build_hf_headers(), timeout=_TIMEOUT_S)
                self._check(response)
                try:
                    return response.json(), response.links.get("next", {}).get("url")
                except ValueError as error:  # cut off
                    raise StoreUnavailable(f"{self.url}: half an answer from {address}") from error

        found: tuple[Any, str | None] = self._patience.call(request)
        return found

    def _check(self, response: Any) -> None:
        status, code = response.status_code, response.headers.get("X-Error-Code", "")
        if status in _PASSING:
            wait = response.headers.get("Retry-After", "")
            raise StoreUnavailable(
                f"{self.url}: the Hub answers {status}", retry_after_s=float(wait) if wait.isdigit() else 0.0
            )
        if status in (401, 403):
            page, gated = f"{self._endpoint}/datasets/{self.repo}", code == "GatedRepo"
            token = "HF_TOKEN was refused" if "authorization" in response.request.headers else "no HF_TOKEN is set"
            wrong = "may not be read" if gated else "does not exist, or may not be read"
            gate = "accept the conditions there" if gated else "check that it exists and is open to you"
            raise ConfigError(
                f"{self.url} {wrong} ({token}): visit {page} and {gate}; then set HF_TOKEN to a token of that account "
                "(https://huggingface.co/settings/tokens) where the worker runs"
            )
        if status == 404:
            missing = {
                "RevisionNotFound": f"has no revision {self.revision!r}",
                "EntryNotFound": "has no such file or folder",
            }
            where = str(response.url).partition("?")[0]  # what follows may be a signature
            raise CorpusError(f"{self.url} {missing.get(code, 'does not exist')}: check corpus.url ({where})")
        if status >= 400:
            raise CorpusError(f"{self.url}: the Hub answers {status}")
