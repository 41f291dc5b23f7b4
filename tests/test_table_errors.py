"""What a bad table is rejected with: one line with the file, the column, the row and the value."""

import gzip
import os

import pyarrow as pa
import pytest
from pyarrow import parquet

from shared_bottom.tables.files import read_blocks
from shared_bottom.tables.rows import fit_columns, read_rows, stream_rows
from spec import CategoricalColumn, LabelColumn, NumericColumn
from tests.helpers.builders import rejection
from tests.helpers.table_files import COLUMNS, encoded, experiment, simple, with_data, write

LIST = pa.list_(pa.field("element", pa.int64()))
GOOD = {"x": [1.5, 2.5, 4.0], "c": ["a", "b", "a"], "y": ["0", "1", "1"]}


@pytest.mark.parametrize("name", ["train.csv", "train.parquet", "train.csv.gz"])
@pytest.mark.parametrize(
    ("data", "columns", "message"),
    [
        ({}, {"x": ["1", "2", "3x"]}, "column 'x', row 3: expected a number, got '3x'"),
        ({}, {"x": ["?", "", "3x"]}, "column 'x', row 1: expected a number, got '?'"),
        ({}, {"x": ["1", " -inf", "3"]}, "column 'x', row 2: expected a finite number, got ' -inf'"),
        ({}, {"x": ["1", "1e999", "3"]}, "column 'x', row 2: expected a finite number, got '1e999'"),
        (
            {"numeric": (NumericColumn(name="x", standardise=False),)},
            {"x": ["1", "2", "-1e39"]},
            "column 'x', row 3: expected a number that fits float32, got '-1e39'",
        ),
        (
            {"numeric": (NumericColumn(name="x", transform="log1p"),)},
            {"x": ["1", "-1", "3"]},
            "column 'x', row 2: expected a number above -1 for log1p, got '-1'",
        ),
        (
            {},
            {"y": ["1", "0", "2"]},
            "column 'y', row 3: expected 0, 1, false or true, where no `positive` is named, got '2'",
        ),
        ({"weight": "w"}, {"w": ["1", "0", "-2"]}, "column 'w', row 3: expected a weight of 0 or more, got '-2'"),
    ],
)
def test_a_value_that_its_column_cannot_hold(tmp_path, name, data, columns, message):
    write(tmp_path, name, GOOD | columns)
    assert rejection(encoded, tmp_path, with_data(simple((name,)), **data)) == f"{tmp_path / name}: {message}"


def test_a_row_without_a_weight(tmp_path):
    write(tmp_path, "train.csv", GOOD | {"w": [1, None, 2]})
    line = rejection(encoded, tmp_path, simple(weight="w"))
    assert line == f"{tmp_path / 'train.csv'}: column 'w', row 2: expected a weight of 0 or more, got ''"


@pytest.mark.parametrize("name", ["train.csv", "train.parquet"])
def test_the_row_is_counted_in_its_file_over_all_blocks(tmp_path, name):
    write(tmp_path, "first.csv", GOOD)
    write(tmp_path, name, {"x": ["1"] * 29_999 + ["one"], "y": ["0"] * 30_000})
    for spec in (simple(("first.csv", name), memory_mb=1), simple(("first.csv", name), validation_fraction=0.01)):
        assert rejection(fit_columns, spec, tmp_path).endswith("'x', row 30000: expected a number, got 'one'")


@pytest.mark.parametrize(
    ("spec", "columns", "message"),
    [
        (simple(), {"x": [None] * 3}, "column 'x': expected at least one number in the training rows, got none"),
        (
            simple(),
            {"x": [1e200, -1e200, 0]},
            "column 'x': expected numbers whose squares fit float64, got one of size 1e+200",
        ),
        (
            simple(kind="regression"),
            {"y": [""] * 3},
            "column 'y': expected at least one number in the training rows, got none",
        ),
        (simple(), {"y": [""] * 3}, "column 'y': expected at least one label in the training rows, got none"),
        (
            simple(label=LabelColumn(columns=("y",), positive="2")),
            {},
            "column 'y': expected the positive value '2' in a training row, got '0', '1'",
        ),
        (
            simple(kind="multiclass", outputs=3),
            {},
            "column 'y': expected 3 classes, the outputs of task 'y', got 2: '0', '1'",
        ),
        (
            simple(kind="multiclass", outputs=2),
            {"y": ["a", "b", "c"]},
            "column 'y': expected 2 classes, the outputs of task 'y', got 3: 'a', 'b', 'c'",
        ),
        (
            simple(kind="multiclass", outputs=2, label=LabelColumn(columns=("y",), classes=("a", "b"))),
            {},
            "column 'y': expected one of the classes ('a', 'b') in a training row, got '0', '1'",
        ),
    ],
)
def test_training_rows_that_nothing_can_be_learnt_from(tmp_path, spec, columns, message):
    write(tmp_path, "train.csv", GOOD | columns)
    assert rejection(fit_columns, spec, tmp_path) == f"{tmp_path / 'train.csv'}: {message}"


