"""What the Hub says to a request when nothing goes wrong: the routes that `huggingface_hub` and `datasets` call."""

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

from tests.doubles.faults import Route
from tests.doubles.repository import Blob, Commit, in_lfs

if TYPE_CHECKING:
    from tests.doubles.hub import Hub

_ID = r"/datasets/(?P<repo>[^/]+/[^/]+)"
_ROUTES: dict[str, re.Pattern[str]] = {
    "info": re.compile(rf"/api{_ID}(/revision/(?P<revision>[^/]+))?"),
    "tree": re.compile(rf"/api{_ID}/tree/(?P<revision>[^/]+)(/(?P<path>.+))?"),
    "paths": re.compile(rf"/api{_ID}/paths-info/(?P<revision>[^/]+)"),
    "resolve": re.compile(rf"{_ID}/resolve/(?P<revision>[^/]+)/(?P<path>.+)"),
    "cdn": re.compile(r"/cdn/(?P<sha>[0-9a-f]{64})"),
}


class Answer(NamedTuple):
    """A status, headers and the span of a blob that is the body."""

    route: Route
    status: int
    headers: dict[str, str]
    body: Blob
    span: tuple[int, int]


class Problem(Exception):  # noqa: N818
    """(status, X-Error-Code or None): an answer other than success."""


class Question(NamedTuple):
    """A request, read."""

    method: str
    target: str
    headers: Mapping[str, str]
    form: dict[str, list[str]]

    @property
    def query(self) -> dict[str, str]:
        """Last value of each parameter of the address."""
        return {name: values[-1] for name, values in parse_qs(urlsplit(self.target).query).items()}


def answer(hub: "Hub", question: Question) -> Answer:
    """Any request, answered; what no route knows gets 404 on the route "unknown"."""
    path = urlsplit(question.target).path
    for name, pattern in _ROUTES.items():
        if found := pattern.fullmatch(path):
            parts = {key: unquote(value) for key, value in found.groupdict().items() if value}
            try:
                return _HANDLERS[name](hub, question, **parts)
            except Problem as problem:
                route: Any = "read" if name == "cdn" else name
                return error(route, *problem.args)
    return error("unknown", 404, None)


def error(route: Route, status: int, code: str | None, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer other than success, as the Hub words it."""
    named = {"X-Error-Code": code, "X-Error-Message": code} if code else {}
    return _body(route, status, json.dumps({"error": code or status}), {**named, **(headers or {})})


def _info(hub: "Hub", question: Question, repo: str, revision: str = "main") -> Answer:
    commit = _commit(hub, question, repo, revision)
    siblings: list[dict[str, Any]] = [{"rfilename": path} for path in commit.files]
    if question.query.get("blobs", "").lower() == "true":
        for sibling, blob in zip(siblings, commit.files.values(), strict=True):
            sibling |= {"size": blob.size, "blobId": blob.sha[:40]}
            if in_lfs(sibling["rfilename"]):
                sibling["lfs"] = {"sha256": blob.sha, "size": blob.size, "pointerSize": 134}
    gated = "auto" if hub.repos[repo].gated_token else False
    about = {"id": repo, "author": repo.split("/")[0], "sha": commit.sha, "private": False, "gated": gated}
    about |= {"lastModified": "2026-01-01T00:00:00.000Z", "disabled": False, "tags": [], "siblings": siblings}
    return _body("info", 200, json.dumps(about))


def _tree(hub: "Hub", question: Question, repo: str, revision: str, path: str = "") -> Answer:
    commit, query = _commit(hub, question, repo, revision), question.query
    recursive, expand = (query.get(name, "").lower() == "true" for name in ("recursive", "expand"))
    if path and path not in commit.folders:
        raise Problem(404, "EntryNotFound")
    entries = commit.listing(path, recursive, expand)
    start = int(query.get("cursor", 0))
    end = start + hub.page_size
    following = f"{hub.endpoint}{urlsplit(question.target).path}?{urlencode(query | {'cursor': end})}"
    headers = {"Link": f'<{following}>; rel="next"'} if end < len(entries) else {}
    return _body("tree", 200, json.dumps(entries[start:end]), headers)


def _paths(hub: "Hub", question: Question, repo: str, revision: str) -> Answer:
    commit = _commit(hub, question, repo, revision)
    expand = question.form.get("expand", [""])[0].lower() == "true"
    found = (commit.entry(path, expand) for path in question.form.get("paths", []))
    return _body("paths", 200, json.dumps([entry for entry in found if entry]))


def _resolve(hub: "Hub", question: Question, repo: str, revision: str, path: str) -> Answer:
    commit, wanted = _commit(hub, question, repo, revision), hub.repos[repo].gated_token
    if wanted is not None and wanted != (token := _token(question)):
        raise Problem(403 if token else 401, "GatedRepo")
    if path not in commit.files:
        raise Problem(404, "EntryNotFound")
    blob = commit.files[path]
    headers = {"X-Repo-Commit": commit.sha, "ETag": f'"{blob.sha}"'}
    if not in_lfs(path):
        return _bytes(question, blob, headers)
    headers |= {"X-Linked-Size": str(blob.size), "X-Linked-Etag": f'"{blob.sha}"'}
    if not hub.redirect:
        return _bytes(question, blob, headers)
    address = f"{hub.cdn}/cdn/{blob.sha}?sig={hub.signature}"
    return _body("resolve", 302, f"Found. Redirecting to {address}", headers | {"Location": address})


def _cdn(hub: "Hub", question: Question, sha: str) -> Answer:
    if question.query.get("sig") != str(hub.signature) or sha not in hub.blobs:
        raise Problem(403, None)
    return _bytes(question, hub.blobs[sha], {"ETag": f'"{sha}"'})


_HANDLERS = {"info": _info, "tree": _tree, "paths": _paths, "resolve": _resolve, "cdn": _cdn}


def _bytes(question: Question, blob: Blob, headers: dict[str, str]) -> Answer:
    """A file or the range of it that was asked for."""
    route: Route = "read" if question.method == "GET" else "resolve"
    headers = headers | {"Accept-Ranges": "bytes"}
    asked = re.fullmatch(r"bytes=(\d*)-(\d*)", question.headers.get("Range") or "")
    if not asked or not any(asked.groups()):
        return Answer(route, 200, headers, blob, (0, blob.size))
    first, last = asked.groups()
    start = int(first) if first else max(0, blob.size - int(last))
    end = min(int(last) + 1, blob.size) if first and last else blob.size
    if start >= end:
        return error(route, 416, None, {"Content-Range": f"bytes */{blob.size}"})
    return Answer(route, 206, headers, blob, (start, end))


def _body(route: Route, status: int, text: str, headers: Mapping[str, str] | None = None) -> Answer:
    body = text.encode()
    return Answer(route, status, dict(headers or {}), Blob(len(body), "", body), (0, len(body)))


def _commit(hub: "Hub", question: Question, repo: str, revision: str) -> Commit:
    """A repository at a branch or a sha; those who show no token are not told what does not exist."""
    known = hub.repos.get(repo)
    if known is None:
        raise Problem(404 if _token(question) else 401, "RepoNotFound")
    commit = known.commits.get(known.main if revision == "main" else revision)
    if commit is None:
        raise Problem(404, "RevisionNotFound")
    return commit


def _token(question: Question) -> str | None:
    return (question.headers.get("Authorization") or "").removeprefix("Bearer ") or None
