"""Random specs for property tests: `model_specs()` and `train_specs()`, both small enough to train.

Each takes strategies by field name, which replace its own: `train_specs(device=st.just("cpu"))`.
"""

import keyword
from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st

from spec import (
    PLE,
    SGD,
    Absolute,
    Adagrad,
    Adam,
    AdamW,
    CategoricalFeature,
    CrossEntropy,
    DynamicWeightAverage,
    EarlyStopping,
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
    Squared,
    TaskSpec,
    TrainSpec,
    UncertaintyWeighting,
    ZeroInflatedLognormal,
)

repeatable = settings(derandomize=True, deadline=None)
"""The decorator of every property test: the same examples in every run."""

widths = st.integers(1, 8)
identifiers = st.from_regex(r"[a-zA-Zäß_][a-zA-Z0-9äß_]{0,7}", fullmatch=True).filter(
    lambda n: not keyword.iskeyword(n)
)
rates = st.floats(1e-4, 1e-1)
decays = st.floats(0.0, 0.1)
momenta = st.floats(0.1, 0.95)
epsilons = st.floats(1e-10, 1e-3)

OPTIMIZERS = {
    SGD: st.builds(SGD, learning_rate=rates, momentum=momenta, nesterov=st.booleans(), weight_decay=decays)
    | st.builds(SGD, learning_rate=rates, weight_decay=decays),
    Adam: st.builds(Adam, learning_rate=rates, beta1=momenta, beta2=momenta, eps=epsilons, weight_decay=decays),
    AdamW: st.builds(AdamW, learning_rate=rates, beta1=momenta, beta2=momenta, eps=epsilons, weight_decay=decays),
    Adagrad: st.builds(
        Adagrad, learning_rate=rates, initial_accumulator=st.floats(0.0, 1.0), eps=epsilons, weight_decay=decays
    ),
    RMSprop: st.builds(
        RMSprop,
        learning_rate=rates,
        decay=momenta,
        eps=epsilons,
        momentum=st.just(0.0) | momenta,
        weight_decay=decays,
    ),
}
"""By class, optimizers whose hyperparameters are far from the defaults and still train."""

schedules = st.builds(
    Schedule,
    kind=st.sampled_from(["constant", "linear", "cosine"]),
    warmup_steps=st.integers(0, 20),
    final=st.floats(0.0, 1.0),
)

features = st.builds(
    CategoricalFeature,
    name=identifiers,
    vocabulary=widths,
    dimension=widths,
    length=st.just(1) | st.integers(2, 4),
    pooling=st.sampled_from(["mean", "sum", "max"]),
    table=st.none() | st.sampled_from(["a", "b"]),
    trainable=st.booleans(),
)


def of_agreeing_tables(features):
    """The features, those of one table with the vocabulary, dimension and trainability of its first."""
    first = {feature.parameter: feature for feature in reversed(features)}
    agreed = ("vocabulary", "dimension", "trainable")
    return [replace(f, **{field: getattr(first[f.parameter], field) for field in agreed}) for f in features]


tasks = st.sampled_from([("binary", st.just(1)), ("regression", widths), ("multiclass", st.integers(2, 8))]).flatmap(
    lambda kind: st.builds(
        TaskSpec,
        name=identifiers.filter(lambda name: name not in PLE.reserved),
        kind=st.just(kind[0]),
        hidden=st.lists(widths, max_size=2),
        outputs=kind[1],
        weight=st.floats(0.0, 4.0),
    )
)

sharings = st.one_of(
    st.just(SharedBottom()),
    st.just(Separate()),
    st.builds(MMoE, experts=st.integers(1, 3)),
    st.builds(PLE, shared_experts=st.integers(1, 2), task_experts=st.integers(1, 2), levels=st.integers(1, 2)),
)


