"""From a trained state to the one file that users run."""
