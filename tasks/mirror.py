"""The mirroring of a corpus as a task. Running it again is its resume: what was copied is skipped."""

from typing import Any, cast

from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from tasks.artifacts import artifact_key, attempt
from tasks.ending import task_ending
from tasks.retry import retry_transient
from tasks.run_context import in_run, logger
from tasks.stage_task import StageTask
from voiceflow_model.cli.mirror import url_setting
from voiceflow_model.config import Phase, RunConfig
from voiceflow_model.data.mirror.mirror import Lines, MirrorResult, mirror, size
from voiceflow_model.errors import VoiceFlowError

_RETRY_DELAYS_S = (10.0, 60.0, 300.0)


def _mirror(config: RunConfig, to: str, phase: str) -> Any:  # the record, or a final state of Prefect
    whose = cast(Phase, phase)  # Prefect has checked it; StageTask knows only words
    try:
        result = mirror(config.corpus_of(whose), to, progress=Lines(logger().info))
    except VoiceFlowError as error:
        if error.retryable or not in_run():
            raise
        return task_ending(error)
    logger().info("to learn from it: --set %s=%s", url_setting(config, whose), result.to)
    attempt("mirror", lambda: publish(config, whose, result))
    return result


mirror_corpus: StageTask[MirrorResult] = StageTask(
    _mirror,
    name="voiceflow-mirror",
    task_run_name="mirror {to}",
    tags={"voiceflow", "mirror"},
    retries=len(_RETRY_DELAYS_S),
    retry_delay_seconds=[*_RETRY_DELAYS_S],
    retry_jitter_factor=0.3,
    retry_condition_fn=retry_transient,
    cache_policy=NO_CACHE,
    persist_result=False,
)
"""(config, where to, phase) -> MirrorResult. Raises what `voiceflow_model.data.mirror.mirror.mirror` does."""


def publish(config: RunConfig, phase: Phase, result: MirrorResult) -> None:
    """What was copied, in one line, and how to use it."""
    create_table_artifact(
        [
            {
                "files": result.files,
                "bytes": size(result.bytes),
                "copied": f"{result.copied} ({size(result.copied_bytes)})",
                "skipped": result.skipped,
                "seconds": round(result.seconds),
            }
        ],
        key=artifact_key(config, "mirror"),
        description=f"{result.source} in {result.to}; use it with --set {url_setting(config, phase)}={result.to}",
    )
