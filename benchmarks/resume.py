"""How long until the first batch, at the start of a pass over the corpus and at 90 % of it.

Each figure is of a fresh process whose clock starts after its imports: listing the repository, reading the footers and
speakers of all files ("the index"), opening the stream at its state, the first batch. Beside it, at the same places,
what `datasets` offers: `.skip(n)`, `.shuffle(buffer).skip(n)` and `.shuffle(buffer)` with `load_state_dict` (which does
not resume exactly: docs/adr/0001-lanes.md), until 64 decoded examples are there; for tars, which it cannot read without
torchcodec, a loop that reads and drops. They decode 64 examples and the stream a pool of 3,200: compare the ratios.
The corpus has the size of LibriSpeech's train.100; its files are there many times. Prints Markdown.

    python -m benchmarks.resume --speech ../shared/speech/librispeech/train-clean-100
"""

import argparse
import importlib
import itertools
import tempfile
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from benchmarks.corpus import Layout, Served, machine, measure_and_leave, measured, served, table
from benchmarks.stream import BATCH, DRAWS, STREAM, WINDOW_S, decode, open_served, raw_rows
from voiceflow_model.data.conversation import ConversationConfig
from voiceflow_model.data.lanes import LaneState, StreamConfig
from voiceflow_model.data.speakers import SpeakerClasses
from voiceflow_model.data.stream import ConversationStream
from voiceflow_model.data.walk import Cursor, Walk

LATE = 0.9
SIZES: dict[Layout, tuple[int, int]] = {"librispeech": (2000, 14), "voxceleb2": (2000, 10)}  # own rows, repeats
BUFFER = 1000
PEERS: dict[Layout, tuple[str, ...]] = {
    "librispeech": ("skip", "shuffle, skip", "shuffle, load_state_dict"),
    "voxceleb2": ("read and drop",),
}


def _walk(options: dict[str, Any], config: StreamConfig) -> Walk:
    corpus = open_served(options)
    speakers = SpeakerClasses(corpus.speakers("train"))
    return Walk(corpus, "train", speakers, 0, config.lanes, config.max_utterance_s)


