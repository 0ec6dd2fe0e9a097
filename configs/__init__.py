"""Ready-made run configurations; `voiceflow run --config demo` finds them by name."""
