"""Columns of times: the same inputs from timestamps, dates and texts, in both formats."""

import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from shared_bottom.tables.checks import check_columns
from shared_bottom.tables.rows import fit_columns, read_rows
from spec import CategoricalColumn, CategoricalFeature, NumericColumn, TimeColumn
from tests.helpers.builders import rejection
from tests.helpers.table_files import block_of, encoded, simple, with_data, write

NAN = float("nan")
PARTS = ("year", "month", "day", "weekday", "hour", "minute", "elapsed_days")
TIMES = [
    datetime.datetime(2024, 2, 29, 23, 59, 30),  # a leap day
    None,
    datetime.datetime(1900, 1, 1),
    datetime.datetime(1969, 12, 31, 12),
    datetime.datetime(2300, 6, 15, 0, 1),  # later than nanoseconds can count
]
IDS = [[2, 29, 4, 24, 60], [0] * 5, [1, 1, 1, 1, 1], [12, 31, 3, 13, 1], [6, 15, 5, 1, 2]]
"""month, day, weekday, hour and minute, counted from 1."""


def times(name="t", parts=PARTS, **options):
    return (TimeColumn(name=name, parts=parts, **options),)


def spec_of(name="train.parquet", **data):
    return simple((name,), **({"inputs": (), "time": times()} | data))


def as_texts(form, values=TIMES):
    return ["" if value is None else value.strftime(form) for value in values]


@pytest.mark.parametrize(
    "values",
    [
        *(pa.array(TIMES).cast(pa.timestamp(unit)) for unit in ("s", "ms", "us")),
        pc.assume_timezone(pa.array(TIMES), "Europe/Berlin"),
        pc.assume_timezone(pa.array(TIMES), "-05:30"),
        pa.array(TIMES).dictionary_encode(),
        pa.array(as_texts("%Y-%m-%dT%H:%M:%S")),
        pa.array(as_texts("%Y-%m-%d %H:%M:%S.%f")),
        pa.array(as_texts(" %Y-%m-%dT%H:%M:%SZ"), pa.large_string()),
        pa.array(as_texts("%Y-%m-%dT%H:%M:%S.123456789+01:00")),
        pa.array(as_texts("%Y-%m-%d %H:%M:%S UTC")).dictionary_encode(),
        pa.array(["NaT", *as_texts("%Y-%m-%d %H:%M:%S-0530")])[1:],
    ],
    ids=lambda values: f"{values.type} {values[0]}",
)
@pytest.mark.parametrize("name", ["train.parquet", "train.csv"])
def test_a_time_has_the_same_parts_whatever_its_column(tmp_path, values, name):
    written = values if name == "train.parquet" else values.cast(pa.string()).to_pylist()
    write(tmp_path, name, {"t": written, "y": [0, 1, 0, 1, 0]})
    columns, data = encoded(tmp_path, spec_of(name))
    assert data.categorical.tolist() == IDS
    epoch, day = datetime.datetime(1970, 1, 1), datetime.timedelta(1)
    years = [NAN if time is None else time.year for time in TIMES]
    days = [NAN if time is None else (time - epoch) / day for time in TIMES]
    expected = [np.nan_to_num((part - np.nanmean(part)) / np.nanstd(part)) for part in (years, days)]
    missing = [0, 1, 0, 0, 0]
    np.testing.assert_allclose(data.numeric, np.stack([*expected, missing, missing], axis=1), atol=1e-6)
    assert columns.numeric.keys() == {"t.year", "t.elapsed_days"}
    assert columns.indicators == ("t.year", "t.elapsed_days")
    assert columns.numeric["t.year"].mean == 2048.25


@pytest.mark.parametrize("kind", [pa.date32(), pa.date64(), pa.string()], ids=str)
def test_a_date_is_a_time_at_midnight(tmp_path, kind):
    dates = pa.array([datetime.date(2024, 2, 29), datetime.date(1900, 12, 31), None]).cast(kind)
    write(tmp_path, "train.parquet", {"t": dates, "y": [0, 1, 0]})
    _, data = encoded(tmp_path, spec_of(time=times(parts=("day", "hour", "minute", "month"))))
    assert data.categorical.tolist() == [[29, 1, 1, 2], [31, 1, 1, 12], [0, 0, 0, 0]]
    assert data.numeric is None


def test_the_hour_is_that_of_the_clock_also_when_it_is_set_forward_or_back():
    forward, back = 1711846800, 1729990800  # seconds of the two instants of 2024 at which it is set
    seconds = [forward - 1, forward, back - 1, back]
    clock = ["2024-03-31T01:59:59", "2024-03-31T03:00:00", "2024-10-27T02:59:59", "2024-10-27T02:00:00"]
    block = block_of(pa.array(seconds, pa.timestamp("s", "Europe/Berlin")))
    np.testing.assert_array_equal(block.times("c"), np.array(clock, "M8[us]"))


