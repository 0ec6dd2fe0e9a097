"""Who spoke when, from an ONNX file and a recording; nothing here imports torch."""
