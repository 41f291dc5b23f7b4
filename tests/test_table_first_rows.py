"""A first try on the first rows of a table: what is read, learnt and kept is that of a table that has no others."""

import tomllib
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from shared_bottom.tables import files
from shared_bottom.tables.rows import fit_columns, read_rows, stream_rows
from shared_bottom.tables.training import check_table, read_table
from tests.helpers.builders import rejection
from tests.helpers.cli import error, run
from tests.helpers.table_files import COLUMNS, assert_equal, experiment, with_data, write

pytestmark = pytest.mark.filterwarnings("ignore::shared_bottom.DataWarning")  # some tables are tiny


@pytest.fixture
def table():
    """The columns of 5,000 rows."""
    draw = np.random.default_rng(3)
    columns = {key: [values[i] for i in draw.integers(0, 6, 5000)] for key, values in COLUMNS.items()}
    return columns | {"paid": draw.exponential(9, 5000).tolist()}


def first(table, start, stop):
    return {name: values[start:stop] for name, values in table.items()}


@pytest.fixture
def folder(tmp_path, table):
    """The rows in two files of several blocks, and beside them the first 3,500 rows alone in two others."""
    for name, start, stop in (("a.csv", 0, 3000), ("b.parquet", 3000, 5000), ("few.parquet", 3000, 3500)):
        write(tmp_path, name, first(table, start, stop))
    return tmp_path


WHOLE = experiment(("a.csv", "b.parquet"), memory_mb=1, validation_fraction=0.3, seed=5)
FIRST = with_data(WHOLE, rows=3500)
ALONE = with_data(WHOLE, train=("a.csv", "few.parquet"))


def assert_same_rows(one, other):
    (columns, *one), (others, *other) = one, other
    assert columns.vocabularies == others.vocabularies
    assert columns.numeric == others.numeric
    assert columns.summary == others.summary
    for rows, expected in zip(one, other, strict=True):
        assert_equal(rows, expected)


@pytest.mark.parametrize("cached", [False, True])
def test_they_are_all_that_is_read_and_learnt_from(folder, tmp_path, cached):
    cache = tmp_path / "cache" if cached else None
    expected = read_table(ALONE, folder)
    for _ in range(1 + cached):
        assert_same_rows(read_table(FIRST, folder, cache=cache), expected)
    columns, training, validation = expected
    assert training.rows + validation.rows == 3500
    assert check_table(FIRST, folder).summary == columns.summary
    assert fit_columns(FIRST, folder).numeric == columns.numeric
    of_first = replace(columns, data=FIRST.data)
    assert_equal(read_rows(of_first, folder, FIRST.data.train, "training"), training)
    assert_equal(read_rows(of_first, folder, FIRST.data.train, "validation"), validation)


def test_a_table_in_memory_is_read_likewise(table, folder):
    assert_same_rows(read_table(FIRST, pa.table(table)), read_table(WHOLE, pa.table(first(table, 0, 3500))))


@pytest.mark.parametrize("rows", [10, 2999, 3000])
def test_a_file_that_is_not_needed_is_not_read(folder, monkeypatch, rows):
    read, names = files.read_blocks, []
    monkeypatch.setattr(
        files, "read_blocks", lambda data, path, *rest: names.append(path.name) or read(data, path, *rest)
    )
    source = with_data(FIRST, rows=rows, validation_fraction=0.0)
    _, training, _ = read_table(source, folder)
    assert training.rows == rows
    assert names == ["a.csv"]


def test_of_fewer_rows_all_are_read(folder):
    assert_same_rows(read_table(with_data(WHOLE, rows=9999), folder), read_table(WHOLE, folder))


def test_of_validation_files_as_many_are_read(folder):
    spec = with_data(WHOLE, train=("a.csv",), validation=("b.parquet",), validation_fraction=0.0, rows=500)
    columns, training, validation = read_table(spec, folder)
    assert (training.rows, validation.rows) == (500, 500)
    assert columns.summary == check_table(spec, folder).summary


def test_what_is_predicted_or_evaluated_is_every_row(folder):
    columns, *_ = read_table(FIRST, folder)
    assert sum(batch.rows for batch in stream_rows(columns, folder, ("a.csv", "b.parquet"), labels=True)) == 5000


@pytest.mark.parametrize("rows", [0, -1, 2.5, True])
def test_less_than_one_is_refused(rows):
    assert rejection(with_data, WHOLE, rows=rows).startswith("rows: expected a")


def test_the_flag_of_describe_is_the_field(file, capsys):
    run("describe", file, "--rows", "20")
    assert capsys.readouterr().out.startswith("the columns of 1")  # of 20 rows, a quarter is set aside
    assert error(capsys, "describe", file, "--rows", "0") == "--rows: expected a number greater than 0, got 0"


def test_that_of_fit_is_kept_with_the_run_which_goes_on_with_the_same_rows_only(file, tmp_path, capsys):
    out = ("--out", tmp_path / "run", "--backend", "torch", "--train.execution", "eager", "--quiet")
    run("fit", file, *out, "--rows", "20")
    assert tomllib.loads((tmp_path / "run" / "experiment.toml").read_text())["data"]["rows"] == 20
    run("fit", file, *out, "--data.rows", "20", "--resume")
    assert "resume: expected the run of " in error(capsys, "fit", file, *out, "--resume")
    assert error(capsys, "fit", file, *out, "--rows", "0") == "--rows: expected a number greater than 0, got 0"


def test_where_no_rows_are_read_there_is_nothing_to_limit(trained, capsys):
    assert error(capsys, "describe", trained, "--rows", "5") == "--rows: expected none without rows to read, got 5"
