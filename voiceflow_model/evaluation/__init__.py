"""How good a diarization is: DER with its interval, JER, EER, and the tuning of decision parameters."""
