"""A quantizer as a frozen value, and the grammar of its strings. Plain: nothing here loads Keras."""
