"""The command line on ways of sharing, losses and tasks that depend on others: what it refuses, in one line."""

import tomllib
from dataclasses import replace

import pytest
import tomli_w

from spec import LabelColumn, TaskSpec, to_toml
from tests.helpers.cli import EXPERIMENT, changed, error, table, write

LOSSES = "log_loss, cross_entropy, squared, absolute, huber, poisson, quantile, zero_inflated_lognormal"
LEVELS = "--model.tasks.1.loss.kind quantile --model.tasks.1.loss.levels"
REFUSED_FLAGS = {
    "--model.sharing.kind mixture": (
        "--model.sharing.kind: expected one of shared_bottom, separate, mmoe, ple, got 'mixture'"
    ),
    "--model.sharing.kind mmoe --model.sharing.experts 0": (
        "model.sharing: experts: expected a number greater than 0, got 0"
    ),
    "--model.sharing.kind ple --model.sharing.levels 0": (
        "model.sharing: levels: expected a number greater than 0, got 0"
    ),
    "--model.sharing.experts 3": (
        "--model.sharing.experts: unexpected field of kind shared_bottom; it belongs to kind mmoe, which "
        "--model.sharing.kind chooses"
    ),
    "--model.sharing.kind ple --model.tasks.0.name shared": (
        "model: NetworkSpec: tasks: expected a task to be called otherwise with sharing ple, got 'shared'"
    ),
    "--model.tasks.1.loss.kind hubber": f"--model.tasks.1.loss.kind: expected one of {LOSSES}, got 'hubber'",
    "--model.tasks.0.loss.kind=huber": (
        "model.tasks.0: TaskSpec: loss: expected one of log_loss for the binary task 'click', got huber"
    ),
    "--model.tasks.1.loss.kind huber --model.tasks.1.loss.delta 0": (
        "model.tasks.1.loss: delta: expected a number greater than 0, got 0.0"
    ),
    "--model.tasks.0.loss.focal-gamma -1": (
        "model.tasks.0.loss: focal_gamma: expected a number greater than or equal to 0, got -1.0"
    ),
    "--model.tasks.0.loss.label-smoothing 1": (
        "model.tasks.0.loss: label_smoothing: expected a number less than 1, got 1.0"
    ),
    f"{LEVELS} 0.5 1.5": "model.tasks.1.loss: levels.1: expected a number less than 1, got 1.5",
    f"{LEVELS} 0.5 0.1": "model.tasks.1.loss: Quantile: levels: expected numbers that ascend, got (0.5, 0.1)",
    "--model.tasks.2.loss.class-weights 1 2": "TaskSpec: loss.class_weights: expected 3 for the task 'region', got 2",
    "--model.tasks.1.given click": (
        "model.tasks.1: TaskSpec: given: expected none for the regression task 'price', got 'click'"
    ),
    "--model.tasks.0.given click": (
        "model: NetworkSpec: tasks.click.given: expected none, since no other task is binary, got 'click'"
    ),
    "--model.tasks.0.given region": (
        "model: NetworkSpec: tasks.click.given: expected none, since no other task is binary, got 'region'"
    ),
    "--model.tasks.1.loss.kind poisson --data.labels.price.standardise True": (
        "data.labels.price.standardise: expected none with loss poisson, which learns labels as they are, got True"
    ),
}


@pytest.fixture
def shop(tmp_path):
    """The file of an experiment whose price is one number that is learned as it is, and debt is below 0."""
    rows = table(60)
    write(tmp_path / "train.csv", rows.append_column("debt", [[1.0, None, -3.5, *[2.0] * 57]]))
    path = tmp_path / "shop.toml"
    path.write_text(to_toml(one_price(EXPERIMENT.model.tasks)))
    return path


def one_price(tasks, **price):
    tasks = tuple(replace(task, outputs=1) for task in tasks)
    labels = EXPERIMENT.data.labels | {"price": LabelColumn(**({"columns": ("low",)} | price))}
    return changed(replace(EXPERIMENT, model=replace(EXPERIMENT.model, tasks=tasks)), labels=labels, test=())


@pytest.mark.parametrize("flags", REFUSED_FLAGS)
def test_flags_that_do_not_fit_are_refused_in_one_line(shop, capsys, flags):
    assert error(capsys, "fit", shop, "--out", shop.parent / "run", *flags.split()) == REFUSED_FLAGS[flags]
    assert not (shop.parent / "run").exists()


