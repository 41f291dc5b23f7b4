"""Which rows are read where a folder, a pattern or a text names the files."""

from pathlib import Path

import pytest

from shared_bottom.cli.parsing import read
from shared_bottom.tables.rows import fit_columns, read_rows, read_table_experiment, stream_rows
from shared_bottom.tables.sources import source_of
from spec import to_toml
from tests.helpers.builders import rejection
from tests.helpers.table_files import COLUMNS, assert_equal, encoded, experiment, write

pytestmark = pytest.mark.filterwarnings("ignore::shared_bottom.DataWarning")  # the tables are tiny

FILES = (
    "part-1.csv",
    "part-10.csv",
    "part-2.parquet",
    "_SUCCESS",
    ".part-1.csv.crc",
    "year=2023/part-0.csv",
    "year=2024/part-0.csv",
    "_temporary/part-9.csv",
    "year=2024/.hidden/part-9.csv",
)


@pytest.fixture
def folder(tmp_path):
    """A folder with files of the same table, as a cluster writes them."""
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        write(tmp_path, name)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("part-1.csv", ["part-1.csv"]),
        (".", ["part-1.csv", "part-10.csv", "part-2.parquet", "year=2023/part-0.csv", "year=2024/part-0.csv"]),
        ("year=2024", ["year=2024/part-0.csv"]),
        ("part-*", ["part-1.csv", "part-10.csv", "part-2.parquet"]),
        ("part-?.*", ["part-1.csv", "part-2.parquet"]),
        ("part-[2-9].*", ["part-2.parquet"]),
        ("*.csv", ["part-1.csv", "part-10.csv"]),
        ("**/*.csv", ["part-1.csv", "part-10.csv", "year=2023/part-0.csv", "year=2024/part-0.csv"]),
        ("year=*", ["year=2023/part-0.csv", "year=2024/part-0.csv"]),
        ("*/part-0.csv", ["year=2023/part-0.csv", "year=2024/part-0.csv"]),
        ("_temporary/*", ["_temporary/part-9.csv"]),
        ("_*/*", ["_temporary/part-9.csv"]),
        ("_SUCCESS", ["_SUCCESS"]),
    ],
)
def test_the_files_of_a_name_are_sorted_without_hidden_ones(folder, name, expected, monkeypatch):
    files = [folder / path for path in expected]
    assert list(source_of(name, folder).files) == files
    assert list(source_of(str(folder / name)).files) == files
    monkeypatch.chdir(folder)
    assert [path.absolute() for path in source_of(Path(name)).files] == files


def test_the_rows_of_a_pattern_are_those_of_its_files(folder):
    spec = experiment(("part-*", "year=2024"), validation_fraction=0.4, seed=2)
    one_by_one = experiment((*FILES[:3], "year=2024/part-0.csv"), validation_fraction=0.4, seed=2)
    (columns, data), (other, same) = (encoded(folder, each, "validation") for each in (spec, one_by_one))
    assert_equal(data, same)
    assert columns.numeric == other.numeric


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("part-3*", "expected files that match the pattern, found none"),
        ("none", "expected a file, found none"),
        ("empty", "expected files in the folder, found none"),
        ("empty/*", "expected files that match the pattern, found none"),
    ],
)
def test_a_name_without_files_is_an_error(folder, name, message):
    (folder / "empty").mkdir()
    (folder / "empty" / "_SUCCESS").touch()
    assert rejection(fit_columns, experiment((name,)), folder) == f"{folder / name}: {message}"


def test_a_file_that_is_there_is_no_pattern_whatever_its_name(tmp_path):
    parent = tmp_path / "a [1] *"
    parent.mkdir()
    write(parent, "part[1].csv")
    write(parent, "part1.csv", {name: values[:2] for name, values in COLUMNS.items()})
    assert encoded(parent, experiment(("part[1].csv",)))[1].rows == 6
    assert (
        encoded(
            parent,
            experiment(
                ("part[0-9].csv",),
                tasks=experiment().model.tasks[:1],
                labels={"click": experiment().data.labels["click"]},
            ),
        )[1].rows
        == 2
    )


def test_the_experiment_keeps_the_pattern_with_an_absolute_path(tmp_path, monkeypatch):
    parent = tmp_path / "a [1]"
    (parent / "rows").mkdir(parents=True)
    write(parent / "rows", "part-1.csv")
    write(parent / "rows", "part[2].csv")
    (parent / "table.toml").write_text(to_toml(experiment(("rows/part-*", "rows/part[2].csv", "rows"))))
    monkeypatch.chdir(parent)
    data = read(Path("table.toml")).data
    assert data.train == (f"{tmp_path}/a [[]1]/rows/part-*", f"{parent}/rows/part[2].csv", f"{parent}/rows")
    monkeypatch.chdir("/")
    assert [path.name for path in source_of(data.train).files] == 2 * ["part-1.csv", "part[2].csv"]
    assert read_rows(fit_columns(read_table_experiment(f"{parent}/table.toml"), parent), data.train).rows == 24


@pytest.mark.parametrize("kind", [str, Path])
def test_a_path_may_be_a_text(tmp_path, kind):
    write(tmp_path, "train.csv")
    (tmp_path / "table.toml").write_text(to_toml(experiment()))
    spec = read_table_experiment(kind(tmp_path / "table.toml"))
    columns = fit_columns(spec, kind(tmp_path))
    expected = encoded(tmp_path, experiment())[1]
    assert_equal(read_rows(columns, kind(tmp_path), "train.csv"), expected)
    assert_equal(read_rows(columns, kind(tmp_path), ["train.csv"]), expected)
    assert_equal(read_rows(columns, kind(tmp_path / "train.csv")), expected)
    assert sum(part.rows for part in stream_rows(columns, kind(tmp_path), "train.csv")) == 6
    assert fit_columns(spec, kind(tmp_path / "train.csv")) == columns


def test_an_experiment_without_files_needs_rows(tmp_path, monkeypatch):
    write(tmp_path, "train.csv")
    monkeypatch.chdir(tmp_path)
    assert rejection(fit_columns, experiment(()), "") == "data.train: expected the names of files, got none"
    assert fit_columns(experiment(()), "train.csv") == fit_columns(experiment(()), tmp_path)
    assert rejection(fit_columns, experiment(()), None).startswith("rows: expected the names of files or a table")
