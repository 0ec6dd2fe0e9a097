"""Every corpus as it lies on the Hub, trained on and measured on from the Hub, from a bucket and from a folder.

Nothing reaches the real Hub: tests/doubles/hub.py stands for it, fake-gcs-server for the bucket, and embedded voices
for the speech, written in the layouts, encodings and columns of the real repositories (tests/doubles/layouts.py).
"""

import hashlib
import json
import os
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import chain, groupby, islice
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from flows.cli import app
from tests.doubles import layouts
from tests.doubles.hub import Hub
from tests.doubles.layouts import Files, Meeting, Speech
from voiceflow_model.config import PHASES, RunConfig, load_config, parse_config
from voiceflow_model.data.corpora import open_corpus
from voiceflow_model.data.corpus import Corpus
from voiceflow_model.data.sources.folder import MANIFEST
from voiceflow_model.data.speakers import SpeakerClasses
from voiceflow_model.data.walk import Cursor, Walk
from voiceflow_model.diarization.onnx_runtime import Diarizer
from voiceflow_model.errors import Yielded
from voiceflow_model.evaluation.trials import verification_eer
from voiceflow_model.runs.checkpoints import newest
from voiceflow_model.runs.run import Run
from voiceflow_model.stages import run_evaluation, run_export, run_phase
from voiceflow_model.store import open_store
from voiceflow_model.training.preemption import StopRequest
from voiceflow_model.training.progress import Terminal, Tick

pytestmark = pytest.mark.xdist_group("layouts")  # one worker writes them once
SPEECH = Path(os.environ.get("VOICEFLOW_SPEECH", Path(__file__).parents[3] / "shared" / "speech"))
PLACES = ("hub", "bucket", "folder")
STEPS = 20


class Layout(NamedTuple):
    """A repository of the Hub, and the table that a configuration reads it with, but for the URL."""

    repo: str
    files: Files
    corpus: dict[str, Any]
    speakers: int  # to train on


def librispeech(speech: list[Speech]) -> Layout:
    test, dev, train = held_out(speech)
    return Layout(
        "openslr/librispeech_asr",
        layouts.librispeech(train, "clean/train.100", rows_per_group=3, rows_per_file=12)
        | layouts.librispeech(dev, "clean/validation")
        | layouts.librispeech(test, "clean/test"),
        {
            "kind": "parquet",
            "train": ["clean/train.100/*.parquet"],
            "dev": ["clean/validation/*.parquet"],
            "test": ["clean/test/*.parquet"],
            "key_column": "id",
        },
        people(train),
    )


def voxceleb2(speech: list[Speech]) -> Layout:
    files = layouts.voxceleb2(speech, per_tar=8)
    corpus = {"kind": "tar", "train": ["*.tar"], "speakers": people(speech)}
    return Layout("gaunernst/voxceleb2-dev-wds", files, corpus, people(speech))


def commonvoice(speech: list[Speech]) -> Layout:
    test, dev, train = held_out(speech)
    return Layout(
        "fixie-ai/common_voice_17_0",
        layouts.common_voice(train)
        | layouts.common_voice(dev, split="validation")
        | layouts.common_voice(test, split="test"),
        {
            "kind": "parquet",
            "train": ["en/train-*"],
            "dev": ["en/validation-*"],
            "test": ["en/test-*"],
            "speaker_column": "client_id",
            "key_column": "path",
        },
        people(train),
    )


def voxceleb1(speech: list[Speech]) -> Layout:
    corpus = {"kind": "parquet", "train": ["data/test-*.parquet"], "key_column": "id"}
    # Trained on here, only to read it as every other corpus: then four speakers are held out by their names.
    return Layout("macabdul9/VoxCeleb_test", layouts.voxceleb1_trials(speech), corpus, people(speech) - 4)


