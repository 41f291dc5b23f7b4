"""What balancing keeps from step to step, and what a step's number tells it: see `spec.balancing`.

A balance is a dict of arrays with one number for each task, in the spec's order: the numbers that the optimizer learns
(`log_variance`), the optimizer's slots for them (`log_variance.mu`), and what the balancing keeps besides. In a backend
the learned numbers stand at the end of the parameters' vector, behind the network's, so that they are clipped, decayed
and given slots like any parameter.
"""

from collections.abc import Mapping

import numpy as np

from backends.batches import Batches
from backends.layout import Layout
from backends.trainer import Trainer
from spec.balancing import DynamicWeightAverage, GradNorm, PCGrad, UncertaintyWeighting
from spec.params import Params
from spec.random import projection_order
from spec.training import TrainSpec


def initial_balance(train: TrainSpec, tasks: int) -> Params:
    """The balance before the first step, without the slots of learned numbers, which the optimizer starts."""
    balancing = train.balancing
    start = balancing.initial_log_variance if isinstance(balancing, UncertaintyWeighting) else 0.0
    balance = {name: np.full(tasks, start, train.precision) for name in (*balancing.learned, *balancing.state)}
    if isinstance(balancing, GradNorm):
        balance["factor"] += 1.0
    return balance


def to_vectors(
    layout: Layout,
    train: TrainSpec,
    params: Mapping[str, np.ndarray],
    slots: Mapping[str, Mapping[str, np.ndarray]],
    balance: Params,
) -> tuple[np.ndarray, dict[str, np.ndarray], Params]:
    """The network's parameters and slots as the layout's vectors, with the learned numbers behind them; and the rest of
    the balance, in the layout's order of tasks.
    """
    place = layout.task_places
    balance = {name: numbers[np.argsort(place)] for name, numbers in balance.items()}
    learned = train.balancing.learned
    vector = np.concatenate([layout.to_vector(params), *(balance[name] for name in learned)])
    vectors = {
        slot: np.concatenate([layout.to_vector(values), *(balance[f"{name}.{slot}"] for name in learned)])
        for slot, values in slots.items()
    }
    return vector, vectors, {name: balance[name] for name in train.balancing.state}


def balance_of(layout: Layout, train: TrainSpec, trainer: Trainer) -> Params:
    """The balance of a run in progress."""
    balance, learned = trainer.balance(), train.balancing.learned
    if learned:
        vectors = {"": trainer.params()} | {f".{slot}": vector for slot, vector in trainer.slots().items()}
        for suffix, vector in vectors.items():
            numbers = np.split(vector[layout.size :], len(learned))
            balance |= {name + suffix: array for name, array in zip(learned, numbers, strict=True)}
    return {name: balance[name][layout.task_places] for name in balance_names(train)}


def balance_names(train: TrainSpec) -> list[str]:
    """What a balance consists of."""
    balancing, slots = train.balancing, train.optimizer.slots
    return [*balancing.learned, *balancing.state, *(f"{name}.{slot}" for name in balancing.learned for slot in slots)]


def likelihood_scale(layout: Layout) -> list[float]:
    """The c_t of uncertainty weighting, in the layout's order."""
    return [task.objective.likelihood_scale for task in layout.tasks]


def balancing_inputs(train: TrainSpec, layout: Layout, steps: np.ndarray, epoch_steps: int) -> Batches:
    """What balancing needs to know of the steps with these numbers (n,), counted from 0, besides their rows."""
    if isinstance(train.balancing, DynamicWeightAverage):
        return {"epoch_start": steps % epoch_steps == 0}
    if isinstance(train.balancing, PCGrad) and len(layout.tasks) > 1:
        return {"projection_order": projection_order(train.seed, steps, [task.name for task in layout.tasks])}
    return {}
