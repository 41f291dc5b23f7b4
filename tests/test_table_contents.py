"""What a file is stands in the file and not in its name; and what is no row, or no table, is not taken for one."""

import bz2
import gzip
import lzma
import signal
import sys

import pyarrow as pa
import pytest
from pyarrow import feather, parquet

from shared_bottom.tables.rows import fit_columns, read_rows
from spec import CategoricalColumn
from tests.helpers.builders import rejection
from tests.helpers.table_files import assert_equal, encoded, experiment, simple, write

pytestmark = pytest.mark.filterwarnings("ignore::shared_bottom.DataWarning")  # the tables are tiny

TEXT = "x,c,y\n1,a,0\n2,b,1\n3,a,1\n"
TABLE = pa.table({"x": [1, 2, 3], "c": ["a", "b", "a"], "y": [0, 1, 1]})
CITY = (CategoricalColumn(name="c"),)


def rows_of(folder, content, name="train.csv", **data):
    """The rows of a file with this content, encoded."""
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return encoded(folder, simple((name,), categorical=CITY, **data))[1]


def refused(folder, content, name="train.csv", **data):
    """What is said of a file with this content, without the file's path, which it begins with."""
    line = rejection(rows_of, folder, content, name, **data)
    assert line.startswith(f"{folder / name}: ")
    return line.removeprefix(f"{folder / name}: ")


def written(write, **options):
    sink = pa.BufferOutputStream()
    write(TABLE, sink, **options)
    return sink.getvalue().to_pybytes()


def compressed(codec):
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, codec) as stream:
        stream.write(TEXT.encode())
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.CSV.GZ", gzip.compress(TEXT.encode(), mtime=0)),
        ("table", gzip.compress(TEXT.encode(), mtime=0)),
        ("t.csv.gz", TEXT.encode()),
        ("t.csv", bz2.compress(TEXT.encode())),
        ("t.csv", compressed("zstd")),
        ("t.csv", compressed("lz4")),
        ("t.pq", written(parquet.write_table)),
        ("t.parquet.snappy", written(parquet.write_table, compression="snappy")),
        ("t", written(parquet.write_table)),
        ("t.parquet", TEXT.encode()),
        ("t.arrow", written(feather.write_feather)),
        ("t.feather", written(feather.write_feather, compression="zstd", chunksize=2)),
    ],
)
def test_the_format_is_that_of_the_content_whatever_the_name(tmp_path, name, content):
    assert_equal(rows_of(tmp_path, content, name), rows_of(tmp_path, TEXT))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (lzma.compress(TEXT.encode()), "a file that xz has compressed"),
        (b"PK\x03\x04 and so on", "a zip archive or an Excel workbook"),
        (b"PARE and so on", "an encrypted Parquet file"),
        (b"FEA1 and so on", "a file in the first version of Feather"),
        (gzip.compress(b"PK\x03\x04", mtime=0), "a zip archive or an Excel workbook within gzip"),
        (gzip.compress(written(parquet.write_table), mtime=0), "a Parquet file within gzip"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, content, found):
    assert refused(tmp_path, content) == f"expected a CSV or Parquet file, found {found}"


