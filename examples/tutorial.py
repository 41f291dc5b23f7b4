"""The original tutorial, step by step, on the backend that you choose.

python examples/tutorial.py --backend jax
"""

import dataclasses

import numpy as np

from shared_bottom.cli.program import run
from spec import Dataset, load_backend, presets


def main(*, backend: str = "torch") -> None:
    """Train two regression tasks on one shared bottom, test, predict. BACKEND is torch or jax."""
    chosen = load_backend(backend)

    # Training and test rows: 10 inputs, one target of 3 numbers and one target of 2 numbers.
    training, test = presets.tutorial_data(1000, seed=42), presets.tutorial_data(200, seed=43)

    # A shared bottom of 64-32-16 with two heads. The loss is the sum of both mean squared errors. Adam with a learning
    # rate of 1e-3, batches of 32 rows, 10 epochs.
    model = presets.tutorial_model()
    # float64 is chosen so that both frameworks print the same digits.
    train = dataclasses.replace(presets.tutorial_training(), precision="float64")

    fitted = chosen.fit(model, train, training, validation=test)
    for epoch in fitted.history.epochs:
        print(f"Epoch [{epoch['epoch']}/{train.epochs}], Loss: {epoch['loss']:.4f}")
    for task, metrics in fitted.history.epochs[-1]["metrics"].items():
        print(f"Test RMSE of {task}: {metrics['rmse']:.4f}")

    # The predictions of both tasks for one new row.
    row = np.random.default_rng(7).standard_normal((1, 10))
    for task, prediction in chosen.predict(model, fitted.params, Dataset(numeric=row)).items():
        print(f"Prediction of {task}: {np.array2string(prediction[0], precision=4)}")


if __name__ == "__main__":
    run(main)
