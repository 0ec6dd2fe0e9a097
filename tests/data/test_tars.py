"""Utterances in tars: read straight through, from any member on, whatever else is in them."""

import gzip
import io
import os
import random
import tarfile
import uuid
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.doubles import layouts
from voiceflow_model.data.corpus import Row, Split
from voiceflow_model.data.tars import TarCorpus, TarCorpusConfig
from voiceflow_model.errors import BrokenAudio, CorpusError

TRAINED: tuple[Split, ...] = ("train", "validation")
SOUND = layouts.encoded(np.random.default_rng(0).normal(0, 0.1, 4000).astype(np.float32), 16_000, "FLAC")


def member(name: str, content: bytes = b"", **attributes: Any) -> tuple[tarfile.TarInfo, bytes]:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    for attribute, value in attributes.items():
        setattr(entry, attribute, value)
    return entry, content


def utterances(count: int) -> list[tuple[tarfile.TarInfo, bytes]]:
    return [one for number in range(count) for one in utterance(f"a{number}", number)]


def utterance(key: str, speaker: int | bytes = 0, sound: bytes = SOUND) -> list[tuple[tarfile.TarInfo, bytes]]:
    name = speaker if isinstance(speaker, bytes) else b"%d" % speaker
    return [member(f"{key}.flac", sound), member(f"{key}.cls", name)]


def packed(members: Iterable[tuple[tarfile.TarInfo, bytes]], kind: int = tarfile.DEFAULT_FORMAT) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=kind) as tar:
        for entry, content in members:
            tar.addfile(entry, io.BytesIO(content) if content else None)
    return file.getvalue()


def corpus(tars: bytes | dict[str, bytes], **options: Any) -> TarCorpus:
    url = f"memory://{uuid.uuid4().hex}"
    layouts.upload(tars if isinstance(tars, dict) else {"0.tar": tars}, url)
    given = {"url": url, "train": ("*.tar",), "speakers": 100, "heldout_share": 0} | options
    return TarCorpus(TarCorpusConfig(**given))


def rows(of: TarCorpus, split: Split = "train") -> list[Row]:
    return [row for shard in of.shards(split) for row in of.rows(shard)]


def read(tar: bytes) -> list[str]:
    return [row.key for row in rows(corpus(tar))]


def test_an_utterance_is_its_sound_and_its_class_in_either_order() -> None:
    reverse = reversed(utterance("id7/video/2", 7))
    found = rows(corpus(packed([*utterance("id7/video/1", 7), *reverse, *utterance("id42/video/1", b" 42\n")])))
    assert [row.key for row in found] == ["0.tar/id7/video/1", "0.tar/id7/video/2", "0.tar/id42/video/1"]
    assert [row.speaker for row in found] == ["07", "07", "42"]
    assert [len(corpus(b"").decode(row)) for row in found] == [4000] * 3


def test_classes_are_names_that_sort_as_numbers_do() -> None:
    names = corpus(packed([]), speakers=1001).speakers("train")
    assert (len(names), names[0], names[-1]) == (1001, "0000", "1000")
    assert list(names) == sorted(names)
    assert corpus(packed([])).speakers("validation") == corpus(packed([])).speakers("train")


@pytest.mark.parametrize("speaker", [100, b"-1", b"id00012", b"7.0", b"\xff", "²".encode(), b"1" * 100])
def test_a_class_out_of_range_stops_and_names_the_key_and_the_setting(speaker: int | bytes) -> None:
    with pytest.raises(CorpusError, match=r"0\.tar has class .*\(a/b\.cls\).*corpus\.speakers = 100 allows 0 to 99"):
        rows(corpus(packed(utterance("a/b", speaker))))


@pytest.mark.parametrize("split", ["dev", "test"])
def test_nobody_is_held_out_of_tars(split: Split) -> None:
    with pytest.raises(CorpusError, match=r"set evaluation\.corpus to a corpus of other speakers"):
        corpus(packed(utterance("a"))).shards(split)


def test_without_a_share_there_is_nothing_to_validate_on() -> None:
    with pytest.raises(CorpusError, match=r"raise corpus\.heldout_share"):
        corpus(packed(utterance("a"))).shards("validation")


def test_held_out_rows_partition_train_and_validation() -> None:
    tars = {f"{n}.tar": packed(utterances(40)) for n in range(2)}
    split = corpus(tars, heldout_share=0.3)
    train, validation = ([row.key for row in rows(split, one)] for one in TRAINED)
    assert not set(train) & set(validation)
    assert sorted(train + validation) == sorted(row.key for row in rows(corpus(tars)))
    assert 10 < len(validation) < 40


LONG = "a" * 60 + "/" + "b" * 60 + "/" + "ü" * 60
FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


