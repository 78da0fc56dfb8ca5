"""HTTP API, store, queue contract, client, command line and dashboard. Never loads Keras or TensorFlow."""
