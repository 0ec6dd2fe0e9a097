"""The input pipeline against the obvious loop, on the same shards of a Hub on 127.0.0.1, in the same run.

The obvious loop: `datasets` streaming (fsspec and tarfile for tars, which `datasets` cannot read without torchcodec),
every example decoded whole, a torchaudio Resample built per sample, cropped to 3 s, never seen again. Against it the
ConversationStream with 8 lanes x 4 blocks x 100 rows, once with the reuse of configs/librispeech.toml and once with
draws_per_block such that as much audio leaves as was decoded. Each is a process of its own, in turn, several times;
medians. Steady state: the clock starts when the first batch (the obvious loop: the 64th example) is there, and runs for
whole turnovers of the pools. Prints Markdown.

    python -m benchmarks.stream --speech ../shared/speech/librispeech/train-clean-100
"""

import argparse
import io
import itertools
import os
import resource
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any

import av
import numpy as np
import soundfile

from benchmarks.corpus import (
    LAYOUTS,
    Layout,
    Served,
    corpus_config,
    machine,
    measure_and_leave,
    measured,
    served,
    table,
)
from voiceflow_model.data.conversation import ConversationConfig
from voiceflow_model.data.corpora import open_corpus
from voiceflow_model.data.corpus import SAMPLE_RATE_HZ, Corpus
from voiceflow_model.data.lanes import StreamConfig
from voiceflow_model.data.speakers import SpeakerClasses
from voiceflow_model.data.stream import ConversationStream
from voiceflow_model.data.walk import Walk

ROWS: dict[Layout, int] = {"librispeech": 4000, "common_voice": 4000, "voxceleb2": 6400}
STREAM = {
    "lanes": 8,
    "pool_blocks": 4,
    "block_rows": 100,
    "max_utterance_s": 12.0,
    "decode_threads": 2,
    "worker_processes": 2,
    "ram_mb": 2500,
}
DRAWS = 1000
BATCH, WINDOW_S, CROP_S = 64, 10.0, 3
TASKS = ("obvious loop", "decode only", "stream", "stream, no reuse")
Figures = dict[str, float]


def obvious_loop(served_by: dict[str, Any]) -> Figures:
    """What anyone would write first."""
    from voiceflow_model.data.torchaudio_import import torchaudio

    import torch  # isort: skip - it must come after torchaudio's stub

    began, first = time.perf_counter(), 0.0
    for count, (samples, rate) in enumerate(map(decode, raw_rows(served_by)), 1):
        wave = torchaudio.transforms.Resample(rate, SAMPLE_RATE_HZ)(torch.from_numpy(samples))
        wave = wave[: CROP_S * SAMPLE_RATE_HZ]
        if count == BATCH:
            first, clock = time.perf_counter() - began, _Clock()
        if count == served_by["examples"] + BATCH:
            break
    return {"emitted_s": CROP_S * served_by["examples"], "rows": count - BATCH, "first_s": first, **clock.figures()}


def raw_rows(served_by: dict[str, Any], prepare: Callable[[Any], Any] = lambda rows: rows) -> Iterator[bytes]:
    """The sound of row after row, as a file; `prepare` may shuffle or skip."""
    if served_by["layout"] == "voxceleb2":
        yield from prepare(_tar_rows(served_by))
        return
    from datasets import Audio, load_dataset

    files = {"train": list(served_by["files"])}
    rows = load_dataset(
        served_by["repo"], data_files=files, revision=served_by["commit"], split="train", streaming=True
    )
    for row in prepare(rows.cast_column("audio", Audio(decode=False))):
        yield row["audio"]["bytes"]


def _tar_rows(served_by: dict[str, Any]) -> Iterator[bytes]:
    from huggingface_hub import HfFileSystem

    for path in served_by["files"]:
        with (
            HfFileSystem().open(f"datasets/{served_by['repo']}@{served_by['commit']}/{path}") as file,
            tarfile.open(fileobj=file, mode="r|") as tar,
        ):
            for member in tar:
                if member.name.endswith(".m4a") and (content := tar.extractfile(member)):
                    yield content.read()


