"""The Hub's double, seen by the real clients: huggingface_hub, datasets, http.client."""

import http.client
import io
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pyarrow.parquet as pq
import pytest
from huggingface_hub import HfApi, HfFileSystem, get_session
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tests.doubles import layouts
from tests.doubles.hub import CUT, RESET, SHORT, Fault, Hub, Next, OneIn, Random, hang, slow, status
from tests.doubles.layouts import Speech

ROOT = Path(__file__).parents[2]
DATA = bytes(range(256)) * 400
FILES: Mapping[str, bytes] = {"README.md": b"# Corpus\n", "data/a.parquet": DATA, "data/b.parquet": DATA[::-1]}


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as started:
        started.add("org/corpus", FILES)
        yield started


@pytest.fixture(scope="module")
def speech() -> list[Speech]:
    return layouts.embedded_speech(speakers=4, per_speaker=3)


def api(hub: Hub, token: str | bool = False) -> HfApi:
    return HfApi(endpoint=hub.endpoint, token=token)


def get(hub: Hub, **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
    """One read of a.parquet from the Hub itself, without any client's retries."""
    hub.redirect = False
    connection = http.client.HTTPConnection(urlsplit(hub.endpoint).netloc, timeout=5)
    try:
        connection.request("GET", "/datasets/org/corpus/resolve/main/data/a.parquet", headers=headers)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def test_a_repository_tells_its_commit_and_files(hub: Hub) -> None:
    info = api(hub).dataset_info("org/corpus", files_metadata=True)
    assert info.sha == hub.repos["org/corpus"].main
    assert {file.rfilename: file.size for file in info.siblings or []} == {k: len(v) for k, v in FILES.items()}
    assert api(hub).dataset_info("org/corpus", revision=info.sha).sha == info.sha


def test_a_tree_of_many_pages_is_listed_whole(hub: Hub) -> None:
    hub.add("org/large", {f"part-{n % 3}/{n:03d}.tar": DATA for n in range(20)})
    hub.page_size = 4
    entries = list(api(hub).list_repo_tree("org/large", repo_type="dataset", recursive=True, expand=True))
    assert len(entries) == 23
    assert sum(request.route == "tree" for request in hub.requests) == 6
    assert {entry.lfs.size for entry in entries if hasattr(entry, "lfs") and entry.lfs} == {len(DATA)}
    below = list(api(hub).list_repo_tree("org/large", "part-1", repo_type="dataset"))
    assert [entry.path for entry in below] == [f"part-1/{n:03d}.tar" for n in range(1, 20, 3)]


def test_what_does_not_exist_is_refused_as_the_hub_does(hub: Hub) -> None:
    with pytest.raises(RepositoryNotFoundError):
        api(hub).dataset_info("org/other")
    with pytest.raises(RevisionNotFoundError):
        api(hub).dataset_info("org/corpus", revision="v2")
    with pytest.raises(RemoteEntryNotFoundError):
        api(hub).hf_hub_download("org/corpus", "data/c.parquet", repo_type="dataset")
    assert [info.path for info in api(hub).get_paths_info("org/corpus", ["data", "c"], repo_type="dataset")] == ["data"]


def test_a_file_downloads_through_the_signed_address(hub: Hub, tmp_path: Path) -> None:
    path = api(hub).hf_hub_download("org/corpus", "data/a.parquet", repo_type="dataset", cache_dir=tmp_path)
    assert Path(path).read_bytes() == DATA
    assert hub.repos["org/corpus"].main in path
    assert [(r.method, r.route, r.status) for r in hub.requests] == [("HEAD", "resolve", 302), ("GET", "read", 200)]


@pytest.mark.parametrize("redirect", [True, False])
def test_the_file_system_reads_any_range(hub: Hub, redirect: bool) -> None:
    hub.redirect = redirect
    with HfFileSystem(endpoint=hub.endpoint, token=False).open("datasets/org/corpus/data/a.parquet", "rb") as file:
        file.seek(1000)
        assert file.read(300) == DATA[1000:1300]
        file.seek(-7, 2)
        assert file.read() == DATA[-7:]
    reads = [request for request in hub.requests if request.route == "read"]
    assert {request.status for request in reads} == {206}
    assert {request.path.startswith("/cdn/") for request in reads} == {redirect}


def test_ranges_at_the_edges_of_a_file(hub: Hub) -> None:
    response, body = get(hub, Range="bytes=-5")
    assert (response.status, body) == (206, DATA[-5:])
    assert response.headers["Content-Range"] == f"bytes {len(DATA) - 5}-{len(DATA) - 1}/{len(DATA)}"
    response, _ = get(hub, Range=f"bytes={len(DATA)}-")
    assert (response.status, response.headers["Content-Range"]) == (416, f"bytes */{len(DATA)}")


def test_a_new_commit_moves_main_and_the_old_one_stays(hub: Hub, tmp_path: Path) -> None:
    old = hub.repos["org/corpus"].main
    new = hub.commit("org/corpus", {"data/a.parquet": b"new", "data/b.parquet": None, "c.txt": b"c"})
    assert api(hub).dataset_info("org/corpus").sha == new != old
    files = HfFileSystem(endpoint=hub.endpoint, token=False)
    assert files.cat_file("datasets/org/corpus/data/a.parquet") == b"new"
    assert files.cat_file(f"datasets/org/corpus@{old}/data/a.parquet") == DATA
    assert not files.exists("datasets/org/corpus/data/b.parquet")


def test_a_gated_repository_is_read_by_the_bearer_of_the_token_only(hub: Hub, tmp_path: Path) -> None:
    hub.add("org/gated", FILES, gated_token="hf_right")
    wanted = {"repo_id": "org/gated", "filename": "data/a.parquet", "repo_type": "dataset", "cache_dir": tmp_path}
    assert api(hub).dataset_info("org/gated").gated == "auto"
    for token, refused in ((False, 401), ("hf_wrong", 403)):
        with pytest.raises(GatedRepoError) as refusal:
            api(hub, token).hf_hub_download(**wanted)
        assert refusal.value.response.status_code == refused
    assert Path(api(hub, "hf_right").hf_hub_download(**wanted)).read_bytes() == DATA


def test_signed_addresses_expire(hub: Hub) -> None:
    address = f"{hub.endpoint}/datasets/org/corpus/resolve/main/data/a.parquet"
    signed = get_session().get(address, follow_redirects=False).headers["Location"]
    assert get_session().get(signed).content == DATA
    hub.expire_signatures()
    assert get_session().get(signed).status_code == 403
    assert get_session().get(address).content == DATA


def test_equal_bytes_under_many_paths_are_kept_once(hub: Hub) -> None:
    before = len(hub.blobs)
    hub.add("org/many", dict.fromkeys((f"{n}.tar" for n in range(1000)), DATA))
    assert len(hub.blobs) == before
    assert get_session().get(f"{hub.endpoint}/datasets/org/many/resolve/main/999.tar").content == DATA


def test_content_may_be_made_when_it_is_read(hub: Hub) -> None:
    class Counting:
        def __len__(self) -> int:
            return 5 << 40

        def slice(self, start: int, end: int) -> bytes:
            return bytes(at % 251 for at in range(start, end))

    hub.add("org/virtual", {"a.tar": Counting(), "b.tar": Counting()})
    files = HfFileSystem(endpoint=hub.endpoint, token=False)
    with files.open("datasets/org/virtual/b.tar", "rb", cache_type="none") as file:
        file.seek(3 << 40)
        assert file.read(100) == Counting().slice(3 << 40, (3 << 40) + 100)


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        (RESET, ConnectionResetError),
        (hang(0.1), http.client.RemoteDisconnected),
        (CUT, http.client.IncompleteRead),
    ],
)
def test_a_broken_connection_is_seen_as_such_and_the_next_request_is_well(
    hub: Hub, fault: Fault, seen: type[Exception]
) -> None:
    hub.faults = [fault]
    with pytest.raises(seen):
        get(hub)
    assert get(hub)[1] == DATA


