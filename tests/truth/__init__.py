"""What is priced is what is built, and what is accepted runs: property tests over random networks."""
