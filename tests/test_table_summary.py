"""The summary of a table's columns: what the training rows have in each, against plain counting."""

from dataclasses import replace

import numpy as np
import pytest

from shared_bottom import ColumnSummary, FittedColumns
from shared_bottom.tables.rows import fit_columns
from shared_bottom.tables.summary import HEADER, cells, label_lines
from spec import CategoricalColumn, LabelColumn, NumericColumn, TimeColumn, from_json, to_json
from tests.helpers.table_files import COLUMNS, experiment, simple, with_data, write


def summary_of(folder, spec):
    columns = fit_columns(spec, folder)
    assert from_json(FittedColumns, to_json(columns)) == columns
    return {summary.name: summary for summary in columns.summary}


def test_numbers_have_a_mean_and_a_deviation_after_the_transform(tmp_path):
    write(tmp_path, "train.csv")
    summaries = summary_of(tmp_path, experiment())
    age, paid = np.array([31, 58, 44.5, 23, 39]), np.log1p(COLUMNS["paid"])
    for name, numbers, missing in (("age", age, 1), ("paid", paid, 0)):
        assert (summaries[name].role, summaries[name].rows, summaries[name].missing) == ("numeric", 6, missing)
        assert (summaries[name].mean, summaries[name].deviation) == pytest.approx((numbers.mean(), numbers.std()))


def test_categories_have_distinct_kept_and_unknown_values(tmp_path):
    write(tmp_path, "train.csv")
    hashed = CategoricalColumn(name="floor", encoding="hash", buckets=7)
    spec = with_data(experiment(), categorical=(CategoricalColumn(name="city", minimum_count=2), hashed))
    summaries = summary_of(tmp_path, spec)
    expected = {"role": "categorical", "rows": 6, "missing": 1, "values": 5}
    assert summaries["city"] == ColumnSummary(name="city", distinct=3, kept=2, unknown=0.2, **expected)
    assert summaries["floor"] == ColumnSummary(name="floor", kept=7, unknown=0.0, **expected)


def test_labels_have_what_their_task_learns_from(tmp_path):
    write(tmp_path, "train.csv")
    summaries = summary_of(tmp_path, experiment())
    assert [summaries[name].task for name in ("click", "spend", "plan")] == ["click", "spend", "plan"]
    click = summaries["click"]
    assert (click.role, click.missing, click.distinct, click.mean) == ("label", 1, 2, 0.4)
    spend = np.log1p([19.5, 4, 1.25, 80])
    assert summaries["spend"].missing == 2
    assert (summaries["spend"].mean, summaries["spend"].deviation) == pytest.approx((spend.mean(), spend.std()))
    assert summaries["plan"].classes == {"a": 2, "b": 2, "c": 2}


@pytest.mark.parametrize(
    ("label", "values", "share"),
    [({}, ["true", "FALSE", "1.0", ""], 2 / 3), ({"positive": "yes"}, ["yes", "no", " yes ", "yes"], 0.75)],
)
def test_the_mean_of_a_binary_label_is_its_share_of_positives(tmp_path, label, values, share):
    write(tmp_path, "train.csv", {"x": [1, 2, 3, 4], "y": values})
    assert summary_of(tmp_path, simple(label=LabelColumn(columns=("y",), **label)))["y"].mean == pytest.approx(share)


@pytest.mark.filterwarnings("ignore::shared_bottom.DataWarning")
def test_labels_of_other_classes_are_missing_and_numbers_that_are_equal_do_not_deviate(tmp_path):
    write(tmp_path, "train.csv", {"x": [3, 3, 3, 3], "y": ["high", "?", "low", ""]})
    label = LabelColumn(columns=("y",), classes=("low", "mid", "high"))
    summaries = summary_of(tmp_path, simple(kind="multiclass", outputs=3, label=label))
    assert summaries["y"].classes == {"low": 1, "mid": 0, "high": 1}
    assert (summaries["y"].missing, summaries["y"].distinct) == (2, 3)
    assert (summaries["x"].mean, summaries["x"].deviation) == (3.0, 0.0)


def test_only_the_training_rows_count(tmp_path):
    columns = {name: values * 50 for name, values in COLUMNS.items()}
    write(tmp_path, "train.csv", columns)
    whole = summary_of(tmp_path, experiment())
    part = summary_of(tmp_path, experiment(validation_fraction=0.3))
    assert whole["city"].rows == 300
    assert 150 < part["city"].rows < 260
    assert part["age"].missing < whole["age"].missing == 50


def test_the_summary_does_not_depend_on_the_blocks(tmp_path):
    columns = {name: values * 5000 for name, values in COLUMNS.items()}
    write(tmp_path, "train.parquet", columns)
    once, blocks = (summary_of(tmp_path, experiment(("train.parquet",), memory_mb=memory)) for memory in (256, 1))
    rounded = ("age", "paid", "spend")
    for name in rounded:
        moments = (once[name].mean, once[name].deviation)
        assert (blocks[name].mean, blocks[name].deviation) == pytest.approx(moments, rel=1e-9)
        blocks[name] = replace(blocks[name], mean=moments[0], deviation=moments[1])
    assert blocks == once


