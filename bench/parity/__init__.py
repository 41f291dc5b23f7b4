"""Where two backends differ, and by how much: `python -m bench.parity --help`."""