@pytest.mark.parametrize(
    ("format", "content", "line"),
    [
        (
            "csv",
            written(parquet.write_table),
            "expected a file in format 'csv', as the table says, found a Parquet file",
        ),
        (
            "csv",
            written(feather.write_feather),
            "expected a file in format 'csv', as the table says, found an Arrow file",
        ),
        ("parquet", TEXT.encode(), "expected a Parquet file, found "),
        ("parquet", b"", "expected a Parquet file, found "),
    ],
)
def test_a_format_that_is_said_must_be_the_files(tmp_path, format, content, line):
    assert refused(tmp_path, content, format=format).startswith(line)


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("utf-16", "UTF-16"),
        ("utf-16-le", "UTF-16"),
        ("utf-16-be", "UTF-16"),
        ("utf-32", "UTF-32"),
        ("utf-32-le", "UTF-32"),
        ("utf-32-be", "UTF-32"),
    ],
)
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_another_encoding_is_named(tmp_path, encoding, name, compress):
    content = compress(TEXT.replace("a", "ö").encode(encoding))
    line = f"expected a CSV file in UTF-8, found {name}"
    assert refused(tmp_path, content) == line + (" within gzip" if compress is gzip.compress else "")


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode("utf-8-sig"),
        TEXT[:-1],
        TEXT.replace("\n", "\r\n"),
        TEXT.replace("\n", "\r"),
        TEXT + "   ",
        TEXT + "\t\n \n\n\n",
        TEXT + "\x1a",
        TEXT + "\n\x1a\n",
        TEXT.replace("2,b", "\n  \n\n2,b"),
        "\n\n" + TEXT,
        "sep=,\n" + TEXT,
        ('"sep=,"\r\n' + TEXT).encode("utf-8-sig"),
    ],
)
@pytest.mark.parametrize("memory_mb", [1, 256])
def test_what_is_no_row_is_left_out(tmp_path, content, memory_mb):
    assert_equal(rows_of(tmp_path, content, memory_mb=memory_mb), rows_of(tmp_path, TEXT))


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\r", "\n\x1a"])
@pytest.mark.parametrize("header", ["x,c,y", "c"])
def test_a_header_alone_has_no_rows(tmp_path, end, header):
    (tmp_path / "train.csv").write_text(TEXT)
    columns = fit_columns(simple(inputs=CITY), tmp_path)
    path = tmp_path / "none.csv"
    path.write_text(header + end, newline="")
    assert rejection(read_rows, columns, tmp_path, ["none.csv"], labels=False) == f"{path}: expected rows, got none"
    (tmp_path / "one.csv").write_text("1,a,1")
    both = simple(("one.csv", "one.csv"), column_names=("x", "c", "y"), inputs=CITY)
    assert encoded(tmp_path, both)[1].rows == 2


def test_in_a_single_column_a_line_of_blanks_is_a_missing_value_and_ctrl_z_the_end(tmp_path):
    (tmp_path / "train.csv").write_text(TEXT)
    columns = fit_columns(simple(inputs=CITY), tmp_path)
    (tmp_path / "new.csv").write_text("c\nb\n  \na\n\x1a")
    assert read_rows(columns, tmp_path, ["new.csv"], labels=False).categorical[:, 0].tolist() == [2, 0, 1]


def test_comments_before_the_header_or_the_first_row(tmp_path):
    expected = rows_of(tmp_path, TEXT)
    for before in ("# made by hand, in May\n#\n", "\n# one\n\n# two\n \n", "# more\n" * 20_000, "sep=,\n#\n"):
        assert_equal(rows_of(tmp_path, before + TEXT, comment="#"), expected)
    bare = "-- no header\n" + TEXT.split("\n", 1)[1]
    assert_equal(rows_of(tmp_path, bare, comment="--", column_names=("x", "c", "y")), expected)
    later = "# one\nx,c,y\n1,#a,0\n2,#b,1\n3,#a,1\n"
    assert rows_of(tmp_path, later, comment="#").categorical[:, 0].tolist() == [1, 2, 1]


def test_a_value_may_have_an_escaped_delimiter_or_quote(tmp_path):
    columns, data = encoded_text(tmp_path, 'x,c,y\n1,a\\,b,0\n2,"say \\"a\\"",1\n3,\\"q,1\n', escape="\\")
    assert columns.vocabularies["c"] == ('"q', "a,b", 'say "a"')
    assert data.numeric.shape == (3, 1)


def encoded_text(folder, text, **data):
    (folder / "train.csv").write_text(text)
    return encoded(folder, simple(categorical=CITY, **data))