@pytest.mark.parametrize("name", ["train.csv", "train.parquet"])
def test_a_column_that_is_not_there(tmp_path, name):
    write(tmp_path, name, {"x": [1], "z": [2]})
    assert rejection(encoded, tmp_path, simple((name,))) == f"{tmp_path / name}: expected a column 'y', found x, z"


def test_a_column_that_is_there_twice(tmp_path):
    (tmp_path / "train.csv").write_text("x,y,x\n1,0,2\n")
    assert rejection(encoded, tmp_path, simple()) == f"{tmp_path / 'train.csv'}: expected a column 'x', found it twice"


@pytest.mark.parametrize(
    ("column", "inputs", "expected"),
    [
        (pa.array([[1], [2]], LIST), "x", "numbers"),
        (pa.array([[1], [2]], LIST), (CategoricalColumn(name="x"),), "text, numbers or booleans"),
        (pa.array([1, 2], pa.timestamp("ms")), "x", "numbers"),
    ],
)
def test_a_parquet_column_of_another_type(tmp_path, column, inputs, expected):
    write(tmp_path, "train.parquet", {"x": column, "y": [0, 1]})
    line = rejection(encoded, tmp_path, simple(("train.parquet",), inputs=inputs))
    assert line.startswith(f"{tmp_path / 'train.parquet'}: column 'x': expected {expected}, got {column.type}")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("train.csv", b"", ["expected", "mpty"]),
        ("train.csv", b"x,y\n", ["expected training rows, got none"]),
        ("train.csv", b"x,y\n1,0\n2\n3,1\n", ["expected 2 values in each row, got 1 in line 3: '2'"]),
        ("train.csv", b"x,y\n1,0\n2,1,1\n", ["expected 2 values in each row, got 3 in line 3: '2,1,1'"]),
        ("train.csv", b"x,y,\xff\n1,0,1\n", ["expected column names in UTF-8, got b'\\xff'"]),
        ("train.csv", b"x,y\n1," + b"0" * 100_000 + b"\n", ["expected rows of at most memory_mb / 128 = 8192 bytes"]),
        ("train.csv.gz", gzip.compress(b"x,y\n" + b"1,0\n" * 9000, mtime=0)[:-20], ["expected a CSV file"]),
        ("train.parquet", b"", ["expected a CSV file", "mpty"]),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path, name, content, words):
    path = tmp_path / name
    path.write_bytes(content)
    line = rejection(fit_columns, simple((name,), memory_mb=1), tmp_path)
    assert line.startswith(f"{path}: expected ")
    assert [word for word in words if word not in line] == []


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"x,y\n1,0\n\xe9,0\n", "column 'x', line 3"),
        (b"z,y,x\n\n,,\n,0,\n  \n" + b"a,0,1\n" * 9000 + b"\na,\xe9,1\n", "column 'y', line 9007"),
        (b'# a\ny,z,x\n0,"\n",1\n0,a,\xe9\n', "column 'x', line 5"),
    ],
)
def test_a_value_in_another_encoding_is_named_by_its_column_and_line(tmp_path, content, place):
    path = tmp_path / "train.csv"
    path.write_bytes(content)
    line = rejection(fit_columns, simple(memory_mb=1, comment="#"), tmp_path)
    assert line == f"{path}: {place}: expected text in UTF-8, got bytes of another encoding"


