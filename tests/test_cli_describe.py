"""describe: a table of layers whose sums are those of the spec."""

import math
from dataclasses import replace

import pytest

from shared_bottom.folder import read_trained
from shared_bottom.tables import files
from spec import (
    PLE,
    CategoricalFeature,
    EarlyStopping,
    Experiment,
    LabelColumn,
    MMoE,
    ModelSpec,
    Separate,
    TaskSpec,
    TrainSpec,
    parameter_shapes,
    to_toml,
)
from spec.flops import layer_flops, step_flops
from spec.network import layers
from tests.helpers.cli import EXPERIMENT, changed, error, run, table, write, write_experiment

MODEL = ModelSpec(
    numeric=1200,
    categorical=(CategoricalFeature(name="city", vocabulary=5000, dimension=8),),
    trunk=(64, 32),
    tasks=(TaskSpec(name="click", kind="binary", hidden=(16,)), TaskSpec(name="price", kind="regression", outputs=2)),
    normalization="layer",
)

PARTS = ("embeddings", "experts", "gates", "levels", "tasks")
"""What the name of a layer or a table may begin with."""


def described(capsys, *arguments):
    """By layer, and "total": the printed row."""
    capsys.readouterr()
    run("describe", *arguments)
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]
    return {row[0]: row[1:] for row in rows}


def number(text):
    return int(text.replace(",", ""))


def assert_described(rows, model, batch_size):
    tables = dict.fromkeys(feature.parameter for feature in model.categorical)
    names = [*tables, *(layer.name for layer in layers(model))]
    assert [name for name in rows if name in names] == names
    counts, flops = ([number(rows[name][i]) for name in names if rows[name][i] != "–"] for i in (-2, -1))
    assert number(rows["total"][0]) == sum(counts) == sum(math.prod(s) for s in parameter_shapes(model).values())
    assert number(rows["total"][1]) == sum(flops) == step_flops(model, batch_size)


def test_a_whole_spec_needs_no_data(tmp_path, capsys):
    path = tmp_path / "spec.toml"
    path.write_text(to_toml(Experiment(model=MODEL, train=TrainSpec(batch_size=100))))
    rows = described(capsys, path)
    assert_described(rows, MODEL, 100)
    assert rows["embeddings.city"] == ["5,000", "×", "8", "40,000", "–"]
    trunk = (1208 * 64 + 3 * 64, 2 * 100 * 64 * (2 * 1208 + 8))
    assert rows["trunk.0"] == ["1,208", "×", "64", *(f"{count:,}" for count in trunk)]


def test_a_table_that_features_share_is_one_row_and_says_if_it_is_frozen(tmp_path, capsys):
    path, (city,) = tmp_path / "spec.toml", MODEL.categorical
    frozen = replace(city, trainable=False)
    model = replace(MODEL, categorical=(frozen, replace(frozen, name="seen", table="city", length=3)))
    path.write_text(to_toml(Experiment(model=model)))
    rows = described(capsys, path)
    assert [name for name in rows if name.startswith("embeddings.")] == ["embeddings.city"]
    assert rows["embeddings.city"] == ["5,000", "×", "8,", "frozen", "40,000", "–"]
    assert number(rows["total"][0]) == sum(math.prod(shape) for shape in parameter_shapes(model).values())
    assert layer_flops(model, 1)["trunk.0"] == 2 * 64 * 2 * 1216  # without a gradient of what does not move


def test_what_training_leaves_as_it_is_says_so(tmp_path, capsys):
    path = tmp_path / "spec.toml"
    path.write_text(to_toml(Experiment(model=MODEL, train=TrainSpec(frozen=("trunk.0", "embeddings.city")))))
    rows = described(capsys, path)
    assert [name for name, row in rows.items() if "frozen" in row] == ["embeddings.city", "trunk.0"]


@pytest.mark.parametrize("sharing", [Separate(), MMoE(), MMoE(experts=1), PLE(levels=2, shared_experts=3)])
def test_experts_that_are_alike_are_one_row_and_the_rows_add_up(tmp_path, capsys, sharing):
    path, model = tmp_path / "spec.toml", replace(MODEL, sharing=sharing)
    path.write_text(to_toml(Experiment(model=model, train=TrainSpec(batch_size=100))))
    rows = described(capsys, path)
    first = next(iter(rows))
    assert first == "numeric"  # the title
    assert sharing.kind in " ".join(rows[first])
    of_layers = {name: row for name, row in rows.items() if name.split(".")[0] in PARTS and name[-1] != ":"}
    total = sum(math.prod(shape) for shape in parameter_shapes(model).values())
    for place, whole in ((-2, total), (-1, step_flops(model, 100))):
        assert sum(number(row[place]) for row in of_layers.values() if row[place] != "–") == whole
        assert number(rows["total"][place]) == whole


def test_the_rows_of_experts_name_the_first_and_the_last(tmp_path, capsys):
    path = tmp_path / "spec.toml"
    path.write_text(to_toml(Experiment(model=replace(MODEL, sharing=MMoE()), train=TrainSpec(batch_size=100))))
    rows = described(capsys, path)
    assert rows["experts.0…7.0"][:4] == ["8", "of", "1,208", "×"]
    one = 1208 * 64 + 3 * 64
    assert rows["experts.0…7.0"][-2] == f"{8 * one:,}"
    assert rows["gates.price"][-2] == f"{1208 * 8:,}"
    path.write_text(to_toml(Experiment(model=replace(MODEL, sharing=PLE()), train=TrainSpec(batch_size=100))))
    names = [name for name in described(capsys, path) if name.startswith("levels.")]
    assert names == [
        *(f"levels.0.{owner}.0…1.{place}" for owner in ("shared", "click", "price") for place in (0, 1)),
        *("levels.0.gates.click", "levels.0.gates.price"),
    ]


