"""Where and how to compute: device, number type, threads."""

import os
from typing import NamedTuple

import torch

from voiceflow_model.errors import ConfigError
from voiceflow_model.training.settings import SessionConfig, TrainingConfig


class Hardware(NamedTuple):
    """What a session computes on."""

    device: torch.device
    dtype: torch.dtype
    threads: int


def choose_hardware(session: SessionConfig, training: TrainingConfig) -> Hardware:
    """CUDA when there is one: bf16 where the card has it, fp16 with loss scaling where not (T4). On CPU fp32.

    Raises ConfigError when the configuration asks for what this machine lacks.
    """
    cuda = torch.cuda.is_available()
    if session.device == "cuda" and not cuda:
        raise ConfigError(
            "session.device = 'cuda', but torch sees no GPU here: set it to 'auto', or pick a GPU runtime"
        )
    device = torch.device("cuda" if cuda and session.device != "cpu" else "cpu")
    names = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    if session.precision != "auto":
        dtype = names[session.precision]
        if device.type == "cpu" and dtype == torch.float16:
            raise ConfigError("session.precision = 'fp16' needs a GPU: use 'fp32' or 'auto' on CPU")
    elif device.type == "cuda":
        dtype = torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    else:
        dtype = torch.float32
    if device.type == "cuda":
        return Hardware(device, dtype, threads=1)
    # One thread per shard and no threads inside operators: reductions keep one order, whatever the machine.
    torch.set_num_threads(1)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Hardware(device, dtype, threads=session.threads or min(cores, training.gradient_shards))
