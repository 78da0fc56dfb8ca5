"""What a search is. Knows no web, queue or SQL."""
