"""How fast a stream can be on this machine, and what holds it back, from what its stages cost."""

import os
from typing import Literal

from voiceflow_model.data.lanes import StreamConfig
from voiceflow_model.section import Section

Stage = Literal["fetch", "decode", "mix"]


class Speed(Section):
    """Milliseconds of one thread, what all threads make together at most, and a sentence on what limits them."""

    fetch_ms: float  # per row
    decode_ms: float  # per row
    mix_ms: float  # per window
    rows_per_window: float  # read for each window that is made
    windows_per_s: float
    audio_hours_per_hour: float
    limit: Stage
    advice: str


def speed_of(
    fetch_s: float, decode_s: float, mix_s: float, stream: StreamConfig, window_s: float, cores: int | None = None
) -> Speed:
    """From seconds of a thread per row (fetch, decode) and per window (mix), without what the network itself takes.

    One set of threads reads while another mixes, so the slower of the two sets the pace; of those that mix, about one
    in each process, for they hold the GIL. It is an upper bound: all share the processor, also with the network where
    that has no GPU.
    """
    cores = cores or _cores()
    threads, processes = stream.decode_threads, max(1, stream.worker_processes)
    rows = stream.block_rows / stream.draws_per_block
    reading, mixing = threads / max((fetch_s + decode_s) * rows, 1e-9), processes / max(mix_s, 1e-9)
    limit: Stage = "mix" if mixing < reading else "fetch" if fetch_s > decode_s else "decode"
    rate = min(reading, mixing)
    return Speed(
        fetch_ms=1000 * fetch_s,
        decode_ms=1000 * decode_s,
        mix_ms=1000 * mix_s,
        rows_per_window=rows,
        windows_per_s=rate,
        audio_hours_per_hour=rate * window_s,
        limit=limit,
        advice=f"{_cause(limit, threads, processes, cores)} A network that takes more than {rate:.3g} windows per "
        "second waits for data.",
    )


def _cause(limit: Stage, threads: int, processes: int, cores: int) -> str:
    reuse = "raise stream.draws_per_block, so that more windows are made of what was read"
    if limit == "fetch":
        return (
            f"Fetching is slowest: {threads} threads wait for the source. Copy the corpus nearer to this machine, "
            f"raise stream.decode_threads, or {reuse}."
        )
    if limit == "mix":
        if processes < cores:
            return f"Mixing is slowest: {processes} of {cores} cores does it. Set stream.worker_processes = {cores}."
        return "Mixing is slowest. Take a machine with more cores."
    if threads < cores:
        return f"Decoding is slowest: {threads} threads do it on {cores} cores. Raise stream.decode_threads."
    return f"Decoding is slowest. Take a machine with more cores, or {reuse}."


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
