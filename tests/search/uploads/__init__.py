"""Tests of search.uploads."""
