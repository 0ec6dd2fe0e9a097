"""What only a bucket does: lose answers, refuse credentials, be away."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import requests
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import RefreshError
from google.cloud import storage
from google.cloud.storage.retry import DEFAULT_RETRY

from voiceflow_model.errors import ConfigError, ObjectNotFound, PreconditionFailed, StoreUnavailable
from voiceflow_model.store import ABSENT, open_store
from voiceflow_model.store.gcs import GcsStore

QUICK = DEFAULT_RETRY.with_delay(initial=0.001, maximum=0.001)

Send = Callable[[], requests.Response]


class Wire(requests.Session):
    """An HTTP session whose next requests about objects go through `tricks`, one each; `sent` counts all of them.

    Others pass: the client asks for the bucket's metadata from a thread of its own.
    """

    def __init__(self, *tricks: Callable[[Send], requests.Response]) -> None:
        super().__init__()
        self.tricks, self.sent = list(tricks), 0

    def request(self, method: str, url: str, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        send = lambda: super(Wire, self).request(method, url, **kwargs)  # noqa: E731
        if not re.search(r"/b/[^/]+/o\b", url):
            return send()
        self.sent += 1
        return self.tricks.pop(0)(send) if self.tricks else send()


def answer_lost(send: Send) -> requests.Response:
    send()
    raise requests.ConnectionError("connection reset by peer")


def request_lost(send: Send) -> requests.Response:
    raise requests.ConnectionError("no route to host")


def status(code: int) -> Callable[[Send], requests.Response]:
    def trick(send: Send) -> requests.Response:
        response = send()
        response.status_code = code
        return response

    return trick


def wired(url: str, *tricks: Callable[[Send], requests.Response], deadline_s: float = 10) -> GcsStore:
    client = storage.Client(project=None, credentials=AnonymousCredentials(), _http=Wire(*tricks))
    return GcsStore(url.removeprefix("gs://"), client=client, retry=QUICK.with_timeout(deadline_s))


@pytest.mark.parametrize("trick", [answer_lost, status(503), status(429)])
def test_a_swap_whose_answer_was_lost_succeeds(gcs_url: str, trick: Callable[[Send], requests.Response]) -> None:
    generation = wired(gcs_url, trick).write("a", b"mine", if_generation=ABSENT)
    assert open_store(gcs_url).read("a").generation == generation


def test_a_swap_whose_answer_was_lost_fails_when_another_content_is_there(gcs_url: str) -> None:
    def overtaken(send: Send) -> requests.Response:
        open_store(gcs_url).write("a", b"theirs")
        raise requests.ConnectionError("connection reset by peer")

    with pytest.raises(PreconditionFailed):
        wired(gcs_url, overtaken).write("a", b"mine", if_generation=ABSENT)
    assert open_store(gcs_url).read("a").data == b"theirs"


def test_equal_content_without_a_lost_answer_is_still_a_lost_swap(gcs_url: str) -> None:
    open_store(gcs_url).write("a", b"same")
    with pytest.raises(PreconditionFailed):
        wired(gcs_url).write("a", b"same", if_generation=ABSENT)


def test_transient_failures_are_retried_within_the_call(gcs_url: str) -> None:
    open_store(gcs_url).write("a", b"one")
    store = wired(gcs_url, request_lost, status(503), status(429))
    assert store.read("a").data == b"one"
    assert store._client._http.sent == 4


def test_a_store_that_stays_away_is_unavailable_after_the_deadline(gcs_url: str) -> None:
    store = wired(gcs_url, *[request_lost] * 10_000, deadline_s=0.1)
    for call in (
        lambda: store.read("a"),
        lambda: store.write("a", b"x"),
        lambda: store.write("a", b"x", if_generation=1),
    ):
        with pytest.raises(StoreUnavailable, match="may be run again") as caught:
            call()
        assert caught.value.retryable


def test_a_broken_upload_of_a_large_object_is_taken_up_again(gcs_url: str) -> None:
    large = bytes(9 * 2**20)
    wired(gcs_url, lambda send: send(), request_lost).write("large", large)
    assert open_store(gcs_url).read("large").data == large


@pytest.mark.parametrize("code", [401, 403])
def test_a_refusal_names_the_login_command_and_is_not_retried(gcs_url: str, code: int) -> None:
    with pytest.raises(ConfigError, match="gcloud auth application-default login"):
        wired(gcs_url, *[status(code)] * 100).list()


def test_expired_credentials_name_the_login_command(gcs_url: str) -> None:
    def expired(send: Send) -> requests.Response:
        raise RefreshError("invalid_grant: Token has been expired or revoked.")

    with pytest.raises(ConfigError, match=r"invalid_grant[^$]*gcloud auth application-default login"):
        wired(gcs_url, expired).read("a")


def test_missing_credentials_say_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/key.json")
    with pytest.raises(ConfigError, match=r"/nowhere/key\.json[^$]*gcloud auth application-default login"):
        open_store("gs://bucket")


def test_a_missing_bucket_is_named(gcs_url: str) -> None:
    store = open_store("gs://no-such-bucket/x")
    for call in (store.list, lambda: store.write("a", b"x"), lambda: store.write("a", b"x", if_generation=ABSENT)):
        with pytest.raises(ConfigError, match=r"'no-such-bucket' .*does not exist"):
            call()
    with pytest.raises(ObjectNotFound):
        store.read("a")


def test_an_object_is_never_cached_on_the_way(gcs_url: str) -> None:
    open_store(gcs_url).write("a", b"x")
    blob = storage.Client(project=None).bucket(gcs_url.removeprefix("gs://")).get_blob("a")
    assert blob.cache_control == "no-store"
