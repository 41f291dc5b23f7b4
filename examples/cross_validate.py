"""Cross-validation with scikit-learn's splitters: each fold's columns are learnt from its training rows alone.

python examples/cross_validate.py --backend jax --folds 5
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas
from sklearn.model_selection import StratifiedKFold

from shared_bottom import fit_table, read_table_experiment
from shared_bottom.cli.program import run

FILE = Path("examples/clicks.toml")


def main(*, backend: str = "torch", folds: int = 5) -> None:
    """Print the mean and the standard deviation of each metric of each task over the folds."""
    experiment, frame = read_table_experiment(FILE), pandas.read_parquet(FILE.with_suffix(".parquet"))
    experiment = replace(experiment, data=replace(experiment.data, validation_fraction=0.0))  # folds are for validation

    # GroupKFold(...).split(frame, groups=frame["user"]) keeps rows together that belong together.
    splitter = StratifiedKFold(folds, shuffle=True, random_state=experiment.train.seed)
    values: dict[str, list[float]] = {}
    for training, test in splitter.split(frame, frame["click"]):
        trained = fit_table(experiment, frame.iloc[training], backend=backend, progress="none")
        for task, metrics in trained.evaluate(frame.iloc[test]).items():
            for metric, value in metrics.items():
                values.setdefault(f"{task} {metric}", []).append(value)
    for name, of_folds in values.items():
        print(f"{name}: {np.mean(of_folds):.4f} ± {np.std(of_folds, ddof=1):.4f} over {len(of_folds)} folds")


if __name__ == "__main__":
    run(main)
