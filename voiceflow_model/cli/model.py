"""What `--model` may name, without torch: an ONNX file anywhere, or a run."""

import re
from importlib.resources import files
from typing import NamedTuple

from voiceflow_model.cli.options import DEFAULT_STORE
from voiceflow_model.cli.record import record_if_any
from voiceflow_model.errors import ModelError, ObjectNotFound
from voiceflow_model.runs.record import record_path
from voiceflow_model.store import open_store

SHIPPED = "speech.onnx"  # docs/model-card.md
_RUN = re.compile(r"(?:(?P<store>.*)/)?runs/(?P<run_id>[^/]+)/?")


class RunPlace(NamedTuple):
    """A run and the URL of its store."""

    store: str
    run_id: str


def run_named(model: str, store: str = DEFAULT_STORE) -> RunPlace | None:
    """The run that MODEL names, as STORE/runs/ID or as an id within `store`; None when it names a file."""
    if model.endswith(".onnx"):
        return None
    match = _RUN.fullmatch(model)
    return RunPlace(match["store"] or ".", match["run_id"]) if match else RunPlace(store, model.rstrip("/"))


def find_model(model: str | None, store: str = DEFAULT_STORE) -> str | bytes:
    """What `Diarizer.load` opens: the file's address, or its bytes when only a store or this package holds them.

    Raises ModelError that says what MODEL could be, StoreUnavailable, and ConfigError for credentials.
    """
    if model is None:
        return (files("voiceflow_model.diarization") / SHIPPED).read_bytes()
    place = run_named(model, store)
    if place is not None:
        return _of_run(model, place)
    if not model.startswith("gs://"):
        return model
    folder, _, name = model.rpartition("/")
    try:
        return open_store(folder).read(name).data
    except ObjectNotFound:
        raise ModelError(f"{model}: no such object; see `voiceflow status --store {folder}`") from None


def _of_run(model: str, place: RunPlace) -> bytes:
    run_id = place.run_id
    if "/" in run_id:
        raise ModelError(f"{model} is neither an .onnx file nor a run (STORE/runs/ID, or an id within --store)")
    store = open_store(place.store)
    if record_if_any(store, run_id) is None:
        raise ModelError(
            f"{model}: neither an .onnx file nor a run: there is no {store.uri(record_path(run_id))}; "
            f"`voiceflow status --store {place.store}` lists the runs"
        )
    try:
        return store.read(f"runs/{run_id}/model.onnx").data
    except ObjectNotFound:
        raise ModelError(
            f"run {run_id} in {store.url} has no model.onnx yet: train it to the end, then "
            f"`voiceflow evaluate --model {run_id} --store {place.store}`"
        ) from None
