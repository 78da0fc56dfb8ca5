"""Answers as text for a terminal. Names are user input: they are printed as text, never as Rich markup."""
