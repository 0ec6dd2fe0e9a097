"""The stages as Prefect tasks, all of one shape: (config, store URL, run id) -> the stage's record.

Each is also a plain function, for tests and notebooks without a server: `train_model.fn(config, store_url, run_id)`.
"""

from tasks import environment as environment  # before anything that imports prefect

# isort: split
from tasks.evaluate import evaluate_model
from tasks.export import export_model
from tasks.train_phase import train_model, validate_pipeline

__all__ = ["evaluate_model", "export_model", "train_model", "validate_pipeline"]
