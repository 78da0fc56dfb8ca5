"""What a search has learned: reports, recipes, analyses, other goals over the same trials."""
