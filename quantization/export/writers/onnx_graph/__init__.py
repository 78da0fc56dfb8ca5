"""A quantized model as an ONNX graph, in either of two dialects."""