def stream_state(options: dict[str, Any]) -> dict[str, Any]:
    """Where every lane is when it has done `share` of a pass: in the middle of a shard."""
    config = StreamConfig(**STREAM, draws_per_block=DRAWS)
    walk = _walk(options, config)
    states = {}
    for lane in range(config.lanes):
        shards = len(range(lane, len(walk.shards), config.lanes))
        start = Cursor(0, int(options["share"] * shards))
        _, middle = next(itertools.islice(walk.rows(lane, start), 40, None))
        rows = middle.shard * (options["rows"] // len(walk.shards)) + 40
        states[str(lane)] = list(LaneState(rows // config.block_rows * DRAWS, middle, rows))
    return states


def stream_start(options: dict[str, Any]) -> dict[str, float]:
    """Seconds until the index is there, and until the first batch."""
    importlib.import_module("voiceflow_model.data.sources.hub")
    began = time.perf_counter()
    config = StreamConfig(**STREAM, draws_per_block=DRAWS)
    walk = _walk(options, config)
    indexed = time.perf_counter()
    with ConversationStream(
        walk,
        config,
        ConversationConfig(window_s=WINDOW_S),
        num_speakers=3,
        batch_size=BATCH,
        shards=2,
        state=options["state"],
    ) as source:
        next(source)
    return {"index_s": indexed - began, "total_s": time.perf_counter() - began}


def peer_state(options: dict[str, Any]) -> dict[str, Any]:
    """`state_dict()` of a shuffled dataset after `skipped` rows."""
    kept: list[Any] = []
    list(itertools.islice(raw_rows(options, lambda rows: _remember(kept, _shuffle(rows))), options["skipped"]))
    state: dict[str, Any] = kept[0].state_dict()
    return state


def peer_start(options: dict[str, Any]) -> dict[str, float]:
    """Seconds until 64 examples are decoded after `skipped` rows."""

    def prepare(rows: Any) -> Any:
        match options["how"]:
            case "skip":
                return rows.skip(options["skipped"])
            case "shuffle, skip":
                return _shuffle(rows).skip(options["skipped"])
            case "shuffle, load_state_dict":
                shuffled = _shuffle(rows)
                if options["state"]:
                    shuffled.load_state_dict(options["state"])
                return shuffled
        return itertools.islice(rows, options["skipped"], None)

    importlib.import_module("datasets" if options["layout"] != "voxceleb2" else "huggingface_hub")
    began = time.perf_counter()
    for data in itertools.islice(raw_rows(options, prepare), BATCH):
        decode(data)
    return {"index_s": 0.0, "total_s": time.perf_counter() - began}


def _shuffle(rows: Any) -> Any:
    return rows.shuffle(seed=0, buffer_size=BUFFER)


def _remember(kept: list[Any], rows: Any) -> Any:
    kept.append(rows)
    return rows


MEASURES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "stream_state": stream_state,
    "stream_start": stream_start,
    "peer_state": peer_state,
    "peer_start": peer_start,
}


def compare(where: Served, repeats: int, home: str) -> list[list[str]]:
    """Lines of the table: the stream with and without its index, then the peers."""

    def ask(task: str, **options: Any) -> dict[str, Any]:
        sent = where.bytes_sent()
        found = measured("benchmarks.resume", where, home, task=task, **options)
        return {**found, "mb": (where.bytes_sent() - sent) / 1e6}

    late = round(LATE * where.rows)
    state = measured("benchmarks.resume", where, home, task="stream_state", share=LATE)
    tasks = {("stream", at): ("stream_start", {"state": state if at else None}) for at in (0, late)}
    for how in PEERS[where.layout]:
        made = "load_state_dict" in how and measured("benchmarks.resume", where, home, task="peer_state", skipped=late)
        for at in (0, late):
            tasks[how, at] = ("peer_start", {"how": how, "skipped": at, "state": made if at else None})
    runs = {name: [ask(task, **options) for _ in range(repeats)] for name, (task, options) in tasks.items()}

    def line(name: str, how: str, seconds: Callable[[dict[str, float]], float]) -> list[str]:
        start_s, late_s = (median(map(seconds, runs[how, at])) for at in (0, late))
        mb = [f"{median(run['mb'] for run in runs[how, at]):.0f}" for at in (0, late)]
        return [name, f"{start_s:.1f}", f"{late_s:.1f}", f"**{late_s / start_s:.2f}**", *mb]

    lines = [
        line("stream, with listing and index", "stream", lambda run: run["total_s"]),
        line("stream, without them", "stream", lambda run: run["total_s"] - run["index_s"]),
    ]
    library = "loop: " if where.layout == "voxceleb2" else "datasets: "
    return lines + [line(library + how, how, lambda run: run["total_s"]) for how in PEERS[where.layout]]


def main() -> None:
    """Measure one task, or compare all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speech", help="a folder of <speaker>/*.flac; without it, the embedded voices")
    parser.add_argument("--layouts", nargs="+", choices=tuple(SIZES), default=tuple(SIZES))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        measure_and_leave(asked.measure, MEASURES)
    print(f"{machine()}. {STREAM}, draws_per_block {DRAWS}; shuffle buffer {BUFFER}.\n")
    with tempfile.TemporaryDirectory() as home:
        for layout in asked.layouts:
            rows, repeat = SIZES[layout]
            with served(layout, rows, speech=asked.speech, repeat=repeat) as where:
                head = [f"{layout}, {where.rows} rows, {where.size / 1e9:.1f} GB", "s at 0 %", f"s at {LATE:.0%}"]
                head += ["ratio", "MB fetched at 0 %", f"at {LATE:.0%}"]
                print(table(head, compare(where, asked.repeats, home)), "\n", flush=True)


if __name__ == "__main__":
    main()
