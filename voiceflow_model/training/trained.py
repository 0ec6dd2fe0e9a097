"""The model that a finished train phase leaves."""

from voiceflow_model.config import RunConfig
from voiceflow_model.errors import CheckpointCorrupt
from voiceflow_model.network.model import FastDiarizationModel
from voiceflow_model.runs.checkpoints import best
from voiceflow_model.runs.record import RunRecord
from voiceflow_model.store import Store
from voiceflow_model.training.state import read_checkpoint


def trained_model(config: RunConfig, store: Store, record: RunRecord) -> tuple[FastDiarizationModel, int]:
    """The averaged weights of the best checkpoint, and its step. Raises CheckpointCorrupt when none is good."""
    found = best(store, record, "train")
    if found is None:
        raise CheckpointCorrupt(f"run {record.run_id} has no checkpoint of its train phase; see `voiceflow status`")
    entry, data = found
    tensors, _ = read_checkpoint(data)
    model = FastDiarizationModel.from_config(config.network)
    model.load_state_dict({k.removeprefix("ema."): v for k, v in tensors.items() if k.startswith("ema.")})
    return model.eval(), entry.step
