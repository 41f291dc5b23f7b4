"""The canonical text of a value: the same for every spelling, every type and every program that wrote it."""

import datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from shared_bottom.tables.rows import read_rows
from shared_bottom.tables.values import bucket, canonical
from spec import CategoricalColumn
from tests.helpers.builders import rejection
from tests.helpers.table_files import block_of, encoded, simple, texts_of, write

NAN = float("nan")


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
