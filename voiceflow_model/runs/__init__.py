"""The life of a run: one record in the store, changed only by compare-and-swap, and the checkpoints that it names."""
