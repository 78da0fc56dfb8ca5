"""Processes without privileges that read what users upload."""
