"""The report of a run: a page that needs no other file, its plots, and its figures by epoch."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from reports.epochs import epoch_lines
from spec.files import write_whole
from spec.model import ModelSpec
from spec.results import History
from spec.training import TrainSpec


def write_report(
    folder: Path,
    *,
    title: str,
    model: ModelSpec,
    train: TrainSpec,
    history: History,
    labels: Mapping[str, np.ndarray],
    predictions: Mapping[str, np.ndarray],
    sample_weight: np.ndarray | None = None,
    evaluated_on: str,
    extra: Mapping[str, str] | None = None,
) -> None:
    """Write metrics.jsonl into `folder`, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "metrics.jsonl", epoch_lines(history).encode())
