"""What the command line takes: every field of the file as a flag, every union's kind."""

import re
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from pydantic import TypeAdapter

from shared_bottom.cli.options import FitExperiment
from shared_bottom.cli.parsing import parse
from spec import (
    PLE,
    SGD,
    Adagrad,
    Adam,
    AdamW,
    CrossEntropy,
    DynamicWeightAverage,
    EarlyStopping,
    GradNorm,
    Huber,
    LogLoss,
    MMoE,
    Quantile,
    RMSprop,
    TaskSpec,
    UncertaintyWeighting,
)
from spec import to_toml as toml
from spec.balancing import Balancing
from spec.sharing import WAYS
from spec.tasks import TASK_KINDS
from tests.helpers.cli import EXPERIMENT, changed

ROOT = Path(__file__).parents[1]
KINDS = {"sgd": SGD, "adam": Adam, "adamw": AdamW, "adagrad": Adagrad, "rmsprop": RMSprop}


def parsed(file, *flags):
    found = parse(["fit", str(file), "--out", "run", *flags])
    assert isinstance(found, FitExperiment)
    return found.experiment


OVERRIDES = [
    (("--train.epochs", "3"), lambda e: e.train.epochs, 3),
    (("--train.optimizer.learning-rate", "0.01"), lambda e: e.train.optimizer, Adam(learning_rate=0.01)),
    (("--train.clip-norm", "2"), lambda e: e.train.clip_norm, 2.0),
    (("--train.no-shuffle",), lambda e: e.train.shuffle, False),
    (("--train.schedule.kind", "cosine"), lambda e: e.train.schedule.kind, "cosine"),
    (("--model.dropout", "0.1"), lambda e: e.model.dropout, 0.1),
    (("--model.trunk", "9", "5", "3"), lambda e: e.model.trunk, (9, 5, 3)),
    (("--model.tasks.0.weight", "2"), lambda e: [task.weight for task in e.model.tasks], [2.0, 0.5, 1.0]),
    (("--model.tasks.2.hidden", "4", "2"), lambda e: e.model.tasks[2].hidden, (4, 2)),
    (("--data.memory-mb", "64"), lambda e: e.data.memory_mb, 64),
    (("--data.labels.click.positive", "yes"), lambda e: e.data.labels["click"].positive, "yes"),
    (("--data.numeric.1.transform", "none"), lambda e: [c.transform for c in e.data.numeric], ["none", "none"]),
    (
        ("--train.early-stopping.patience", "2"),
        lambda e: e.train.early_stopping,
        EarlyStopping(patience=2),
    ),
    (("--train.balancing.kind=dwa",), lambda e: e.train.balancing, DynamicWeightAverage()),
    (
        ("--train.balancing.kind", "gradnorm", "--train.balancing.alpha", "0.5"),
        lambda e: e.train.balancing,
        GradNorm(alpha=0.5),
    ),
    (
        ("--train.balancing.initial-log-variance", "1", "--train.balancing.kind", "uncertainty"),
        lambda e: e.train.balancing,
        UncertaintyWeighting(initial_log_variance=1.0),
    ),
    (("--model.sharing.kind", "mmoe", "--model.sharing.experts", "4"), lambda e: e.model.sharing, MMoE(experts=4)),
    (("--model.sharing.levels=2", "--model.sharing.kind=ple"), lambda e: e.model.sharing, PLE(levels=2)),
    (
        ("--model.tasks.1.loss.kind", "huber", "--model.tasks.1.loss.delta", "2"),
        lambda e: [task.loss for task in e.model.tasks],
        [None, Huber(delta=2.0), None],
    ),
    (("--model.tasks.0.loss.focal_gamma", "2"), lambda e: e.model.tasks[0].loss, LogLoss(focal_gamma=2.0)),
    (
        ("--model.tasks.2.loss.class-weights", "1", "0.5", "3"),
        lambda e: e.model.tasks[2].loss,
        CrossEntropy(class_weights=(1.0, 0.5, 3.0)),
    ),
    (
        ("--model.tasks.2.kind", "binary", "--model.tasks.2.given", "click"),
        lambda e: e.model.tasks[2],
        TaskSpec(name="region", kind="binary", given="click"),
    ),
    (
        (
            *("--model.tasks.1.kind", "binary", "--model.tasks.1.outputs", "1"),
            *("--model.tasks.1.loss.kind", "log_loss", "--model.tasks.1.loss.positive-weight", "3"),
        ),
        lambda e: e.model.tasks[1],
        TaskSpec(name="price", kind="binary", weight=0.5, loss=LogLoss(positive_weight=3.0)),
    ),
    (
        (
            *("--model.tasks.0.loss.kind", "quantile", "--model.tasks.0.loss.levels", "0.2", "0.4"),
            *("--model.tasks.0.kind", "regression"),
        ),
        lambda e: e.model.tasks[0],
        TaskSpec(name="click", kind="regression", loss=Quantile(levels=(0.2, 0.4))),
    ),
]