REFUSED_FILES = {
    "an unknown way": (
        "sharing",
        "mixture",
        "sharing.kind: expected one of shared_bottom, separate, mmoe, ple, got 'mix",
    ),
    "no experts": (
        "sharing",
        {"kind": "mmoe", "experts": 0},
        "sharing.experts: expected a number greater than 0, got 0",
    ),
    "another way's option": (
        "sharing",
        {"kind": "mmoe", "levels": 2},
        "sharing.levels: unexpected field of kind mmoe, got 2; it belongs to kind ple",
    ),
    "an unknown loss": ("loss", "hubber", f"tasks.1.loss.kind: expected one of {LOSSES}, got 'hubber'"),
    "another kind's loss": (
        "loss",
        "log_loss",
        "tasks.1: loss: expected one of squared, absolute, huber, poisson, quantile, zero_inflated_lognormal for the "
        "regression task 'price', got log_loss",
    ),
    "no kind but an option": ("loss", {"delta": 2}, f"tasks.1.loss.kind: expected one of {LOSSES}, got none"),
    "a delta": ("loss", {"kind": "huber", "delta": 0}, "tasks.1.loss.delta: expected a number greater than 0, got 0"),
    "a level": (
        "loss",
        {"kind": "quantile", "levels": [0, 0.5]},
        "tasks.1.loss.levels.0: expected a number greater than 0, got 0",
    ),
    "levels": (
        "loss",
        {"kind": "quantile", "levels": [0.5, 0.5]},
        "tasks.1.loss: levels: expected numbers that ascend, got (0.5, 0.5)",
    ),
    "targets": ("outputs", 2, "tasks.1: outputs: expected 1 with loss quantile for the task 'price', got 2"),
    "what it is given": (
        "given",
        "click",
        "tasks.1: given: expected none for the regression task 'price', got 'click'",
    ),
}
"""By what is wrong: a field of the network or of the task price, its value, and what is said."""


@pytest.mark.parametrize("command", ["fit", "describe"])
@pytest.mark.parametrize("name", REFUSED_FILES)
def test_a_file_that_does_not_fit_is_refused_in_one_line(shop, capsys, command, name):
    field, value, said = REFUSED_FILES[name]
    content = tomllib.loads(shop.read_text())
    place = content["model"] if field == "sharing" else content["model"]["tasks"][1]
    place |= {"loss": "quantile"} if field == "outputs" else {}
    place[field] = value
    shop.write_text(tomli_w.dumps(content))
    out = ("--out", shop.parent / "run") if command == "fit" else ()
    assert error(capsys, command, shop, *out).startswith(f"{shop}: model.{said}")


@pytest.mark.parametrize("command", ["fit", "describe"])
def test_so_is_a_transform_of_labels_that_are_learned_as_they_are(shop, capsys, command):
    click, price, region = EXPERIMENT.model.tasks
    shop.write_text(to_toml(one_price((click, replace(price, loss="poisson", outputs=1), region), transform="log1p")))
    out = ("--out", shop.parent / "run") if command == "fit" else ()
    said = "data.labels.price.transform: expected none with loss poisson, which learns labels as they are, got 'log1p'"
    assert error(capsys, command, shop, *out) == f"{shop}: {said}"


@pytest.mark.parametrize("command", ["fit", "describe"])
@pytest.mark.parametrize("loss", ["poisson", "zero_inflated_lognormal"])
def test_a_label_below_0_is_named_by_both_commands(shop, capsys, command, loss):
    click, price, region = EXPERIMENT.model.tasks
    experiment = one_price((click, replace(price, outputs=1, loss=loss), region), columns=("debt",))
    shop.write_text(to_toml(experiment))
    out = ("--out", shop.parent / "run") if command == "fit" else ()
    said = f"column 'debt', row 3: expected a number of 0 or more with loss {loss}, got '-3.5'"
    assert error(capsys, command, shop, *out) == f"{shop.parent / 'train.csv'}: {said}"
    assert not (shop.parent / "run").exists()


@pytest.mark.parametrize("command", ["fit", "describe"])
def test_predictions_that_would_have_one_name_are_refused_by_both_commands(shop, capsys, command):
    write(shop.parent / "train.csv", table(60).append_column("who", [["click", *["nobody"] * 59]]))
    tasks = (
        TaskSpec(name="click", kind="binary"),
        TaskSpec(name="buy", kind="binary", given="click"),
        TaskSpec(name="buy_given", kind="multiclass"),
    )
    labels = {
        "click": LabelColumn(columns=("click",)),
        "buy": LabelColumn(columns=("click",)),
        "buy_given": LabelColumn(columns=("who",)),
    }
    network = replace(EXPERIMENT.model, tasks=tasks)
    shop.write_text(to_toml(changed(replace(EXPERIMENT, model=network), test=(), labels=labels)))
    out = ("--out", shop.parent / "run") if command == "fit" else ()
    assert "got 'buy_given_click' twice, of buy and buy_given" in error(capsys, command, shop, *out)
