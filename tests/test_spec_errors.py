"""What is said of a wrong spec: one line in the same words, whether it comes from Python, TOML or JSON."""

import copy
import dataclasses
import inspect
import json
import pickle

import pytest
import tomli_w

from spec import (
    SGD,
    Adam,
    Experiment,
    ModelSpec,
    Schedule,
    TableSpec,
    TaskSpec,
    TrainSpec,
    from_json,
    from_toml,
    to_json,
    to_toml,
)
from spec.classes import SpecError
from tests.helpers.builders import CLASSES, feature, model, task

PYTHON = [
    (lambda: ModelSpec(trunk="x", tasks=(task(),)), "trunk: expected a tuple or a list, got 'x'"),
    (lambda: ModelSpec(), "trunk: expected a value, got none (and 1 more)"),
    (lambda: ModelSpec((4,)), "ModelSpec: expected fields by their names, got (4,)"),
    (lambda: model(activation="swish"), "activation: expected 'relu', 'gelu', 'silu' or 'tanh', got 'swish'"),
    (lambda: model(tasks=("a",)), "tasks.0: expected the fields of TaskSpec, got 'a'"),
    (
        lambda: model(tasks=({"name": "a", "kind": "binary", "weight": -1},)),
        "tasks.0.weight: expected a number greater ",
    ),
    (lambda: task(name=3), "name: expected a string, got 3"),
    (lambda: task(kind="binary", outputs=2), "TaskSpec: outputs: expected 1 for the binary task 'a', got 2"),
    (lambda: feature(trainable=1), "trainable: expected a boolean, got 1"),
    (lambda: feature(vocabulary=2.5), "vocabulary: expected an integer, got 2.5"),
    (lambda: Adam(beta1=1.0), "beta1: expected a number less than 1, got 1.0"),
    (lambda: TrainSpec(clip_norm=float("inf")), "clip_norm: expected a finite number, got inf"),
    (
        lambda: TableSpec(labels={"click": {"positiv": "1"}}),
        "labels.click.positiv: unexpected field, got '1'; did you ",
    ),
    (lambda: dataclasses.replace(TrainSpec(), epochs=0), "epochs: expected a number greater than 0, got 0"),
    (lambda: dataclasses.replace(TrainSpec(), epoch=3), "epoch: unexpected field, got 3; did you mean 'epochs'?"),
    (lambda: Experiment(model=model(), train={"schedule": {"kind": 1}}), "train.schedule.kind: expected 'constant', "),
]
"""What is made in Python, and how its error begins."""


@pytest.mark.parametrize(("build", "line"), PYTHON, ids=[line for _, line in PYTHON])
def test_an_error_in_python_is_one_line_without_pydantics_words(build, line):
    with pytest.raises(SpecError) as caught:
        build()
    said = str(caught.value)
    assert said.startswith(line)
    assert said.isprintable()
    assert not [word for word in ("ArgsKwargs", "pydantic", "Input should", "input_value") if word in said]
    assert caught.value.__suppress_context__  # or a traceback would show pydantic's lines all the same


MODEL = to_toml(Experiment(model=model())).partition("[model.sharing]")[0]
"""A file without its way of sharing and its training."""


def of_python(cls, fields):
    return cls(**fields)


def of_toml(cls, fields):
    return from_toml(cls, tomli_w.dumps(fields))


def of_json(cls, fields):
    return from_json(cls, json.dumps(fields))


@pytest.mark.parametrize("build", [of_python, of_toml, of_json])
@pytest.mark.parametrize(
    ("cls", "fields", "line"),
    [
        (TrainSpec, {"optimiser": "adam"}, "optimiser: unexpected field, got 'adam'; did you mean 'optimizer'?"),
        (TrainSpec, {"epoch": 3}, "epoch: unexpected field, got 3; did you mean 'epochs'?"),
        (SGD, {"momentun": 0.9}, "momentun: unexpected field, got 0.9; did you mean 'momentum'?"),
        (Schedule, {"warmup": 5}, "warmup: unexpected field, got 5; did you mean 'warmup_steps'?"),
        (TaskSpec, {"name": "a", "kynd": "binary"}, "kynd: unexpected field, got 'binary'; did you mean 'kind'?"),
        (
            Adam,
            {"lr": 0.1},
            "lr: unexpected field, got 0.1; the fields are kind, learning_rate, beta1, beta2, eps, weight_decay",
        ),
        (
            TrainSpec,
            {"colour": 3},
            "colour: unexpected field, got 3; the fields are optimizer, schedule, clip_norm, balancing, "
            "embedding_updates, frozen, batch_size, epochs, shuffle, seed, precision, device, …",
        ),
    ],
)
def test_an_unknown_field_is_answered_by_one_that_is_called_alike_or_by_all(build, cls, fields, line):
    with pytest.raises(SpecError) as caught:
        build(cls, fields)
    assert str(caught.value) == line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "[train.optimizer]\nkind = 'sgd'\nbeta1 = 1",
            "train.optimizer.beta1: unexpected field of kind sgd, got 1; it ",
        ),
        ("[train.optimizer]\nkind = 'sgd'\nlr = 1", "train.optimizer.lr: unexpected field, got 1"),
        (
            "[train.optimizer]\nkind = 'sgdd'",
            "train.optimizer.kind: expected one of sgd, adam, adamw, adagrad, rmsprop, ",
        ),
        ("[train.optimiser]\nkind = 'sgd'", "train.optimiser: unexpected field, got {'kind': 'sgd'}; did you mean "),
        (
            "[model.sharing]\nkind = 'mmoe'\nlevels = 2",
            "model.sharing.levels: unexpected field of kind mmoe, got 2; it ",
        ),
        ("[modle]", "modle: unexpected field, got {}; did you mean 'model'?"),
    ],
)
def test_a_file_is_answered_with_the_whole_path_and_with_the_kind_that_has_the_field(text, line):
    with pytest.raises(SpecError) as caught:
        from_toml(Experiment, f"{MODEL}\n{text}")
    assert str(caught.value).startswith(line)


def test_the_kinds_that_have_the_field_are_all_named():
    with pytest.raises(SpecError, match=r"; it belongs to kind adam and adamw$"):
        TrainSpec(optimizer={"kind": "sgd", "beta1": 0.5})


@pytest.mark.parametrize("spec", [model(), TrainSpec(optimizer=SGD()), feature()], ids=lambda spec: type(spec).__name__)
def test_a_spec_is_copied_pickled_and_written_like_any_value(spec):
    copies = [copy.copy(spec), copy.deepcopy(spec), pickle.loads(pickle.dumps(spec)), dataclasses.replace(spec)]
    written = [from_toml(type(spec), to_toml(spec)), from_json(type(spec), to_json(spec))]
    assert all(other == spec and type(other) is type(spec) for other in (*copies, *written))


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_the_signature_shows_the_fields(cls):
    parameters = inspect.signature(cls).parameters.values()
    assert [p.name for p in parameters] == [field.name for field in dataclasses.fields(cls)]
    assert {p.kind for p in parameters} <= {inspect.Parameter.KEYWORD_ONLY}
