"""Corpora to measure with: speech in the layouts of the Hub, made in RAM and served by the Hub's double in a process of
its own, so that the reader measured does not share its interpreter with the server.

Every row's bytes are its own, its sound is not: a few hundred utterances go round. A speaker has 113 rows on end, as in
LibriSpeech; which sound they have does not matter to a clock.
"""

import argparse
import io
import json
import os
import platform
import struct
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, Literal, NamedTuple, NoReturn, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.signal import resample_poly

from tests.doubles.hub import Hub
from tests.doubles.layouts import Speech, embedded_speech, encoded, encoded_aac, real_speech
from voiceflow_model.data.corpora import CorpusConfig
from voiceflow_model.data.corpus import SAMPLE_RATE_HZ
from voiceflow_model.data.parquet import ParquetCorpusConfig
from voiceflow_model.data.tars import TarCorpusConfig

Layout = Literal["librispeech", "common_voice", "voxceleb2"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)
ROOT = Path(__file__).parents[1]

_UTTERANCE_S = 12.0  # of the embedded corpus, whose sentences are shorter
_ROWS_PER_SPEAKER = 113
_ROWS_PER_GROUP = 100
_ROWS_PER_TAR = 400
_AUDIO = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def utterances(folder: str | None) -> list[Speech]:
    """Those in a folder of <speaker>/*.flac, or 96 of 12 s in 24 embedded voices."""
    if folder:
        place = Path(folder)
        if not (found := list(real_speech(place.parent, place.name))):
            raise SystemExit(f"{folder} holds no <speaker>/*.flac")
        return found
    speech = embedded_speech(24, 12)
    by_voice = {speaker: [s.samples for s in speech if s.speaker == speaker] for speaker in {s.speaker for s in speech}}
    made = []
    for speaker, sentences in sorted(by_voice.items()):
        whole = np.concatenate(sentences)
        length = round(_UTTERANCE_S * SAMPLE_RATE_HZ)
        made += [Speech(speaker, f"{speaker}/{at}", whole[at : at + length]) for at in range(0, 4 * length, length)]
    return made


def files(layout: Layout, speech: Sequence[Speech], rows: int, rows_per_file: int) -> dict[str, bytes]:
    """Path -> content of a corpus of `rows` rows."""
    match layout:
        case "librispeech":
            sounds = [encoded(s.samples, s.rate, "FLAC") for s in speech]
            name, make = "clean/train.100/{:04d}.parquet", _parquet
        case "common_voice":
            sounds = [encoded(resample_poly(s.samples, 32_000, s.rate), 32_000, "MP3") for s in speech]
            name, make = "en/train-{:05d}.parquet", _parquet
        case "voxceleb2":
            sounds = [encoded_aac(s.samples[: 8 * s.rate], s.rate) for s in speech]  # VoxCeleb2's mean is 8 s
            name, make = "voxceleb2-dev-{:06d}.tar", _tar
    starts = range(0, rows, rows_per_file)
    return {
        name.format(number): make(sounds, range(at, min(at + rows_per_file, rows))) for number, at in enumerate(starts)
    }


def corpus_config(layout: Layout, url: str, rows: int) -> CorpusConfig:
    """How VoiceFlow reads it."""
    match layout:
        case "librispeech":
            return ParquetCorpusConfig(url=url, train=("clean/train.100/*.parquet",), key_column="id")
        case "common_voice":
            return ParquetCorpusConfig(url=url, train=("en/*.parquet",), key_column="id")
        case "voxceleb2":
            return TarCorpusConfig(url=url, train=("*.tar",), speakers=_speakers(rows))


def own(data: bytes, number: int) -> bytes:
    """The same sound in bytes that no other number has."""
    tag = struct.pack(">Q", number)
    if data[:4] == b"fLaC":  # an APPLICATION block after STREAMINFO
        last = data[4] & 0x80
        block = bytes([2 | last]) + (4 + len(tag)).to_bytes(3, "big") + b"VFlo" + tag
        return b"fLaC" + bytes([data[4] & 0x7F]) + data[5:42] + block + data[42:]
    if data[4:8] == b"ftyp":  # a free atom at the end
        return data + struct.pack(">I4s", 8 + len(tag), b"free") + tag
    return data + b"TAG" + f"{number}".encode().ljust(125, b"\0")  # ID3v1


