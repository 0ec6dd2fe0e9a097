"""Speech written as the corpora on the Hub have it: path in the repository -> content of the file."""

import base64
import hashlib
import io
import json
import os
import re
import tarfile
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile
from numpy.typing import NDArray
from scipy.signal import resample_poly

from voiceflow_model.data.activity import voice_activity
from voiceflow_model.data.conversation import ConversationConfig, Utterance, simulate
from voiceflow_model.data.corpus import FRAME_SAMPLES, SAMPLE_RATE_HZ, Samples
from voiceflow_model.data.espeak import EspeakCorpus, EspeakCorpusConfig
from voiceflow_model.data.keyed import keyed
from voiceflow_model.data.speakers import SpeakerClasses
from voiceflow_model.diarization.rttm import read_rttm
from voiceflow_model.evaluation.simulated import reference_turns

Files = dict[str, bytes]


class Speech(NamedTuple):
    """One utterance."""

    speaker: str
    key: str
    samples: Samples  # (samples,)
    rate: int = SAMPLE_RATE_HZ


class Meeting(NamedTuple):
    """One conversation; a turn is (start in seconds, end in seconds, speaker)."""

    name: str
    samples: Samples  # (samples,), 16 kHz
    turns: list[tuple[float, float, str]]


_AUDIO = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def librispeech(
    utterances: Iterable[Speech],
    split_dir: str = "clean/train.100",
    rows_per_group: int = 100,
    rows_per_file: int = 1000,
) -> Files:
    """openslr/librispeech_asr: FLAC in parquet. Keys such as 103-1240-0000 keep their numbers; others get some."""
    names = {"file": pa.string(), "audio": _AUDIO, "text": pa.string(), "speaker_id": pa.int64()}
    schema = _schema(names | {"chapter_id": pa.int64(), "id": pa.string()})
    rows = []
    for number, (speaker, key, samples, rate) in enumerate(utterances):
        known = re.fullmatch(r"(\d+)-(\d+)-(\d+)", key)
        speaker_id, chapter_id = (int(known[1]), int(known[2])) if known else (_number(speaker), 1)
        name = key if known else f"{speaker_id}-{chapter_id}-{number:04d}"
        audio = {"bytes": encoded(samples, rate, "FLAC"), "path": f"{name}.flac"}
        rows.append((f"{name}.flac", audio, "", speaker_id, chapter_id, name))
    starts = range(0, len(rows), rows_per_file)
    return {
        f"{split_dir}/{number:04d}.parquet": _parquet(schema, rows[start : start + rows_per_file], rows_per_group)
        for number, start in enumerate(starts)
    }


def common_voice(utterances: Iterable[Speech], language: str = "en", split: str = "train") -> Files:
    """fixie-ai/common_voice_17_0: MP3 of 32 kHz in parquet."""
    texts = ("client_id", "path", "audio", "sentence", "up_votes", "down_votes", "age", "gender", "accent", "locale")
    columns = dict.fromkeys((*texts, "segment", "variant"), pa.string())
    schema = _schema(columns | {"audio": _AUDIO, "up_votes": pa.int64(), "down_votes": pa.int64()}, rate=48_000)
    rows = []
    for number, (speaker, key, samples, rate) in enumerate(utterances):
        path = f"common_voice_{language}_{number:08d}.mp3"
        audio = {"bytes": encoded(resample_poly(samples, 32_000, rate), 32_000, "MP3"), "path": path}
        client = hashlib.sha512(speaker.encode()).hexdigest()
        rows.append((client, path, audio, key, 2, 0, "", "", "", language, "", ""))
    return {f"{language}/{split}-00000-of-00001.parquet": _parquet(schema, rows, 100)}


def meetings(
    recordings: Iterable[Meeting],
    config: str = "ihm",
    split: str = "train",
    rows_per_group: int = 1,
    encoding: Literal["WAV", "FLAC"] = "WAV",
) -> Files:
    """diarizers-community/ami and, with config="data", /voxconverse: one row is one recording."""
    times, names = pa.list_(pa.float64()), pa.list_(pa.string())
    schema = _schema({"audio": _AUDIO, "timestamps_start": times, "timestamps_end": times, "speakers": names})
    rows = []
    for name, samples, turns in recordings:
        audio = {"bytes": encoded(samples, SAMPLE_RATE_HZ, encoding), "path": f"{name}.{encoding.lower()}"}
        rows.append((audio, *([turn[column] for turn in turns] for column in range(3))))
    return {f"{config}/{split}-00000-of-00001.parquet": _parquet(schema, rows, rows_per_group)}


def voxceleb1_trials(utterances: Iterable[Speech]) -> Files:
    """macabdul9/VoxCeleb_test: WAV in parquet, speakers id10270 and on."""
    schema = _schema({"audio": _AUDIO, "id": pa.string(), "speaker_id": pa.string()})
    rows = []
    for _, speaker, place, speech in _voxceleb(utterances, first=10270):
        wav = encoded(speech.samples, speech.rate, "WAV")
        rows.append(({"bytes": wav, "path": f"{place.split('/')[-1]}.wav"}, f"{place}.wav", speaker))
    return {"data/test-00000-of-00001.parquet": _parquet(schema, rows, 100)}


def voxceleb2(utterances: Iterable[Speech], per_tar: int = 100, seed: int = 0) -> Files:
    """gaunernst/voxceleb2-dev-wds: AAC and class number in tars, the speakers mixed."""
    members = [(place, b"%d" % class_number, speech) for class_number, _, place, speech in _voxceleb(utterances, 12)]
    order = keyed(seed, "voxceleb2").permutation(len(members))
    return {
        f"voxceleb2-dev-{number:06d}.tar": _tar([members[i] for i in order[start : start + per_tar]])
        for number, start in enumerate(range(0, len(order), per_tar))
    }


