"""What this machine has and lacks, each with advice. A check never raises: its failure is its finding."""

import os
import platform
import shutil
import socket
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal, NamedTuple

from voiceflow_model.errors import INSTALL_TRAIN, ObjectNotFound, VoiceFlowError

Verdict = Literal["ok", "note", "failed"]


class Check(NamedTuple):
    """One finding. "note": works, but worth knowing."""

    name: str
    verdict: Verdict
    found: str
    advice: str = ""


def examine(store: str | None = None) -> list[Check]:
    """Every check, and that of a store when one is given."""
    checks: dict[str, tuple[Callable[[], Check], str]] = {
        "python": (_python, "use Python 3.11 to 3.13"),
        "machine": (_machine, ""),
        "torch": (_torch, f"only training needs it: {INSTALL_TRAIN}"),
        "torchaudio": (_torchaudio, f"only training needs it: {INSTALL_TRAIN}"),
        "onnxruntime": (_onnxruntime, "pip install onnxruntime"),
        "espeak": (_espeak, f"only the embedded corpus needs it: {INSTALL_TRAIN}"),
        "prefect": (_prefect, f"`voiceflow train` works without it; for `voiceflow run`: {INSTALL_TRAIN}"),
    }
    found = [_safely(name, check, advice) for name, (check, advice) in checks.items()]
    if store is not None:
        found.append(_safely("store", lambda: _store(store), "correct the URL, the credentials or the permissions"))
    return found


def _safely(name: str, check: Callable[[], Check], advice: str) -> Check:
    try:
        return check()
    except VoiceFlowError as error:  # its message carries its own advice
        return Check(name, "failed", str(error))
    except Exception as error:
        return Check(name, "failed", f"{type(error).__name__}: {error}", advice)


def _python() -> Check:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}, {sys.executable}"
    right = (3, 11) <= sys.version_info < (3, 14)
    return Check("python", "ok" if right else "failed", found, "" if right else "use Python 3.11 to 3.13")


def _machine() -> Check:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    ram_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    found = f"{cores} cores, {ram_gb:.1f} GB RAM, {shutil.disk_usage('.').free / 1e9:.0f} GB disk free here"
    if ram_gb < 4:
        return Check(
            "machine", "note", found, "set stream.ram_mb to a quarter of the RAM, and stream.pool_blocks lower"
        )
    return Check("machine", "ok", found)


def _torch() -> Check:
    import torch

    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        number_type = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
        memory = properties.total_memory / 1e9
        return Check("torch", "ok", f"{torch.__version__}, {properties.name} with {memory:.0f} GB, {number_type}")
    if shutil.which("nvidia-smi"):
        advice = "this is a CPU build of torch beside an NVIDIA driver: pip install torch from the CUDA index"
        return Check("torch", "note", f"{torch.__version__}, no GPU seen", advice)
    return Check("torch", "note", f"{torch.__version__}, CPU only", "enough for the demo; real corpora want a GPU")


def _torchaudio() -> Check:
    from voiceflow_model.data.torchaudio_import import torchaudio

    stubbed = "torchaudio._extension" in sys.modules and not hasattr(sys.modules["torchaudio._extension"], "__file__")
    return Check("torchaudio", "ok", torchaudio.__version__ + (", Python parts only, which suffice" if stubbed else ""))


def _onnxruntime() -> Check:
    import onnxruntime

    return Check("onnxruntime", "ok", f"{onnxruntime.__version__}, {', '.join(onnxruntime.get_available_providers())}")


def _espeak() -> Check:
    from voiceflow_model.data.synthesis import ENGINE_VERSION, synthesise
    from voiceflow_model.data.voices import VOICES

    samples = synthesise(VOICES[0][1], "Who spoke when?")
    if not samples.any():
        return Check("espeak", "failed", f"{ENGINE_VERSION} said nothing", "pip install -U espeakng-loader")
    return Check("espeak", "ok", f"{ENGINE_VERSION} spoke for {len(samples) / 16_000:.1f} s")


def _prefect() -> Check:
    """Whether a server could start inside this process; Prefect itself is not imported (it takes seconds, and may not
    be here at all)."""
    try:
        found = f"prefect {version('prefect')}, fastapi {version('fastapi')}"
    except PackageNotFoundError as error:
        return Check("prefect", "failed", f"{error.name} is not installed", f"for `voiceflow run`: {INSTALL_TRAIN}")
    if address := os.environ.get("PREFECT_API_URL"):
        return Check("prefect", "note", f"{found}, server {address}", "unset PREFECT_API_URL for an embedded server")
    if tuple(int(part) for part in version("fastapi").split(".")[:2]) >= (0, 151):
        return Check("prefect", "failed", found, "its server dies with fastapi >= 0.151: pip install 'fastapi<0.151'")
    home = Path(os.environ.get("PREFECT_HOME", "~/.prefect")).expanduser()
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    if not os.access(existing, os.W_OK):
        return Check("prefect", "failed", f"{home} cannot be written", "set PREFECT_HOME to a folder of your own")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
    return Check("prefect", "ok", f"{found}, an embedded server may start ({home})")


def _store(url: str) -> Check:
    from voiceflow_model.store import open_store

    store, path = open_store(url), f"doctor/{socket.gethostname()}-{os.getpid()}"
    store.write(path, b"voiceflow doctor")
    try:
        store.read(path)
    except ObjectNotFound:
        return Check("store", "failed", f"{store.url} forgets what it is given", "use another store")
    finally:
        store.delete(path)
    return Check("store", "ok", f"{store.url} can be written, read and deleted in")