def _speakers(rows: int) -> int:
    return max(2, -(-rows // _ROWS_PER_SPEAKER))


def _parquet(sounds: Sequence[bytes], numbers: range) -> bytes:
    schema = pa.schema({"audio": _AUDIO, "text": pa.string(), "speaker_id": pa.int64(), "id": pa.string()})
    file = io.BytesIO()
    with pq.ParquetWriter(file, schema) as writer:
        for first in numbers[::_ROWS_PER_GROUP]:
            rows = []
            for number in range(first, min(first + _ROWS_PER_GROUP, numbers.stop)):
                key = f"{number // _ROWS_PER_SPEAKER}-1-{number:06d}"
                audio = {"bytes": own(sounds[number % len(sounds)], number), "path": f"{key}.flac"}
                rows.append({"audio": audio, "text": "", "speaker_id": number // _ROWS_PER_SPEAKER, "id": key})
            writer.write_table(pa.Table.from_pylist(rows, schema), _ROWS_PER_GROUP)
    return file.getvalue()


def _tar(sounds: Sequence[bytes], numbers: range) -> bytes:
    """Speakers mixed, as in VoxCeleb2."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for number in numbers:
            speaker = number * 7919 % _speakers(numbers.stop)
            contents = (("m4a", own(sounds[number % len(sounds)], number)), ("cls", b"%d" % speaker))
            for suffix, content in contents:
                entry = tarfile.TarInfo(f"id{speaker:05d}/video/{number:06d}.{suffix}")
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
    return file.getvalue()


class Served(NamedTuple):
    """A corpus on a Hub of its own. `size` is all that a reader would fetch in one pass."""

    layout: Layout
    endpoint: str
    repo: str
    commit: str
    rows: int
    files: tuple[str, ...]
    size: int
    process: "subprocess.Popen[str]"

    def environment(self, home: str) -> dict[str, str]:
        """Of a process that reads from it."""
        hub = {"HF_ENDPOINT": self.endpoint, "HF_HOME": home, "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0"}
        quiet = {"HF_DATASETS_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "DO_NOT_TRACK": "1"}
        return {**os.environ, **hub, **quiet, "OMP_NUM_THREADS": "1"}

    def bytes_sent(self) -> int:
        """Of bodies, to anyone, since it was started."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


@contextmanager
def served(layout: Layout, rows: int, *, speech: str | None = None, repeat: int = 1) -> Iterator[Served]:
    """Make and serve a corpus; each of its files is there `repeat` times, under as many paths."""
    command = [sys.executable, "-m", "benchmarks.corpus", "--layout", layout, "--rows", str(rows)]
    command += ["--repeat", str(repeat), *(["--speech", speech] if speech else [])]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        try:
            if not (line := process.stdout.readline()):
                raise SystemExit("the Hub's double did not start")
            about = json.loads(line)
            yield Served(layout, **{**about, "files": tuple(about["files"])}, process=process)
        finally:
            process.stdin.close()


def measure_and_leave(asked: str, measures: Mapping[str, Callable[[dict[str, Any]], Any]]) -> NoReturn:
    """The other side of `measured`: do what was asked for, print it, and wait for nothing that is read ahead."""
    options = json.loads(asked)
    print(json.dumps(measures[options["task"]](options)), flush=True)
    os._exit(0)


def measured(script: str, served_by: Served, home: str, **options: Any) -> dict[str, float]:
    """What one measurement of a script, in a process of its own, prints as JSON."""
    facts = {name: getattr(served_by, name) for name in ("layout", "repo", "commit", "rows", "files")}
    command = [sys.executable, "-m", script, "--measure", json.dumps({**facts, **options})]
    done = subprocess.run(
        command, cwd=ROOT, env=served_by.environment(home), stdout=subprocess.PIPE, text=True, check=True
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, its first column text and the others numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def machine() -> str:
    """Where and when."""
    names = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    return f"{os.cpu_count()} cores ({names[0] if names else platform.machine()}), load {os.getloadavg()[0]:.1f}, " + (
        f"Python {platform.python_version()}, {date.today().isoformat()}"
    )


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def main() -> None:
    """Serve until the input ends; a line of input is answered with the bytes sent so far."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--layout", choices=LAYOUTS, required=True)
    parser.add_argument("--rows", type=int, required=True, help="of their own bytes")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--speech")
    asked = parser.parse_args()
    per_file = _ROWS_PER_TAR if asked.layout == "voxceleb2" else 10 * _ROWS_PER_GROUP
    made = files(asked.layout, utterances(asked.speech), asked.rows, per_file)
    folders = {path: path.rpartition("/") for path in made}
    content = {
        f"{folder}{slash}{'' if asked.repeat == 1 else f'{n:03d}-'}{name}": made[path]
        for n in range(asked.repeat)
        for path, (folder, slash, name) in folders.items()
    }
    with Hub() as hub:
        repo = f"benchmark/{asked.layout}"
        about = {"endpoint": hub.endpoint, "repo": repo, "commit": hub.add(repo, content)}
        about |= {"rows": asked.rows * asked.repeat, "files": list(content), "size": sum(map(len, content.values()))}
        print(json.dumps(about), flush=True)
        for _ in sys.stdin:
            print(hub.bytes_sent, flush=True)


if __name__ == "__main__":
    main()
