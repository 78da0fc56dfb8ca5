"""Quantized Keras layers, and what becomes of them: integers, spiking networks, files. Knows nothing of a search."""
