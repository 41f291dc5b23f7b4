"""python -m backends: the command line of `commands`. Run as a file it would put the folder torch before PyTorch."""

from commands import main

main()
