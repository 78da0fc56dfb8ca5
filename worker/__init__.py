"""The Celery process: claims trials, runs them through `search`, and stores what they yield."""
