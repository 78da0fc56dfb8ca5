"""Whole models: described, converted, folded, calibrated, and read as a network of the cost model."""
