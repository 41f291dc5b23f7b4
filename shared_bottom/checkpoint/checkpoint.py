"""A saved state of a run: the snapshot to go on from, and what tells which run it is of."""

import importlib.metadata
import platform
from dataclasses import dataclass

from shared_bottom.checkpoint.identity import Run
from shared_bottom.run.record import Snapshot
from spec.model import ModelSpec
from spec.training import TrainSpec


@dataclass(kw_only=True)
class Checkpoint(Snapshot):
    """The state of the run `run` after `step` steps."""

    run: Run
    libraries: dict[str, str]
    """Versions of what saved it, by package, and python."""

    @property
    def model(self) -> ModelSpec:
        """The network."""
        return self.run.model

    @property
    def train(self) -> TrainSpec:
        """The training."""
        return self.run.train


def make_checkpoint(snapshot: Snapshot, run: Run, libraries: tuple[str, ...]) -> Checkpoint:
    """The checkpoint of a snapshot. libraries: the packages, besides NumPy, that decide what the backend computes."""
    return Checkpoint(**vars(snapshot), run=run, libraries=versions_of(libraries))


def versions_of(libraries: tuple[str, ...]) -> dict[str, str]:
    """The versions of Python, of NumPy and of these packages, by name."""
    versions = {name: importlib.metadata.version(name) for name in ("numpy", *libraries)}
    return {"python": platform.python_version()} | versions
