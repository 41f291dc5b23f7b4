"""What a value is, whatever the type of its column and the program that wrote it: its canonical text, or missing."""

import datetime
import uuid
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from shared_bottom.tables.rows import fit_columns, read_rows
from shared_bottom.tables.values import bucket, canonical
from spec import CategoricalColumn, LabelColumn, NumericColumn
from tests.helpers.builders import rejection
from tests.helpers.table_files import block_of, encoded, simple, texts_of, write

UNSIGNED = [pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]
NAN = float("nan")


def dictionary(codes, values, codes_type, **options):
    return pa.DictionaryArray.from_arrays(pa.array(codes, codes_type), values, **options)


@pytest.mark.parametrize("codes_type", UNSIGNED, ids=str)
@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize(
    "values",
    [
        pa.array(["a", "b", None]),
        pa.array(["a", "b", None], pa.large_string()),
        pa.array(["a", "b", None], pa.string_view()),
    ],
    ids=["string", "large_string", "string_view"],
)
def test_a_dictionary_may_have_codes_of_any_type_and_nulls_among_its_values(codes_type, ordered, values):
    array = dictionary([0, 1, None, 2, 0], values, codes_type, ordered=ordered)
    assert texts_of(array) == ["a", "b", None, None, "a"]
    assert texts_of(array.filter(pa.array([True, False, True, True, False]))) == ["a", None, None]


@pytest.mark.parametrize("codes_type", UNSIGNED, ids=str)
def test_a_dictionary_is_a_column_of_its_values_wherever_it_stands(tmp_path, codes_type):
    codes, regions = [0, 1, None, 0, 1, 1] * 20, dictionary([0, 1, 0, 1, 0, 1] * 20, pa.array(["n", "s"]), codes_type)
    spec = simple(
        ("train.parquet",),
        kind="multiclass",
        categorical=(CategoricalColumn(name="c"),),
        validation_fraction=0.3,
        weight="w",
    )
    columns = {
        "x": dictionary(codes, pa.array([1.5, 2.5]), codes_type),
        "c": dictionary(codes, pa.array(["a", "b"]), codes_type),
        "w": dictionary([0] * 120, pa.array([2.0]), codes_type),
        "y": regions,
    }
    plain = {name: array.dictionary_decode() for name, array in columns.items()}
    write(tmp_path, "train.parquet", columns)
    fitted, data = encoded(tmp_path, spec, "training")
    write(tmp_path, "train.parquet", plain)
    expected, same = encoded(tmp_path, spec, "training")
    assert fitted == expected
    for name in ("numeric", "categorical", "sample_weight"):
        np.testing.assert_array_equal(getattr(data, name), getattr(same, name))
    np.testing.assert_array_equal(data.labels["y"], same.labels["y"])


@pytest.mark.parametrize(
    "array",
    [
        pa.array(["a", "b", None], pa.string_view()),
        pa.array([b"a", b"b", None], pa.binary_view()),
        pa.array(["a", "b", None], pa.large_string()),
        pa.array([b"a", b"b", None], pa.binary()),
        pa.array([b"a", b"b", None], pa.large_binary()),
        pa.array([b"a", b"b", None], pa.binary(1)),
        pa.array(["a", "b", None]).dictionary_encode(),
        dictionary([0, 1, None], pa.array(["a", "b"], pa.string_view()), pa.uint32()),
        pa.RunEndEncodedArray.from_arrays(pa.array([1, 2, 3]), pa.array(["a", "b", None])),
        pa.ExtensionArray.from_storage(pa.json_(), pa.array(["a", "b", None])),
    ],
    ids=lambda array: str(array.type),
)
def test_a_text_may_be_stored_in_any_way(array):
    block = block_of(array)
    assert texts_of(block) == ["a", "b", None]
    assert texts_of(block.filter(np.array([False, True, True]))) == ["b", None]


def test_views_may_be_set_aside_for_validation(tmp_path):
    texts = [f"v{i % 5}" for i in range(100)]
    spec = simple(("train.parquet",), inputs=(CategoricalColumn(name="c"),), validation_fraction=0.3)
    for kind in (pa.string(), pa.string_view()):
        write(tmp_path, "train.parquet", {"c": pa.array(texts, kind), "y": [0, 1] * 50})
        columns, data = encoded(tmp_path, spec, "validation")
        assert columns.vocabularies["c"] == ("v0", "v1", "v2", "v3", "v4")
        assert 10 < data.rows < 50


