"""Trials that need not be trained, or not to their end: bounds, early stopping, a look before training."""
