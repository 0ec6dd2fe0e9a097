"""Errors that a caller can act on; each message says what to do next.

`retryable` is what a scheduler asks ("may the same call succeed later?"), `exit_code` what a shell sees:
0 done, 2 usage or configuration, 3 a gate was missed, 75 yielded and resumable (EX_TEMPFAIL), 1 anything else.
"""

INSTALL_TRAIN = "`pip install -c constraints.txt -e '.[train]'` in VoiceFlow's folder"


class VoiceFlowError(Exception):
    """Base of every error that VoiceFlow raises on purpose."""

    retryable = False
    exit_code = 1


class ConfigError(VoiceFlowError):
    """The configuration cannot be run as written; nothing was started."""

    exit_code = 2


class CorpusError(VoiceFlowError):
    """A corpus is missing, empty or too broken to train on."""

    exit_code = 2


class BrokenAudio(VoiceFlowError):  # noqa: N818 - the thing that is broken, not the act
    """One utterance cannot be decoded; `cause` is the word it is counted under."""

    def __init__(self, key: str, cause: str, detail: str = "") -> None:
        super().__init__(f"{key}: {cause}" + (f" ({detail})" if detail else ""))
        self.key, self.cause = key, cause


class ObjectNotFound(VoiceFlowError):  # noqa: N818
    """No object of that name in the store."""


class PreconditionFailed(VoiceFlowError):  # noqa: N818
    """A conditional write lost: the object's generation is not the expected one."""


class StoreUnavailable(VoiceFlowError):  # noqa: N818
    """The store or source cannot be reached, or refuses; nothing was written, so the same command may be run again.

    `retry_after_s`: what the other side asked to wait. `passing`: whether trying again at once makes sense.
    """

    retryable = True

    def __init__(self, message: str = "", *, retry_after_s: float = 0.0, passing: bool = True) -> None:
        super().__init__(message)
        self.retry_after_s, self.passing = retry_after_s, passing


class WorkerDied(VoiceFlowError):  # noqa: N818
    """A process that makes conversations ended unexpectedly; nothing was lost with it."""

    retryable = True


class RunBusy(VoiceFlowError):  # noqa: N818
    """Another worker holds the run's lease."""

    retryable = True


class LeaseLost(VoiceFlowError):  # noqa: N818
    """Another worker took this run over; this one stopped without writing anything more."""


class Yielded(VoiceFlowError):  # noqa: N818
    """Training stopped on request after a committed checkpoint; the same command continues it."""

    exit_code = 75


class CheckpointCorrupt(VoiceFlowError):  # noqa: N818
    """No committed checkpoint of the run matches its recorded sha256."""


class RunConflict(VoiceFlowError):  # noqa: N818
    """The run exists with another configuration, or with a schema this version cannot read."""

    exit_code = 2


class Diverged(VoiceFlowError):  # noqa: N818
    """The loss is no longer a number."""


class GateMissed(VoiceFlowError):  # noqa: N818
    """A quality gate was measured and not met; the model is kept but never promoted."""

    exit_code = 3


class ModelError(VoiceFlowError):
    """A model file is missing, is not a VoiceFlow export, or is incompatible."""

    exit_code = 2
