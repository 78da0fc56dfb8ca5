"""Keys, sessions, scopes and rate limits."""
