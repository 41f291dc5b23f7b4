"""The command line on a disk that has no room for a checkpoint: `python -m tests.helpers.full_disk fit …`."""

import errno
import os

from shared_bottom.checkpoint import folder
from shared_bottom.cli import main


def no_space(path, *_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


if __name__ == "__main__":
    folder.write_checkpoint = no_space
    main()
