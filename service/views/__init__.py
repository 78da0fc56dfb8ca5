"""Rows as responses."""
