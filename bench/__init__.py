"""What each backend and each execution costs here: `python -m bench --help`."""
