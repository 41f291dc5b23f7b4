"""Keras 3 on the same framework, training the same network: how people compile without writing a step themselves."""

import functools
from typing import Any

import keras
import numpy as np

from bench.case import Case
from bench.timing import Contestant
from spec import Adam, ModelSpec, initial_params
from spec.data import row_order
from spec.network import Layer, heads, levels

EPOCHS = 10
"""Epochs of a warm call: fit() itself takes milliseconds."""


def network(model: ModelSpec, params: dict[str, np.ndarray]) -> keras.Model:
    """The network of a model with numeric inputs, from Keras's layers, with the spec's parameters."""
    inputs = keras.Input((model.numeric,))

    def dense(x: Any, layer: Layer) -> Any:
        made = keras.layers.Dense(layer.outputs, activation=model.activation if layer.hidden else None)
        y = made(x)
        made.set_weights([params[f"{layer.name}.kernel"], params[f"{layer.name}.bias"]])
        return y

    (level,) = levels(model)
    (trunk,) = level.experts
    shared = functools.reduce(dense, trunk.layers, inputs)
    outputs = [functools.reduce(dense, head.layers, shared) for head in heads(model)]
    return keras.Model(inputs, outputs)


class KerasRunner:
    """Trains by `fit`, and the step that is checked by `train_on_batch`, which tells its loss."""

    def __init__(self, case: Case, steps_per_execution: int) -> None:
        train, optimizer = case.train, case.train.optimizer
        assert isinstance(optimizer, Adam)
        self.steps, self._case, self._data = EPOCHS * case.epoch_steps, case, case.read()
        params = initial_params(case.model, seed=train.seed, precision=train.precision)
        self._network = network(case.model, params)
        self._network.compile(
            optimizer=keras.optimizers.Adam(optimizer.learning_rate, optimizer.beta1, optimizer.beta2, optimizer.eps),
            loss=["mse"] * len(case.model.tasks),
            steps_per_execution=steps_per_execution,
        )

    def run(self, steps: int) -> np.ndarray:
        """See `bench.timing.Runner`. Tells the loss of the step that is checked, and NaN for others."""
        losses = np.full(steps, np.nan)
        if steps == self.steps:
            self._fit(np.arange(self._case.rows), epochs=EPOCHS, shuffle=True)
            return losses
        size, checked = self._case.train.batch_size, self._case.checked
        order = row_order(self._case.train.seed, 0, self._case.rows)
        before, last = order[: (checked - 1) * size], order[(checked - 1) * size : checked * size]
        self._fit(before, epochs=1, shuffle=False)
        self._network.reset_metrics()
        losses[checked - 1] = self._network.train_on_batch(*self._rows(last), return_dict=True)["loss"]
        self._fit(order[checked * size : steps * size], epochs=1, shuffle=False)
        return losses

    def _fit(self, index: np.ndarray, *, epochs: int, shuffle: bool) -> None:
        if len(index):
            size = self._case.train.batch_size
            self._network.fit(*self._rows(index), epochs=epochs, shuffle=shuffle, verbose=0, batch_size=size)

    def _rows(self, index: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
        data, precision = self._data, self._case.train.precision
        assert data.numeric is not None
        labels = [data.labels[task.name].reshape(data.rows, -1) for task in self._case.model.tasks]
        return data.numeric[index].astype(precision), [label[index].astype(precision) for label in labels]


def contestants(case: Case, backend: str, device: str, steps_per_call: tuple[int, ...]) -> list[Contestant]:
    """Keras with each number of steps a call; Keras must run on this backend: see KERAS_BACKEND."""
    assert keras.backend.backend() == backend
    return [
        Contestant(
            case=case,
            backend=backend,
            execution=f"Keras, {steps} a call",
            device=device,
            build=functools.partial(KerasRunner, case, steps),
        )
        for steps in steps_per_call
    ]
