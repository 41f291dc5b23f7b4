"""Two tasks that are only half related, learned by one shared bottom and by MMoE, on the backend that you choose.

python examples/related_tasks.py --backend jax --correlation 0.5
"""

import numpy as np

from shared_bottom.cli.program import run
from spec import load_backend, presets


def main(*, backend: str = "torch", correlation: float = 0.5, steps: int = 8000) -> None:
    """Train both networks on the same rows, steps of 64, and print how their losses fall and who uses which expert.

    CORRELATION is the cosine of both tasks' weights: 1 if they depend on the inputs in the same way, 0 if in unrelated
    ways.
    """
    chosen, train = load_backend(backend), presets.related_tasks_training()

    # Each row is trained on once, so that the loss of a step is one on rows that the network has never seen.
    rows = presets.related_tasks_data(correlation, steps * train.batch_size)
    test = rows.take(slice(0, 1000))

    for way, model in presets.related_tasks_models().items():
        fitted = chosen.fit(model, train, rows)
        quarters = [losses.mean() for losses in np.array_split(fitted.history.step_loss, 4)]
        print(f"{way}: mean loss of each quarter of the steps {' '.join(f'{loss:.4f}' for loss in quarters)}")
        for gate, weights in chosen.gates(model, fitted.params, test).items():
            print(f"{way}: {gate} gives the experts mean weights of {np.array2string(weights.mean(0), precision=2)}")


if __name__ == "__main__":
    run(main)
