"""VoiceFlow: train a speaker-diarization model from audio that is never stored."""

import os

# Read once, when pyarrow first allocates: its own allocator keeps the pages of the largest row group that each thread
# ever read, the system's gives them back. `pyarrow.set_memory_pool` does not reach the pages.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
