"""Columns that share an embedding table, and the names of columns and tables."""

import pytest

from shared_bottom.tables.checks import check_columns
from shared_bottom.tables.columns import FittedColumns
from spec import CategoricalColumn, CategoricalFeature, TimeColumn, from_json, to_json
from tests.helpers.builders import rejection
from tests.helpers.table_files import encoded, simple, with_data, write

SHARED = (
    CategoricalColumn(name="page now", dimension=2, minimum_count=2, table="page"),
    CategoricalColumn(name="pages", dimension=2, minimum_count=2, table="page", length=2, pooling="max"),
    CategoricalColumn(name="device", dimension=2),
)
ROWS = {"page now": ["a", "b", None], "pages": [["b", "c"], [], ["c", "d"]], "device": ["x", "y", "x"], "y": [0, 1, 0]}


def test_columns_of_one_table_have_one_vocabulary_which_counts_the_values_of_all(tmp_path):
    write(tmp_path, "t.parquet", ROWS)
    spec = simple(("t.parquet",), inputs=SHARED)
    columns, data = encoded(tmp_path, spec)
    assert columns.vocabularies == {"page": ("b", "c"), "device": ("x", "y")}
    assert data.categorical.tolist() == [[0, 1, 2, 1], [1, -1, -1, 2], [0, 2, 0, 1]]
    model = columns.model(spec.model)
    assert model.categorical == (
        CategoricalFeature(name="page_now", vocabulary=3, dimension=2, table="page"),
        CategoricalFeature(name="pages", vocabulary=3, dimension=2, table="page", length=2, pooling="max"),
        CategoricalFeature(name="device", vocabulary=3, dimension=2),
    )
    assert from_json(FittedColumns, to_json(columns)) == columns


def test_a_table_may_be_called_as_one_of_its_columns(tmp_path):
    write(tmp_path, "t.parquet", ROWS)
    one = CategoricalColumn(name="page now", dimension=2)
    other = CategoricalColumn(name="pages", dimension=2, length=2, table="page now")
    spec = simple(("t.parquet",), inputs=(one, other))
    columns, _ = encoded(tmp_path, spec)
    assert columns.vocabularies == {"page now": ("a", "b", "c", "d")}
    assert {feature.parameter for feature in columns.model(spec.model).categorical} == {"embeddings.page_now"}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            (CategoricalColumn(name="a", table="my page"), CategoricalColumn(name="b", table="my-page")),
            "data.categorical: expected names of tables that differ as identifiers, got 'my page' and 'my-page'",
        ),
        (
            (CategoricalColumn(name="my page"), CategoricalColumn(name="b", table="my-page")),
            "data.categorical: expected names of tables that differ as identifiers, got 'my page' and 'my-page'",
        ),
        (
            (CategoricalColumn(name="my page", table="t"), CategoricalColumn(name="my-page", table="t")),
            "data.categorical: expected names that differ as identifiers, got 'my page' and 'my-page'",
        ),
    ],
)
def test_names_that_are_one_identifier_are_rejected(columns, message):
    spec = with_data(simple(), categorical=columns)
    assert rejection(check_columns, spec.data, spec.model.tasks) == message


def test_a_table_may_not_be_called_as_a_part_of_a_time():
    columns = (CategoricalColumn(name="a", table="t.hour"),)
    spec = with_data(simple(), categorical=columns, time=(TimeColumn(name="t", parts=("hour",)),))
    said = rejection(check_columns, spec.data, spec.model.tasks)
    assert said == "data.time.t: expected names of tables that differ as identifiers, got 't.hour' and 't.hour'"