def test_a_cut_body_and_a_reset_reach_the_hubs_own_session_as_errors(hub: Hub) -> None:
    hub.faults = Next([CUT, RESET], routes=("read", "info"))
    with pytest.raises(httpx2.RemoteProtocolError, match="peer closed connection"):
        get_session().get(f"{hub.endpoint}/datasets/org/corpus/resolve/main/data/a.parquet")
    assert hub.bytes_sent < len(DATA)
    with pytest.raises(httpx2.ReadError):
        api(hub).dataset_info("org/corpus")
    assert hub.requests[-1].status == 0


def test_a_status_comes_with_the_time_to_wait(hub: Hub) -> None:
    hub.faults = [status(429, 7), status(503), status(500)]
    response, _ = get(hub)
    assert (response.status, response.headers["Retry-After"]) == (429, "7")
    assert [get(hub)[0].status for _ in range(3)] == [503, 500, 200]
    hub.faults = [status(502)]
    with pytest.raises(HfHubHTTPError, match="502"):
        api(hub).dataset_info("org/corpus")


def test_a_short_body_is_a_complete_answer(hub: Hub) -> None:
    hub.faults = [SHORT]
    response, body = get(hub, Range="bytes=100-299")
    assert (response.status, body) == (206, DATA[100:200])
    assert response.headers["Content-Range"] == f"bytes 100-199/{len(DATA)}"


