"""What Prefect does by itself when a worker dies: it only makes faster what the supervisor's schedule does anyway."""

from datetime import timedelta
from uuid import UUID

# isort: off
import tasks  # noqa: F401 - sets Prefect's defaults, so it comes before prefect

# isort: on
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState, RunDeployment
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.exceptions import ObjectNotFound as NotInPrefect

from voiceflow_model.errors import ConfigError

SUPERVISOR = "voiceflow-supervise/supervise"
HEARTBEAT_S = 30  # PREFECT_FLOWS_HEARTBEAT_FREQUENCY of the workers
SILENCE = timedelta(seconds=4 * HEARTBEAT_S)

_FINAL = ("Completed", "Failed", "Cancelled", "Crashed", "Yielded")
_TAGGED = {"prefect.resource.id": "prefect.tag.voiceflow"}


def heartbeat_lost() -> AutomationCore:
    """A flow run whose heartbeats stop is Crashed: a killed process cannot say so itself."""
    return AutomationCore(
        name="voiceflow: heartbeat lost",
        description=f"Silent for {SILENCE.seconds} s. Workers need PREFECT_FLOWS_HEARTBEAT_FREQUENCY={HEARTBEAT_S}.",
        trigger=EventTrigger(
            match={"prefect.resource.id": "prefect.flow-run.*"},
            match_related=_TAGGED,
            after={"prefect.flow-run.heartbeat"},
            expect={"prefect.flow-run.heartbeat", *(f"prefect.flow-run.{state}" for state in _FINAL)},
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=SILENCE,
        ),
        actions=[ChangeFlowRunState(state=StateType.CRASHED, message="no heartbeat: its process is gone")],
    )


def supervise_at_once(supervisor: UUID) -> AutomationCore:
    """A flow run that crashed or yielded is continued now, not at the supervisor's next turn."""
    return AutomationCore(
        name="voiceflow: continue",
        description="A worker is gone or has yielded: the supervisor looks at once.",
        trigger=EventTrigger(
            match={"prefect.resource.id": "prefect.flow-run.*"},
            match_related=_TAGGED,
            expect={"prefect.flow-run.Crashed", "prefect.flow-run.Yielded"},
            for_each={"prefect.resource.id"},
            posture=Posture.Reactive,
            threshold=1,
        ),
        actions=[RunDeployment(deployment_id=supervisor, source="selected")],
    )


def apply() -> list[str]:
    """Create both, or bring them up to date; what was done, a line each. Raises ConfigError without the supervisor."""
    done = []
    with get_client(sync_client=True) as client:
        try:
            supervisor = client.read_deployment_by_name(SUPERVISOR).id
        except NotInPrefect as error:
            raise ConfigError(f"there is no deployment {SUPERVISOR} yet: first `prefect deploy --all`") from error
        for wanted in (heartbeat_lost(), supervise_at_once(supervisor)):
            there = client.read_automations_by_name(wanted.name)
            for surplus in there[1:]:
                client.delete_automation(surplus.id)
            if there:
                client.update_automation(there[0].id, wanted)
            else:
                client.create_automation(wanted)
            done.append(f"{wanted.name}: {'brought up to date' if there else 'created'}")
    return done
