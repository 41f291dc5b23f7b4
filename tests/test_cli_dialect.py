"""predict and evaluate on files that are written otherwise than the training files."""

import json
from dataclasses import replace

import pyarrow as pa
import pytest
from pyarrow import parquet

from shared_bottom import fit_columns, fit_table, read_trained, write_trained
from shared_bottom.cli.dialect import in_dialect
from shared_bottom.cli.options import Dialect
from spec import (
    CategoricalColumn,
    LabelColumn,
    NetworkSpec,
    NumericColumn,
    TableExperiment,
    TableSpec,
    TaskSpec,
    TrainSpec,
)
from tests.conftest import EACH_BACKEND
from tests.helpers.backends import installed
from tests.helpers.builders import rejection
from tests.helpers.cli import error, run
from tests.helpers.runs import quickest
from tests.helpers.table_files import simple

ROWS = pa.table(
    {
        "price": [1234.5, None, 0.25, 1000000.0],
        "pages": [["a", "b"], ["b"], [], ["c, d", "a"]],
        "y": [0, 1, 1, 0],
    }
)
DATA = TableSpec(
    numeric=(NumericColumn(name="price", transform="log1p"),),
    categorical=(CategoricalColumn(name="pages", length=2, dimension=2),),
    labels={"y": LabelColumn(columns=("y",))},
)
FILES = {
    "a semicolon and a decimal comma": (
        "price;pages;y\n1.234,5;a|b;0\n;b;1\n0,25;;1\n1.000.000;c, d|a;0\n",
        {"delimiter": ";", "decimal": ",", "thousands": ".", "separator": "|"},
    ),
    "comments, escapes and no header": (
        "# by hand\n1234.5,a/b,0\n,b,1\n0.25,,1\n1000000,c\\, d/a,0\n",
        {"comment": "#", "escape": "\\", "separator": "/", "column_names": ("price", "pages", "y"), "format": "csv"},
    ),
}


@pytest.fixture(scope="module", params=EACH_BACKEND)
def folder(request, tmp_path_factory):
    """What was trained on lists and numbers, and beside it the training rows as a Parquet file."""
    backend, folder = installed(request.param).name, tmp_path_factory.mktemp("run")
    train = TrainSpec(batch_size=4, epochs=1, device="cpu", execution=quickest(backend))
    network = NetworkSpec(trunk=(2,), tasks=(TaskSpec(name="y", kind="binary"),))
    experiment = TableExperiment(model=network, train=train, data=DATA)
    write_trained(folder, fit_table(experiment, ROWS, backend=backend, progress="none"))
    parquet.write_table(ROWS, folder / "rows.parquet")
    return folder


def predicted(trained, tmp_path, file, *flags):
    run("predict", trained, file, "--out", tmp_path / "p.parquet", *flags)
    return parquet.read_table(tmp_path / "p.parquet")


def metrics(trained, tmp_path, file, *flags):
    run("evaluate", trained, "--data", file, "--json", tmp_path / "m.json", *flags)
    return json.loads((tmp_path / "m.json").read_text())


def flags_of(fields):
    """The fields of [data] as flags."""
    values = {name: [value] if isinstance(value, str) else value for name, value in fields.items()}
    return [word for name, words in values.items() for word in (f"--{name.replace('_', '-')}", *words)]


@pytest.mark.parametrize("name", FILES)
def test_a_text_file_in_any_dialect_says_what_the_parquet_file_says(folder, tmp_path, name):
    text, fields = FILES[name]
    file = tmp_path / "rows.csv"
    file.write_text(text)
    for answer in (predicted, metrics):
        expected = answer(folder, tmp_path, folder / "rows.parquet")
        assert answer(folder, tmp_path, file, *flags_of(fields)) == expected
    trained = read_trained(folder)
    divided = tuple(replace(column, separator=fields["separator"]) for column in DATA.categorical)
    others = {field: value for field, value in fields.items() if field != "separator"}
    data = replace(trained.columns.data, categorical=divided, **others)
    other = replace(trained, columns=replace(trained.columns, data=data))
    assert other.predict(file) == trained.predict(folder / "rows.parquet")


def test_an_empty_flag_takes_back_what_training_had(folder, tmp_path):
    data = replace(DATA, thousands=",", delimiter=";", escape="|", comment="p", column_names=("y", "pages", "price"))
    trained = read_trained(folder)
    write_trained(tmp_path / "run", replace(trained, columns=replace(trained.columns, data=data)))
    file = tmp_path / "rows.csv"
    file.write_text('price,pages,y\n1234.5,a|b,0\n,b,1\n0.25,,1\n1000000,"c, d|a",0\n')
    none = ("--thousands", "", "--escape", "", "--comment", "", "--column-names")
    found = predicted(tmp_path / "run", tmp_path, file, "--delimiter", ",", "--separator", "|", *none)
    assert found == predicted(folder, tmp_path, folder / "rows.parquet")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--delimiter", "tab"), "--delimiter: String should match pattern"),
        (("--decimal", ","), "--decimal: expected another than thousands and delimiter have, got ','"),
        (("--column-names", "y", "y"), "--column-names: expected distinct names, got 'y' twice"),
        (("--separator", ""), "--separator: expected a string of at least 1 character, got ''"),
    ],
)
@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_a_dialect_that_cannot_be_is_one_line_that_names_the_flag(folder, tmp_path, capsys, command, flags, message):
    rows = folder / "rows.parquet"
    where = (rows, "--out", tmp_path / "p.csv") if command == "predict" else ("--data", rows)
    assert error(capsys, command, folder, *where, *flags).startswith(message)


def test_a_separator_needs_a_column_of_lists():
    columns = fit_columns(simple(), {"x": [1, 2], "y": [0, 1]})
    message = "--separator: expected none, since no column of the model holds lists, got '|'"
    assert rejection(in_dialect, columns, Dialect(separator="|")) == message
