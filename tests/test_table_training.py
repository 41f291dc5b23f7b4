"""The training rows and the validation rows in one pass over the files: what three passes give."""

import errno
import tempfile
from dataclasses import replace

import numpy as np
import pytest

from shared_bottom.tables import files
from shared_bottom.tables.rows import fit_columns, read_rows
from shared_bottom.tables.training import check_table, read_table
from spec import CategoricalColumn, GradNorm, LabelColumn
from tests.helpers.builders import rejection
from tests.helpers.table_files import COLUMNS, assert_equal, experiment, simple, with_data, write


@pytest.fixture
def parsed(monkeypatch):
    """The names of the files that have been parsed, as often as they were."""
    read, names = files.read_blocks, []

    def counted(data, path, columns):
        names.append(path.name)
        return read(data, path, columns)

    monkeypatch.setattr(files, "read_blocks", counted)
    return names


@pytest.fixture
def large(tmp_path):
    """An experiment of two files of several blocks each, with every kind of label."""
    draw = np.random.default_rng(3)
    for name in ("a.csv", "b.parquet"):
        table = {key: [values[i] for i in draw.integers(0, 6, 4000)] for key, values in COLUMNS.items()}
        write(tmp_path, name, table | {"paid": draw.exponential(9, 4000).tolist()})
    return experiment(("a.csv", "b.parquet"), memory_mb=1, validation_fraction=0.3, seed=5)


def test_one_pass_gives_what_three_give(large, tmp_path, parsed):
    columns, training, validation = read_table(large, tmp_path)
    assert parsed == ["a.csv", "b.parquet"]
    assert columns == check_table(large, tmp_path)
    summary = tuple(replace(column, validation_unknown=None) for column in columns.summary)
    assert replace(columns, summary=summary) == fit_columns(large, tmp_path)
    assert_equal(training, read_rows(columns, tmp_path, large.data.train, "training"))
    assert_equal(validation, read_rows(columns, tmp_path, large.data.train, "validation"))
    assert training.rows + validation.rows == 8000


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"frozen": ("trnk",)}, "train.frozen: expected patterns of parameters' names, got 'trnk'; did you mean"),
        ({"frozen": ("*",)}, "train.frozen: expected patterns that leave a parameter to train, got *"),
        ({"frozen": ("trunk", "embeddings"), "balancing": GradNorm()}, "balancing: expected another than gradnorm"),
    ],
    ids=["nothing is called so", "everything", "nothing shared moves"],
)
@pytest.mark.parametrize("read", [read_table, check_table])
def test_what_cannot_be_frozen_is_refused_before_a_row_is_read(large, tmp_path, parsed, read, training, message):
    spec = replace(large, train=replace(large.train, **training))
    assert rejection(read, spec, tmp_path).startswith(message)
    assert parsed == []


def test_without_validation_rows(large, tmp_path, parsed):
    spec = with_data(large, validation_fraction=0.0)
    columns, training, validation = read_table(spec, tmp_path)
    assert parsed == ["a.csv", "b.parquet"]
    assert validation is None
    assert columns == fit_columns(spec, tmp_path)
    assert_equal(training, read_rows(columns, tmp_path, spec.data.train))


def test_validation_rows_of_files_or_in_memory(large, tmp_path, parsed):
    spec = with_data(large, validation_fraction=0.0, train=("a.csv",), validation=("b.parquet",))
    columns, training, validation = read_table(spec, tmp_path)
    assert parsed == ["a.csv", "b.parquet"]
    assert training.rows == 4000
    assert_equal(validation, read_rows(columns, tmp_path, "b.parquet"))
    assert_equal(read_table(spec, tmp_path, tmp_path / "a.csv")[2], training)
    assert_equal(read_table(spec, tmp_path, COLUMNS)[2], read_rows(columns, COLUMNS))
    for rows in (COLUMNS, tmp_path / "a.csv"):  # the validation files belong to the training files, not to other rows
        assert read_table(spec, rows)[2] is None


def test_columns_of_one_kind_alone(tmp_path):
    write(tmp_path, "train.csv")
    spec = simple(inputs=(CategoricalColumn(name="city"),), label=LabelColumn(columns=("click",)))
    columns, training, _ = read_table(spec, tmp_path)
    assert training.numeric is None
    assert_equal(training, read_rows(columns, tmp_path, "train.csv"))


@pytest.mark.parametrize(
    ("data", "columns", "message"),
    [
        ({}, {name: [] for name in COLUMNS}, "{path}: expected training rows, got none"),
        ({"validation_fraction": 1e-9}, {}, "{path}: expected validation rows, got none"),
        ({"validation_fraction": 1 - 1e-9}, {}, "{path}: expected training rows, got none"),
        ({}, {"age": ["1", "2", "3", "x", "4", "5"]}, "{path}: column 'age', row 4: expected a number, got 'x'"),
        (
            {},
            {"weight": [1, 1, 1, 1, -1, 1]},
            "{path}: column 'weight', row 5: expected a weight of 0 or more, got '-1'",
        ),
        ({"train": ()}, {}, "data.train: expected the names of files, got none"),
    ],
)
def test_errors_are_those_of_three_passes(tmp_path, monkeypatch, data, columns, message):
    write(tmp_path, "train.csv", COLUMNS | columns)
    monkeypatch.chdir(tmp_path)
    line = rejection(read_table, experiment(**data))
    assert line == message.format(path="train.csv")


def test_validation_rows_are_given_in_one_way(tmp_path):
    spec = experiment(validation_fraction=0.3)
    line = rejection(read_table, spec, COLUMNS, COLUMNS)
    assert line == "data.validation_fraction: expected 0 with validation rows, got 0.3"


def test_a_full_disk_is_named_and_no_file_is_left(large, tmp_path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    read_table(large, tmp_path)
    assert list(folder.iterdir()) == []

    class Full:
        closed = False

        def write(self, *_):
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self):
            self.closed = True

    monkeypatch.setattr(tempfile, "TemporaryFile", Full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        read_table(large, tmp_path)
    assert caught.value.filename == str(folder)