def test_nanoseconds_are_rounded_down_also_before_1970():
    block = block_of(pa.array([-1, 1, None], pa.timestamp("ns")))
    assert block.times("c").astype(str).tolist() == ["1969-12-31T23:59:59.999999", "1970-01-01T00:00:00.000000", "NaT"]


def test_the_network_has_an_input_for_each_part(tmp_path):
    write(tmp_path, "train.csv", {"x": [1, 2], "b c": ["u", "v"], "t": ["2024-01-05", ""], "y": [0, 1]})
    spec = simple(
        categorical=(CategoricalColumn(name="b c"),),
        time=times(parts=("weekday", "year", "minute"), dimension=3),
    )
    columns, data = encoded(tmp_path, spec)
    model = columns.model(spec.model)
    assert model.numeric == 3  # x, t.year, and where t.year is missing
    assert model.categorical == (
        CategoricalFeature(name="b_c", vocabulary=3, dimension=8),
        CategoricalFeature(name="t_weekday", vocabulary=8, dimension=3),
        CategoricalFeature(name="t_minute", vocabulary=61, dimension=3),
    )
    data.check(model)
    assert data.numeric[:, 2].tolist() == [0, 1]


def test_times_may_be_missing_at_prediction_only(tmp_path):
    write(tmp_path, "train.csv", {"t": ["2020-01-01", "2022-01-01"], "y": [0, 1]})
    columns = fit_columns(spec_of("train.csv", time=times(parts=("year", "month"), missing=("?",))), tmp_path)
    assert columns.indicators == ()
    write(tmp_path, "new.csv", {"t": ["?", "2022-12-31T10:00Z", "2021-06-01"]})
    data = read_rows(columns, tmp_path, ["new.csv"], labels=False)
    assert data.numeric[:, 0].tolist() == [0, 1, 0]
    assert data.categorical[:, 0].tolist() == [0, 12, 6]
    write(tmp_path, "none.parquet", {"t": pa.nulls(2)})
    assert read_rows(columns, tmp_path, ["none.parquet"], labels=False).categorical[:, 0].tolist() == [0, 0]


@pytest.mark.parametrize(
    "text",
    [
        "1704412800",
        "2024",
        "2024-01",
        "20240105",
        "05.01.2024",
        "2024-02-30",
        "2024-01-05T25:00",
        "12:30",
        "2024-01-05Z",
    ],
)
def test_a_text_that_is_no_time_is_an_error(tmp_path, text):
    write(tmp_path, "train.csv", {"t": ["2024-01-05", "2024-01-05 10:00:00Z", text], "y": [0, 1, 1]})
    expected = "a timestamp, a date or a text in ISO 8601 such as 2024-01-05 or 2024-01-05T17:30:00"
    line = rejection(fit_columns, spec_of("train.csv"), tmp_path)
    assert line == f"{tmp_path / 'train.csv'}: column 't', row 3: expected {expected}, got {text!r}"


@pytest.mark.parametrize(
    "array",
    [
        pa.array([1704412800]),
        pa.array([1.5]),
        pa.array([True]),
        pa.array([datetime.time(1)]),
        pa.array([datetime.timedelta(1)]),
        pa.array([2**62], pa.timestamp("s")),
    ],
    ids=lambda array: str(array.type),
)
def test_a_type_without_times_is_an_error(array):
    line = rejection(block_of(array).times, "c")
    assert line.startswith("rows.parquet: column 'c': expected a timestamp, a date or a text in ISO 8601 such as")
    assert f", got {array.type} (" in line


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            {"numeric": (NumericColumn(name="t.year"),)},
            "data.numeric and the parts of data.time: expected distinct names, got 't.year' twice",
        ),
        (
            {"categorical": (CategoricalColumn(name="t_month"),)},
            "data.time.t: expected names that differ as identifiers, got 't_month' and 't.month'",
        ),
        (
            {"categorical": (CategoricalColumn(name="t.month"),)},
            "data.time.t: expected names that differ as identifiers, got 't.month' and 't.month'",
        ),
        ({"time": times("y")}, "data.labels.y.columns: expected a column that is no input, got 'y'"),
    ],
)
def test_names_that_clash_are_rejected(data, message):
    spec = with_data(spec_of(), **data)
    assert rejection(check_columns, spec.data, spec.model.tasks) == message


def test_a_column_may_be_a_time_and_a_category_at_once(tmp_path):
    write(tmp_path, "train.csv", {"t": ["2024-01-05", "2024-01-06", "2024-01-05 00:00:00"], "y": [0, 1, 1]})
    spec = spec_of("train.csv", categorical=(CategoricalColumn(name="t"),), time=times(parts=("day",)))
    columns, data = encoded(tmp_path, spec)
    assert columns.vocabularies == {"t": ("2024-01-05", "2024-01-06")}
    assert data.categorical.tolist() == [[1, 5], [2, 6], [1, 5]]