def embedded_speech(speakers: int, per_speaker: int) -> list[Speech]:
    """From the embedded corpus (24 speakers at most), speaker by speaker."""
    corpus = EspeakCorpus(EspeakCorpusConfig(voices_train=speakers, utterances_per_voice=per_speaker))
    rows = (row for shard in corpus.shards("train") for row in corpus.rows(shard))
    return [Speech(row.speaker, row.key, corpus.decode(row)) for row in sorted(rows, key=lambda row: row.key)]


def embedded_meetings(
    count: int, duration_s: float = 30.0, speakers: int = 3, voices: int = 8, seed: int = 0
) -> list[Meeting]:
    """Simulated conversations among the first voices of the embedded corpus."""
    spoken = embedded_speech(voices, 6)
    classes = SpeakerClasses(tuple(sorted({speech.speaker for speech in spoken})))
    utterances: dict[int, list[Utterance]] = defaultdict(list)
    for speaker, key, samples, _ in spoken:
        whole = samples[: len(samples) // FRAME_SAMPLES * FRAME_SAMPLES]
        number = classes.of(speaker)
        utterances[number].append(
            Utterance(key, number, (whole.clip(-1, 1) * 32767).astype(np.int16), voice_activity(whole))
        )
    made = []
    for index in range(count):
        rng = keyed(seed, "meeting", index)
        conversation = simulate(utterances, rng, ConversationConfig(), duration_s=duration_s, speakers=speakers)
        turns = [(turn.start_s, turn.end_s, turn.speaker) for turn in reference_turns(conversation, classes)]
        made.append(Meeting(f"MTG{index:04d}", conversation.samples, turns))
    return made


def real_speech(root: Path, subset: str = "train-clean-100") -> Iterator[Speech]:
    """/work/shared/speech/librispeech, speaker by speaker; nothing when it is not there."""
    for file in sorted((root / subset).glob("*/*.flac")):
        yield Speech(file.parent.name, file.stem, *soundfile.read(file, dtype="float32"))


def real_meetings(root: Path) -> Iterator[Meeting]:
    """/work/shared/speech/ami; nothing when it is not there."""
    for file in sorted(root.glob("*.flac")):
        turns = read_rttm(str(file.with_suffix(".rttm")))[file.stem]
        samples, _ = soundfile.read(file, dtype="float32")
        yield Meeting(file.stem, samples, [(turn.start_s, turn.end_s, turn.speaker) for turn in turns])


def upload(files: Files, url: str) -> None:
    """Write below a folder or bucket: any fsspec URL."""
    # Read by gcsfs at import: otherwise an emulator lets it hang for a minute (FACTS.md).
    os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    import fsspec

    for path, content in files.items():
        with fsspec.open(f"{url.rstrip('/')}/{path}", "wb") as file:
            file.write(content)


def encoded(samples: NDArray[Any], rate: int, encoding: Literal["FLAC", "WAV", "MP3"]) -> bytes:
    """(samples,) in a file of 16 bits, or MP3."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=encoding, subtype=None if encoding == "MP3" else "PCM_16")
    return file.getvalue()


def encoded_aac(samples: Samples, rate: int) -> bytes:
    """(samples,) as AAC in an m4a file."""
    file = io.BytesIO()
    with av.open(file, "w", format="ipod") as container:
        stream = container.add_stream("aac", rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None], np.float32), "fltp", "mono")
        frame.rate = rate
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    return file.getvalue()


def _voxceleb(utterances: Iterable[Speech], first: int) -> Iterator[tuple[int, str, str, Speech]]:
    """(class, speaker's id, id/video/segment, speech); speakers are numbered in the order of their names."""
    speech = list(utterances)
    classes = {speaker: number for number, speaker in enumerate(sorted({one.speaker for one in speech}))}
    heard: dict[str, int] = defaultdict(int)
    for one in speech:
        name, number = f"id{first + classes[one.speaker]:05d}", heard[one.speaker]
        heard[one.speaker] += 1
        digest = hashlib.sha256(f"{one.speaker}/{number // 3}".encode()).digest()
        video = base64.urlsafe_b64encode(digest)[:11].decode()
        yield classes[one.speaker], name, f"{name}/{video}/{number % 3 + 1:05d}", one


def _tar(members: Sequence[tuple[str, bytes, Speech]]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for place, class_number, speech in members:
            for suffix, content in (("m4a", encoded_aac(speech.samples, speech.rate)), ("cls", class_number)):
                entry = tarfile.TarInfo(f"{place}.{suffix}")
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
    return file.getvalue()


def _schema(columns: dict[str, pa.DataType], rate: int = SAMPLE_RATE_HZ) -> pa.Schema:
    """With the features under "huggingface", where `datasets` writes and looks for them."""
    features = {name: _feature(kind, rate) for name, kind in columns.items()}
    return pa.schema(columns, {"huggingface": json.dumps({"info": {"features": features}})})


def _feature(kind: pa.DataType, rate: int) -> dict[str, Any]:
    if kind == _AUDIO:
        return {"sampling_rate": rate, "_type": "Audio"}
    if pa.types.is_list(kind):
        return {"feature": _feature(kind.value_type, rate), "_type": "List"}
    return {"dtype": {"double": "float64"}.get(str(kind), str(kind)), "_type": "Value"}


def _parquet(schema: pa.Schema, rows: Sequence[tuple[Any, ...]], rows_per_group: int) -> bytes:
    table = pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in rows], schema)
    file = io.BytesIO()
    pq.write_table(table, file, row_group_size=rows_per_group)
    return file.getvalue()


def _number(speaker: str) -> int:
    return int(speaker) if speaker.isdecimal() else zlib.crc32(speaker.encode())
