"""A row is encoded alone as among others, whatever the types of its columns, though few are read in another way."""

import datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared_bottom import fit_columns, read_rows
from shared_bottom.tables.arrays import FEW
from shared_bottom.tables.tally import Tally
from spec import CategoricalColumn, Dataset, LabelColumn, NumericColumn, TaskSpec, TimeColumn
from tests.helpers.strategies import repeatable
from tests.helpers.table_files import experiment

ROWS = FEW + 2
"""So many that they are looked at by their distinct values."""

TIME = datetime.datetime(2024, 2, 29, 17, 30, 5)
TYPES = {
    "float": (pa.float64(), [0.5, 2.0, -0.25, np.nan]),
    "float32": (pa.float32(), [0.5, 2.0, 3.25]),
    "int": (pa.int64(), [0, 1, 2, 7]),
    "uint8": (pa.uint8(), [0, 1, 2, 255]),
    "bool": (pa.bool_(), [True, False]),
    "decimal": (pa.decimal128(5, 2), [Decimal("1.50"), Decimal("2.00")]),
    "number in text": (pa.string(), ["1.5", " 2 ", "true", "NA", "2.0", ""]),
    "text": (pa.string(), ["Rome", " Oslo", "2.0", "NA", "", "Graz", "1e5", "2024-02-29T00:00:00"]),
    "large text": (pa.large_string(), ["Rome", "Oslo"]),
    "view": (pa.string_view(), ["Rome", "Oslo"]),
    "bytes": (pa.binary(), [b"Rome", b"Oslo"]),
    "dictionary": (pa.dictionary(pa.int8(), pa.string()), ["Rome", "Oslo", "Graz"]),
    "dictionary of numbers": (pa.dictionary(pa.uint16(), pa.int64()), [1, 2, 3]),
    "nothing": (pa.null(), []),
    "time": (pa.timestamp("us"), [TIME, datetime.datetime(1969, 12, 31, 23, 59, 59, 999999)]),
    "time of a zone": (pa.timestamp("ns", "Europe/Berlin"), [TIME.replace(tzinfo=datetime.UTC)]),
    "date": (pa.date32(), [TIME.date()]),
    "time in text": (pa.string(), ["2024-02-29", "2024-02-29T17:30:00Z", " 1999-01-01 00:00:00.5 ", "NA"]),
    "list": (pa.list_(pa.string()), [[], ["Rome"], ["Oslo", None, "Rome", "Graz"], ["NA", ""]]),
    "list of numbers": (pa.large_list(pa.int64()), [[1, 2], [7]]),
    "text of several": (pa.string(), ["Rome|Oslo", "|", "Rome", "NA", "Oslo||Rome|Graz|Oslo"]),
}
NUMBERS = ("float", "float32", "int", "uint8", "bool", "decimal", "number in text", "nothing")
VALUES = (
    "float",
    "float32",
    "int",
    "bool",
    "decimal",
    "text",
    "large text",
    "view",
    "bytes",
    "dictionary",
    "date",
    "nothing",
)
VALUES += ("dictionary of numbers", "time", "time of a zone")
LISTS = ("list", "list of numbers", "nothing")
TIMES = ("time", "time of a zone", "date", "time in text", "nothing")

FITTED = fit_columns(
    experiment(
        (),
        tasks=(
            TaskSpec(name="click", kind="binary"),
            TaskSpec(name="spend", kind="regression"),
            TaskSpec(name="plan", kind="multiclass"),
        ),
        numeric=(
            NumericColumn(name="plain"),
            NumericColumn(name="raw", standardise=False),
            NumericColumn(name="log", transform="log1p"),
            NumericColumn(name="quantile", transform="quantile"),
            NumericColumn(name="bins", bins=3),
        ),
        categorical=(
            CategoricalColumn(name="value", dimension=2, minimum_count=2),
            CategoricalColumn(name="hashed", dimension=2, encoding="hash", buckets=7),
            CategoricalColumn(name="list", dimension=2, length=2, table="value", minimum_count=2),
            CategoricalColumn(name="several", dimension=2, length=3, separator="|", keep="first"),
        ),
        time=(TimeColumn(name="seen", parts=("year", "month", "weekday", "hour", "elapsed_days")),),
        labels={
            "click": LabelColumn(columns=("click",)),
            "spend": LabelColumn(columns=("spend",), transform="log1p", standardise=True),
            "plan": LabelColumn(columns=("plan",)),
        },
        weight="weight",
        group="value",
    ),
    {
        **{name: [0.5, None, 2.0, 3.25, 7.0, 1.5] for name in ("plain", "raw", "log", "quantile", "bins")},
        "value": ["Rome", "Oslo", "2", "1.5", "true", "2024-02-29"],
        "hashed": ["Rome"] * 6,
        "list": [["Rome", "Oslo"], ["2", "1.5"], ["true"], ["2024-02-29"], ["7", "7"], None],
        "several": ["Rome|Oslo", "Graz", "Oslo", None, "Rome", "2"],
        "seen": [TIME] * 5 + [None],
        "click": [1, 0, 1, None, 0, 0],
        "spend": [19.5, None, 4.0, 1.25, None, 80.0],
        "plan": ["b", "a", "c", "a", "b", "c"],
        "weight": [1.0, 2.0, 0.5, 1.0, 0.0, 3.0],
    },
)


