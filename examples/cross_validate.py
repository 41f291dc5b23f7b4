"""Cross-validation with scikit-learn's splitters: each fold's columns are learnt from its training rows alone.

python examples/cross_validate.py --backend jax --folds 5
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas
import tyro
from sklearn.model_selection import StratifiedKFold

from shared_bottom import fit_table, read_table_experiment


@dataclass(frozen=True, kw_only=True)
class Options:
    """Train and evaluate once for each fold of a table."""

    file: Path = Path("examples/clicks.toml")
    rows: Path = Path("examples/clicks.parquet")
    by: str = "click"
    """The column of which each fold has as large a share of each value."""
    folds: int = 5
    backend: str = "torch"


def main(options: Options) -> None:
    """Print the mean and the standard deviation of each metric of each task over the folds."""
    experiment, frame = read_table_experiment(options.file), pandas.read_parquet(options.rows)
    experiment = replace(experiment, data=replace(experiment.data, validation_fraction=0.0))  # folds are for validation

    # GroupKFold(...).split(frame, groups=frame["user"]) keeps rows together that belong together.
    splitter = StratifiedKFold(options.folds, shuffle=True, random_state=experiment.train.seed)
    values: dict[str, list[float]] = {}
    for training, test in splitter.split(frame, frame[options.by]):
        trained = fit_table(experiment, frame.iloc[training], backend=options.backend, progress="none")
        for task, metrics in trained.evaluate(frame.iloc[test]).items():
            for metric, value in metrics.items():
                values.setdefault(f"{task} {metric}", []).append(value)
    for name, of_folds in values.items():
        print(f"{name}: {np.mean(of_folds):.4f} ± {np.std(of_folds, ddof=1):.4f} over {len(of_folds)} folds")


if __name__ == "__main__":
    try:
        main(tyro.cli(Options))
    except (OSError, ValueError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