def losses_of(task):
    """Losses that a task may have."""
    smoothings = st.floats(0.0, 0.5)
    if task.kind == "binary":
        return st.builds(
            LogLoss,
            positive_weight=st.floats(0.1, 5.0),
            label_smoothing=smoothings,
            focal_gamma=st.floats(0.0, 3.0),
        )
    if task.kind == "multiclass":
        weights = st.lists(st.floats(0.0, 3.0), min_size=task.outputs, max_size=task.outputs)
        return st.builds(CrossEntropy, class_weights=st.just(()) | weights, label_smoothing=smoothings)
    losses = st.sampled_from([Squared(), Absolute(), Poisson()]) | st.builds(Huber, delta=st.floats(0.1, 5.0))
    levels = st.lists(st.floats(0.01, 0.99), min_size=1, max_size=4, unique=True).map(sorted)
    of_one_output = st.builds(Quantile, levels=levels) | st.just(ZeroInflatedLognormal())
    return losses | of_one_output if task.outputs == 1 else losses


tasks_with_losses = tasks.flatmap(lambda task: (st.none() | losses_of(task)).map(lambda loss: replace(task, loss=loss)))


def several(tasks):
    return st.lists(tasks, min_size=1, max_size=4, unique_by=lambda task: task.name)


def some_given(tasks):
    """The tasks, some of the binary ones given the binary one before."""

    def given(depends):
        names, drawn = [], []
        for task, does in zip(tasks, depends, strict=True):
            binary = task.kind == "binary"
            drawn.append(replace(task, given=names[-1]) if binary and does and names else task)
            names += [task.name] if binary else []
        return drawn

    return st.lists(st.booleans(), min_size=len(tasks), max_size=len(tasks)).map(given)


def model_specs(**fields):
    own = {
        "numeric": st.integers(0, 8),
        "categorical": st.lists(features, max_size=3, unique_by=lambda feature: feature.name).map(of_agreeing_tables),
        "trunk": st.lists(widths, min_size=1, max_size=3),
        "tasks": several(tasks_with_losses).flatmap(some_given),
        "sharing": sharings,
        "activation": st.sampled_from(["relu", "gelu", "silu", "tanh"]),
        "normalization": st.sampled_from(["none", "layer"]),
        "dropout": st.just(0.0) | st.floats(0.0, 0.9),
        "initializer": st.sampled_from(["torch_default", "he_normal", "lecun_normal", "glorot_uniform"]),
    }
    fitting = st.fixed_dictionaries(own | fields).filter(lambda drawn: drawn["numeric"] or drawn["categorical"])
    return fitting.map(lambda drawn: ModelSpec(**drawn))


def train_specs(**fields):
    own = {
        "optimizer": st.one_of(*OPTIMIZERS.values()),
        "schedule": schedules,
        "clip_norm": st.none() | st.floats(0.01, 10.0),
        "balancing": st.one_of(
            st.just(Fixed()),
            st.builds(UncertaintyWeighting, initial_log_variance=st.floats(-3.0, 3.0)),
            st.builds(DynamicWeightAverage, temperature=st.floats(0.1, 5.0)),
            st.builds(GradNorm, alpha=st.floats(0.0, 3.0), learning_rate=st.floats(1e-4, 1.0)),
            st.just(PCGrad()),
        ),
        "embedding_updates": st.sampled_from(["dense", "lazy"]),
        "batch_size": st.integers(1, 64),
        "epochs": st.integers(1, 3),
        "shuffle": st.booleans(),
        "seed": st.integers(0, 2**32 - 1),
        "precision": st.sampled_from(["float32", "float64"]),
        "device": st.sampled_from(["auto", "cpu", "gpu"]),
        "execution": st.sampled_from(["auto", "eager", "step", "epoch"]),
        "on_divergence": st.sampled_from(["stop", "continue"]),
        "early_stopping": st.none()
        | st.builds(EarlyStopping, monitor=identifiers, metric=st.none() | identifiers, patience=widths),
    }
    return st.builds(TrainSpec, **(own | fields))
