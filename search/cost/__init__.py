"""The price of assignments and of networks. Plain: nothing here loads Keras."""
