"""What a spec accepts, what it rejects and in which words; and that specs are values."""

import dataclasses
import inspect
import math
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spec import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    DynamicWeightAverage,
    EarlyStopping,
    GradNorm,
    ModelSpec,
    RMSprop,
    Schedule,
    TrainSpec,
    UncertaintyWeighting,
)
from spec.balancing import Balancing
from spec.losses import Loss
from spec.sharing import WAYS
from spec.tasks import TASK_KINDS
from tests.helpers.builders import CLASSES, feature, model, rejection, task
from tests.helpers.strategies import OPTIMIZERS, model_specs, repeatable, train_specs

BALANCINGS, LOSSES = get_args(Balancing), get_args(Loss)


@pytest.mark.parametrize(
    ("fields", "input_width"),
    [
        ({"tasks": (task(),)}, 2),
        ({"tasks": [task(name=f"task_{i}", hidden=(8, 8)) for i in range(16)]}, 2),
        ({"tasks": (task(kind="binary"), task(name="b", kind="multiclass", outputs=2))}, 2),
        ({"numeric": 0, "categorical": (feature(),)}, 2),
        ({"categorical": (feature(), feature(name="größe", vocabulary=1, dimension=1))}, 5),
        ({"categorical": (feature(length=50, pooling="max"), feature(name="b", table="colour"))}, 6),
        ({"numeric": 1, "trunk": (1,) * 20, "dropout": 0.999, "tasks": (task(weight=0),)}, 1),
    ],
)
def test_extremes_are_valid(fields, input_width):
    built = model(**fields)
    assert built.tasks == tuple(built.tasks)
    assert built.input_width == input_width


def test_numpy_scalars_become_python_numbers():
    built = model(numeric=np.int64(3), trunk=(np.int32(8), np.uint8(4)), dropout=np.float32(0.5))
    assert (built.numeric, built.trunk, built.dropout) == (3, (8, 4), 0.5)
    assert {type(width) for width in (built.numeric, *built.trunk)} == {int}
    assert SGD(momentum=np.float64(0.9), nesterov=np.bool_(True)) == SGD(momentum=0.9, nesterov=True)
    assert rejection(model, numeric=np.float64(8.0)) == "numeric: expected an integer, got 8.0"


@pytest.mark.parametrize(("rows", "steps"), [(1, 1), (32, 1), (33, 2), (1000, 32)])
def test_the_short_last_batch_is_a_step(rows, steps):
    assert TrainSpec(batch_size=32).steps_per_epoch(rows) == steps


@repeatable
@given(st.one_of(model_specs(), train_specs()))
def test_specs_are_values(spec):
    twin = dataclasses.replace(spec)
    assert twin is not spec
    assert twin == spec
    assert hash(twin) == hash(spec)
    for field in dataclasses.fields(spec):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(spec, field.name, getattr(spec, field.name))


def test_specs_that_differ_are_unequal():
    assert len({model(), model(numeric=3), model(trunk=(5,)), model(tasks=(task(name="b"),)), model(dropout=0.1)}) == 5
    assert len({TrainSpec(), TrainSpec(seed=1), TrainSpec(clip_norm=1.0), TrainSpec(optimizer=AdamW())}) == 4


@pytest.mark.parametrize("cls", CLASSES)
def test_fields_are_keyword_only(cls):
    with pytest.raises(ValueError, match=rf"^{cls.__name__}: expected fields by their names, got 'a'$"):
        cls("a")


@pytest.mark.parametrize("cls", [SGD, Adam, AdamW, Adagrad, RMSprop], ids=lambda cls: cls.__name__)
def test_optimizer_defaults_are_those_of_torch(cls):
    theirs = inspect.signature(getattr(pytest.importorskip("torch").optim, cls.__name__)).parameters
    renamed = {"learning_rate": "lr", "decay": "alpha", "initial_accumulator": "initial_accumulator_value"}
    for field in dataclasses.fields(cls):
        if field.name in ("beta1", "beta2"):
            default = theirs["betas"].default[int(field.name[-1]) - 1]
        elif field.name != "kind":
            default = theirs[renamed.get(field.name, field.name)].default
        else:
            default = cls.__name__.lower()
        assert getattr(cls(), field.name) == default, field.name