def test_the_tasks_are_named_with_what_they_are_given_and_with_their_losses(tmp_path, capsys):
    buy = TaskSpec(name="buy", kind="binary", given="click")
    spend = TaskSpec(name="spend", kind="regression", loss="poisson", weight=0.5)
    path = tmp_path / "spec.toml"
    path.write_text(to_toml(Experiment(model=replace(MODEL, tasks=(MODEL.tasks[0], buy, spend)))))
    run("describe", path)
    line = capsys.readouterr().out.splitlines()[-1]
    assert line == (
        "tasks: click (binary, weight 1), buy (binary given click, weight 1), "
        "spend (regression, loss poisson, weight 0.5)"
    )


def test_a_table_is_read_for_its_vocabularies_and_gives_the_network_that_is_trained(trained, capsys):
    model = read_trained(trained).model
    assert model.categorical[0].vocabulary == 4  # red, green, blue, unknown
    by_file, by_folder = described(capsys, trained / "experiment.toml"), described(capsys, trained)
    assert_described(by_folder, model, 8)
    assert by_file == by_folder


def test_the_flops_of_a_step_are_those_of_its_layers():
    flops = layer_flops(MODEL, 10)
    assert list(flops) == [layer.name for layer in layers(MODEL)]
    assert sum(flops.values()) == step_flops(MODEL, 10)
    assert flops["tasks.price.0"] == 3 * 2 * 10 * 32 * 2


def stopping(**options):
    return replace(EXPERIMENT, train=replace(EXPERIMENT.train, early_stopping=EarlyStopping(**options)))


UNTRAINABLE = {
    "weights that are texts": (changed(EXPERIMENT, weight="note"), "column 'note', row 1: expected a number, got"),
    "a weight below 0": (changed(EXPERIMENT, weight="debt"), "column 'debt', row 1: expected a weight of 0 or more"),
    "validation rows without a label": (
        changed(EXPERIMENT, validation=("unlabelled.csv",), validation_fraction=0.0),
        "unlabelled.csv: expected a column 'click'",
    ),
}
UNREAD = {
    "no such task to watch": (
        stopping(monitor="byu"),
        "early_stopping.monitor: expected one of click, price, region, mean, loss, got 'byu'",
    ),
    "no rows to watch": (
        changed(stopping(), validation_fraction=0.0),
        "early_stopping: expected validation rows to watch, got none",
    ),
    "no training file": (changed(EXPERIMENT, train=("train.csv", "gone.csv")), "gone.csv: expected a file, found none"),
    "no validation file": (
        changed(EXPERIMENT, validation=("gone.csv",), validation_fraction=0.0),
        "gone.csv: expected a file, found none",
    ),
    "no test file": (changed(EXPERIMENT, test=("gone.parquet",)), "gone.parquet: expected a file, found none"),
    "no test file of a pattern": (
        changed(EXPERIMENT, test=("gone-*.csv",)),
        "gone-*.csv: expected files that match the pattern, found none",
    ),
}


@pytest.mark.parametrize("command", ["describe", "fit"])
@pytest.mark.parametrize("name", [*UNTRAINABLE, *UNREAD])
def test_what_could_not_be_trained_is_refused_by_both_commands(tmp_path, capsys, monkeypatch, command, name):
    experiment, said = (UNTRAINABLE | UNREAD)[name]
    file, rows = write_experiment(tmp_path / "data", experiment), table(60)
    write(file.parent / "train.csv", rows.append_column("note", [["heavy"] * 60]).append_column("debt", [[-1.0] * 60]))
    write(file.parent / "unlabelled.csv", rows.drop_columns(["click"]))
    if name in UNREAD:
        monkeypatch.setattr(files, "read_blocks", None)
    assert said in error(capsys, command, file, *(("--out", tmp_path / "run") if command == "fit" else ()))
    assert not (tmp_path / "run").exists()


def test_validation_rows_need_the_labels_that_are_watched(tmp_path, capsys):
    experiment = changed(stopping(monitor="click"), validation=("empty.csv",), validation_fraction=0.0)
    file = write_experiment(tmp_path, experiment)
    write(tmp_path / "empty.csv", table(9).drop_columns(["click"]).append_column("click", [[None] * 9]))
    said = "early_stopping: expected a label of task 'click' in a validation row, got none"
    assert error(capsys, "describe", file) == said


@pytest.mark.parametrize(("text", "said"), [("data = 3", "model: expected a value, got none"), ("x", "Expected '='")])
def test_a_file_that_is_no_experiment_is_named(tmp_path, capsys, text, said):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    run("describe", path, code=2)
    assert capsys.readouterr().err.startswith(f"error: {path}: {said}")


def test_what_is_described_is_written_nowhere(tmp_path, capsys):
    file = write_experiment(tmp_path)
    before = sorted(tmp_path.iterdir())
    described(capsys, file)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("command", ["describe", "fit"])
def test_predictions_that_could_not_be_written_are_refused_at_once(tmp_path, capsys, command):
    tasks = (*EXPERIMENT.model.tasks[:2], TaskSpec(name="price_low", kind="regression"))
    labels = {name: EXPERIMENT.data.labels[name] for name in ("click", "price")}
    labels["price_low"] = LabelColumn(columns=("low",))
    network = replace(EXPERIMENT.model, tasks=tasks)
    file = write_experiment(tmp_path / "data", changed(replace(EXPERIMENT, model=network), labels=labels))
    out = ("--out", tmp_path / "run") if command == "fit" else ()
    assert "got 'price_low' twice, of price and price_low" in error(capsys, command, file, *out)
    assert not (tmp_path / "run").exists()
