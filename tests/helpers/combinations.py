"""What training combines, and few combinations in which all pairs of choices occur."""

import itertools

from spec import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    Dataset,
    DynamicWeightAverage,
    Fixed,
    GradNorm,
    ModelSpec,
    PCGrad,
    RMSprop,
    Schedule,
    TrainSpec,
    UncertaintyWeighting,
)
from tests.helpers.parity import KINDS, example_data, example_model

FACTORS = {
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
    "activation": {"relu": "relu", "gelu": "gelu", "silu": "silu"},
    "dropout": {"no dropout": 0.0, "dropout": 0.25},
    "labels": {"all labels": {}, "some labels": {"missing": True, "weighted": True}},
    "balancing": {
        "fixed": Fixed(),
        "uncertainty": UncertaintyWeighting(initial_log_variance=0.3),
        "dwa": DynamicWeightAverage(temperature=0.7),
        "gradnorm": GradNorm(alpha=0.8, learning_rate=0.05),
        "pcgrad": PCGrad(),
    },
    "embedding_updates": {"dense updates": "dense", "lazy updates": "lazy"},
    "clip_norm": {"no clip": None, "clip": 0.5},
    "schedule": {
        "constant": Schedule(),
        "linear after warm-up": Schedule(kind="linear", warmup_steps=5),
        "cosine after warm-up": Schedule(kind="cosine", warmup_steps=30, final=0.1),
    },
}
STEPS = 320

Case = tuple[str, ...]
"""The name of a value of each factor."""


def pairwise() -> list[Case]:
    """Few cases, in which every two values of two factors stand together at least once."""
    choices = list(itertools.product(*FACTORS.values()))
    pairs = {choice: frozenset(itertools.combinations(choice, 2)) for choice in choices}
    left, chosen = set().union(*pairs.values()), []
    while left:
        chosen.append(max(choices, key=lambda choice: len(pairs[choice] & left)))
        left -= pairs[chosen[-1]]
    return chosen


def each_value(cases: list[Case]) -> list[Case]:
    """A few of the cases, in which every value of every factor occurs."""
    left, chosen = {value for values in FACTORS.values() for value in values}, []
    while left:
        chosen.append(max(cases, key=lambda case: len(left.intersection(case))))
        left -= set(chosen[-1])
    return chosen


CASES = pairwise()
FEW = each_value(CASES)


def problem(case: Case, **fields) -> tuple[ModelSpec, TrainSpec, Dataset]:
    """The model, the training run and the rows of a case: 15 batches and 10 rows an epoch. `fields` are the model's."""
    drawn = {factor: FACTORS[factor][value] for factor, value in zip(FACTORS, case, strict=True)}
    fields = {name: drawn[name] for name in ("activation", "normalization", "dropout")} | fields
    model = example_model(drawn["kinds"], **fields)
    own = {name: drawn[name] for name in ("optimizer", "balancing", "embedding_updates", "clip_norm", "schedule")}
    train = TrainSpec(**own, batch_size=16, epochs=20, seed=3, precision="float64")
    return model, train, example_data(model, 250, **drawn["labels"])
