"""Kills training processes at random moments and resumes each: the end must be that of a run that was left alone.

    python -m tests.helpers.kill --kills 200

The backend is imported once, and each process is a fork of this one before the framework has any thread. The suite
kills PyTorch alone, whose eager steps begin at once: each process of JAX first compiles for seconds, and a kill that
comes sooner proves nothing. By hand: --backend jax --kills 20 --longest 1.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
import traceback
import warnings
from dataclasses import replace
from pathlib import Path

from shared_bottom.checkpoint import segments
from shared_bottom.checkpoint.folder import load_checkpoint
from spec import EarlyStopping, Schedule, load_backend, presets
from tests.helpers.runs import quickest

MODEL = replace(presets.tutorial_model(), dropout=0.2)
DATA, VALIDATION = presets.tutorial_data(208), presets.tutorial_data(40, seed=1)
"""Thirteen steps an epoch."""
SAVE_EVERY = 3


def train(backend, folder, epochs, *, resume):
    spec = replace(
        presets.tutorial_training(),
        batch_size=16,
        epochs=epochs,
        schedule=Schedule(kind="cosine"),
        early_stopping=EarlyStopping(monitor="mean", patience=epochs),
        device="cpu",
        execution=quickest(backend.name),
    )
    return backend.fit(MODEL, spec, DATA, VALIDATION, checkpoint=folder, save_every=SAVE_EVERY, resume=resume)


def in_a_process(work, kill_after=None):
    """The wait status of a process that does `work`; killed once `kill_after` returns, if given."""
    process = os.fork()
    if process == 0:
        code = 1
        try:
            warnings.simplefilter("error")  # a damaged checkpoint, say
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    if kill_after is not None:
        kill_after(process)
        os.kill(process, signal.SIGKILL)
    return os.waitpid(process, 0)[1]


def same(one, other):
    """Whether two folders' newest checkpoints are of one state: parameters, slots, curves, epochs, best weights."""
    a, b = load_checkpoint(one), load_checkpoint(other)

    def arrays(c):
        return [*c.params.values(), *(v for s in c.slots.values() for v in s.values()), *c.best.params.values()]

    def numbers(c):
        epochs = [{key: value for key, value in epoch.items() if key != "seconds"} for epoch in c.history.epochs]
        return c.step, epochs, c.best.epoch, c.best.value

    curves = zip(
        [a.history.step_loss, *a.history.task_loss.values()],
        [b.history.step_loss, *b.history.task_loss.values()],
        strict=True,
    )
    pairs = [*zip(arrays(a), arrays(b), strict=True), *curves]
    return numbers(a) == numbers(b) and all(x.tobytes() == y.tobytes() for x, y in pairs)


def moment(folder, saves, seconds):
    """A function that waits for so many saves in `folder`, or the process's end, and so many seconds more.

    To wait for saves makes the kill fall into the same part of a run on a slow machine as on a fast one.
    """

    def wait(process):
        seen = newest_of(folder)
        passed = 0
        while passed < saves and os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            time.sleep(0.001)
            newest = newest_of(folder)
            passed += newest > seen
            seen = newest
        time.sleep(seconds)

    return wait


def newest_of(folder):
    """The step of the newest checkpoint; -1 without one."""
    return max((int(path.name[5:]) for path in folder.glob("step-*") if path.name[5:].isdigit()), default=-1)


def kill(backend, kills, seed, epochs, longest, folder):
    """How many runs it took; raises AssertionError where one is not as it should be."""
    draw, runs = random.Random(seed), 0
    alone = folder / "alone"
    assert in_a_process(lambda: train(backend, alone, epochs, resume=False)) == 0
    killed = midway = 0
    while killed < kills:
        runs += 1
        own = folder / f"run-{runs}"
        done = 0
        while killed < kills:
            wait = moment(own, draw.randrange(4), draw.uniform(0.0, longest))
            status = in_a_process(lambda own=own: train(backend, own, epochs, resume=True), wait)
            if status == 0:
                break
            assert os.WIFSIGNALED(status), f"run {runs} ended by itself: {status}"
            assert os.WTERMSIG(status) == signal.SIGKILL
            killed += 1
            saved = list(own.glob("step-*")) if own.exists() else []
            assert not [path for path in saved if path.name.endswith(".damaged")]
            step = load_checkpoint(own).step if saved else 0
            assert step >= done, f"run {runs} went back from step {done} to {step}"
            midway += step > done
            done = step
        assert in_a_process(lambda own=own: train(backend, own, epochs, resume=True)) == 0
        assert same(alone, own), f"run {runs} ended otherwise than the one left alone"
    assert midway > kills / 4, f"only {midway} of {kills} processes saved before they were killed"
    return killed, runs, midway


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.helpers.kill", description=__doc__)
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--backend", default="torch")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument(
        "--longest", type=float, default=0.1, help="seconds, at most, from the save that is waited for to the kill"
    )
    options = parser.parse_args()
    backend = load_backend(options.backend)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        killed, runs, midway = kill(backend, options.kills, options.seed, options.epochs, options.longest, Path(folder))
        seconds = time.perf_counter() - began
    print(f"{killed} kills in {runs} runs, {midway} of them after a save of their own: bit-identical ({seconds:.0f} s)")


if __name__ == "__main__":
    segments.LENGTH = 8  # so that kills come while segments are written and linked to
    main()