@pytest.mark.parametrize("value", [0, -1, 1.5, 1.0, True, "8", None, math.nan], ids=repr)
@pytest.mark.parametrize(
    ("build", "field", "path"),
    [
        (feature, "vocabulary", "vocabulary"),
        (feature, "dimension", "dimension"),
        (feature, "length", "length"),
        (task, "outputs", "outputs"),
        (task, "hidden", "hidden.1"),
        (model, "trunk", "trunk.1"),
        (TrainSpec, "batch_size", "batch_size"),
        (TrainSpec, "epochs", "epochs"),
        (EarlyStopping, "patience", "patience"),
    ],
)
def test_a_bad_width_is_rejected(build, field, path, value):
    line = rejection(build, **{field: (8, value) if "." in path else value})
    assert line.startswith(f"{path}: ")
    assert line.endswith(f", got {value!r}")


@pytest.mark.parametrize(
    ("build", "field", "value"),
    [
        (model, "numeric", -1),
        (model, "numeric", 2.0),
        *((model, "dropout", value) for value in (-0.1, 1.0, math.nan, "0.1", True)),
        *((task, "weight", value) for value in (-1.0, math.inf, math.nan)),
        *((cls, "learning_rate", v) for cls in OPTIMIZERS for v in (0.0, -1e-3, math.nan, math.inf, "1e-3")),
        *((cls, "weight_decay", v) for cls in OPTIMIZERS for v in (-0.1, math.nan, math.inf)),
        *((cls, "eps", value) for cls in OPTIMIZERS if cls is not SGD for value in (0.0, math.nan)),
        *((cls, field, value) for cls in (Adam, AdamW) for field in ("beta1", "beta2") for value in (-0.1, 1.0)),
        *((cls, "momentum", value) for cls in (SGD, RMSprop) for value in (-0.1, 1.0, math.nan)),
        (RMSprop, "decay", 1.0),
        (Adagrad, "initial_accumulator", -1.0),
        (SGD, "nesterov", 1),
        (Schedule, "warmup_steps", -1),
        (Schedule, "warmup_steps", 1.0),
        *((Schedule, "final", value) for value in (-0.1, 1.1, math.nan)),
        *((TrainSpec, "clip_norm", value) for value in (0.0, -1.0, math.inf, math.nan)),
        *((UncertaintyWeighting, "initial_log_variance", value) for value in (math.inf, math.nan, "0")),
        *((DynamicWeightAverage, "temperature", value) for value in (0.0, -1.0, math.nan)),
        *((GradNorm, "alpha", value) for value in (-0.1, math.inf, math.nan)),
        *((GradNorm, "learning_rate", value) for value in (0.0, -1.0, math.nan)),
        *((TrainSpec, "seed", value) for value in (-1, 2**32, 0.0, True, None)),
        (TrainSpec, "shuffle", "yes"),
        (feature, "trainable", 1),
    ],
)
def test_a_bad_number_is_rejected(build, field, value):
    line = rejection(build, **{field: value})
    assert line.startswith(f"{field}: ")
    assert line.endswith(f", got {value!r}")


@pytest.mark.parametrize(
    ("build", "field", "valid"),
    [
        (task, "kind", ("binary", "regression", "multiclass")),
        (feature, "pooling", ("mean", "sum", "max")),
        (model, "activation", ("relu", "gelu", "silu", "tanh")),
        (model, "normalization", ("none", "layer")),
        (model, "initializer", ("torch_default", "he_normal", "lecun_normal", "glorot_uniform")),
        (Schedule, "kind", ("constant", "linear", "cosine")),
        (TrainSpec, "embedding_updates", ("dense", "lazy")),
        (TrainSpec, "precision", ("float32", "float64")),
        (TrainSpec, "device", ("auto", "cpu", "gpu")),
        (TrainSpec, "execution", ("auto", "eager", "step", "epoch")),
        (TrainSpec, "on_divergence", ("stop", "continue")),
    ],
)
def test_an_unknown_choice_is_rejected_and_the_valid_ones_listed(build, field, valid):
    line = rejection(build, **{field: "swish"})
    assert line.startswith(f"{field}: ")
    assert [choice for choice in valid if repr(choice) not in line] == []
    assert "'swish'" in line.rpartition("got ")[2]


BY_KIND = [
    (TrainSpec, "optimizer", OPTIMIZERS),
    (TrainSpec, "balancing", BALANCINGS),
    (model, "sharing", WAYS),
    (task, "loss", LOSSES),
]
"""Fields that hold one of several classes, and these."""


