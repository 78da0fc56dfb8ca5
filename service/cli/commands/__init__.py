"""The commands with their options. What is slow to import is imported inside a command, so that its help stays fast."""
