"""Rows of the store as responses: scores, fronts, progress, columns, dry runs."""