@pytest.mark.parametrize("list_of", [pa.list_, pa.large_list, lambda text: pa.list_(text, 1)])
def test_lists_of_views_are_lists_of_texts(list_of):
    array = pa.array([["a"], ["b"], None], list_of(pa.string_view()))
    kept = block_of(array).filter(np.array([False, True, True])).columns["c"]
    assert kept.to_pylist() == [["b"], None]
    assert kept.type.value_type == pa.string()


@pytest.mark.parametrize(
    "array",
    [
        pa.array(["1.5", "2", None], pa.string_view()),
        pa.array([b"1.5", b"2", None]),
        pa.RunEndEncodedArray.from_arrays(pa.array([1, 2, 3]), pa.array([1.5, 2, None])),
        dictionary([0, 1, None], pa.array([1.5, 2.0]), pa.uint8()),
        pa.array([Decimal("1.50"), Decimal("2.00"), None]),
    ],
    ids=lambda array: str(array.type),
)
def test_a_number_may_be_stored_in_any_way(array):
    block = block_of(array)
    np.testing.assert_array_equal(block.numbers("c"), [1.5, 2, NAN])
    np.testing.assert_array_equal(block.filter(np.array([False, True, True])).numbers("c"), [2, NAN])


def test_uuids_and_8_bit_booleans_are_what_they_show():
    one = uuid.UUID("01234567-89ab-cdef-0123-456789abcdef")
    stored = pa.array([one.bytes, None], pa.binary(16))
    assert texts_of(pa.ExtensionArray.from_storage(pa.uuid(), stored)) == [str(one), None]
    truth = pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, 0, None], pa.int8()))
    assert texts_of(truth) == ["true", "false", None]
    np.testing.assert_array_equal(block_of(truth).numbers("c"), [1, 0, NAN])


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (pa.array([b"\xff"]), "expected text, numbers or booleans, got binary (Invalid UTF8 payload)"),
        (pa.array([[1]]), "expected text, numbers or booleans, got list<item: int64>"),
        (pa.array([datetime.timedelta(1)]), "got duration[us] (a duration has no text that says its unit)"),
    ],
    ids=["bytes", "list", "duration"],
)
def test_a_type_without_texts_is_named(array, words):
    line = rejection(block_of(array).texts, "c")
    assert line.startswith("rows.parquet: column 'c': expected ")
    assert words in line


@pytest.mark.parametrize(
    ("value", "spellings"),
    [
        ("10000000000", ["10000000000", "10000000000.0", "1e+10", "1.0E10", "1E+10", " 10000000000.00 "]),
        ("123456789012", ["123456789012.0", "1.23456789012e+11", "1.23456789012E11"]),
        ("10000000000000000", ["1e+16", "1.0E16", "10000000000000000"]),
        ("-1", ["-1", "-1.0", "-1.0e+00"]),
        ("0", ["0", "-0", "0.0", "-0.0", "0.0e-5", "-0e+00"]),
        ("1.5", ["1.50", "1.5", "1.5e+00", "15e-1"]),
        ("1e-07", ["1e-07", "1E-7", "0.0000001", "1.0E-7"]),
        ("-0.1", ["-0.1", "-0.10", "-1e-01"]),
        ("0.1234567890123456789", ["0.1234567890123456789", "0.12345678901234567890"]),
        ("true", ["true", "True", "TRUE"]),
        ("2024-01-05", ["2024-01-05T00:00:00", "2024-01-05 00:00", "2024-01-05 00:00:00.000Z", "2024-01-05"]),
        ("2024-01-05T17:30:00", ["2024-01-05 17:30", "2024-01-05T17:30:00.0", "2024-01-05 17:30:00+01:00"]),
        ("2024-01-05T17:30:00.25", ["2024-01-05 17:30:00.250000 UTC"]),
    ],
)
def test_all_spellings_of_a_value_are_one_value(value, spellings):
    assert {canonical(spelling) for spelling in spellings} == {value}
    assert canonical(value) == value
    assert set(texts_of(pa.array(spellings))) == {value}


@pytest.mark.parametrize(
    "text",
    ["007", "007.0", "+5", "1e5", "12e3", "1.", ".5", "1.2.3", "1_000", "1,5", "٣.0", "2024-01", "10:30", "1e+9999"],
)
def test_what_is_no_programs_float_stays_as_it_is_written(text):
    assert texts_of(pa.array([text])) == [text]


WHOLE = [10**10, 123456789012, -5, 0, 2**53]


