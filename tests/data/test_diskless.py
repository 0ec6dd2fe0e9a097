"""Training from the Hub writes nothing to a disk, and the RAM it takes is configured and stays what it is.

By default 1 GB is streamed and what is held over the second half compared with the first; `make soak` streams 2 GB
(VOICEFLOW_SOAK_MB) and compares with the first 500 MB just so. Of both the median: how many lanes hold a row group at
once is chance, and the peak with it.
"""

import compileall
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from tests.data.diskless_process import Figures
from tests.doubles.hub import Hub
from voiceflow_model.data.keyed import keyed
from voiceflow_model.data.lanes import StreamConfig
from voiceflow_model.data.parquet import ParquetCorpus, ParquetCorpusConfig
from voiceflow_model.data.recordings import RecordingsCorpus, RecordingsCorpusConfig
from voiceflow_model.errors import ConfigError

ROOT = Path(__file__).parents[2]
NOWHERE = "/proc/nowhere"  # where not even root can make anything
SOAK = float(os.environ.get("VOICEFLOW_SOAK_MB", 1000)) * 1e6
FIRST = 500e6
AUDIO = pa.struct([("bytes", pa.binary()), ("path", pa.string())])

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/io").exists(), reason="without /proc/self/io nobody counts what a process writes"
)


def parquet(rows: list[dict[str, Any]], schema: pa.Schema, rows_per_group: int) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema), file, row_group_size=rows_per_group)
    return file.getvalue()


def loud_utterances() -> bytes:
    """Two row groups of 22 MB each, as large as LibriSpeech's; noise of 24 bits, which decodes at 175 MB/s."""
    flacs = []
    for number in range(10):
        file = io.BytesIO()
        noise = 0.1 * keyed("utterance", number).standard_normal(5 * 16_000)
        soundfile.write(file, noise, 16_000, format="FLAC", subtype="PCM_24")
        flacs.append(file.getvalue())
    rows = [
        {"audio": {"bytes": flacs[i % 10] + b"%d" % i, "path": f"{i}.flac"}, "speaker_id": i // 50} for i in range(200)
    ]
    return parquet(rows, pa.schema({"audio": AUDIO, "speaker_id": pa.int64()}), rows_per_group=100)


def meeting_of_an_hour() -> bytes:
    """One row of 115 MB."""
    samples = (3000 * keyed("meeting").standard_normal(3600 * 16_000, np.float32)).astype(np.int16)
    wav = io.BytesIO()
    soundfile.write(wav, samples, 16_000, format="WAV")
    starts = [float(at) for at in range(0, 3600, 5)]
    turns = {"timestamps_start": starts, "timestamps_end": [at + 4 for at in starts]}
    row = {"audio": {"bytes": wav.getvalue(), "path": "meeting.wav"}, "speakers": ["a", "b", "c"] * 240, **turns}
    times = pa.list_(pa.float64())
    columns = {"timestamps_start": times, "timestamps_end": times, "speakers": pa.list_(pa.string())}
    return parquet([row], pa.schema({"audio": AUDIO, **columns}), rows_per_group=1)


@contextmanager
def served(content: bytes, times: int) -> Iterator[Hub]:
    """The same bytes under many paths."""
    with Hub() as hub:
        hub.add("org/corpus", {f"{number:03d}.parquet": content for number in range(times)})
        yield hub


def train(hub: Hub, corpus: dict[str, Any], stream: dict[str, Any], until: float) -> list[tuple[int, Figures]]:
    """(bytes sent by the Hub so far, figures) again and again until so many bytes were sent; first, before the stream.

    The process trains in a world without a home, a cache or a folder for temporary files.
    """
    compileall.compile_dir(ROOT / "voiceflow_model", quiet=2)
    nowhere = dict.fromkeys(("HOME", "HF_HOME", "TMPDIR", "XDG_CACHE_HOME"), NOWHERE)
    env = {**os.environ, **hub.environment(Path(NOWHERE)), **nowhere, "OMP_NUM_THREADS": "1"}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-m", "tests.data.diskless_process", json.dumps(corpus), json.dumps(stream)]
    seen = []
    with subprocess.Popen(
        command, cwd=ROOT, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin
        assert process.stdout
        for line in process.stdout:
            seen.append((hub.bytes_sent, Figures(*json.loads(line))))
            if hub.bytes_sent >= until:
                break
            process.stdin.write("\n")
            process.stdin.flush()
        process.stdin.close()
    assert process.returncode == 0
    for sent, one in (seen[0], seen[-1]):
        print(f"\n{sent / 1e6:.0f} MB streamed: {one}", end="")
    return seen


def smallest_ram_mb(stream: dict[str, Any], reading_mb: float) -> int:
    """The least that is not refused."""
    for ram_mb in range(16, 10_000):
        with suppress(ValueError, ConfigError):
            StreamConfig(**stream, ram_mb=ram_mb).check_ram(reading_mb)
            return ram_mb
    raise AssertionError("refused whatever is allowed")


def test_training_streams_a_gigabyte_in_constant_ram_and_writes_nothing(monkeypatch: pytest.MonkeyPatch):
    corpus = {"kind": "parquet", "url": "hf://datasets/org/corpus", "train": ["*.parquet"]}
    stream = {"lanes": 4, "pool_blocks": 2, "block_rows": 20, "draws_per_block": 4, "decode_threads": 2}
    with served(loud_utterances(), times=50) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        reading_mb = ParquetCorpus(ParquetCorpusConfig.model_validate(corpus)).reading_mb("train")
        ram_mb = smallest_ram_mb(stream, reading_mb)
        seen = train(hub, corpus, {**stream, "ram_mb": ram_mb}, SOAK)
    (_, first), (sent, last) = seen[0], seen[-1]
    assert sent >= max(FIRST, SOAK)
    assert last.steps > 0
    assert last.written < 1_000_000
    early, late = ([one.mb for at, one in seen[1:] if (at > FIRST) is later] for later in (False, True))
    assert median(late) <= 1.05 * median(early)
    assert last.peak_mb - first.mb <= ram_mb


def test_recordings_of_an_hour_take_no_more_ram_than_configured(monkeypatch: pytest.MonkeyPatch):
    corpus = {"kind": "recordings", "url": "hf://datasets/org/corpus", "train": ["*.parquet"]}
    stream = {"lanes": 2, "pool_blocks": 2, "block_rows": 20, "draws_per_block": 2, "decode_threads": 2}
    with served(meeting_of_an_hour(), times=8) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        reading_mb = RecordingsCorpus(RecordingsCorpusConfig.model_validate(corpus)).reading_mb("train")
        ram_mb = smallest_ram_mb(stream, reading_mb)
        seen = train(hub, corpus, {**stream, "ram_mb": ram_mb}, until=900e6)
    (_, first), (_, last) = seen[0], seen[-1]
    assert last.written < 1_000_000
    assert last.peak_mb - first.mb <= ram_mb