def odd_tar(kind: int) -> bytes:
    """Two long names where the format has them, an utterance without class or sound, and what is no utterance."""
    deep = LONG if kind != tarfile.USTAR_FORMAT else "a" * 60 + "/" + "b" * 60
    return packed(
        [
            member("video", type=tarfile.DIRTYPE),
            *utterance("video/1", 1),
            *utterance(f"{deep}1", 2),
            member("video/2.json", b"{}"),
            *utterance(f"{deep}2", 3),
            member("video/.hidden.flac", SOUND),
            member("video/3.flac", SOUND),
            member("video/link.flac", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
            *utterance("video/4", 4),
        ],
        kind,
    )


@pytest.mark.parametrize("kind", FORMATS)
def test_any_row_can_be_gone_on_from_and_exactly_the_rest_comes(kind: str) -> None:
    split = corpus(odd_tar(FORMATS[kind]))
    (shard,) = split.shards("train")
    everything = list(split.rows(shard))
    assert [row.speaker for row in everything] == ["01", "02", "", "03", "", "04"]
    for number, row in enumerate(everything):
        rest = list(split.rows(shard, row.following))
        assert rest == everything[number + 1 :]
        assert [one.payload for one in rest] == [one.payload for one in everything[number + 1 :]]


def test_what_lacks_sound_or_class_is_a_broken_row() -> None:
    split = corpus(odd_tar(tarfile.GNU_FORMAT))
    causes = {}
    for row in rows(split):
        try:
            split.decode(row)
        except BrokenAudio as error:
            causes[row.key] = error.cause
    assert causes == {"0.tar/video/2": "no-audio", "0.tar/video/3": "no-speaker"}


def test_a_member_too_large_is_passed_over_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voiceflow_model.data.tars._MAX_BYTES", len(SOUND))
    split = corpus(packed([*utterance("a", 1), *utterance("b", 2, SOUND + b"+"), *utterance("c", 3)]))
    first, large, last = rows(split)
    assert large.payload.audio is None
    with pytest.raises(BrokenAudio, match=rf"too-large \({len(SOUND) + 1} bytes, at most {len(SOUND)}") as raised:
        split.decode(large)
    assert raised.value.cause == "too-large"
    assert len(split.decode(first)) == len(split.decode(last)) == 4000


def test_links_devices_and_names_that_lead_out_are_ignored_and_nothing_is_ever_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    hostile = [
        member("link.flac", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        member("link.cls", type=tarfile.LNKTYPE, linkname="a.cls"),
        member("device.flac", type=tarfile.CHRTYPE, devmajor=1, devminor=8),
        member("block.flac", type=tarfile.BLKTYPE),
        member("pipe.flac", type=tarfile.FIFOTYPE),
        member("folder.flac", type=tarfile.DIRTYPE),
        member("", SOUND),
        member("/", SOUND),
        member("..", SOUND),
        *utterance("../../escaped", 5),
        *utterance(f"{tmp_path}/absolute", 6),
    ]
    found = rows(corpus(packed(hostile)))
    assert [row.speaker for row in found] == ["05", "06"]
    assert [len(corpus(b"").decode(row)) for row in found] == [4000] * 2
    assert not os.listdir(tmp_path)


def test_names_that_are_no_utf8_are_keys_like_any_other() -> None:
    tar = packed([*utterance("ab", 1), *utterance("xy", 2)], tarfile.GNU_FORMAT)
    for name, odd in ((b"ab.", b"\xe9b."), (b"xy.", b"\xeay.")):
        tar = tar.replace(name, odd)
    tar = b"".join(with_checksum(tar[i : i + 512]) for i in range(0, len(tar), 512))
    assert [row.key for row in rows(corpus(tar, heldout_share=1e-9))] == ["0.tar/\\xe9b", "0.tar/\\xeay"]


def with_checksum(block: bytes) -> bytes:
    if block[257:262] != b"ustar":
        return block
    total = sum(block[:148]) + sum(block[156:]) + 8 * 32
    return block[:148] + b"%06o\0 " % total + block[156:]


GOOD = packed(utterances(6))


@pytest.mark.parametrize(
    "tar",
    [
        pytest.param(gzip.compress(GOOD), id="gz"),
        pytest.param(b"<html>no such file</html>" * 99, id="no tar"),
        pytest.param(GOOD[:300], id="cut in the first header"),
        pytest.param(GOOD[:3000], id="cut in a sound"),
        pytest.param(GOOD[: 512 + len(SOUND) // 512 * 512 + 512 + 100], id="cut in a header"),
    ],
)
def test_what_is_no_tar_or_is_cut_off_is_named(tar: bytes) -> None:
    with pytest.raises(CorpusError, match=r"memory://\w+: 0\.tar is no tar that can be read .* copy it again, unc"):
        rows(corpus(tar))


@pytest.mark.parametrize("start", [0, 1])
def test_a_damaged_header_in_the_middle_is_not_taken_for_the_end(start: int) -> None:
    second = next(iter(rows(corpus(GOOD)))).following
    damaged = GOOD[: second + 5] + b"!" + GOOD[second + 6 :]
    split = corpus(damaged)
    with pytest.raises(CorpusError, match=r"0\.tar is no tar that can be read \(bad checksum\)"):
        list(split.rows(split.shards("train")[0], start * second))


def test_a_size_beyond_the_end_of_the_file_is_an_error_at_once() -> None:
    entry = member("b.flac")[0]
    entry.size = 1 << 60
    huge = entry.tobuf(tarfile.GNU_FORMAT)
    with pytest.raises(CorpusError, match=r"b\.flac is cut off"):
        rows(corpus(GOOD[: rows(corpus(GOOD))[0].following] + huge + GOOD))


def test_an_empty_tar_has_no_rows() -> None:
    assert read(packed([])) == []
    assert read(b"") == []


SMALL = packed([*utterance(LONG, 1, b"fLaC"), *utterance("b", 2, b"fLaC")], tarfile.PAX_FORMAT)[: 14 * 512]


@given(st.integers(0, 2**31), st.integers(1, 8))
@settings(max_examples=150, deadline=None)
def test_whatever_is_damaged_the_answer_is_rows_or_a_corpus_error(seed: int, bytes_changed: int) -> None:
    rng, tar = random.Random(seed), bytearray(SMALL)
    for _ in range(bytes_changed):
        tar[rng.randrange(len(tar))] = rng.randrange(256)
    if rng.random() < 0.7:  # a checksum that holds lets the damage through to what reads the fields
        tar = bytearray(b"".join(with_checksum(bytes(tar[i : i + 512])) for i in range(0, len(tar), 512)))
    with suppress(CorpusError):
        rows(corpus(bytes(tar), heldout_share=0.5))
