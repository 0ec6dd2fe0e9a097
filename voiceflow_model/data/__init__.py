"""Speech to training examples: corpora, decoding, streams, simulated conversations."""
