"""A job as frozen values, read and checked once. Plain: nothing here loads Keras."""
