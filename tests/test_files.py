"""Specs in TOML and JSON: a round trip, what is rejected and in which words, the schema, a file on disk."""

import ast
import dataclasses
import inspect
import itertools
import json
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spec import (
    Adam,
    Experiment,
    ModelSpec,
    TaskSpec,
    TrainSpec,
    from_json,
    from_toml,
    json_schema,
    presets,
    read_experiment,
    to_json,
    to_toml,
)
from spec.balancing import Balancing
from spec.losses import Loss
from spec.optimizers import Optimizer
from spec.sharing import WAYS
from tests.helpers.builders import CLASSES, feature, model, rejection, task
from tests.helpers.strategies import (
    OPTIMIZERS,
    model_specs,
    repeatable,
    several,
    sharings,
    tasks_with_losses,
    train_specs,
)

MODELS = model_specs(sharing=sharings, tasks=several(tasks_with_losses))
FORMATS = {"toml": (to_toml, from_toml), "json": (to_json, from_json)}


@pytest.mark.parametrize("form", FORMATS)
@repeatable
@given(st.builds(Experiment, model=MODELS, train=train_specs()))
def test_a_file_gives_back_an_equal_spec(form, experiment):
    write, read = FORMATS[form]
    for spec in (experiment, experiment.model, experiment.train):
        assert read(type(spec), write(spec)) == spec


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("cls", OPTIMIZERS)
@repeatable
@given(data=st.data())
def test_a_file_gives_back_every_optimizer(form, cls, data):
    write, read = FORMATS[form]
    train = TrainSpec(optimizer=data.draw(OPTIMIZERS[cls]))
    assert type(read(TrainSpec, write(train)).optimizer) is cls
    assert read(TrainSpec, write(train)) == train


def test_a_file_may_leave_out_what_has_a_default():
    text = '[model]\nnumeric = 2\ntrunk = [4]\ntasks = [{ name = "a", kind = "regression" }]'
    assert from_toml(Experiment, text) == Experiment(model=model(), train=TrainSpec())


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    "spec", [model(), TrainSpec(), task(), feature(), Adam()], ids=lambda spec: type(spec).__name__
)
def test_an_unknown_key_in_a_file_is_rejected(form, spec):
    write, read = FORMATS[form]
    text = "widht = 3\n" + write(spec) if form == "toml" else json.dumps(json.loads(write(spec)) | {"widht": 3})
    near = "did you mean 'weight'?" if isinstance(spec, TaskSpec) else "the fields are "
    assert rejection(read, type(spec), text).startswith(f"widht: unexpected field, got 3; {near}")


@pytest.mark.parametrize(
    ("tasks", "said"),
    [
        ('[{ nane = "a", kind = "binary" }]', "0.nane: unexpected field, got 'a'; did you mean 'name'?"),
        ("[{ hidden = [2] }]", "0.name: expected a value, got none (and 1 more)"),
        ('["a"]', "0: expected the fields of TaskSpec, got 'a'"),
    ],
)
def test_of_tasks_that_are_none_it_is_said_what_is_there_instead(tasks, said):
    assert rejection(from_toml, ModelSpec, f"trunk = [4]\ntasks = {tasks}") == f"tasks.{said}"


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_the_json_schema_holds_every_field_and_its_docstring(cls):
    schema = json_schema(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    assert schema["properties"].keys() == fields.keys()
    assert schema["description"] == inspect.getdoc(cls)
    assert schema["additionalProperties"] is False
    required = {name for name, field in inspect.signature(cls).parameters.items() if field.default is field.empty}
    assert set(schema.get("required", [])) == required
    body = ast.parse(inspect.getsource(cls)).body[0].body
    for field, below in itertools.pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr) and field.target.id in fields:
            assert schema["properties"][field.target.id]["description"] == inspect.cleandoc(below.value.value)


def test_the_json_schema_says_what_may_not_be_empty():
    fields = json_schema(ModelSpec)["properties"]
    assert {name for name, field in fields.items() if field.get("minItems") == 1} == {"trunk", "tasks"}


@pytest.mark.parametrize(
    ("cls", "field", "classes"),
    [
        (ModelSpec, "sharing", WAYS),
        (TaskSpec, "loss", get_args(Loss)),
        (TrainSpec, "optimizer", get_args(Optimizer)),
        (TrainSpec, "balancing", get_args(Balancing)),
    ],
)
def test_the_json_schema_says_that_a_kind_may_stand_alone(cls, field, classes):
    kinds, *others = json_schema(cls)["properties"][field]["anyOf"]
    assert kinds["enum"] == [cls().kind for cls in classes]
    assert [other["$ref"].rpartition("/")[2] for other in others if "$ref" in other] == [c.__name__ for c in classes]


def test_an_experiment_is_read_from_a_file(tmp_path):
    path, experiment = tmp_path / "run.toml", Experiment(model=model(), train=presets.tutorial_training())
    path.write_text(to_toml(experiment), encoding="utf-8")
    assert read_experiment(path) == experiment


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"numeric = 2", b"numeric = -2", ["model.numeric: ", "got -2"]),
        (b"numeric = 2", b"numeric = 2\nwidht = 3", ["model.widht: ", "got 3"]),
        (b"[model]", b"[model]\nnumeric = = 2", ["line 2"]),
        (b"beta1 = 0.9", b"momentum = 0.9", ["train.optimizer.momentum: ", "got 0.9"]),
        (b"outputs = 1", b"outputs = 0", ["model.tasks.0.outputs: ", "got 0"]),
        (b"[model]", b"[modle]", ["modle: ", "did you mean 'model'?"]),
        (b'"a"', b'"\xff"', ["utf-8"]),
    ],
)
def test_a_bad_file_is_named_with_the_field(tmp_path, old, new, words):
    path = tmp_path / "run.toml"
    text = to_toml(Experiment(model=model())).encode()
    assert old in text
    path.write_bytes(text.replace(old, new, 1))
    line = rejection(read_experiment, path)
    assert line.startswith(f"{path}: ")
    assert [word for word in words if word not in line] == []


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"run\.toml"):
        read_experiment(tmp_path / "run.toml")
