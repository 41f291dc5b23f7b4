"""A run on the disk: what makes it the same run, its saved states, and when they are saved."""
