"""A store in a Google Cloud Storage bucket, through google.cloud.storage."""

from collections.abc import Callable
from http.client import HTTPException
from typing import Any, TypeVar

from google.api_core import exceptions as api
from google.auth import exceptions as auth
from google.cloud import storage
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
from google.cloud.storage.retry import DEFAULT_RETRY

from voiceflow_model.errors import ConfigError, ObjectNotFound, PreconditionFailed, StoreUnavailable, VoiceFlowError
from voiceflow_model.store.paths import checked, checked_prefix
from voiceflow_model.store.protocol import Blob, ObjectInfo

_TIMEOUT_S = 30.0  # one request
_DEADLINE_S = 60.0  # one request with its retries
_CHUNK_BYTES = 8 * 2**20  # what a broken upload of a large object repeats

_CREDENTIALS = (auth.DefaultCredentialsError, auth.RefreshError, api.Unauthorized, api.Forbidden)
_FAILURES = (api.GoogleAPIError, auth.GoogleAuthError, InvalidResponse, DataCorruption, HTTPException, OSError)

_Result = TypeVar("_Result")


class GcsStore:
    """`gs://bucket/prefix`, with application default credentials, or an emulator at STORAGE_EMULATOR_HOST.

    `client` and `retry` are for tests. Preconditions are GCS's own generation matches; objects are marked no-store
    because GCS caches objects of a public bucket for an hour, and a stale record would never win its swap.
    """

    def __init__(self, bucket: str, prefix: str = "", *, client: Any = None, retry: Any = None) -> None:
        prefix = prefix.strip("/")
        self.url = f"gs://{bucket}/{checked(prefix)}" if prefix else f"gs://{bucket}"
        self._root = f"{prefix}/" if prefix else ""
        self._retry = DEFAULT_RETRY.with_timeout(_DEADLINE_S) if retry is None else retry
        self._limits = {"timeout": _TIMEOUT_S, "retry": self._retry}
        try:
            self._client = client or self._call("opening", lambda: storage.Client(project=None))
            self._bucket = self._client.bucket(bucket)
        except ValueError as error:
            raise ConfigError(f"{self.url}: {error}; write gs://bucket/prefix") from error

    def read(self, path: str) -> Blob:
        """See Store.read."""
        blob = self._blob(path)
        data = self._call(f"reading {path}", lambda: blob.download_as_bytes(**self._limits))
        return Blob(data, int(blob.generation))  # generation: from the headers of this very download

    def write(self, path: str, data: bytes, *, if_generation: int | None = None) -> int:
        """See Store.write; a conditional write is settled by reading back when a first try may have reached GCS."""
        blob = self._blob(path)
        blob.cache_control = "no-store"
        blob.chunk_size = _CHUNK_BYTES  # never on a read: chunked downloads check no sum and tell no generation
        try:
            if if_generation is None:
                self._call(f"writing {path}", lambda: blob.upload_from_string(data, **self._limits))
                return int(blob.generation)
            return self._swap(blob, path, data, if_generation)
        except ObjectNotFound as error:
            raise self._no_bucket() from error

    def list(self, prefix: str = "") -> list[ObjectInfo]:
        """See Store.list."""
        start = self._root + checked_prefix(prefix)
        try:
            found = self._call(
                f"listing {prefix!r}",
                lambda: list(self._client.list_blobs(self._bucket, prefix=start, **self._limits)),
            )
        except ObjectNotFound as error:
            raise self._no_bucket() from error
        names = [ObjectInfo(blob.name.removeprefix(self._root), int(blob.size)) for blob in found]
        return sorted(names, key=lambda info: info.path)

    def delete(self, path: str) -> None:
        """See Store.delete."""
        try:
            self._call(f"deleting {path}", lambda: self._blob(path).delete(**self._limits))
        except ObjectNotFound:
            return

    def uri(self, path: str) -> str:
        """See Store.uri."""
        return f"{self.url}/{path}"

    def _swap(self, blob: Any, path: str, data: bytes, generation: int) -> int:
        failures: list[Exception] = []

        def upload() -> None:
            blob.upload_from_string(data, if_generation_match=generation, timeout=_TIMEOUT_S, retry=None)

        try:
            self._call(f"writing {path}", self._retry(upload, on_error=failures.append))
        except PreconditionFailed:
            # A try that timed out or got a 5xx may have been carried out; then our own write made the next one fail.
            if failures and (found := self.read(path)).data == data:
                return found.generation
            raise
        return int(blob.generation)

    def _blob(self, path: str) -> Any:
        return self._bucket.blob(self._root + checked(path))

    def _no_bucket(self) -> ConfigError:
        return ConfigError(
            f"bucket {self._bucket.name!r} of {self.url} does not exist; create it or correct the store URL"
        )

    def _call(self, doing: str, request: Callable[[], _Result]) -> _Result:
        try:
            return request()
        except _FAILURES as error:
            raise self._ours(doing, error) from error

    def _ours(self, doing: str, error: Exception) -> VoiceFlowError:
        cause = (error.__cause__ or error) if isinstance(error, api.RetryError) else error
        detail = f"{self.url}: {doing}: {type(cause).__name__}: {str(cause)[:300]}"
        if isinstance(cause, api.NotFound):
            return ObjectNotFound(detail)
        if isinstance(cause, api.PreconditionFailed):
            return PreconditionFailed(detail)
        if isinstance(cause, api.BadRequest):
            return ConfigError(f"{detail}\nGCS does not understand this request: check the store URL")
        if isinstance(cause, _CREDENTIALS) and not getattr(cause, "retryable", False):
            return ConfigError(
                f"{detail}\nNo credentials that may use this bucket: run `gcloud auth application-default login` "
                "(Colab: google.colab.auth.authenticate_user()), or grant the machine's service account "
                "roles/storage.objectAdmin on the bucket"
            )
        return StoreUnavailable(f"{detail}; the same command may be run again")
