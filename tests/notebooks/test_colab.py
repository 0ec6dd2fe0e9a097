"""The notebook, executed as Colab would, with `google.colab` replaced by the doubles beside this file."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
import soundfile
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

from voiceflow_model.data.synthesis import synthesise
from voiceflow_model.data.voices import VOICES
from voiceflow_model.runs.run import Run
from voiceflow_model.store import open_store

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
NOTEBOOK = ROOT / "notebooks" / "voiceflow_colab.ipynb"


def notebook() -> NotebookNode:
    return nbformat.read(NOTEBOOK, as_version=4)


def with_parameters(**parameters: object) -> NotebookNode:
    """The notebook as a user would fill it in: a cell that sets other values follows the parameters."""
    book = notebook()
    (place,) = [i for i, cell in enumerate(book.cells) if "parameters" in cell.metadata.get("tags", ())]
    values = "\n".join(f"{name} = {value!r}" for name, value in parameters.items())
    book.cells.insert(place + 1, nbformat.v4.new_code_cell(values, id="filled-in"))
    return book


Machine = Callable[..., dict[str, NotebookNode]]


@pytest.fixture
def machine(tmp_path: Path, tiny: str) -> Machine:
    """Executes the notebook on a fresh machine (kernel and working directory), on Colab or not. Cells by id."""

    def execute(*, colab: bool, doctor: bool = False, **parameters: object) -> dict[str, NotebookNode]:
        folder = tmp_path / f"machine-{len(list(tmp_path.glob('machine-*')))}"
        folder.mkdir()
        path = [str(HERE / "doubles"), str(ROOT)] if colab else [str(ROOT)]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(path),
            "OMP_NUM_THREADS": "1",
            "PREFECT_HOME": str(tmp_path / "prefect"),
            "COLAB_SIGNED_IN": str(tmp_path / "signed-in"),
            "COLAB_DRIVE": str(tmp_path / "drive"),
            "COLAB_UPLOAD": str(tmp_path / "my meeting.wav"),
        }  # fmt: skip
        book = with_parameters(CONFIG=tiny, RUN_ID="t", **parameters)
        book.cells = [cell for cell in book.cells if doctor or cell.id != "doctor"]  # seconds of importing
        client = NotebookClient(book, timeout=240, resources={"metadata": {"path": str(folder)}})
        client.execute(env=environment)
        return {cell.id: cell for cell in book.cells}

    return execute


@pytest.fixture
def meeting(tmp_path: Path) -> str:
    """A recording of a synthetic voice, to upload; its name has a space, as people's files do."""
    path = tmp_path / "my meeting.wav"
    soundfile.write(path, synthesise(VOICES[0][1], "Good morning. Who would like to begin today?"), 16_000)
    return str(path)


def text(cell: NotebookNode) -> str:
    return "".join(output.get("text", "") for output in cell.outputs)


def pictures(cell: NotebookNode) -> int:
    return sum("image/png" in output.get("data", {}) for output in cell.outputs)


def test_a_run_that_yields_in_drive_is_finished_from_a_bucket_on_another_machine(
    machine: Machine, tmp_path: Path, gcs_url: str, meeting: str
) -> None:
    first = machine(colab=True, STORE="drive", SESSION_MINUTES=0.001)
    assert text(first["store"]).strip().endswith("drive/MyDrive/voiceflow: no runs yet")
    assert "exit code 75: saved, not finished: come back and run this cell again" in text(first["run"])
    assert "\x1b" not in text(first["run"]), (
        "a progress bar would fill the notebook with hundreds of thousands of lines"
    )
    assert "no report yet" in text(first["report"])
    assert "no model yet" in text(first["diarize"])
    assert not (tmp_path / "signed-in").exists()

    in_drive, in_bucket = open_store(str(tmp_path / "drive" / "MyDrive" / "voiceflow")), open_store(f"{gcs_url}/mine")
    for found in in_drive.list():
        in_bucket.write(found.path, in_drive.read(found.path).data)
    second = machine(colab=True, doctor=True, STORE=in_bucket.url)
    assert (tmp_path / "signed-in").exists()
    assert text(second["store"]).strip() == f"{in_bucket.url}: t"
    assert "can be written, read and deleted" in text(second["doctor"])
    assert "continuing from step" in text(second["run"])
    assert "exit code 0: done" in text(second["run"])
    assert "done" in text(second["report"])
    assert pictures(second["report"]) == 3
    assert pictures(second["diarize"]) == 1
    assert (tmp_path / "machine-1" / "diarized" / "my meeting.rttm").read_text().startswith("SPEAKER ")

    record = Run.load(in_bucket, "t").record
    assert record.state == "done"
    assert record.sessions[1].from_step == record.sessions[0].to_step


def test_a_missing_bucket_stops_before_anything_runs_and_says_how_to_make_one(machine: Machine, gcs_url: str) -> None:
    with pytest.raises(CellExecutionError, match=r"(?s)no-such-bucket.*does not exist.*gcloud storage buckets create"):
        machine(colab=True, STORE="gs://no-such-bucket/mine")