@pytest.mark.parametrize(("build", "field", "classes"), BY_KIND[:3])
def test_a_kind_alone_stands_for_its_class_with_its_defaults(build, field, classes):
    for cls in classes:
        for value in (cls().kind, {"kind": cls().kind}, cls()):
            assert getattr(build(**{field: value}), field) == cls()


@pytest.mark.parametrize("kind", TASK_KINDS)
def test_so_does_a_loss_and_the_first_of_a_tasks_kind_is_its_default(kind):
    fields = {"kind": kind, "outputs": TASK_KINDS[kind].outputs[0]}
    for loss in TASK_KINDS[kind].losses:
        assert task(**fields, loss=loss.kind).loss == task(**fields, loss={"kind": loss.kind}).objective == loss
    assert task(**fields).loss is None
    assert task(**fields).objective == TASK_KINDS[kind].losses[0]


@pytest.mark.parametrize(("build", "field", "classes"), BY_KIND)
def test_an_unknown_kind_is_rejected_and_the_valid_ones_listed(build, field, classes):
    expected = f"expected one of {', '.join(cls().kind for cls in classes)}"
    for value, got in (("swish", "'swish'"), ({"kind": "swish"}, "'swish'"), ({}, "none"), ({"kind": []}, "[]")):
        assert rejection(build, **{field: value}) == f"{field}.kind: {expected}, got {got}"
    assert rejection(build, **{field: 3}) == f"{field}: {expected}, or a table with its fields, got 3"


@pytest.mark.parametrize(
    ("build", "fields", "words"),
    [
        (model, {"tasks": ()}, "tasks: at least one got ()"),
        (model, {"trunk": ()}, "trunk: at least one got ()"),
        (model, {"trunk": "88"}, "trunk: got '88'"),
        (model, {"tasks": (task(), task(name="b"), task())}, "tasks: distinct 'a' twice"),
        (model, {"categorical": (feature(), feature())}, "categorical: distinct 'colour' twice"),
        *(
            (model, {"categorical": (feature(), feature(name="paint", table="colour", **{field: value}))}, words)
            for field, value, words in [
                ("vocabulary", 4, "categorical.1.vocabulary: 3 'colour' embeddings.colour 'paint' got 4"),
                ("dimension", 1, "categorical.1.dimension: 2 'colour' embeddings.colour 'paint' got 1"),
                ("trainable", False, "categorical.1.trainable: true 'colour' embeddings.colour 'paint' got false"),
            ]
        ),
        (model, {"numeric": 0}, "numeric categorical: at least one got none"),
        (task, {"name": "my task"}, "name: identifier got 'my task'"),
        (task, {"name": "class"}, "name: identifier got 'class'"),
        (task, {"name": ""}, "name: identifier got ''"),
        (task, {"name": 3}, "name: string got 3"),
        (feature, {"name": "a.b"}, "name: identifier got 'a.b'"),
        (feature, {"table": "a.b"}, "table: identifier got 'a.b'"),
        (task, {"kind": "binary", "outputs": 2}, "outputs: expected 1 binary 'a' got 2"),
        (model, {"tasks": (task(kind="multiclass"),)}, "outputs: expected 2 multiclass 'a' got 1"),
        (SGD, {"nesterov": True}, "nesterov: momentum got 0.0"),
        (ModelSpec, {"numeric": 1, "tasks": (task(),)}, "trunk: expected value got none"),
        (model, {"sharing": {"kind": "mmoe", "experts": 0}}, "sharing.experts: greater 0 got 0"),
        (model, {"sharing": {"kind": "ple", "task_experts": 0}}, "sharing.task_experts: greater 0 got 0"),
        (model, {"sharing": {"kind": "mmoe", "levels": 2}}, "sharing.levels: unexpected got 2"),
        (model, {"sharing": "ple", "tasks": (task(name="shared"),)}, "tasks: otherwise ple got 'shared'"),
        (model, {"sharing": "ple", "tasks": (task(name="gates"),)}, "tasks: otherwise ple got 'gates'"),
        (task, {"loss": {"kind": "huber", "delta": 0}}, "loss.delta: greater 0 got 0"),
        (task, {"kind": "binary", "loss": {"kind": "log_loss", "focal_gamma": -1}}, "loss.focal_gamma: 0 got -1"),
        (task, {"kind": "binary", "loss": {"kind": "log_loss", "label_smoothing": 1}}, "loss.label_smoothing: 1 got 1"),
        (task, {"kind": "binary", "loss": "huber"}, "loss: log_loss binary 'a' got huber"),
        (task, {"loss": {"kind": "quantile", "levels": ()}}, "loss.levels: at least one got ()"),
        (task, {"loss": {"kind": "quantile", "levels": (0.5, 1.0)}}, "loss.levels.1: less 1 got 1.0"),
        (task, {"loss": {"kind": "quantile", "levels": ("0.5",)}}, "loss.levels.0: number got '0.5'"),
        (task, {"loss": {"kind": "quantile", "levels": 0.5}}, "loss.levels: tuple list got 0.5"),
        (task, {"loss": {"kind": "quantile", "levels": (0.5, 0.5)}}, "levels: ascend got (0.5, 0.5)"),
        (task, {"loss": "quantile", "outputs": 2}, "outputs: expected 1 quantile 'a' got 2"),
        (
            task,
            {"kind": "multiclass", "outputs": 3, "loss": {"kind": "cross_entropy", "class_weights": (1, 2)}},
            "loss.class_weights: 3 'a' got 2",
        ),
        (task, {"given": "b"}, "given: none regression 'a' got 'b'"),
        (
            task,
            {"kind": "multiclass", "outputs": 3, "loss": {"kind": "cross_entropy", "class_weights": (0, 0, 0)}},
            "loss: class_weights: at least one above 0 got (0.0, 0.0, 0.0)",
        ),
        *((build, {"widht": 3}, "widht: unexpected got 3") for build in (model, task, feature, TrainSpec, *OPTIMIZERS)),
    ],
)
def test_what_does_not_fit_together_is_rejected(build, fields, words):
    line = rejection(build, **fields)
    assert [word for word in words.split() if word not in line.lower()] == []


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (("b", "a", None), "tasks.b.given: expected no circle, got a given b given a"),
        (("a", None, None), "tasks.a.given: expected one of the binary tasks b, c, got 'a'"),
        ((None, "z", None), "tasks.b.given: expected one of the binary tasks a, c, got 'z'"),
        (("b", "number", None), "tasks.b.given: expected one of the binary tasks a, c, got 'number'"),
    ],
)
def test_a_task_that_cannot_be_given_another_is_named_and_the_others_are_listed(given, line):
    binary = [task(name=name, kind="binary", given=other) for name, other in zip("abc", given, strict=True)]
    assert rejection(model, tasks=(*binary, task(name="number"))).endswith(line)


