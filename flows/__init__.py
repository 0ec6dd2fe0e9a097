"""Prefect flows: which stages run, in which order. `flows.pipeline.run_pipeline` is the way in from Python."""
