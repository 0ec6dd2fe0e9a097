"""The Hub as a source: pinned, resumed, gated, and honest about what is wrong."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doubles.hub import CUT, RESET, Hub, hang, status
from voiceflow_model.data.sources import open_source
from voiceflow_model.data.sources.hub import HubDataset
from voiceflow_model.data.sources.range_file import Patience, RangeFile, read_range
from voiceflow_model.errors import ConfigError, CorpusError, StoreUnavailable

BODY = bytes(i * 31 % 253 for i in range(1_000_000))
FILES = {"data/a.parquet": BODY, "data/b.parquet": BODY[:77], "README.md": b"# a card"}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))
    with Hub() as double:
        monkeypatch.setenv("HF_ENDPOINT", double.endpoint)
        double.add("org/name", FILES)
        yield double


def dataset(url: str = "hf://datasets/org/name") -> HubDataset:
    return HubDataset(url)


def whole(source: HubDataset, path: str = "data/a.parquet") -> bytes:
    entry = source.files()[path]
    return bytes(read_range(source, path, entry, 0, entry.size, Patience(20, 0.01, 0.05)))


def test_files_are_listed_with_size_and_sha256_below_the_folder_of_the_url(hub: Hub) -> None:
    assert {path: one.size for path, one in dataset().files().items()} == {p: len(b) for p, b in FILES.items()}
    inside = dataset("hf://datasets/org/name/data").files()
    assert list(inside) == ["a.parquet", "b.parquet"]
    assert len(inside["a.parquet"].digest) == 64
    assert list(dataset().files("data")) == ["data/a.parquet", "data/b.parquet"]
    assert whole(dataset("hf://datasets/org/name/data"), "b.parquet") == BODY[:77]


def test_a_long_listing_is_followed_page_by_page(hub: Hub) -> None:
    hub.page_size = 2
    hub.add("org/many", {f"{i:03d}.tar": b"x" for i in range(9)})
    assert len(dataset("hf://datasets/org/many").files()) == 9


def test_everything_is_read_at_the_commit_of_the_first_question(hub: Hub) -> None:
    source = dataset()
    old = source.commit
    hub.commit("org/name", {"data/a.parquet": bytes(len(BODY))})
    assert whole(source) == BODY
    assert whole(dataset(f"hf://datasets/org/name@{old}")) == BODY
    assert dataset().commit != old
    assert whole(dataset()) == bytes(len(BODY))


@pytest.mark.parametrize("fault", [RESET, CUT, hang(0.1), status(429, 0), status(500), status(503)])
def test_one_bad_answer_of_each_kind_is_survived_everywhere(hub: Hub, fault: object) -> None:
    hub.faults = [fault] * 3  # type: ignore[list-item]
    assert whole(dataset()) == BODY


def test_a_cut_body_costs_its_missing_half_alone(hub: Hub) -> None:
    source = dataset()
    source.files()
    before = hub.bytes_sent
    hub.faults = [None, CUT]  # the redirect, then the body
    assert whole(source) == BODY
    assert hub.bytes_sent - before < len(BODY) + 20_000


def test_the_hub_is_asked_once_per_file_and_its_storage_for_each_range(hub: Hub) -> None:
    source = dataset()
    file = RangeFile(source, "data/a.parquet", source.files()["data/a.parquet"])
    for start in range(0, 900_000, 90_000):
        file.seek(start)
        assert file.read(10) == BODY[start : start + 10]
    assert sum(request.route == "resolve" for request in hub.requests) == 1
    assert sum(request.route == "read" for request in hub.requests) == 10


def test_a_signed_address_that_expired_is_asked_for_again(hub: Hub) -> None:
    source = dataset()
    assert whole(source) == BODY
    hub.expire_signatures()
    assert whole(source) == BODY


def test_a_gated_set_names_the_page_and_the_token(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add("org/gated", FILES, gated_token="hf_right")
    page = rf"{hub.endpoint}/datasets/org/gated"
    with pytest.raises(ConfigError, match=rf"no HF_TOKEN is set.*visit {page}.*accept the conditions"):
        whole(dataset("hf://datasets/org/gated"))
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(ConfigError, match=rf"HF_TOKEN was refused.*visit {page}") as caught:
        whole(dataset("hf://datasets/org/gated"))
    assert "hf_wrong" not in str(caught.value)
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    assert whole(dataset("hf://datasets/org/gated")) == BODY


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("hf://datasets/org/absent", "does not exist, or may not be read"),
        ("hf://datasets/org/name@v9", "no revision 'v9'"),
        ("hf://datasets/org/name/folder", "no such file or folder"),
    ],
)
def test_what_is_not_there_is_named(hub: Hub, url: str, words: str) -> None:
    with pytest.raises((CorpusError, ConfigError), match=words):
        dataset(url).files()


@pytest.mark.parametrize("url", ["hf://org/name", "hf://datasets/name", "hf://models/a/b/c"])
def test_an_address_that_is_no_dataset_shows_the_right_form(url: str) -> None:
    with pytest.raises(ConfigError, match="hf://datasets/ORG/NAME"):
        open_source(url)


def test_a_file_that_is_not_as_long_as_it_was_listed_is_refused(hub: Hub) -> None:
    source = dataset()
    entry = source.files()["data/a.parquet"]
    with pytest.raises(CorpusError, match="was listed with"):
        read_range(source, "data/a.parquet", entry._replace(size=999), 0, 999)


def test_a_hub_that_stays_away_is_unavailable_in_the_end(hub: Hub) -> None:
    source = HubDataset("hf://datasets/org/name", Patience(0.2, 0.05))
    hub.outage(60)
    with pytest.raises(StoreUnavailable, match="cannot be read"):
        source.files()