def columns_of(kinds):
    """ROWS values of one of the kinds, missing ones among them, as an array of its type."""
    return st.sampled_from(kinds).flatmap(
        lambda kind: st.lists(
            st.none() | st.sampled_from(TYPES[kind][1]) if TYPES[kind][1] else st.none(), min_size=ROWS, max_size=ROWS
        ).map(lambda values: pa.array(values, TYPES[kind][0]))
    )


TABLES = st.fixed_dictionaries(
    {name: columns_of(NUMBERS) for name in ("plain", "raw", "log", "quantile", "bins")}
    | {name: columns_of(VALUES) for name in ("value", "hashed")}
    | {"list": columns_of(LISTS), "several": columns_of(("text of several", "list", "text", "nothing"))}
    | {"seen": columns_of(TIMES)}
    | {"click": columns_of(("bool",)), "spend": columns_of(("uint8", "number in text")), "plan": columns_of(VALUES)}
    | {"weight": st.just(pa.array(np.arange(ROWS) % 3))}
).map(pa.table)


def arrays(rows: Dataset, chosen=slice(None)):
    return {name: array[chosen] for name, array in rows.arrays.items()}


def same(one, other):
    assert one.keys() == other.keys()
    for name, array in one.items():
        assert array.dtype == other[name].dtype, name
        np.testing.assert_array_equal(array, other[name], err_msg=name, strict=True)


@pytest.mark.slow
@settings(repeatable, max_examples=30)
@given(TABLES)
def test_each_row_alone_is_encoded_as_among_others(table):
    together, alone = Tally(), Tally()
    whole = read_rows(FITTED, table, tally=together)
    for row in range(ROWS):
        same(arrays(read_rows(FITTED, table.slice(row, 1), tally=alone)), arrays(whole, [row]))
    assert alone == together


@pytest.mark.slow
@settings(repeatable, max_examples=30)
@given(TABLES, st.integers(0, ROWS - 1))
def test_a_row_of_python_s_values_is_encoded_as_its_row_of_the_table(table, row):
    """Without the types of the table, so that numbers alone say what they are."""
    values = {name: [column[row].as_py()] for name, column in zip(table.column_names, table.columns, strict=True)}
    same(arrays(read_rows(FITTED, values)), arrays(read_rows(FITTED, table.slice(row, 1))))


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("plain", "much", "column 'plain', row 1: expected a number, got 'much'"),
        ("plain", np.inf, "column 'plain', row 1: expected a finite number, got inf"),
        ("log", -1.0, "column 'log', row 1: expected a number above -1 for log1p, got -1.0"),
        ("value", 2.0**60 + 2**10, "column 'value', row 1: expected a whole number of at most 2**53"),
        ("seen", "soon", "column 'seen', row 1: expected a timestamp, a date or a text in ISO 8601"),
        ("value", ["Rome"], "column 'value': expected text, numbers or booleans, got list"),
        ("click", 3, "column 'click', row 1: expected 0, 1, false or true"),
    ],
)
def test_what_is_wrong_in_one_row_is_said_as_in_many(column, value, message):
    right = {"plain": 1.0, "raw": 1.0, "log": 1.0, "quantile": 1.0, "bins": 1.0, "value": "a", "hashed": "a"}
    right |= {"list": ["a"], "several": "a", "seen": TIME, "click": 1, "spend": 1.0, "plan": "a", "weight": 1.0}
    wrong = right | {column: value}
    for rows in (1, ROWS):
        with pytest.raises(ValueError, match=r"^the table in memory: ") as caught:
            read_rows(FITTED, {name: [of_rows] * rows for name, of_rows in wrong.items()})
        assert message in str(caught.value)