def test_outside_of_colab_drive_means_a_folder_here_and_a_wrong_setting_stops_the_notebook(
    machine: Machine, tmp_path: Path
) -> None:
    with pytest.raises(CellExecutionError, match="exit code 2: an error") as stopped:
        machine(colab=False, STORE="drive", SETTINGS=["training.batch_sise=4"])
    assert "did you mean" in str(stopped.value)
    assert not (tmp_path / "signed-in").exists()
    assert not (tmp_path / "drive").exists()


FAKE_VOICEFLOW = f"""#!{sys.executable}
import os, signal, sys

def stop(number, frame):
    print("saved after", signal.Signals(number).name, flush=True)
    sys.exit(75)

for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, stop)
os.write(1, b"training\\n")  # unbuffered: the signal may come before it is left, and its handler prints
sys.exit(int(os.environ["ENDS_WITH"])) if "ENDS_WITH" in os.environ else signal.pause()
"""


def run_cell(folder: Path, **environment: str) -> subprocess.Popen[str]:
    """The run cell in a process group of its own, as kernels have, with a `voiceflow` that only knows how to end."""
    program = folder / "voiceflow"
    program.write_text(FAKE_VOICEFLOW)
    program.chmod(0o755)
    (cell,) = [cell.source for cell in notebook().cells if cell.id == "run"]
    filled_in = 'CONFIG = RUN_ID = "t"; store = "s"; SESSION_MINUTES = 1; SETTINGS = []'
    code = f"import os, subprocess\n{filled_in}\n{cell}"
    path = os.pathsep.join([str(folder), os.environ["PATH"]])
    return subprocess.Popen(
        [sys.executable, "-u", "-c", code],
        env=os.environ | environment | {"PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def test_the_stop_button_asks_training_once_and_waits_until_it_has_saved(tmp_path: Path) -> None:
    process = run_cell(tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "training\n"
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate()[0].splitlines() == [
        "saved after SIGTERM",
        "exit code 75: saved, not finished: come back and run this cell again",
    ]
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("code", "told", "goes_on"),
    [(0, "done", True), (75, "come back", True), (3, "a gate was missed", True), (2, "an error", False)],
)
def test_every_ending_is_explained_and_only_an_error_stops_the_notebook(
    tmp_path: Path, code: int, told: str, goes_on: bool
) -> None:
    process = run_cell(tmp_path, ENDS_WITH=str(code))
    last = process.communicate()[0].splitlines()[-1]
    assert last.startswith(f"exit code {code}: ")
    assert told in last
    assert (process.returncode == 0) == goes_on


PIP = """
import sys
from pathlib import Path

arguments = sys.argv[1:]
print(*arguments, sep="\\n", file=open("pip-arguments", "w"))
raise SystemExit("no matching distribution" if "broken" in arguments[-1] else 0)
"""


def install(folder: Path, source: str) -> subprocess.CompletedProcess[str]:
    """Execute the install cell in a Python that has no VoiceFlow, with a pip that takes notes instead of installing."""
    (folder / "pip").mkdir()
    (folder / "pip" / "__init__.py").touch()
    (folder / "pip" / "__main__.py").write_text(PIP)
    (cell,) = [cell.source for cell in notebook().cells if cell.id == "install"]
    code = f"SOURCE = {source!r}\n{cell.rpartition('print(')[0]}"
    environment = os.environ | {"PYTHONPATH": str(folder)}
    return subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=folder, env=environment, capture_output=True, text=True
    )


def test_installing_leaves_torch_and_numpy_to_colab_and_takes_the_tested_versions_of_the_rest(tmp_path: Path) -> None:
    ended = install(tmp_path, str(ROOT))
    assert ended.returncode == 0, ended.stderr
    constraints = tmp_path / "colab-constraints.txt"
    arguments = (tmp_path / "pip-arguments").read_text().split()
    assert arguments == ["install", "--quiet", "-c", str(constraints), f"{ROOT}[train]"]
    dropped = set((ROOT / "constraints.txt").read_text().split()) - set(constraints.read_text().split())
    assert {pin.split("==")[0] for pin in dropped} == {"torch", "numpy"}


def test_an_install_that_fails_shows_what_pip_said(tmp_path: Path) -> None:
    source = tmp_path / "broken"
    source.mkdir()
    (source / "constraints.txt").write_text("prefect==3.8.8\n")
    ended = install(tmp_path, str(source))
    assert ended.returncode != 0
    assert "no matching distribution" in ended.stderr


def test_a_placeholder_repository_is_not_cloned(tmp_path: Path) -> None:
    ended = install(tmp_path, "https://github.com/YOUR-NAME/voiceflow")
    assert "SOURCE in the first cell" in ended.stderr
    assert not (tmp_path / "pip-arguments").exists()


def test_the_notebook_is_stored_without_outputs() -> None:
    for cell in notebook().cells:
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)
