"""Data sets whose arrays are mapped from files."""

from pathlib import Path

import numpy as np

from spec import Dataset


def on_disk(data: Dataset, folder: Path) -> Dataset:
    """The data set with each array in a file of its own in `folder`, and mapped from it."""
    folder.mkdir(exist_ok=True)

    def mapped(array: np.ndarray) -> np.ndarray:
        path = folder / f"{len(list(folder.glob('*.npy')))}.npy"
        np.save(path, array)
        return np.load(path, mmap_mode="r")

    return data.map(mapped)
