"""Logs, metrics, traces, and the middleware that feeds them."""
