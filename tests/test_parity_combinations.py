"""Both backends draw one loss curve whatever is combined: a set of runs in which all pairs of choices occur."""

import itertools

import numpy as np
import pytest

from spec import SGD, Adagrad, Adam, AdamW, RMSprop, Schedule, TrainSpec
from tests.parity import (
    FEATURES,
    KINDS,
    PARAMS_RTOL,
    WITHIN,
    both,
    compare_curves,
    compare_params,
    example_data,
    example_model,
    fit,
)

FACTORS = {
    "torch": {f"torch {execution}": execution for execution in ("eager", "step", "epoch")},
    "jax": {f"jax {execution}": execution for execution in ("step", "epoch")},
    "optimizer": {
        "sgd": SGD(learning_rate=0.05, weight_decay=1e-3),
        "nesterov": SGD(learning_rate=0.02, momentum=0.9, nesterov=True),
        "adam": Adam(learning_rate=1e-3, weight_decay=1e-3),
        "adamw": AdamW(learning_rate=3e-3, weight_decay=0.1),
        "adagrad": Adagrad(learning_rate=0.02, initial_accumulator=0.01),
        "rmsprop": RMSprop(learning_rate=1e-3),
        "rmsprop with momentum": RMSprop(learning_rate=5e-4, momentum=0.8, weight_decay=1e-3),
    },
    "kinds": {kinds: kinds for kinds in KINDS},
    "normalization": {"no norm": "none", "layer norm": "layer"},
    "activation": {"relu": "relu", "gelu": "gelu"},
    "dropout": {"no dropout": 0.0, "dropout": 0.25},
    "labels": {"all labels": {}, "some labels": {"missing": True, "weighted": True}},
    "clip_norm": {"no clip": None, "clip": 0.5},
    "schedule": {
        "constant": Schedule(),
        "cosine after warm-up": Schedule(kind="cosine", warmup_steps=30, final=0.1),
    },
}
STEPS = 320
COMPILING = {"torch step": 5, "torch epoch": 6, "layer norm": 1.4, "dropout": 1.3, "tied": 1.5, "untied": 1.5}
"""About how long a case takes, as factors of one in PyTorch's eager mode, so that the dear are made few."""

SMALL_TASKS = {**KINDS, "tied": KINDS["tied"][::3], "untied": KINDS["untied"][2:]}
"""Two tasks in one head, and two in heads of their own: what torch.compile takes long for is their number."""


def pairs(choice):
    """What a run shows together. An optimizer or a kind of tasks meets PyTorch compiled by step, by epoch or both."""
    for one, other in itertools.combinations(choice, 2):
        dear = one in ("torch step", "torch epoch") and (other in FACTORS["optimizer"] or other in FACTORS["kinds"])
        yield "torch compiled" if dear else one, other


def pairwise(factors, cost):
    """Few choices, cheap ones first, in which everything that `pairs` gives stands together at least once."""
    choices = list(itertools.product(*factors.values()))
    numbers: dict = {}
    found = np.array([[numbers.setdefault(pair, len(numbers)) for pair in pairs(choice)] for choice in choices])
    left, chosen = np.ones(len(numbers), bool), []
    worth = 1 / np.sqrt([cost(choice) for choice in choices])
    while left.any():
        best = int(np.argmax(left[found].sum(axis=1) * worth))
        chosen.append(choices[best])
        left[found[best]] = False
    return chosen


def cost(choice):
    return np.prod([COMPILING.get(value, 1) for value in choice])


CASES = pairwise(FACTORS, cost)


def problem(case, *, small, **changes):
    """The model, the training run and the rows of a case: 15 batches and 10 rows an epoch."""
    drawn = {factor: FACTORS[factor][value] for factor, value in zip(FACTORS, case, strict=True)}
    fields = {name: drawn[name] for name in ("activation", "normalization", "dropout")}
    if small:
        fields |= {"tasks": SMALL_TASKS[drawn["kinds"]], "categorical": FEATURES[:1], "trunk": (6,)}
    model = example_model(drawn["kinds"], **fields)
    fields = {name: drawn[name] for name in ("optimizer", "clip_norm", "schedule")}
    train = TrainSpec(**fields, batch_size=16, seed=3, precision="float64", **{"epochs": 20, **changes})
    return model, train, example_data(model, 250, **drawn["labels"])


def test_every_pair_of_values_occurs():
    for one, other in itertools.combinations(FACTORS, 2):
        found = {(case[list(FACTORS).index(one)], case[list(FACTORS).index(other)]) for case in CASES}
        if one == "torch" and other in ("optimizer", "kinds"):
            eager = {value for execution, value in found if execution == "torch eager"}
            compiled = {value for execution, value in found if execution != "torch eager"}
            assert eager == compiled == FACTORS[other].keys()
        else:
            assert found == set(itertools.product(FACTORS[one], FACTORS[other]))


@pytest.mark.parametrize("case", CASES, ids=lambda case: ", ".join(case))
def test_combinations(case):
    """Every two values of two factors in at least one run of 320 steps, but for these, which are dear:

    Each optimizer and each kind of tasks meets one of PyTorch's compiled executions, step or epoch, not always both.
    JAX's eager execution is not among them, for it takes 0.1 s a step: see below.
    The compiled networks are smaller, and run one after the other in this process: what a later one has otherwise must
    not become less exact in it.
    """
    torch, jax = case[0].split()[1], case[1].split()[1]
    model, train, data = problem(case, small=torch != "eager")
    one, other = both(model, train, data, torch=torch, jax=jax, steps=STEPS)
    compare_params(one.params, other.params, PARAMS_RTOL)
    if torch != "eager":
        compare_curves(fit("torch", model, train, data, execution="eager").history, one.history, WITHIN)


def each_value(cases):
    """A few of the cases, in which every value of every factor occurs."""
    left, chosen = {value for values in FACTORS.values() for value in values}, []
    while left:
        chosen.append(max(cases, key=lambda case: len(left.intersection(case))))
        left -= set(chosen[-1])
    return chosen


@pytest.mark.parametrize("case", each_value(CASES), ids=lambda case: ", ".join(case[2:]))
def test_combinations_in_jax_eager(case):
    """Every value of every factor for one epoch of 16 steps, against the other backend and JAX compiled.

    320 steps in JAX's eager execution are run on the tutorial's network alone.
    """
    model, train, data = problem(case, small=True, epochs=1)
    _, eager = both(model, train, data, jax="eager", steps=16)
    compare_curves(fit("jax", model, train, data, execution="epoch").history, eager.history, WITHIN)
