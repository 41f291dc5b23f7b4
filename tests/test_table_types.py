"""How a column may be stored: dictionaries, views, lists and other types of the same values."""

import datetime
import uuid
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from spec import CategoricalColumn
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
