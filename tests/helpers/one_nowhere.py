"""The command line, whose process 1 does not find the training rows: `python -m tests.helpers.one_nowhere fit …`."""

import os
import sys

from shared_bottom.cli import main

if __name__ == "__main__":
    main([*sys.argv[1:], *(["--data.train", "/nowhere.csv"] if os.environ["RANK"] == "1" else [])])
