"""What the commands say of values and classes that the training rows do not have, and of the columns themselves."""

import json

import pyarrow as pa
import pytest
from pyarrow import parquet

from shared_bottom.folder import read_trained
from spec import CategoricalColumn, LabelColumn
from tests.helpers.cli import (
    EXPERIMENT,
    changed,
    error,
    fit,
    run,
    table,
    without_plots,
    write,
    write_experiment,
)

LINE = "warning: column 'colour': 30 of 40 values are unknown (75.0%; 0.0% in the validation rows)\n"


@pytest.fixture
def backend_of(trained):
    """The flag that names the backend that trained it."""
    return ("--backend", trained.parent.name.rstrip("0123456789"))


@pytest.fixture
def respelled(tmp_path):
    """Forty rows, in three quarters of which the colour is spelled as it was not in training."""
    rows = table(40, seed=3)
    colours = [colour if i % 4 == 0 else colour.upper() for i, colour in enumerate(rows["colour"].to_pylist())]
    return write(
        tmp_path / "respelled.parquet", rows.set_column(rows.column_names.index("colour"), "colour", [colours])
    )


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_predict_says_how_many_values_of_which_column_are_unknown(
    trained, backend_of, respelled, tmp_path, capsys, form
):
    file = write(tmp_path / f"rows.{form}", parquet.read_table(respelled))
    run("predict", trained, file, "--out", tmp_path / "p.csv", *backend_of)
    assert capsys.readouterr().err == LINE
    run(
        "predict",
        trained,
        write(tmp_path / f"usual.{form}", table(40, seed=3)),
        "--out",
        tmp_path / "p.csv",
        *backend_of,
    )
    assert capsys.readouterr().err == ""


def test_too_many_unknown_values_are_an_error_before_there_is_a_file(trained, backend_of, respelled, tmp_path, capsys):
    out, said = tmp_path / "p.parquet", "of each column's values to be unknown, got 0.75 in column 'colour' (30 of 40)"
    for command in (
        ("predict", trained, respelled, "--out", out),
        ("evaluate", trained, "--data", respelled, "--json", out),
    ):
        message = error(capsys, *command, *backend_of, "--max-unknown", "0.5")
        assert message == f"--max-unknown: expected at most 0.5 {said}"
        assert not out.exists()
        run(*command, *backend_of, "--max-unknown", "0.75")
        assert out.exists()
        out.unlink()
        assert LINE in capsys.readouterr().err
        message = error(capsys, *command, *backend_of, "--max-unknown", "2")
        assert message == "--max-unknown: expected a share from 0 to 1, got 2"


def test_evaluate_says_what_it_left_out_and_what_it_does_not_know(trained, backend_of, respelled, tmp_path, capsys):
    rows = parquet.read_table(respelled).to_pydict()
    rows["region"][:5] = ["west", "west", "up", None, "west"]
    rows["weight"][39], rows["click"][39] = 0.0, True
    file = write(tmp_path / "rows.parquet", pa.table(rows))
    run("evaluate", trained, "--data", file, "--json", tmp_path / "m.json", *backend_of)
    printed = capsys.readouterr()
    assert LINE in printed.err
    classes = "warning: task 'region': 4 labels are none of its classes, and do not count: 'west' (3), 'up' (1)\n"
    assert classes in printed.err
    assert "\n\n\n" not in printed.out  # one blank line between two tables
    lines = [line.split() for line in printed.out.splitlines()]
    assert ["region", "34", "1", "4", "1"] in lines
    assert ["price", "39", "0", "0", "1"] in lines
    missing = rows["click"].count(None)
    assert missing > 0
    assert ["click", str(39 - missing), str(missing), "0", "1"] in lines
    assert ["colour", "40", "30", "75.00%", "0.00%", "of", "the", "validation", "rows'"] in lines
    assert json.loads((tmp_path / "m.json").read_text()).keys() == {"rows", "metrics"}