@pytest.mark.parametrize("cut", [200, -200])
def test_a_damaged_parquet_file(tmp_path, cut):
    write(tmp_path, "train.parquet", {"x": list(range(5000)), "y": [0, 1] * 2500})
    path = tmp_path / "train.parquet"
    content = path.read_bytes()
    path.write_bytes(content[:cut] + bytes(500) + content[cut + 500 :] if cut > 0 else content[:cut])
    assert rejection(fit_columns, simple((path.name,)), tmp_path).startswith(f"{path}: expected a Parquet file")


@pytest.mark.parametrize(("checksums", "damaged"), [(True, [0, 1, 2]), (False, [1])])
def test_damage_within_a_parquet_page_is_noticed_by_its_checksum_or_by_the_dictionary(tmp_path, checksums, damaged):
    path = tmp_path / "train.parquet"
    table = pa.table({"x": [1.0, 2.0, 3.0] * 100, "c": ["a", "b", "c"] * 100, "y": [0, 1, 0] * 100})
    parquet.write_table(table, path, write_page_checksum=checksums, compression="none")
    content, spec = path.read_bytes(), simple(("train.parquet",), categorical=(CategoricalColumn(name="c"),))
    for chunk in map(parquet.read_metadata(path).row_group(0).column, damaged):
        last = chunk.dictionary_page_offset + chunk.total_compressed_size - 1  # of the indices into the dictionary
        path.write_bytes(content[: last - 3] + b"\xff" * 3 + content[last:])
        assert rejection(encoded, tmp_path, spec).startswith(f"{path}: expected a Parquet file, found ")


@pytest.mark.filterwarnings("ignore::shared_bottom.DataWarning")
def test_a_dictionary_that_does_not_fit_into_memory_is_one_line(tmp_path):
    path = tmp_path / "train.parquet"
    table = pa.table({"x": [1.0] * 300, "c": [str(i).rjust(20_000) for i in range(300)], "y": [0] * 300})
    parquet.write_table(table, path, dictionary_pagesize_limit=2**30)
    assert path.stat().st_size < 500_000
    spec = simple((path.name,), categorical=(CategoricalColumn(name="c"),), memory_mb=16)
    largest = 16 * 2**20 // 4
    expected = (
        f"expected row groups whose dictionary has at most memory_mb / 4, {largest} bytes, got one of 6001200 bytes"
    )
    assert rejection(fit_columns, spec, tmp_path) == f"{path}: column 'c': {expected}"
    assert encoded(tmp_path, with_data(spec, memory_mb=32))[1].rows == 300


def test_lists_count_for_the_size_of_the_blocks(tmp_path):
    rows = 2000
    lists = pa.array([["a long text " * 9] * 100] * rows, pa.list_(pa.string()))
    parquet.write_table(pa.table({"c": lists, "y": [0] * rows}), tmp_path / "train.parquet", use_dictionary=False)
    blocks = list(read_blocks(simple(memory_mb=16).data, tmp_path / "train.parquet", ["c"]))
    assert sum(block.rows for block in blocks) == rows
    assert max(block.rows for block in blocks) < 200


def test_a_file_that_is_not_there(tmp_path):
    path = tmp_path / "train.csv"
    assert rejection(fit_columns, simple(), tmp_path) == f"{path}: expected a file, found none"
    path.mkdir()
    assert rejection(fit_columns, simple(), tmp_path) == f"{path}: expected files in the folder, found none"
    path.rmdir()
    os.mkfifo(path)  # to read from it would wait for ever
    assert rejection(fit_columns, simple(), tmp_path) == f"{path}: expected a file, found something else"


def test_no_rows_to_set_aside_or_to_predict(tmp_path):
    write(tmp_path, "train.csv")
    columns = fit_columns(experiment(), tmp_path)
    line = rejection(read_rows, columns, tmp_path, ["train.csv"], "validation")
    assert line == "data.validation_fraction: expected more than 0 to set rows aside, got 0.0"
    few = fit_columns(experiment(validation_fraction=1e-9), tmp_path)
    line = rejection(read_rows, few, tmp_path, ["train.csv"], "validation")
    assert line == f"{tmp_path / 'train.csv'}: expected validation rows, got none"
    write(tmp_path, "new.csv", {name: [] for name in COLUMNS})
    assert (
        rejection(list, stream_rows(columns, tmp_path, ["new.csv"]))
        == f"{tmp_path / 'new.csv'}: expected rows, got none"
    )
