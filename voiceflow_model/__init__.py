"""VoiceFlow: train a speaker-diarization model from audio that is never stored."""