@pytest.mark.parametrize("given", ["a", "b", "c"])
def test_the_only_binary_task_can_be_given_none(given):
    tasks = (task(kind="binary", given=given), task(name="b"))
    line = f"tasks.a.given: expected none, since no other task is binary, got {given!r}"
    assert rejection(model, tasks=tasks).endswith(line)


@pytest.mark.parametrize(
    ("tasks", "words"),
    [
        (
            (task(kind="binary", given="b"), task(name="b", kind="binary"), task(name="a_given_b")),
            "got 'a_given_b' for a task and what the predictions of task 'a' have beside them",
        ),
        (
            (task(loss="zero_inflated_lognormal"), task(name="a_scale")),
            "got 'a_scale' for a task and what the predictions of task 'a' have beside them",
        ),
        (
            (
                task(kind="binary", given="b_given_c"),
                task(name="a_given_b", kind="binary", given="c"),
                task(name="b_given_c", kind="binary"),
                task(name="c", kind="binary"),
            ),
            "got 'a_given_b_given_c' for what the predictions of task 'a' have beside them "
            "and what the predictions of task 'a_given_b' have beside them",
        ),
    ],
)
def test_a_name_that_stands_for_two_things_is_said_with_both(tasks, words):
    assert rejection(model, tasks=tasks).endswith(f"tasks: expected distinct names, {words}")


@pytest.mark.parametrize(
    ("build", "field", "kinds"),
    [
        (model, "sharing", "shared_bottom, separate, mmoe, ple"),
        (TrainSpec, "optimizer", ", ".join(cls.kind for cls in OPTIMIZERS)),
    ],
)
def test_none_is_no_kind_where_one_is_needed(build, field, kinds):
    line = rejection(build, **{field: None})
    assert line.endswith(f"{field}: expected one of {kinds}, or a table with its fields, got None")


def test_further_errors_are_counted():
    assert rejection(model, trunk=(0, -1), dropout=2.0).endswith(", got 0 (and 2 more)")