def ami(meetings: list[Meeting]) -> Layout:
    train, rest = meetings[: len(meetings) // 2], meetings[len(meetings) // 2 :]
    return Layout(
        "diarizers-community/ami",
        layouts.meetings(train)
        | layouts.meetings(rest[::2], split="validation")
        | layouts.meetings(rest[1::2], split="test"),
        {
            "kind": "recordings",
            "train": ["ihm/train-*"],
            "dev": ["ihm/validation-*"],
            "test": ["ihm/test-*"],
            "passage_s": 5,
        },
        len({speaker for one in train for *_, speaker in one.turns}),
    )


def voxconverse(meetings: list[Meeting]) -> Layout:
    dev, test = meetings[: len(meetings) // 2], meetings[len(meetings) // 2 :]
    return Layout(
        "diarizers-community/voxconverse",
        layouts.meetings(dev, "data", "dev") | layouts.meetings(test, "data", "test", rows_per_group=100),
        {
            "kind": "recordings",
            "train": ["data/dev-*"],
            "test": ["data/test-*"],
            "names_are_global": False,
            "passage_s": 5,
        },
        sum(len({speaker for *_, speaker in one.turns}) for one in dev),
    )


OF_SPEECH: dict[str, Callable[[list[Speech]], Layout]] = {
    "librispeech": librispeech,
    "voxceleb2": voxceleb2,
    "commonvoice": commonvoice,
    "voxceleb1": voxceleb1,
}
OF_MEETINGS: dict[str, Callable[[list[Meeting]], Layout]] = {"ami": ami, "voxconverse": voxconverse}


def held_out(speech: list[Speech]) -> tuple[list[Speech], list[Speech], list[Speech]]:
    """Test, dev and train: two speakers, two speakers, the others."""
    by_speaker = [list(group) for _, group in groupby(speech, lambda one: one.speaker)]
    test, dev, train = ([*chain(*part)] for part in (by_speaker[:2], by_speaker[2:4], by_speaker[4:]))
    return test, dev, train


def people(speech: list[Speech]) -> int:
    return len({one.speaker for one in speech})


@pytest.fixture(autouse=True)
def _no_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is learned in 20 steps is no matter here, and no gate lets 0 % through."""
    monkeypatch.setattr("voiceflow_model.stages.check_accuracy", lambda *_: None)


@pytest.fixture(scope="module")
def voices() -> list[Speech]:
    """Eight speakers of six short utterances."""
    return [one._replace(samples=one.samples[8_000:32_000]) for one in layouts.embedded_speech(8, 6)]


@pytest.fixture(scope="module")
def all_layouts(voices: list[Speech]) -> dict[str, Layout]:
    meetings = layouts.embedded_meetings(8, duration_s=12.0, voices=6)
    of_speech = {name: build(voices) for name, build in OF_SPEECH.items()}
    return of_speech | {name: build(meetings) for name, build in OF_MEETINGS.items()}


class Places(NamedTuple):
    """Where corpora can be put: a Hub, a bucket, a folder."""

    hub: Hub
    bucket: str
    folder: Path

    def url(self, place: str, name: str, layout: Layout) -> str:
        """Put a layout there, unless it is there already, and its address. Bucket and folder hold it as mirrors do."""
        if place == "hub":
            if layout.repo not in self.hub.repos:
                self.hub.add(layout.repo, layout.files)
            return f"hf://datasets/{layout.repo}"
        url = f"{self.bucket}/{name}" if place == "bucket" else str(self.folder / name)
        if place == "bucket" or not (self.folder / name).exists():
            listed = {path: [len(data), hashlib.sha256(data).hexdigest()] for path, data in layout.files.items()}
            mirrored = layout.files | {MANIFEST: json.dumps({"files": listed}).encode()}
            layouts.upload(mirrored, url if place == "bucket" else f"file://{url}")
        return url


@pytest.fixture(scope="module")
def places(gcs_host: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    bucket = f"layouts-{uuid.uuid4().hex}"
    body, headers = f'{{"name": "{bucket}"}}'.encode(), {"Content-Type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(f"{gcs_host}/storage/v1/b", body, headers)).close()
    folder = tmp_path_factory.mktemp("layouts")
    with Hub() as hub, pytest.MonkeyPatch.context() as patch:
        for name, value in (hub.environment(folder / "hf") | {"STORAGE_EMULATOR_HOST": gcs_host}).items():
            patch.setenv(name, value)
        yield Places(hub, f"gs://{bucket}", folder)


def configured(tiny: RunConfig, corpus: Mapping[str, Any], **sections: Mapping[str, Any]) -> RunConfig:
    """The tiny configuration with another corpus, 20 steps in each phase, and settings over its sections."""
    table = tiny.model_dump(mode="json", by_alias=True)
    table["phases"]["validate"] |= {"epochs": 1, "windows_per_epoch": STEPS * tiny.training.batch_size}
    table["phases"]["train"] |= {"epochs": 1, "windows_per_epoch": STEPS * tiny.training.batch_size}
    table["evaluation"] |= {"validation_conversations": 16, "validation_utterances": 24}
    table["stream"] |= {"block_rows": 8, "pool_blocks": 2, "lanes": 1}  # some of the real files are one row group
    for section, settings in sections.items():
        table[section] |= settings
    return parse_config(table | {"corpus": {"heldout_share": 0.4, **corpus}})


def toml(value: Any) -> str:
    """A value as TOML in one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {toml(one)}" for key, one in value.items() if one is not None) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value)


def check(layout: Layout, url: str, tiny: RunConfig, tmp_path: Path) -> None:
    """Peek at a corpus through the command, then train on it."""
    config = configured(tiny, {**layout.corpus, "url": url})
    file, picture = tmp_path / "config.toml", tmp_path / "peek.png"
    sections = config.model_dump(mode="json", by_alias=True)
    file.write_text("\n".join(f"{section} = {toml(value)}" for section, value in sections.items()))
    options = ["--json", "--out", str(picture), "--utterances", "10", "--conversations", "2"]
    peeked = CliRunner().invoke(app, ["peek", "--config", str(file), *options])
    assert peeked.exit_code == 0, peeked.stderr
    seen = json.loads(peeked.stdout)
    assert seen["speakers"] == layout.speakers
    assert 0 <= seen["overlap_share"] < 1
    assert seen["undecodable"] == {}
    assert picture.exists()
    result = run_phase(config, "validate", open_store(f"memory://{uuid.uuid4().hex}"), "r")
    assert (result.steps, result.windows, result.speakers) == (STEPS, 4 * STEPS, layout.speakers)
    assert result.undecodable == {}


@pytest.mark.parametrize("place", ["hub", "bucket"])
@pytest.mark.parametrize("name", [*OF_SPEECH, *OF_MEETINGS])
def test_every_corpus_is_peeked_at_and_trained_on_where_it_lies(
    name: str, place: str, places: Places, all_layouts: dict[str, Layout], tiny_config: RunConfig, tmp_path: Path
) -> None:
    layout = all_layouts[name]
    check(layout, places.url(place, name, layout), tiny_config, tmp_path)


@pytest.mark.parametrize("name", ["librispeech", "voxceleb2", "ami"])
def test_every_kind_of_corpus_is_peeked_at_and_trained_on_in_a_folder(
    name: str, places: Places, all_layouts: dict[str, Layout], tiny_config: RunConfig, tmp_path: Path
) -> None:
    layout = all_layouts[name]
    check(layout, places.url("folder", name, layout), tiny_config, tmp_path)


@pytest.mark.skipif(not SPEECH.is_dir(), reason=f"no real speech at {SPEECH}")
@pytest.mark.parametrize("name", ["librispeech", "voxceleb2", "commonvoice", "ami"])
def test_real_speech_in_every_encoding_is_peeked_at_and_trained_on(
    name: str, places: Places, tiny_config: RunConfig, tmp_path: Path
) -> None:
    if name == "ami":
        layout = ami(list(layouts.real_meetings(SPEECH / "ami")))
    else:
        real = layouts.real_speech(SPEECH / "librispeech", "dev")
        layout = OF_SPEECH[name]([one._replace(samples=one.samples[:80_000]) for one in real])
    layout = layout._replace(repo=f"real/{name}")
    check(layout, places.url("hub", name, layout), tiny_config, tmp_path)


def as_on_the_hub(name: str, layout: Layout) -> Files:
    """The files under all the names that a shipped configuration reads."""
    files = dict(layout.files)
    if name == "librispeech":
        train = [content for path, content in files.items() if path.startswith("clean/train.100")]
        for folder in ("clean/train.360", "other/train.500"):
            files |= {f"{folder}/{number:04d}.parquet": content for number, content in enumerate(train)}
    if name == "voxconverse":
        dev = files.pop("data/dev-00000-of-00001.parquet")
        files |= {f"data/dev-{number:05d}-of-00005.parquet": dev for number in range(5)}
    return files


@pytest.mark.parametrize("name", ["librispeech", "voxceleb", "commonvoice", "ami", "voxconverse"])
def test_shipped_configurations_name_files_and_columns_that_are_there(
    name: str, all_layouts: dict[str, Layout], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load_config(name)
    with Hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        for corpus_name, layout in all_layouts.items():
            hub.add(layout.repo, as_on_the_hub(corpus_name, layout))
        for phase in PHASES:
            corpus = open_corpus(config.corpus_of(phase))
            assert len(corpus.speakers("train")) > 1
            assert len(corpus.shards("validation")) >= 1
            assert next(corpus.rows(corpus.shards("train")[0])).payload is not None
        measured = open_corpus(config.test_corpus)
        rows = [row for split in ("dev", "test") for shard in measured.shards(split) for row in measured.rows(shard)]
        assert len(measured.decode(rows[0])) > 16_000


def keys(corpus: Corpus, count: int = 40) -> list[str]:
    """The first rows that two lanes walk over, and all that are held out, in order."""
    walk = Walk(corpus, "train", SpeakerClasses(corpus.speakers("train")), 7, 2, 20.0)
    walked = [row.key for lane in range(2) for row, _ in islice(walk.rows(lane, Cursor()), count)]
    held = [shard for split in ("validation", "dev", "test") for shard in corpus.shards(split)]
    return walked + [row.key for shard in held for row in corpus.rows(shard)]


def test_a_mirror_has_the_fingerprint_the_order_and_the_bytes_of_the_hub(
    places: Places, all_layouts: dict[str, Layout], tiny_config: RunConfig
) -> None:
    layout = all_layouts["librispeech"]
    found = []
    for place in PLACES:
        config = configured(tiny_config, {**layout.corpus, "url": places.url(place, "librispeech", layout)})
        corpus = open_corpus(config.corpus)
        first = next(corpus.rows(corpus.shards("train")[0]))
        found.append((corpus.fingerprint(), corpus.speakers("train"), keys(corpus), bytes(first.payload)))
    assert found[0] == found[1] == found[2]
    assert len(set(found[0][2])) > 20


def test_recordings_are_trained_on_measured_on_and_reported_by_their_address(
    places: Places, all_layouts: dict[str, Layout], tiny_config: RunConfig
) -> None:
    layout, store = all_layouts["ami"], open_store(f"memory://{uuid.uuid4().hex}")
    url = places.url("hub", "ami", layout)
    config = configured(tiny_config, {**layout.corpus, "url": url})
    for phase in ("validate", "train"):
        assert run_phase(config, phase, store, "r").steps == STEPS
    result = run_evaluation(config, store, "r")
    assert result.report.dataset == f"test recordings of {url}"
    assert [one.name for one in result.report.files] == ["MTG0005", "MTG0007"]
    assert result.report.speech_s == pytest.approx(20, abs=5)
    assert 0 < result.overlap < 0.5
    assert f"test recordings of {url}" in store.read("runs/r/report/report.md").data.decode()
    assert run_export(config, store, "r").model
    assert Diarizer.load(store.read(result.model_path).data).card.tuning == result.tuning


def test_tars_are_trained_on_and_other_speakers_and_trials_are_measured_on(
    places: Places, all_layouts: dict[str, Layout], voices: list[Speech], tiny_config: RunConfig, tmp_path: Path
) -> None:
    store = open_store(f"memory://{uuid.uuid4().hex}")
    trained, measured = all_layouts["voxceleb2"], all_layouts["voxceleb1"]
    url = places.url("bucket", "voxceleb1", measured)
    held = {"kind": "parquet", "url": url, "test": ["data/test-*.parquet"], "key_column": "id"}
    trials = tmp_path / "veri_test2.txt"
    config = configured(
        tiny_config,
        {**trained.corpus, "url": places.url("hub", "voxceleb2", trained)},
        evaluation={"corpus": held, "trials": str(trials)},
    )
    corpus = open_corpus(config.evaluation.corpus)
    names = [row.key for split in ("dev", "test") for shard in corpus.shards(split) for row in corpus.rows(shard)]
    assert len(names) == 48
    pairs = [(int(a[:7] == b[:7]), a, b) for a in names[::5] for b in names[1::5]]
    trials.write_text("".join(f"{same} {a} {b}\n" for same, a, b in pairs))
    for phase in ("validate", "train"):
        assert run_phase(config, phase, store, "r").steps == STEPS
    result = run_evaluation(config, store, "r")
    report = store.read("runs/r/report/report.md").data.decode()
    assert f"test speakers of {url}" in result.report.dataset
    assert result.report.dataset in report
    assert f"{result.eer:.1%} on the trials of {trials}" in report
    diarizer = Diarizer.load(store.read(result.model_path).data)
    assert result.eer == verification_eer(diarizer, corpus, str(trials)) != verification_eer(diarizer, corpus)
    assert run_export(config, store, "r").model


class Stopper(Terminal):
    """Asks for a stop after a number of steps."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.stop, self.left = StopRequest(), steps

    def tick(self, tick: Tick) -> None:
        self.left -= 1
        if not self.left:
            self.stop.request("the test asked for it")


def test_a_run_that_began_at_the_hub_goes_on_at_its_mirror_and_ends_in_the_same_bits(
    places: Places, all_layouts: dict[str, Layout], tiny_config: RunConfig
) -> None:
    layout = all_layouts["librispeech"]

    def checkpoint(*stays: tuple[str, int]) -> bytes:
        store = open_store(f"memory://{uuid.uuid4().hex}")
        for place, steps in stays:
            config = configured(tiny_config, {**layout.corpus, "url": places.url(place, "librispeech", layout)})
            stopper = Stopper(steps)
            with suppress(Yielded):
                run_phase(config, "validate", store, "r", stop=stopper.stop, listener=stopper)
        found = newest(store, Run.load(store, "r").record, "validate")
        assert found is not None
        assert found[0].step == STEPS
        return found[1]

    assert checkpoint(("hub", 6), ("bucket", 7), ("folder", STEPS)) == checkpoint(("hub", STEPS + 1))
