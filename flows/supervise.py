"""The supervisor: runs that nobody advances are continued, without anybody watching."""

# isort: off
import tasks  # noqa: F401 - sets Prefect's defaults, so it comes before prefect

# isort: on
from prefect import flow

from flows.parameters import store_url
from tasks.supervise import Seen, supervise_runs
from voiceflow_model.runs.supervision import Patience


@flow(name="voiceflow-supervise", persist_result=False)
def supervise(store: str = "", patience: Patience = Patience()) -> list[Seen]:  # noqa: B008 - frozen
    """Continue every run of a store that has yielded or whose worker is gone, through the deployment it came from.

    Args:
        store: where runs live: gs://bucket/prefix or a folder; empty: the worker's $VOICEFLOW_STORE
        patience: how long to wait, and how often to try
    """
    return supervise_runs(store_url(store), patience)
