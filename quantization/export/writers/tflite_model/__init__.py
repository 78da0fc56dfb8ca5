"""A quantized model as a LiteRT model of 8-bit operators."""
