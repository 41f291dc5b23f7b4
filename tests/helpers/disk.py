"""Trains on disks that fail, and says what became of it: python -m tests.helpers.disk FOLDER KIND…

Mounts are made in a mount namespace of this process's own (see test_checkpoint_disk), so that they end with it.
"""

import json
import resource
import subprocess
import sys
import warnings
from pathlib import Path

from filelock import FileLock, Timeout

from shared_bottom.checkpoint.files import checkpoint_paths
from shared_bottom.checkpoint.folder import CheckpointWarning, load_checkpoint
from spec import load_backend
from tests.helpers.checkpoints import DATA, MODEL, VALIDATION, assert_same_run, short


def mount(*arguments):
    subprocess.run(["mount", *map(str, arguments)], check=True)


def small(folder, *, mode="rw"):
    mount("-t", "tmpfs", "-o", f"size=96k,{mode}", "none", folder)


def read_only_midway(backend, folder):
    """At the first epoch's end. A mount that is written to cannot be changed: so a second one over it."""
    original = backend.predictor

    def predictor(*args, **options):
        backend.predictor = original
        mount("--bind", folder, folder)
        mount("-o", "remount,bind,ro", folder)
        return original(*args, **options)

    backend.predictor = predictor


def read_only_but_for_its_lock(backend, folder):
    (folder / ".lock").touch()
    mount("--bind", folder, folder)
    mount("--bind", folder / ".lock", folder / ".lock")
    mount("-o", "remount,bind,ro", folder)


def locked(folder):
    try:
        with FileLock(folder / ".lock", blocking=False):
            return False
    except Timeout:
        return True


KINDS = {
    "full": lambda backend, folder: small(folder),
    "read-only": lambda backend, folder: small(folder, mode="ro"),
    "read-only but for its lock": read_only_but_for_its_lock,
    "read-only midway": read_only_midway,
    "limit": lambda backend, folder: resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)),  # bytes
}
"""The limit comes last: it stays."""


def outcome(kind, folder):
    backend = load_backend("torch")
    train = short(backend, epochs=4)
    healthy = backend.fit(MODEL, train, DATA, VALIDATION)
    folder.mkdir()
    KINDS[kind](backend, folder)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            fitted = backend.fit(MODEL, train, DATA, VALIDATION, checkpoint=folder, save_every=1, keep=100)
        except ValueError as error:
            return {"error": str(error), "locked": kind != "read-only" and locked(folder)}
    assert_same_run(fitted, healthy)
    assert {warning.category for warning in said} == {CheckpointWarning}
    return {
        "warnings": [str(warning.message) for warning in said],
        "saved": [load_checkpoint(path).step for path in checkpoint_paths(folder)],
        "left": sorted(path.name for path in folder.iterdir()),
    }


if __name__ == "__main__":
    print(json.dumps({kind: outcome(kind, Path(sys.argv[1]) / kind) for kind in sys.argv[2:]}))
