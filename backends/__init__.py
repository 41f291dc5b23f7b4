"""The two backends, and what is the same whatever the framework."""