def test_columns_that_were_learnt_before_there_was_a_summary_are_read(tmp_path):
    write(tmp_path, "train.csv")
    columns = replace(fit_columns(experiment(), tmp_path), summary=())
    text = to_json(columns).replace(',\n  "summary": []', "")
    assert "summary" not in text
    assert from_json(FittedColumns, text) == columns


def test_a_row_of_the_table_has_what_applies(tmp_path):
    write(tmp_path, "train.csv")
    columns = fit_columns(experiment(), tmp_path)
    rows = {row[0]: row[1:] for row in map(cells, columns.summary)}
    assert {len(row) for row in rows.values()} == {len(HEADER) - 1}
    assert rows["age"] == ["numeric", "16.67%", "–", "–", "–", "39.1", "11.93"]
    assert rows["city"] == ["categorical", "16.67%", "3", "3", "0.00%", "–", "–"]
    assert rows["click"] == ["label of click", "16.67%", "2", "–", "–", "0.4", "–"]
    assert list(label_lines(columns.summary)) == ["plan: a 2, b 2, c 2"]
    many = replace(columns.summary[-1], classes={f"c{i}": i for i in range(11)})
    (line,) = label_lines([many])
    assert line == "plan: c0 0, c1 1, c2 2, c3 3, c4 4, c5 5, c6 6, c7 7 and 3 more classes"


def test_each_part_of_a_time_has_a_summary(tmp_path):
    times = ["2024-01-05T17:30:00", None, "2024-03-06", "2026-01-05"]
    write(tmp_path, "train.csv", {"x": [1, 2, 3, 4], "t": times, "y": [0, 1, 0, 1]})
    parts = summary_of(tmp_path, simple(time=(TimeColumn(name="t", parts=("weekday", "year", "hour")),)))
    missing = {"role": "time", "rows": 4, "missing": 1}
    years = np.array([2024, 2024, 2026])
    assert parts["t.weekday"] == ColumnSummary(name="t.weekday", kept=7, **missing)
    assert parts["t.hour"] == ColumnSummary(name="t.hour", kept=24, **missing)
    year = parts["t.year"]
    assert year == ColumnSummary(name="t.year", mean=year.mean, deviation=year.deviation, **missing)
    assert (year.mean, year.deviation) == pytest.approx((years.mean(), years.std()))


def test_lists_have_their_values_counted_and_columns_of_one_table_share_what_is_kept(tmp_path):
    write(tmp_path, "train.csv", {"item": ["a", "b", "", "c"], "bought": ["a|d", "", "d|d|a", "e"], "y": [0, 1, 0, 1]})
    bought = CategoricalColumn(name="bought", table="item", length=3, separator="|", minimum_count=2)
    spec = simple(inputs=(CategoricalColumn(name="item", minimum_count=2), bought))
    columns = fit_columns(spec, tmp_path)
    assert columns.vocabularies == {"item": ("a", "d")}
    shared = {"role": "categorical", "rows": 4, "missing": 1, "kept": 2}
    item, lists = columns.summary[:2]
    assert item == ColumnSummary(name="item", values=3, distinct=3, unknown=2 / 3, **shared)
    assert lists == ColumnSummary(name="bought", values=6, distinct=3, unknown=1 / 6, **shared)
    assert [cells(summary)[1] for summary in (item, lists)] == ["categorical", "lists, 1.5 a row"]


def test_numbers_in_quantiles_or_bins_are_summarised_as_they_are_learnt(tmp_path):
    write(tmp_path, "train.csv", {"q": [1, 10, 100, 1000, 0], "b": [1, 2, 3, 4, None], "y": [0, 1, 0, 1, 1]})
    numeric = (NumericColumn(name="q", transform="quantile"), NumericColumn(name="b", bins=2))
    columns = fit_columns(simple(numeric=numeric), tmp_path)
    for summary in columns.summary[:2]:
        scale = columns.numeric[summary.name]
        assert (summary.role, summary.mean, summary.deviation) == ("numeric", scale.mean, scale.deviation)
    assert columns.summary[1].missing == 1


def test_given_embeddings_keep_their_values(tmp_path):
    write(tmp_path, "train.csv", {"c": ["a", "b", "b", "z"], "y": [0, 1, 0, 1]})
    write(tmp_path, "given.parquet", {"value": ["b", "a", "k"], "vector": [[1.0, 0.0]] * 3})
    column = CategoricalColumn(name="c", dimension=2, embeddings="given.parquet", trainable=False)
    kept = summary_of(tmp_path, simple(inputs=(column,)))["c"]
    assert (kept.distinct, kept.kept, kept.unknown) == (3, 3, 0.25)
