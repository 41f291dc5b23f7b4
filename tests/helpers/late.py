"""The command line, which takes a second to say what has ended it: `python -m tests.helpers.late fit … only …`.

What comes after `only` are arguments of process 1 alone.
"""

import os
import sys
import time

from shared_bottom import cli

text_of = cli.text_of


def late(error):
    time.sleep(1.0)
    return text_of(error)


if __name__ == "__main__":
    cli.text_of = late
    split = sys.argv.index("only")
    cli.main(sys.argv[1:split] + (sys.argv[split + 1 :] if os.environ["RANK"] == "1" else []))
