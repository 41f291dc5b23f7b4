"""Several processes that read one table through a cache of encoded tables at once.

    python -m tests.helpers.at_once ROWS FOLDER COUNT [die] [lose]

ROWS is the folder of the table, FOLDER that of the entries. die: the first process that encodes is killed. lose: no
entry is kept. Prints how often the table was encoded, how many processes were in it at most, and the exit codes. Each
process is a fork of this one, which has loaded no framework.
"""

import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path

from shared_bottom.tables import encoded
from shared_bottom.tables.training import read_table
from tests.helpers.table_files import experiment

CONTEXT = multiprocessing.get_context("fork")
SECONDS = 0.5
"""What encoding takes at least, so that all come for the entry before it is there."""


def read(rows, folder, encodings, inside, most, die):
    encode = encoded.encode_table

    def slowly(*arguments):
        with encodings.get_lock():
            encodings.value += 1
            inside.value += 1
            most.value = max(most.value, inside.value)
            first = encodings.value == 1
        time.sleep(SECONDS)
        with encodings.get_lock():
            inside.value -= 1
        if first and die:
            os.kill(os.getpid(), signal.SIGKILL)
        return encode(*arguments)

    encoded.encode_table = slowly
    read_table(experiment(), rows, cache=folder)


def main(rows, folder, count, *options):
    if "lose" in options:
        encoded.keep = lambda *_: None
    counts = [CONTEXT.Value("i", 0) for _ in range(3)]
    arguments = (Path(rows), Path(folder), *counts, "die" in options)
    processes = [CONTEXT.Process(target=read, args=arguments) for _ in range(int(count))]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    print(counts[0].value, counts[2].value, *sorted(process.exitcode for process in processes))


if __name__ == "__main__":
    main(*sys.argv[1:])