def decode(data: bytes) -> tuple[np.ndarray, int]:
    """(samples, rate). libsndfile knows no AAC, FFmpeg does."""
    if data[4:8] != b"ftyp":
        return soundfile.read(io.BytesIO(data), dtype="float32")
    with av.open(io.BytesIO(data)) as container:
        blocks = [frame.to_ndarray()[0] for frame in container.decode(audio=0)]
        return np.concatenate(blocks), container.streams.audio[0].rate


def decode_only(served_by: dict[str, Any]) -> Figures:
    """The machine's limit: the corpus's own bytes, in RAM already, decoded by two threads and dropped."""
    corpus = open_served(served_by)
    rows = itertools.islice((row for shard in corpus.shards("train") for row in corpus.rows(shard)), 1000)
    audio = [getattr(row.payload, "audio", None) or bytes(row.payload) for row in rows]
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(_seconds, audio[:50]))
        clock = _Clock()
        seconds = sum(threads.map(_seconds, audio))
        return {"emitted_s": seconds, "rows": len(audio), "first_s": 0.0, **clock.figures()}


def _seconds(data: bytes) -> float:
    samples, rate = decode(data)
    return len(samples) / rate


def stream(served_by: dict[str, Any]) -> Figures:
    """What training sees."""
    began = time.perf_counter()
    corpus = open_served(served_by)
    config = StreamConfig(**STREAM, draws_per_block=served_by["draws"])
    speakers = SpeakerClasses(corpus.speakers("train"))
    walk = Walk(corpus, "train", speakers, 0, config.lanes, config.max_utterance_s)
    batches = served_by["turnovers"] * served_by["draws"] * config.lanes // BATCH
    with ConversationStream(
        walk, config, ConversationConfig(window_s=WINDOW_S), num_speakers=3, batch_size=BATCH, shards=2
    ) as source:
        next(source)
        first = time.perf_counter() - began
        before, start = source.seconds, _Clock()
        for _ in range(batches):
            next(source)
        figures = start.figures()
        spent = {f"{stage}_s": source.seconds[stage] - before[stage] for stage in before}
    rows = served_by["turnovers"] * config.lanes * config.block_rows
    return {"emitted_s": batches * BATCH * WINDOW_S, "rows": rows, "first_s": first, **figures, **spent}


def open_served(served_by: dict[str, Any]) -> Corpus:
    """The corpus, read as a run would."""
    url = f"hf://datasets/{served_by['repo']}@{served_by['commit']}"
    return open_corpus(corpus_config(served_by["layout"], url, served_by["rows"]))


class _Clock:
    """Seconds since it was made: on the wall, of processors here and in children, of processors that nobody used."""

    def __init__(self) -> None:
        self._start = self._now()

    def figures(self) -> Figures:
        """wall_s, cpu_s, idle_s, and the most RAM that the process and its children ever held."""
        wall, cpu, idle = (now - start for now, start in zip(self._now(), self._start, strict=True))
        ram_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for child in children():
            status = (child / "status").read_text()
            ram_kb += int(status.partition("VmHWM:")[2].split()[0])
        return {"wall_s": wall, "cpu_s": cpu, "idle_s": idle, "ram_mb": ram_kb * 1024 / 1e6}

    def _now(self) -> tuple[float, float, float]:
        with suppress(OSError), open("/proc/stat") as file:
            idle = int(file.readline().split()[4])
            spent = [(child / "stat").read_text().rpartition(")")[2].split()[11:13] for child in children()]
            ticks = os.sysconf("SC_CLK_TCK")
            children_s = sum(int(user) + int(system) for user, system in spent) / ticks
            return time.perf_counter(), time.process_time() + children_s, idle / ticks
        return time.perf_counter(), time.process_time(), float("nan")


def children() -> list[Path]:
    """Folders in /proc of the processes that this one has started."""
    found = [Path(f"/proc/{name}") for name in os.listdir("/proc") if name.isdigit()]
    with suppress(OSError):
        return [one for one in found if (one / "stat").read_text().rpartition(")")[2].split()[1] == str(os.getpid())]
    return children()  # one of them ended meanwhile