def test_evaluate_says_no_more_than_the_metrics_where_every_row_counts(trained, backend_of, tmp_path, capsys):
    rows = table(200, seed=4).to_pydict()
    rows["click"] = [bool(value) for value in rows["click"]]
    run("evaluate", trained, "--data", write(tmp_path / "rows.parquet", pa.table(rows)), *backend_of)
    printed = capsys.readouterr()
    assert printed.err == ""
    assert "rows that count" not in printed.out
    assert "unknown" not in printed.out


VALIDATION = {
    "classes": (
        "region",
        ["north", "south", "east", "west"],
        "validation rows: task 'region': 10 labels are none of its classes, and do not count: 'west' (10)",
    ),
    "categories": (
        "colour",
        ["red", "green", "blue", "pink"],
        "validation rows: column 'colour': 10 of 40 values are unknown (25.0%; 0.0% in the training rows)",
    ),
    "nothing else": ("colour", ["red", "green", "blue", "red"], None),
}


@pytest.mark.parametrize("name", VALIDATION)
def test_fit_says_what_of_the_validation_rows_training_never_had(tmp_path, capsys, monkeypatch, name):
    column, values, line = VALIDATION[name]
    without_plots(monkeypatch)
    file = write_experiment(tmp_path / "data", changed(EXPERIMENT, validation=("v.csv",), validation_fraction=0.0))
    rows = table(40, seed=5)
    write(tmp_path / "data" / "v.csv", rows.set_column(rows.column_names.index(column), column, [values * 10]))
    fit(file, tmp_path / "run", "torch", "--quiet", "--train.epochs", "1")
    assert capsys.readouterr().err == (f"warning: {line}\n" if line else "")
    summary = {summary.name: summary for summary in read_trained(tmp_path / "run").columns.summary}
    assert summary["colour"].validation_unknown == (0.25 if name == "categories" else 0.0)


@pytest.mark.parametrize("command", ["describe", "fit"])
def test_the_columns_are_shown_before_the_network_and_doubts_are_warnings(tmp_path, capsys, monkeypatch, command):
    without_plots(monkeypatch)
    categorical = (CategoricalColumn(name="colour", dimension=2), CategoricalColumn(name="id", dimension=2))
    labels = EXPERIMENT.data.labels | {"click": LabelColumn(columns=("click",), positive="true")}
    experiment = changed(EXPERIMENT, categorical=categorical, labels=labels, validation_fraction=0.0)
    file = write_experiment(tmp_path / "data", experiment)
    write(tmp_path / "data" / "train.csv", table(120))
    flags = ("--train.epochs", "1")
    fit(file, tmp_path / "run", "torch", *flags) if command == "fit" else run("describe", file)
    printed = capsys.readouterr()
    assert "warning: training rows: column 'id': expected a category, got 120 distinct values in 120" in printed.err
    lines = [line.split() for line in printed.out.splitlines()]
    assert printed.out.startswith("the columns of 120 training rows\n")
    rows = {line[0]: line[1:] for line in lines if line}
    assert rows["colour"][:5] == ["categorical", "0.00%", "3", "3", "0.00%"]
    assert rows["high"][:3] == ["label", "of", "price"]
    assert rows["region:"][::2] == ["east", "north", "south"]
    if command == "fit":
        assert "<td>label of price</td>" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


def test_a_table_of_many_columns_shows_the_first_ones(tmp_path, capsys):
    from shared_bottom.cli.printing import MOST, print_columns
    from shared_bottom.tables.summary import ColumnSummary

    inputs = [
        ColumnSummary(name=f"n{i}", role="numeric", rows=9, missing=0, mean=1.5, deviation=2.0) for i in range(600)
    ]
    label = ColumnSummary(name="y", role="label", task="y", rows=9, missing=3, distinct=2, mean=0.5)
    print_columns([*inputs, label])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) < MOST + 10
    assert max(map(len, lines)) <= 100
    assert any(line.strip() == f"… and {600 - MOST} more" for line in lines)
    assert any(line.split()[:4] == ["y", "label", "of", "y"] for line in lines)
    print_columns([])
    assert capsys.readouterr().out == ""