def test_a_slow_body_trickles(hub: Hub) -> None:
    hub.faults = [slow(5000)]
    began = time.monotonic()
    assert get(hub, Range="bytes=0-999")[1] == DATA[:1000]
    assert time.monotonic() - began >= 0.15


def test_an_outage_resets_everything_until_it_ends(hub: Hub) -> None:
    get(hub)
    hub.outage(60)
    for _ in range(2):
        with pytest.raises(ConnectionResetError):
            get(hub)
    hub.outage(0)
    assert get(hub)[1] == DATA


def test_closing_the_hub_ends_hung_answers_and_kept_connections() -> None:
    with Hub() as hub:
        hub.add("org/corpus", FILES)
        idle = http.client.HTTPConnection(urlsplit(hub.endpoint).netloc, timeout=5)
        idle.request("GET", "/api/datasets/org/corpus")
        idle.getresponse().read()
        hub.faults = [hang(60)]
        hung = http.client.HTTPConnection(urlsplit(hub.endpoint).netloc, timeout=5)
        hung.request("GET", "/api/datasets/org/corpus")
    with pytest.raises(ConnectionError):
        hung.getresponse()
    with pytest.raises(ConnectionError):
        ask_again(idle)


def ask_again(connection: http.client.HTTPConnection) -> None:
    connection.request("GET", "/api/datasets/org/corpus")
    connection.getresponse()


def test_planned_faults_repeat() -> None:
    plan = Random(0.2, seed=3)
    drawn = [plan(number, "GET", "/", "read") for number in range(500)]
    assert drawn == [Random(0.2, seed=3)(number, "GET", "/elsewhere", "read") for number in range(500)]
    assert 70 < sum(fault is not None for fault in drawn) < 130
    assert drawn != [Random(0.2, seed=4)(number, "GET", "/", "read") for number in range(500)]
    assert [OneIn(3)(number, "GET", "/", "read") for number in range(6)] == [None, None, CUT, None, None, CUT]


STREAM = """
import sys
from datasets import Audio, load_dataset
rows = load_dataset("org/speech", data_files="clean/train.100/*.parquet", split="train", streaming=True)
for row in rows.cast_column("audio", Audio(decode=False)):
    print(row["id"], row["speaker_id"], len(row["audio"]["bytes"]))
"""


def test_datasets_streams_the_librispeech_layout(hub: Hub, speech: list[Speech], tmp_path: Path) -> None:
    files = layouts.librispeech(speech, rows_per_group=2, rows_per_file=5)
    hub.add("org/speech", {**files, "README.md": b"# Speech\n"})
    environment = {**os.environ, **hub.environment(tmp_path)}
    out = subprocess.run([sys.executable, "-c", STREAM], env=environment, capture_output=True, text=True, check=True)
    table = [row for data in files.values() for row in pq.read_table(io.BytesIO(data)).to_pylist()]
    expected = [f"{row['id']} {row['speaker_id']} {len(row['audio']['bytes'])}" for row in table]
    assert out.stdout.splitlines() == expected
    assert len(expected) == len(speech)
    assert "unknown" not in {request.route for request in hub.requests}


def test_another_process_serves_a_folder(tmp_path: Path) -> None:
    layouts.upload({"org/corpus/data/a.parquet": DATA, "org/corpus/README.md": b"# Corpus\n"}, str(tmp_path))
    command = [sys.executable, "-m", "tests.doubles.hub", "--folder", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout
            endpoint = server.stdout.readline().strip()
            address = f"{endpoint}/datasets/org/corpus/resolve/main/data/a.parquet"
            assert get_session().get(address).content == DATA
        finally:
            server.kill()
