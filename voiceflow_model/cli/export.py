"""`voiceflow export`: promote a run's evaluated model to `latest`, and bring the file here."""

from pathlib import Path
from typing import Annotated

import typer

from voiceflow_model.cli.options import DEFAULT_STORE, Json, MaybeConfigName, Settings, StoreUrl


def export(
    model: Annotated[str, typer.Option("--model", "-m", help="The run: STORE/runs/ID, or an id within --store.")],
    out: Annotated[Path | None, typer.Option(help="Also write the ONNX file here.")] = None,
    config: MaybeConfigName = None,
    settings: Settings = None,
    store: StoreUrl = DEFAULT_STORE,
    json: Json = False,
) -> None:
    """Check the run's ONNX file against torch and promote it to models/NAME/latest.onnx.

    NAME is that of --config, or the run's id without one. A run that missed its DER gate is not promoted.
    """
    from voiceflow_model.cli.model import run_named
    from voiceflow_model.cli.output import say, show
    from voiceflow_model.cli.record import require_stage
    from voiceflow_model.cli.settings import configured, of_run
    from voiceflow_model.errors import ModelError
    from voiceflow_model.runs.run import Run, forget_stop
    from voiceflow_model.stages import run_export
    from voiceflow_model.store import open_store

    named = run_named(model, store)
    if named is None:
        raise ModelError(f"{model} is exported already: give the run that it came from")
    place = open_store(named.store)
    record = Run.load(place, named.run_id).record
    require_stage(record, "evaluate", f"`voiceflow evaluate --model {named.run_id} --store {named.store}`")
    run_config = configured(config, settings) if config else of_run(record, settings)
    forget_stop(place, named.run_id)
    result = run_export(run_config, place, named.run_id)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(place.read(f"runs/{named.run_id}/model.onnx").data)
        say(f"wrote {out}")
    show(
        result,
        lambda: (
            f"{result.latest}: {result.bytes:,} bytes, equals torch within {result.parity:.1e}, DER {result.der:.1%}"
        ),
        as_json=json,
    )