@pytest.mark.parametrize(("delimiter", "right"), [(",", ";"), (",", "\t"), (",", "|"), (";", ","), ("\t", "|")])
def test_a_wrong_delimiter_is_named_with_the_right_one(tmp_path, delimiter, right):
    hint = f"; delimiter = {right!r} would fit the first 4 rows"
    for text in (TEXT, TEXT.replace(",a", f',"a{delimiter}b"')):
        line = refused(tmp_path, text.replace(",", right), delimiter=delimiter)
        assert line == f"expected a column 'x', found {' '.join(f'x{right}c{right}y'.split())}{hint}"
    decimals = "x;c;y\n1,5;a;0\n2,5;b;1\n3,5;a;1\n"
    assert refused(tmp_path, decimals).endswith("; delimiter = ';' would fit the first 4 rows")
    bare = TEXT.split("\n", 1)[1].replace(",", right)
    assert refused(tmp_path, bare, delimiter=delimiter, column_names=("x", "c", "y")).endswith(
        f"in line 1: {bare.splitlines()[0]!r}; delimiter = {right!r} would fit the first 3 rows"
    )


def test_of_a_header_alone_the_delimiter_is_named_too(tmp_path):
    assert refused(tmp_path, "x;c;y").endswith("found x;c;y; delimiter = ';' would fit the first row")


def test_a_right_delimiter_is_not_called_wrong(tmp_path):
    assert refused(tmp_path, "x,c,y\n1,a,0\n2;3;4\n") == "expected 3 values in each row, got 1 in line 3: '2;3;4'"
    assert refused(tmp_path, "x;c;z\n1;a;0\n") == "expected a column 'x', found x;c;z"


@pytest.mark.parametrize(
    ("before", "line"),
    [("x,c,y\n", 2), ("x,c,y\n\n  \n1,a,0\n", 5), ('x,c,y\n1,"a\n\nb",0\n', 5), ("sep=,\n# made\nx,c,y\n1,a,1\n", 5)],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_a_row_of_another_length_is_named_by_its_line(tmp_path, before, line, newline):
    text = (before + "2,b\n3,c,1\n").replace("\n", newline)
    assert refused(tmp_path, text, comment="#") == f"expected 3 values in each row, got 2 in line {line}: '2,b'"


@pytest.mark.parametrize("memory_mb", [1, 256])
def test_a_nul_byte_is_named_by_its_line(tmp_path, memory_mb):
    text = "x,c,y\n" + "1,a,0\n" * 5000 + "2,b\0,1\n"
    assert refused(tmp_path, text, memory_mb=memory_mb) == "expected a CSV file in UTF-8, found a NUL byte in line 5002"
    cut = TEXT.encode() + bytes(5000)
    assert refused(tmp_path, cut, memory_mb=memory_mb) == "expected a CSV file in UTF-8, found a NUL byte in line 5"


def test_a_row_of_another_length_that_is_not_utf_8_is_one_line(tmp_path, capsys):
    assert "expected 3 values in each row, got 1 in line 3: ' " in refused(tmp_path, b"x,c,y\n1,a,0\n \xff\n")
    assert capsys.readouterr() == ("", "")


def test_a_file_that_may_not_be_read_says_so(tmp_path, monkeypatch):
    write(tmp_path, "train.csv")

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied", str(tmp_path / "train.csv"))

    monkeypatch.setattr("pathlib.Path.open", refuse)
    line = rejection(fit_columns, experiment(), tmp_path)
    assert line == f"{tmp_path / 'train.csv'}: expected a file that can be read, got: Permission denied"


def test_of_many_columns_the_error_names_some(tmp_path):
    line = refused(tmp_path, ",".join(f"column_{i}" for i in range(10_000)) + "\n")
    assert line.startswith("expected a column 'x', found column_0, column_1, ")
    assert len(line) < 1000


def test_a_signal_while_pyarrow_asks_about_a_row_is_not_lost(tmp_path, monkeypatch):
    """Python hands what is raised there to a hook, by which the command line stops."""
    dropped = []
    monkeypatch.setattr(sys, "unraisablehook", lambda ignored: dropped.append(ignored.exc_type))
    monkeypatch.setattr("shared_bottom.tables.csv_files._skip_blank", lambda row: signal.raise_signal(signal.SIGINT))
    try:
        refused(tmp_path, TEXT + "4,b,0\n" * 5000 + "1\n", memory_mb=1)
    except KeyboardInterrupt as raised:  # the signal came after the question
        dropped.append(type(raised))
    assert dropped == [KeyboardInterrupt]