MEASURES: dict[str, Callable[[dict[str, Any]], Figures]] = {
    "obvious loop": obvious_loop,
    "decode only": decode_only,
    "stream": stream,
    "stream, no reuse": stream,
}


def compare(where: Served, repeats: int, examples: int, turnovers: int, home: str) -> dict[str, list[Figures]]:
    """Task -> figures of each repeat; the tasks take turns, so that a noisy minute hits all of them."""
    mean_s = 8.0 if where.layout == "voxceleb2" else STREAM["max_utterance_s"] * 0.95
    draws_without_reuse = round(STREAM["block_rows"] * mean_s / WINDOW_S / 8) * 8
    options: dict[str, dict[str, int]] = {
        "obvious loop": {"examples": examples},
        "decode only": {},
        "stream": {"draws": DRAWS, "turnovers": turnovers},
        "stream, no reuse": {"draws": draws_without_reuse, "turnovers": 4 * turnovers},
    }
    found: dict[str, list[Figures]] = {task: [] for task in TASKS}
    for _ in range(repeats):
        for task in TASKS:
            found[task].append(measured("benchmarks.stream", where, home, task=task, **options[task]))
    return found


def report(layout: Layout, found: dict[str, list[Figures]]) -> str:
    """Two tables: how fast, and where the time goes."""
    middle = {task: {name: median(run[name] for run in runs) for name in runs[0]} for task, runs in found.items()}
    rates = {task: [run["emitted_s"] / 3600 / run["wall_s"] for run in runs] for task, runs in found.items()}
    decoding = {task: median(run["rows"] / run["wall_s"] for run in runs) for task, runs in found.items()}
    peer = median(rates["obvious loop"])
    speeds, spent = [], []
    for task, one in middle.items():
        trains, wall_s = task != "decode only", one["wall_s"]
        speeds.append(
            [
                task,
                f"{median(rates[task]):.2f} [{min(rates[task]):.2f}, {max(rates[task]):.2f}]" if trains else "",
                f"**{median(rates[task]) / peer:.1f}**" if "stream" in task else "",
                f"{one['cpu_s'] / one['emitted_s'] * 3600:.2f}" if trains else "",
                f"{decoding[task]:.0f}",
                f"{decoding[task] / decoding['decode only']:.0%}",
                f"{one['first_s']:.1f}" if trains else "",
                f"{one['ram_mb']:.0f}",
            ]
        )
        stages = [f"{one[f'{s}_s'] / wall_s:.2f}" if f"{s}_s" in one else "" for s in ("fetch", "decode", "mix")]
        per_window = f"{1000 * one['mix_s'] / one['emitted_s'] * WINDOW_S:.1f}" if "mix_s" in one else ""
        spent.append([task, *stages, f"{one['cpu_s'] / wall_s:.2f}", f"{one['idle_s'] / wall_s:.2f}", per_window])
    head = [layout, "audio-h/s to train on [range]", "x obvious loop", "CPU s per audio-h", "rows decoded/s"]
    head += ["of decode only", "s to the first batch", "peak MB"]
    spent_head = [f"{layout}, per second", "fetch", "decode", "mix", "CPU s", "idle cores", "mix, ms per window"]
    return f"{table(head, speeds)}\n\n{table(spent_head, spent)}\n"


def main() -> None:
    """Measure one task, or compare all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speech", help="a folder of <speaker>/*.flac; without it, the embedded voices")
    parser.add_argument("--layouts", nargs="+", choices=LAYOUTS, default=LAYOUTS)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--examples", type=int, default=1000, help="that the obvious loop is timed over")
    parser.add_argument("--turnovers", type=int, default=1, help="of the pools that the stream is timed over")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        measure_and_leave(asked.measure, MEASURES)
    print(f"{machine()}. Batches of {BATCH} x {WINDOW_S:.0f} s; {STREAM}, draws_per_block {DRAWS}; thread-seconds.\n")
    with tempfile.TemporaryDirectory() as home:
        for layout in asked.layouts:
            with served(layout, ROWS[layout], speech=asked.speech) as where:
                found = compare(where, asked.repeats, asked.examples, asked.turnovers, home)
            print(report(layout, found), flush=True)


if __name__ == "__main__":
    main()