@pytest.mark.parametrize(("flags", "value", "expected"), OVERRIDES, ids=[" ".join(flags) for flags, *_ in OVERRIDES])
def test_a_flag_overrides_the_file(file, flags, value, expected):
    assert value(parsed(file)) != expected
    assert value(parsed(file, *flags)) == expected


@pytest.mark.parametrize(
    "arguments",
    [
        ("FILE", "--out", "runs/x.toml"),
        ("--out", "runs/x.toml", "FILE"),
        ("--out=runs/x.toml", "FILE"),
        ("--backend", "x.toml", "--save-every", "3", "FILE", "--out", "x.toml"),
        ("--save_every=3", "--resume", "FILE", "--out", "x.toml", "--quiet"),
        ("--train.epochs", "2", "FILE", "--out", "x.toml"),
        ("--train.no-shuffle", "--out", "x.toml", "--train.optimizer.kind", "sgd", "--quiet", "FILE"),
        ("--model.trunk", "9", "5", "--out", "x.toml", "FILE", "--data.train", "a.csv", "b.csv"),
        ("--data.labels.click.positive=x.toml", "FILE", "--out", "run"),
        ("--data.train", "a.csv", "b.csv", "FILE", "--out", "run"),
        ("--out", "x.toml", "--model.tasks.0.hidden", "FILE", "--quiet"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("there", [True, False])
def test_the_file_is_the_argument_that_is_no_flags_value(file, tmp_path, monkeypatch, arguments, there):
    monkeypatch.chdir(tmp_path)
    if there:  # an experiment, too
        for path in (tmp_path / "x.toml", tmp_path / "runs" / "x.toml"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(toml(replace(EXPERIMENT, model=replace(EXPERIMENT.model, dropout=0.5))))
    found = parse(["fit", *(str(file) if argument == "FILE" else argument for argument in arguments)])
    assert found.file == file
    assert found.experiment.model.dropout == 0.0
    assert str(found.out) in ("run", "x.toml", "runs/x.toml")


def test_an_experiment_as_a_fields_value_is_told_from_the_file(file):
    flags = ("--data.test", str(file), "--data.memory-mb", "64")
    other = file.with_name("other.toml")
    other.write_text(file.read_text())
    with pytest.raises(ValueError, match=rf"^fit: expected one FILE\.toml, got '{file}' and '{other}'$"):
        parse(["fit", "--out", "run", *flags, str(other)])


def test_a_flag_that_takes_several_values_ends_before_the_file(file):
    found = parse(["fit", "--out", "run", "--model.trunk", "9", "5", str(file)])
    assert found.experiment.model.trunk == (9, 5)


def test_without_flags_it_is_the_files(file):
    found = parsed(file)
    paths = {"train": (str(file.parent / "train.csv"),), "test": (str(file.parent / "test.parquet"),)}
    assert found == replace(EXPERIMENT, data=replace(EXPERIMENT.data, **paths))


@pytest.mark.parametrize("before", ["adam", "rmsprop"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_optimizer_may_be_another_kind(tmp_path, before, kind):
    train = replace(EXPERIMENT.train, optimizer=KINDS[before](learning_rate=0.5))
    path = tmp_path / "shop.toml"
    path.write_text(toml(replace(EXPERIMENT, train=train)))
    assert parsed(path).train.optimizer == KINDS[before](learning_rate=0.5)
    flags = ("--train.optimizer.kind", kind, "--train.optimizer.weight-decay", "0.25")
    found = parsed(path, *flags, "--train.epochs", "7")
    assert type(found.train.optimizer) is KINDS[kind]
    assert found.train.optimizer.weight_decay == 0.25
    assert found.train.epochs == 7
    if kind != before:
        assert found.train.optimizer == KINDS[kind](weight_decay=0.25)


@pytest.mark.parametrize("named", [False, True], ids=["left out", "named"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_loss_is_chosen_by_its_kind_whether_the_file_names_one_or_not(tmp_path, place, named):
    tasks = [replace(task, outputs=1) for task in EXPERIMENT.model.tasks]
    tasks = [replace(task, loss=task.objective) if named else task for task in tasks]
    experiment = replace(EXPERIMENT, model=replace(EXPERIMENT.model, tasks=tuple(tasks)))
    label = replace(EXPERIMENT.data.labels["price"], columns=("low",))
    path = tmp_path / "shop.toml"
    path.write_text(toml(changed(experiment, labels=experiment.data.labels | {"price": label})))
    for loss in TASK_KINDS[tasks[place].kind].losses:
        found = parsed(path, f"--model.tasks.{place}.loss.kind={loss.kind}", "--train.epochs", "7")
        assert found.model.tasks[place].loss == loss
        assert found.train.epochs == 7


@pytest.mark.parametrize("before", WAYS)
@pytest.mark.parametrize("way", WAYS)
def test_so_is_the_way_of_sharing(tmp_path, before, way):
    path = tmp_path / "shop.toml"
    path.write_text(toml(replace(EXPERIMENT, model=replace(EXPERIMENT.model, sharing=before()))))
    assert parsed(path, "--model.sharing.kind", way().kind).model.sharing == way()


def leaves(name, value):
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if isinstance(value, dict) or (isinstance(value, list) and value and isinstance(value[0], dict)):
        for key, item in items:
            yield from leaves(f"{name}.{key}" if name else str(key), item)
    else:
        yield name, value


def test_every_field_is_a_flag_that_the_help_shows(tmp_path, capsys):
    stopping = replace(EXPERIMENT, train=replace(EXPERIMENT.train, early_stopping=EarlyStopping()))
    tasks = tuple(replace(task, loss=task.objective) for task in EXPERIMENT.model.tasks)
    complete = replace(stopping, model=replace(EXPERIMENT.model, tasks=tasks))
    path = tmp_path / "shop.toml"
    path.write_text(toml(EXPERIMENT))
    said = ""
    for chosen in ((), ("--train.balancing.kind", "gradnorm"), ("--train.early-stopping.metric", "auc")):
        with pytest.raises(SystemExit) as caught:
            parse(["fit", str(path), *chosen, "--help"])
        assert caught.value.code == 0
        said += capsys.readouterr().out
    fields = dict(leaves("", TypeAdapter(type(complete)).dump_python(complete, mode="json")))
    assert len(fields) > 60
    assert "Train the network of FILE.toml on the rows of its tables" in " ".join(said.split())
    for name, value in fields.items():
        head, last = name.rsplit(".", 1)
        optional = name.startswith("data.labels")  # its flag takes True or False
        negated = "no-" if value is True and not optional else ""
        assert f"--{head}.{negated}{last} " in said.replace("\n", " ")


def test_the_help_lists_the_kinds_and_writes_fields_as_a_file_does_and_other_flags_as_commands_do(file, capsys):
    with pytest.raises(SystemExit):
        parse(["fit", str(file), "--model.sharing.kind", "mmoe", "--help"])
    said = capsys.readouterr().out
    for field, classes in (
        ("train.optimizer", KINDS.values()),
        ("train.balancing", get_args(Balancing)),
        ("model.sharing", WAYS),
    ):
        assert f"--{field}.kind {{{','.join(cls.kind for cls in classes)}}} " in said
    for flag in ("--train.optimizer.learning_rate FLOAT", "--train.no-shuffle", "--save-every STEPS", "--no-cache"):
        assert f" {flag} " in said
    assert " train.early_stopping options " in said
    assert "(default: mmoe)" in said
    fields = re.findall(r"--((?:model|train|data)\.[\w.-]+)", said)
    assert [name for name in fields if "-" in name.replace(".no-", ".")] == []
