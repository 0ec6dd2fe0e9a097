"""The training core: one loop, its losses, and a state that survives anything."""
