"""What is counted of rows whose values training never had, and which of it a reader must know."""

from dataclasses import replace

import pytest

from shared_bottom.tables.rows import fit_columns, read_rows, stream_rows
from shared_bottom.tables.tally import Tally, with_validation
from spec import CategoricalColumn, LabelColumn
from tests.helpers.table_files import simple, write

ITEMS = {"item": ["a", "b", "c", "c"], "bought": ["a|d", "", "d|d|a", "e"], "y": ["x", "z", "x", "z"]}
COLUMNS = (
    CategoricalColumn(name="item"),
    CategoricalColumn(name="bought", table="item", length=3, separator="|"),
    CategoricalColumn(name="shop", encoding="hash", buckets=5),
)


@pytest.fixture
def columns(tmp_path):
    """What is learnt of a column, a column of lists that shares its table, and a hashed one; the label has classes."""
    write(tmp_path, "train.csv", ITEMS | {"shop": ["p", "q", "p", "q"]})
    return fit_columns(simple(kind="multiclass", outputs=2, inputs=COLUMNS), tmp_path)


@pytest.mark.parametrize("read", [read_rows, lambda *arguments, **options: list(stream_rows(*arguments, **options))])
def test_unknown_values_and_labels_of_no_class_are_counted_and_missing_ones_are_not(tmp_path, columns, read):
    rows = {"item": ["a", "e", "k", ""], "bought": ["k|a|m", "", "c", "k"], "shop": ["new", "", "p", "new"]}
    write(tmp_path, "new.csv", rows | {"y": ["x", "w", "", "w"]})
    tally = Tally()
    read(columns, tmp_path, ("new.csv", "new.csv"), labels=True, tally=tally)
    assert tally.values == {"item": 6, "bought": 10, "shop": 6}
    assert tally.unknown == {"item": 2, "bought": 6, "shop": 0}
    assert tally.other_classes == {"y": {"w": 4}}
    assert [tally.share(name) for name in ("item", "bought", "shop")] == [1 / 3, 0.6, 0.0]
    assert list(tally.lines(columns)) == [
        "task 'y': 4 labels are none of its classes, and do not count: 'w' (4)",
        "column 'item': 2 of 6 values are unknown (33.3%; 0.0% in the training rows)",
        "column 'bought': 6 of 10 values are unknown (60.0%; 0.0% in the training rows)",
    ]


@pytest.mark.parametrize(("unknown", "said"), [(4, False), (5, False), (6, True)])
def test_a_few_unknown_values_are_not_worth_a_line(columns, unknown, said):
    tally = Tally()
    tally.add_values("item", 100, unknown)
    assert bool(list(tally.lines(columns))) == said


@pytest.mark.parametrize(("unknown", "said"), [(45, False), (46, True)])
def test_where_many_are_usual_many_more_are_worth_a_line(columns, unknown, said):
    validation, tally = Tally(), Tally()
    validation.add_values("item", 10, 2)
    tally.add_values("item", 100, unknown)
    usual = with_validation(columns, validation)
    assert usual.summary[0].validation_unknown == 0.2
    assert bool(list(tally.lines(usual))) == said


def test_columns_without_a_summary_are_compared_with_none_unknown(columns):
    tally = Tally()
    tally.add_values("item", 10, 5)
    assert list(tally.lines(replace(columns, summary=()))) == [
        "column 'item': 5 of 10 values are unknown (50.0%; 0.0% in the training rows)"
    ]


@pytest.mark.filterwarnings("ignore::shared_bottom.DataWarning")
def test_labels_beside_the_classes_that_the_table_names_are_counted(tmp_path):
    write(tmp_path, "train.csv", {"x": [1, 2, 3], "y": ["low", "high", "?"]})
    label = LabelColumn(columns=("y",), classes=("low", "high"))
    spec = simple(kind="multiclass", outputs=2, label=label)
    tally = Tally()
    read_rows(fit_columns(spec, tmp_path), tmp_path, ("train.csv",), tally=tally)
    assert tally.other_classes == {"y": {"?": 1}}
