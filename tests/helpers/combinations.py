"""What training combines, and few combinations in which all pairs of choices occur."""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import replace

from spec import (
    PLE,
    SGD,
    Absolute,
    Adagrad,
    Adam,
    AdamW,
    CrossEntropy,
    Dataset,
    DynamicWeightAverage,
    Fixed,
    GradNorm,
    Huber,
    LogLoss,
    MMoE,
    ModelSpec,
    PCGrad,
    Poisson,
    Quantile,
    RMSprop,
    Schedule,
    Separate,
    SharedBottom,
    TaskSpec,
    TrainSpec,
    UncertaintyWeighting,
    ZeroInflatedLognormal,
)
from spec.losses import Loss
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
    "sharing": {
        "shared bottom": SharedBottom(),
        "separate": Separate(),
        "mmoe": MMoE(experts=3),
        "ple": PLE(shared_experts=2, task_experts=1),
        "ple of 3 levels": PLE(shared_experts=1, task_experts=1, levels=3),
    },
    "losses": {
        "usual losses": {},
        "losses with options": {
            "binary": LogLoss(positive_weight=2.5, label_smoothing=0.1, focal_gamma=1.5),
            "regression": Huber(delta=0.6),
            "multiclass": CrossEntropy(class_weights=(0.5, 2.0, 1.0, 1.5), label_smoothing=0.2),
        },
        "losses of amounts": {"regression": Poisson(), "number": ZeroInflatedLognormal()},
        "losses of quantiles": {"regression": Absolute(), "number": Quantile(levels=(0.1, 0.5, 0.75))},
    },
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
    "frozen": {"all moved": (), "some frozen": ("embeddings.colour", "*.0.bias", "*[kn].0.kernel")},
}
EXECUTIONS = ("quickest", "lock step")
"""How the backends run a case: each by the execution that ends first, or by the one in which they go step by step."""
STEPS = 320

Case = tuple[str, ...]
"""The name of a value of each factor."""


def pairwise(all_factors: Mapping[str, Iterable[str]]) -> list[Case]:
    """Few cases, in which every two values of two factors stand together at least once.

    Each case begins with two values that have not yet stood together, and takes of every other factor the value that
    makes most such pairs with those before; of several beginnings the best one  (as AETG: Cohen et al., IEEE
    Transactions on Software Engineering 23, 1997).
    """
    factors = [list(values) for values in all_factors.values()]
    left = dict.fromkeys(pair for f, g in itertools.combinations(factors, 2) for pair in itertools.product(f, g))
    chosen = []
    while left:
        cases = [_completed(factors, left, *pair) for pair in itertools.islice(left, 40)]
        chosen.append(max(cases, key=lambda case: len(left.keys() & _pairs(case))))
        for pair in left.keys() & _pairs(chosen[-1]):
            del left[pair]
    return chosen


def _pairs(case: Case) -> set[Case]:
    return set(itertools.combinations(case, 2))


def _completed(factors: list[list[str]], left: dict[Case, None], *begun: str) -> Case:
    """A case with these values."""
    taken = list(begun)
    for values in factors:
        if not set(values) & set(begun):
            new = {value: sum((a, value) in left or (value, a) in left for a in taken) for value in values}
            taken.append(max(values, key=lambda value: new[value]))
    return tuple(next(value for value in values if value in taken) for values in factors)


def plain_but(**values: str) -> Case:
    """The case of the first value of each factor, but for these."""
    assert values.keys() <= FACTORS.keys()
    return tuple(values.get(factor, next(iter(names))) for factor, names in FACTORS.items())


CASES = pairwise(FACTORS | {"execution": EXECUTIONS})
FEW = [
    plain_but(kinds="multiclass", sharing="ple of 3 levels", activation="relu", labels="some labels", clip_norm="clip"),
    plain_but(
        optimizer="nesterov",
        kinds="tied",
        normalization="layer norm",
        labels="some labels",
        balancing="gradnorm",
        schedule="cosine after warm-up",
    ),
    plain_but(
        optimizer="adam", kinds="regression", activation="gelu", dropout="dropout", embedding_updates="lazy updates"
    ),
    plain_but(
        optimizer="adamw",
        sharing="separate",
        losses="losses of amounts",
        activation="silu",
        labels="some labels",
        balancing="uncertainty",
        frozen="some frozen",
    ),
    plain_but(
        optimizer="adagrad",
        kinds="untied",
        sharing="ple",
        losses="losses of quantiles",
        balancing="dwa",
        schedule="linear after warm-up",
    ),
    plain_but(optimizer="rmsprop", kinds="tied", losses="losses with options", balancing="pcgrad", clip_norm="clip"),
    plain_but(
        optimizer="rmsprop with momentum", sharing="mmoe", embedding_updates="lazy updates", labels="some labels"
    ),
]
"""Every value of every factor, the ones that take long to compile in different cases."""


def with_losses(tasks: Iterable[TaskSpec], losses: Mapping[str, Loss]) -> tuple[TaskSpec, ...]:
    """The tasks with the losses of their kind, and the first regression with that of one number, which becomes its
    only output. Where there is one, a second binary task is given the first.
    """
    changed: list[TaskSpec] = []
    for task in tasks:
        loss, of_number, outputs, given = losses.get(task.kind), losses.get("number"), task.outputs, None
        before = [other.name for other in changed if other.kind == task.kind]
        if of_number and task.kind == "regression" and not before:
            loss, outputs = of_number, 1
        if of_number and task.kind == "binary" and before:
            given = before[0]
        changed.append(replace(task, loss=loss, outputs=outputs, given=given))
    return tuple(changed)


def problem(case: Case, **fields) -> tuple[ModelSpec, TrainSpec, Dataset]:
    """The model, the training run and the rows of a case, whatever its execution: 15 batches and 10 rows an epoch.

    `fields` are the model's.
    """
    drawn = {factor: FACTORS[factor][value] for factor, value in zip(FACTORS, case, strict=False)}
    tasks = with_losses(fields.pop("tasks", KINDS[drawn["kinds"]]), drawn["losses"])
    fields = {name: drawn[name] for name in ("sharing", "activation", "normalization", "dropout")} | fields
    model = example_model(tasks=tasks, **fields)
    names = "optimizer", "balancing", "embedding_updates", "clip_norm", "schedule", "frozen"
    own = {name: drawn[name] for name in names}
    train = TrainSpec(**own, batch_size=16, epochs=20, seed=3, precision="float64")
    return model, train, example_data(model, 250, **drawn["labels"])
