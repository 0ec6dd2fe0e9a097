import pkgutil
import subprocess
import sys

import voiceflow_model.diarization as package

CHECK = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(*sorted({"torch", "prefect", "matplotlib", "pyannote", "av", "soundfile", "datasets"} & sys.modules.keys()))
"""


def test_diarization_loads_neither_torch_nor_prefect_nor_what_only_some_calls_need():
    names = [f"{package.__name__}.{module.name}" for module in pkgutil.iter_modules(package.__path__)]
    assert f"{package.__name__}.onnx_runtime" in names
    done = subprocess.run([sys.executable, "-c", CHECK, *names], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
