"""Whole models: described, converted, folded and calibrated."""
