"""Fits in a group of processes that the user's program has initialised itself, and not the environment."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from backends.engines import ENGINES
from shared_bottom.fit import fit as fit_request
from shared_bottom.run.errors import ProcessError
from shared_bottom.run.watcher import Watcher
from spec import Epoch, Fitted, load_backend
from tests.helpers.shared_batches import CASES, QUICKEST

PLACES = ("MASTER_ADDR", "MASTER_PORT", "JAX_COORDINATOR_ADDRESS")
CASE = CASES["dropout, uncertainty"]


def fit_twice(backend: str, folder: Path) -> list[Fitted]:
    """Two runs in a row; with PyTorch, a third one in another group, after the first group has been ended.

    folder: where PyTorch's processes find each other.
    """
    rank, address = int(os.environ["RANK"]), os.environ["JAX_COORDINATOR_ADDRESS"]
    with pytest.MonkeyPatch.context() as patch:
        for name in (*PLACES, *(name for engine in ENGINES for name in (*engine.counts, engine.rank))):
            patch.delenv(name, raising=False)
        if backend == "jax":
            import jax

            jax.distributed.initialize(address, 2, rank)
            return [fit(backend), fit(backend)]
        import torch.distributed as dist

        fits = []
        for runs in (2, 1):
            dist.init_process_group("gloo", init_method=f"file://{folder}/{runs}", rank=rank, world_size=2)
            fits += [fit(backend) for _ in range(runs)]
            dist.destroy_process_group()
        return fits


def fit(backend: str) -> Fitted:
    """A short run."""
    return replace(CASE, train=replace(CASE.train, epochs=1)).fit(backend, QUICKEST[backend])


def refused(backend: str, batch_size: int) -> str:
    """What `fit` says of batches of so many rows."""
    train = replace(CASE.train, batch_size=batch_size, execution=QUICKEST[backend])
    with pytest.raises(ValueError, match="batch_size") as caught:
        load_backend(backend).fit(CASE.model, train, CASE.data)
    return str(caught.value)


def ended_by_process_0(backend: str) -> tuple[int, Exception]:
    """The epochs of a run that process 0 ends after the second, and the error of one in which its function raises."""
    first = os.environ["RANK"] == "0"

    def end(record: Epoch) -> bool:
        assert first
        return record["epoch"] == 2

    def fail(record: Epoch) -> None:
        raise LookupError("enough")

    ended = CASE.fit(backend, QUICKEST[backend], on_epoch=end if first else None)
    with pytest.raises((LookupError, ProcessError)) as caught:
        CASE.fit(backend, QUICKEST[backend], on_epoch=fail)
    return len(ended.history.epochs), caught.value


def epochs_watched(backend: str) -> int:
    """How many ends of epochs this process's watcher is told of, in a run that the command `fit` would train."""
    told = []

    class Counting(Watcher):
        def after_epoch(self) -> None:
            told.append(None)

    with pytest.MonkeyPatch.context() as patch:
        trains = load_backend(backend)
        patch.setattr(trains, "_loop", lambda chosen, request: fit_request(chosen, request, Counting()))
        CASE.fit(backend, QUICKEST[backend])
    return len(told)
