"""Two tasks that are only half related, learned by one shared bottom and by MMoE, on the backend that you choose.

python examples/related_tasks.py --backend jax --correlation 0.5
"""

import sys
from dataclasses import dataclass

import numpy as np
import tyro

from spec import load_backend, presets


@dataclass(frozen=True, kw_only=True)
class Options:
    """Train both networks on the same rows, and print how their losses fall."""

    backend: str = "torch"
    """torch or jax."""
    correlation: float = 0.5
    """The cosine of both tasks' weights: 1 if they depend on the inputs in the same way, 0 if in unrelated ways."""
    steps: int = 8000
    """Steps of 64 rows."""


def main(options: Options) -> None:
    """Train, and look at who uses which expert."""
    backend, train = load_backend(options.backend), presets.related_tasks_training()

    # Each row is trained on once, so that the loss of a step is one on rows that the network has never seen.
    rows = presets.related_tasks_data(options.correlation, options.steps * train.batch_size)
    test = rows.take(slice(0, 1000))

    for way, model in presets.related_tasks_models().items():
        fitted = backend.fit(model, train, rows)
        quarters = [losses.mean() for losses in np.array_split(fitted.history.step_loss, 4)]
        print(f"{way}: mean loss of each quarter of the steps {' '.join(f'{loss:.4f}' for loss in quarters)}")
        for gate, weights in backend.gates(model, fitted.params, test).items():
            print(f"{way}: {gate} gives the experts mean weights of {np.array2string(weights.mean(0), precision=2)}")


if __name__ == "__main__":
    try:
        main(tyro.cli(Options))
    except (ValueError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