@pytest.mark.parametrize(
    "array",
    [
        pa.array([float(n) for n in WHOLE]),
        pa.array([Decimal(n).quantize(Decimal("1.00")) for n in WHOLE]),
        pa.array(WHOLE).dictionary_encode(),
        pa.array([float(n) for n in WHOLE]).dictionary_encode(),
        pa.array(list(map(str, WHOLE))),
        pa.array([f"{n:.1f}" for n in WHOLE]),
        pa.array([repr(float(n)) for n in WHOLE]),
        pa.array([f"{n:.16e}" for n in WHOLE]),
        pa.array([float(n) for n in WHOLE]).cast(pa.string()),
    ],
    ids=lambda array: f"{array.type} {array[0]}",
)
def test_a_whole_number_is_one_value_in_every_type_and_hash(tmp_path, array):
    assert texts_of(array) == list(map(str, WHOLE))
    for name, options in (("vocabulary", {}), ("hash", {"encoding": "hash", "buckets": 1000})):
        spec = simple(("train.parquet",), inputs=(CategoricalColumn(name="c", **options),))
        write(tmp_path, "train.parquet", {"c": WHOLE, "y": [0, 1, 0, 1, 0]})
        columns, data = encoded(tmp_path, spec)
        write(tmp_path, "new.parquet", {"c": array})
        other = read_rows(columns, tmp_path, ["new.parquet"], labels=False)
        np.testing.assert_array_equal(other.categorical, data.categorical, err_msg=name)
        assert 0 not in other.categorical


def test_narrow_and_wide_types_have_the_same_texts():
    assert texts_of(pa.array([2**64 - 1, 2**63], pa.uint64())) == ["18446744073709551615", "9223372036854775808"]
    for narrow in (np.float16, np.float32, np.float64):
        numbers = np.array([3, 0.1, -0.25, -0.0, 2000, NAN, np.inf], narrow)
        assert texts_of(pa.array(numbers)) == ["3", "0.1", "-0.25", "0", "2000", None, "inf"]
    assert texts_of(pa.array([1e-7, 0.1 + 0.2, 1e12, 1e15])) == [
        "1e-07",
        "0.30000000000000004",
        "1000000000000",
        "1" + "0" * 15,
    ]
    assert bucket("3", 100) == bucket(*texts_of(pa.array([3.0])), 100)


