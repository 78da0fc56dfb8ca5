"""Processes with limits: forked from a template that has loaded what they need, watched, and ended past a limit."""
