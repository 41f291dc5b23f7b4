"""python -m shared_bottom: the command line."""

from shared_bottom.cli import main

main()
