"""Options that several commands share."""

from typing import Annotated, Literal

import typer

DEFAULT_STORE = "./voiceflow-store"

PhaseName = Literal["validate", "train"]
ConfigName = Annotated[
    str, typer.Option("--config", "-c", metavar="NAME_OR_FILE", help="A shipped configuration, or a TOML file.")
]
MaybeConfigName = Annotated[
    str | None, typer.Option("--config", "-c", metavar="NAME_OR_FILE", help="A shipped configuration, or a TOML file.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a setting, as training.batch_size=16; may be repeated."),
]
StoreUrl = Annotated[
    str,
    typer.Option(
        "--store",
        metavar="URL",
        envvar="VOICEFLOW_STORE",
        help="Where runs live: gs://bucket/prefix, or the path of a folder.",
    ),
]
RunId = Annotated[str | None, typer.Option("--run-id", help="Name of the run; by default the configuration's.")]
Model = Annotated[
    str,
    typer.Option("--model", "-m", help="An .onnx file (path or URL), a run as STORE/runs/ID, or a run id of --store."),
]
ModelOrShipped = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="An .onnx file (path or URL), a run as STORE/runs/ID, or a run id of --store; by default the small model "
        "that comes with VoiceFlow (docs/model-card.md).",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON document.")]