@pytest.mark.parametrize(
    ("array", "shown"),
    [
        (pa.array([1.0, 2.0**53 + 2]), "9007199254740994.0"),
        (pa.array([1.0, -1.2345678901234568e17]), "-1.2345678901234568e+17"),
        (pa.array(np.array([1, 2**24 + 2], np.float32)), "16777218.0"),
        (pa.array(np.array([1, 4096], np.float16)), "4096.0"),
        (pa.array(["1", "1e+17"]), "'1e+17'"),
        (pa.array(["1", "9007199254740994.0"]), "'9007199254740994.0'"),
        (pa.array(["1", " 1.2345678901234568E17"]).dictionary_encode(), "' 1.2345678901234568E17'"),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else "",
)
def test_a_float_that_may_have_been_another_whole_number_is_an_error(array, shown):
    line = rejection(block_of(array).texts, "c")
    expected = "a whole number of at most 2**53, since a float64 has lost digits of a larger one"
    if pa.types.is_floating(array.type):
        bits = np.finfo(array.type.to_pandas_dtype()).nmant + 1
        expected = (
            f"a whole number of at most 2**{bits}, since a float{array.type.bit_width} has lost digits of a larger one"
        )
    assert line == f"rows.parquet: column 'c', row 2: expected {expected}, got {shown}"


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_a_missing_number_is_missing_in_narrow_types_too(kind):
    block = block_of(pa.array(np.array([-99.9, 1.5], kind)), missing=("-99.90", "1e300"))
    np.testing.assert_array_equal(block.numbers("c"), [NAN, 1.5])
    assert texts_of(block) == [None, "1.5"]
    infinite = block_of(pa.array(np.array([np.inf], kind)), missing=("1e300",))
    assert rejection(infinite.numbers, "c") == "rows.parquet: column 'c', row 1: expected a finite number, got inf"


@pytest.mark.parametrize("array", [pa.array([-1e20, 7.0]), pa.array(["-1e+20", "7.0"])], ids=["double", "string"])
def test_a_missing_value_may_be_of_any_size(array):
    block = block_of(array, missing=("-1e+20",))
    assert texts_of(block) == [None, "7"]
    np.testing.assert_array_equal(block.numbers("c"), [NAN, 7])


def test_a_column_without_a_type_is_missing_throughout():
    block = block_of(pa.nulls(2))
    assert texts_of(block) == [None, None]
    assert np.isnan(block.numbers("c")).all()
    assert np.isnat(block.times("c")).all()


def test_exact_whole_numbers_may_be_of_any_size():
    digits = "12345678901234567890"
    assert texts_of(pa.array([digits, digits])) == [digits] * 2
    assert texts_of(pa.array([Decimal(digits)])) == [digits]
    assert texts_of(pa.array([float(10**16), 9007199254740990.0])) == ["1" + "0" * 16, "9007199254740990"]


MIDNIGHT = datetime.datetime(2024, 1, 5)
EVENING = datetime.datetime(2024, 1, 5, 17, 30)


@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin", "-05:30"])
@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_a_timestamp_is_the_text_of_its_date_or_time(unit, zone):
    array = pa.array([MIDNIGHT, EVENING, None]).cast(pa.timestamp(unit))
    if zone:
        array = pa.compute.assume_timezone(array, zone)
    assert texts_of(array) == ["2024-01-05", "2024-01-05T17:30:00", None]


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (pa.array([MIDNIGHT.date()], pa.date32()), "2024-01-05"),
        (pa.array([MIDNIGHT.date()], pa.date64()), "2024-01-05"),
        (pa.array([1], pa.timestamp("ns")), "1970-01-01T00:00:00.000000001"),
        (pa.array([EVENING.time()], pa.time32("s")), "17:30:00"),
        (pa.array([EVENING.time()], pa.time64("us")), "17:30:00"),
        (pa.array([datetime.time(0, 0, 0, 250)], pa.time64("ns")), "00:00:00.00025"),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_dates_and_times_are_texts_in_iso_8601(array, text):
    assert texts_of(array) == [text]


MISSING_TEXTS = ["", "NA", "N/A", "n/a", "<NA>", "NaN", "nan", "NaT", "null", "NULL", "None", " NA "]


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_missing_texts_are_missing_in_every_kind_of_column_and_file(tmp_path, name):
    rows = len(MISSING_TEXTS)
    columns = {
        "x": ["1", "3", *MISSING_TEXTS],
        "c": ["a", "b", *MISSING_TEXTS],
        "y": ["n", "s", *MISSING_TEXTS],
    }
    write(tmp_path, name, columns)
    fitted, data = encoded(tmp_path, simple((name,), kind="multiclass", categorical=(CategoricalColumn(name="c"),)))
    assert fitted.vocabularies["c"] == ("a", "b")
    assert fitted.classes["y"] == ("n", "s")
    assert data.numeric[:, 1].tolist() == [0, 0] + [1] * rows
    assert data.categorical[:, 0].tolist() == [1, 2] + [0] * rows
    assert data.labels["y"].tolist() == [0, 1] + [-1] * rows


NUMBERS = [-999, 1, 5, 3]


@pytest.mark.parametrize(
    "array",
    [
        pa.array(NUMBERS),
        pa.array(NUMBERS, pa.int16()),
        pa.array([float(n) for n in NUMBERS]),
        pa.array(NUMBERS, pa.float32()),
        pa.array([Decimal(n) for n in NUMBERS]),
        pa.array(NUMBERS).dictionary_encode(),
        pa.array(["-999.0", "1", "5", "3"]),
        pa.array([" -999 ", "1.0", "5", "3"]),
        pa.array(["-9.99e+02", "1", "5", "3"]),
    ],
    ids=lambda array: f"{array.type} {array[0]}",
)
@pytest.mark.parametrize("missing", ["-999", "-999.0"])
def test_a_missing_text_that_is_a_number_is_also_that_number(array, missing):
    block = block_of(array, missing=(missing,))
    np.testing.assert_array_equal(block.numbers("c"), [NAN, 1, 5, 3])
    assert texts_of(block) == [None, "1", "5", "3"]
    other = block_of(array)
    np.testing.assert_array_equal(other.numbers("c", missing=(missing,)), [NAN, 1, 5, 3])
    assert texts_of(other) == ["-999", "1", "5", "3"]


def test_a_missing_text_that_is_a_date_is_also_that_date():
    dates = pa.array([datetime.date(1900, 1, 1), datetime.date(2024, 1, 5)])
    for array in (dates, dates.cast(pa.timestamp("ns")), dates.cast(pa.string())):
        block = block_of(array, missing=("1900-01-01",))
        assert texts_of(block) == [None, "2024-01-05"]
        assert np.isnat(block.times("c")).tolist() == [True, False]


@pytest.mark.filterwarnings("ignore::shared_bottom.DataWarning")
def test_each_column_may_have_missing_texts_of_its_own(tmp_path):
    write(tmp_path, "train.csv", {"x": ["NA", "3", "?"], "c": ["NA", "ZA", "?"], "y": ["a", "b", "NA"]})
    spec = simple(
        kind="multiclass",
        numeric=(NumericColumn(name="x", missing=("?", "NA")),),
        categorical=(CategoricalColumn(name="c", missing=("?",)),),
        label=LabelColumn(columns=("y",), missing=()),
        missing=("b",),
    )
    columns, data = encoded(tmp_path, spec)
    assert data.numeric[:, 1].tolist() == [1, 0, 1]
    assert columns.vocabularies["c"] == ("NA", "ZA")
    assert columns.classes["y"] == ("NA", "a", "b")


def test_a_missing_number_is_missing_in_labels_and_is_no_weight(tmp_path):
    write(tmp_path, "train.parquet", {"x": [1, 2, 3], "y": [-999.0, 1.0, 2.0], "w": [1.0, -999.0, 1.0]})
    spec = simple(("train.parquet",), kind="regression", missing=("-999",))
    columns, data = encoded(tmp_path, spec)
    assert (columns.labels["y"][0].mean, np.isnan(data.labels["y"][:, 0]).tolist()) == (1.5, [True, False, False])
    weighted = simple(("train.parquet",), kind="regression", missing=("-999",), weight="w")
    assert "column 'w', row 2: expected a weight of 0 or more" in rejection(encoded, tmp_path, weighted)


def test_booleans_in_a_csv_are_the_numbers_1_and_0(tmp_path):
    values = ["True", "false", "TRUE", "0.5", "", "False", "true", "FALSE"]
    write(tmp_path, "train.csv", {"x": values, "y": values[:2] + values[:6]})
    spec = simple(kind="regression", numeric=(NumericColumn(name="x", standardise=False),))
    _, data = encoded(tmp_path, spec)
    assert data.numeric[:, 0].tolist() == pytest.approx([1, 0, 1, 0.5, 3.5 / 7, 0, 1, 0])
    write(tmp_path, "bad.csv", {"x": ["True", "yes"]})
    columns = fit_columns(spec, tmp_path)
    line = rejection(read_rows, columns, tmp_path, ["bad.csv"], labels=False)
    assert line.endswith("column 'x', row 2: expected a number, got 'yes'")


@pytest.mark.parametrize(
    ("decimal", "thousands", "texts", "numbers"),
    [
        (",", None, ["1,5", "-2", "3e-1", "-999,0", "True"], [1.5, -2, 0.3, NAN, 1]),
        (",", ".", ["1.234,5", "1.000.000", "-999", "0,5"], [1234.5, 1e6, NAN, 0.5]),
        (".", ",", ["1,234.5", "12,345", "-1,000", "7"], [1234.5, 12345, -1000, 7]),
        (".", "'", ["1'234.5", "-999.00"], [1234.5, NAN]),
        (",", " ", ["1 234,5", "1\u00a0234", "1\u202f234"], [1234.5, 1234, 1234]),
    ],
)
def test_numbers_may_be_written_as_in_other_countries(tmp_path, decimal, thousands, texts, numbers):
    block = block_of(pa.array(texts), missing=("-999",), decimal=decimal, thousands=thousands, delimiter=";")
    np.testing.assert_array_equal(block.numbers("c"), numbers)


@pytest.mark.parametrize(
    ("decimal", "thousands", "text"),
    [
        (",", None, "1.5"),
        (",", ".", "1.5"),
        (".", ",", "1,5"),
        (".", ",", "1,2345"),
        (",", ".", "1,234.5"),
        (".", "_", "_1"),
    ],
)
def test_a_number_that_is_written_otherwise_is_an_error(decimal, thousands, text):
    block = block_of(pa.array(["1", text]), decimal=decimal, thousands=thousands, delimiter=";")
    assert rejection(block.numbers, "c") == f"rows.parquet: column 'c', row 2: expected a number, got {text!r}"


def test_a_decimal_comma_in_a_category_a_label_and_a_weight(tmp_path):
    (tmp_path / "train.csv").write_text("x;c;y;w\n1,5;3,0;2,5;0,5\n2,5;1,5;3,5;1\n")
    spec = simple(kind="regression", categorical=(CategoricalColumn(name="c"),), weight="w", decimal=",", delimiter=";")
    columns, data = encoded(tmp_path, spec)
    assert columns.vocabularies["c"] == ("1.5", "3")
    assert (columns.numeric["x"].mean, columns.labels["y"][0].mean) == (2, 3)
    assert data.sample_weight.tolist() == [0.5, 1]
