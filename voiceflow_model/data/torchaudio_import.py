"""The one place that imports torchaudio, so that its Python parts also work beside a CPU build of torch."""

import sys
import types
from collections.abc import Callable
from typing import TypeVar

Wrapped = TypeVar("Wrapped", bound=Callable[..., object])


def _pass_through(function: Wrapped) -> Wrapped:
    return function


try:
    import torchaudio
except OSError:
    # torchaudio 2.11, its last release, links its native library against a CUDA build of torch; beside a CPU build the
    # load fails and takes `import torchaudio` with it. Resample, mel filters and masking are plain Python: a stub that
    # says "no native parts" lets them in. On CUDA builds the import above works and nothing here runs.
    for _name in [name for name in sys.modules if name.split(".")[0] == "torchaudio"]:
        del sys.modules[_name]
    _stub = types.ModuleType("torchaudio._extension")
    _stub.__dict__.update(_IS_TORCHAUDIO_EXT_AVAILABLE=False, _IS_ALIGN_AVAILABLE=False, fail_if_no_align=_pass_through)
    sys.modules["torchaudio._extension"] = _stub
    import torchaudio

__all__ = ["torchaudio"]
