"""Does sharing help? Each task alone against all together: `python -m bench.sharing`."""
