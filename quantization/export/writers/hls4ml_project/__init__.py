"""A quantized model as the layers of an hls4ml project, each with its types."""
