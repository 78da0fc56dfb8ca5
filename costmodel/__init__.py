"""Bits and picojoules of a network, in plain Python: no Keras, no pydantic."""
