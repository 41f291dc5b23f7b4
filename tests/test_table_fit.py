"""What is fitted on a table's training rows: against plain NumPy, and on no other row."""

import math
from dataclasses import replace

import numpy as np
import pytest

from shared_bottom.tables.columns import FittedColumns, identifier
from shared_bottom.tables.rows import fit_columns, read_rows, stream_rows
from shared_bottom.tables.values import bucket
from spec import CategoricalColumn, CategoricalFeature, LabelColumn, NumericColumn, from_json, to_json
from tests.helpers.builders import rejection
from tests.helpers.table_files import COLUMNS, encoded, experiment, simple, with_data, write

NAN = math.nan


def test_numbers_are_transformed_standardised_and_filled(tmp_path):
    write(tmp_path, "train.csv")
    _, data = encoded(tmp_path, experiment())
    age = np.array([31, NAN, 58, 44.5, 23, 39])
    age = (age - np.nanmean(age)) / np.nanstd(age)
    paid = np.log1p(COLUMNS["paid"])
    expected = np.stack([np.nan_to_num(age), (paid - paid.mean()) / paid.std(), np.isnan(age)], axis=1)
    np.testing.assert_allclose(data.numeric, expected, rtol=1e-6, atol=1e-7)
    assert data.numeric.dtype == np.float32


def test_a_column_left_as_it_is_keeps_its_numbers_and_is_filled_with_the_mean(tmp_path):
    write(tmp_path, "train.csv", {"x": [1.0, None, 4.0], "y": [0, 1, 0]})
    _, data = encoded(tmp_path, simple(numeric=(NumericColumn(name="x", standardise=False),)))
    np.testing.assert_array_equal(data.numeric, [[1, 0], [2.5, 1], [4, 0]])


@pytest.mark.filterwarnings("ignore::shared_bottom.DataWarning")
@pytest.mark.parametrize("value", [0.1, 1e9 / 3, 0.0])
def test_a_constant_column_becomes_zeros(tmp_path, value):
    write(tmp_path, "train.csv", {"x": [value] * 1000, "y": [0, 1] * 500})
    columns, data = encoded(tmp_path, simple())
    assert (columns.numeric["x"].mean, columns.numeric["x"].deviation) == (value, 1.0)
    assert not data.numeric.any()


def test_ids_are_sorted_values_and_0_is_missing(tmp_path):
    write(tmp_path, "train.csv")
    columns, data = encoded(tmp_path, experiment())
    assert columns.vocabularies == {"city": ("Bern", "Oslo", "Rome"), "floor": ("1", "2", "3")}
    np.testing.assert_array_equal(data.categorical, [[3, 3], [2, 1], [3, 3], [0, 2], [1, 0], [2, 1]])
    assert data.categorical.dtype == np.int32


def test_rare_values_are_unknown(tmp_path):
    write(tmp_path, "train.csv")
    rare = (CategoricalColumn(name="city", minimum_count=2),)
    columns, data = encoded(tmp_path, with_data(experiment(), categorical=rare))
    assert columns.vocabularies == {"city": ("Oslo", "Rome")}
    assert data.categorical[:, 0].tolist() == [2, 1, 2, 0, 0, 1]


def test_a_hash_is_the_same_for_ever_and_anywhere():
    assert [bucket(value, 1000) for value in ("Rome", "Oslo", "Zürich", "")] == [317, 378, 439, 1]
    ids = [bucket(str(value), 7) for value in range(5000)]
    assert set(ids) == set(range(1, 8))
    assert max(np.bincount(ids)) < 5000 / 7 * 1.2


def test_hashed_values_need_no_vocabulary(tmp_path):
    write(tmp_path, "train.csv", {"c": ["Rome", None, "Oslo"], "y": [0, 1, 0]})
    spec = simple(inputs=(CategoricalColumn(name="c", encoding="hash", buckets=9),))
    columns, data = encoded(tmp_path, spec)
    assert columns.vocabularies == {}
    assert data.categorical[:, 0].tolist() == [bucket("Rome", 9), 0, bucket("Oslo", 9)]
    assert columns.model(spec.model).categorical[0].vocabulary == 10


def test_the_model_has_the_columns_as_its_inputs(tmp_path):
    write(tmp_path, "train.csv")
    spec = experiment()
    model = fit_columns(spec, tmp_path).model(replace(spec.model, dropout=0.25, trunk=(7, 5)))
    assert (model.numeric, model.trunk, model.dropout, model.tasks) == (3, (7, 5), 0.25, spec.model.tasks)
    assert model.categorical == (
        CategoricalFeature(name="city", vocabulary=4, dimension=2),
        CategoricalFeature(name="floor", vocabulary=4, dimension=3),
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [("age", "age"), ("zip code", "zip_code"), ("2nd-floor", "_2nd_floor"), ("class", "_class"), ("Größe²", "Größe_")],
)
def test_a_columns_name_becomes_an_identifier(name, expected):
    assert identifier(name) == expected


def test_what_is_fitted_comes_back_from_json(tmp_path):
    write(tmp_path, "train.csv")
    columns = fit_columns(experiment(seed=2**32 - 1), tmp_path)
    assert from_json(FittedColumns, to_json(columns)) == columns


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("numeric", {}, "numeric: expected entries for ('age', 'paid'), got []"),
        ("indicators", ("city",), "indicators: expected numeric inputs among ['age', 'paid'], got 'city'"),
        ("classes", {"plan": ("a",)}, "classes.plan: expected 3 entries, got 1"),
    ],
)
def test_what_does_not_fit_the_columns_is_refused(tmp_path, field, value, message):
    write(tmp_path, "train.csv")
    columns = fit_columns(experiment(), tmp_path)
    assert rejection(replace, columns, **{field: value}).endswith(message)


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_rows_set_aside_are_never_looked_at(tmp_path, format):
    draw, rows = np.random.default_rng(0), 400
    name = f"train.{format}"
    table = {"x": draw.normal(size=rows).tolist(), "c": draw.integers(0, 30, rows).astype(str).tolist()}
    table["y"] = draw.normal(size=rows).tolist()
    label = LabelColumn(columns=("y",), standardise=True)
    spec = simple((name,), kind="regression", label=label, categorical=(CategoricalColumn(name="c"),))
    spec = with_data(spec, validation_fraction=0.25)
    write(tmp_path, name, table | {"x": [float(i) for i in range(rows)]})
    plain = with_data(spec, numeric=(NumericColumn(name="x", standardise=False),))
    aside = encoded(tmp_path, plain, "validation")[1].numeric[:, 0].astype(int)
    kept = encoded(tmp_path, plain, "training")[1].numeric[:, 0].astype(int)
    assert sorted([*aside, *kept]) == list(range(rows))
    assert 0.15 < len(aside) / rows < 0.35

    write(tmp_path, name, table)
    fitted = fit_columns(spec, tmp_path)
    for row in aside:
        table["x"][row], table["c"][row], table["y"][row] = (1e9, "new", -1e9) if row % 2 else (None, None, None)
    write(tmp_path, name, table)
    assert fit_columns(spec, tmp_path) == fitted
    table["x"][kept[0]] += 1e-3
    write(tmp_path, name, table)
    assert fit_columns(spec, tmp_path) != fitted


def test_another_seed_sets_other_rows_aside(tmp_path):
    write(tmp_path, "train.csv", {"x": [float(i) for i in range(100)], "y": [0, 1] * 50})
    spec = with_data(simple(), validation_fraction=0.3, numeric=(NumericColumn(name="x", standardise=False),))
    rows = {
        seed: encoded(tmp_path, replace(spec, train=replace(spec.train, seed=seed)), "validation")[1] for seed in (0, 1)
    }
    assert set(rows[0].numeric[:, 0]) != set(rows[1].numeric[:, 0])


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_the_size_of_the_blocks_changes_nothing(tmp_path, format):
    draw, rows, name = np.random.default_rng(1), 20_000, f"train.{format}"
    table = {"x": 1e6 + draw.lognormal(0, 2, rows), "c": draw.integers(0, 500, rows), "y": draw.integers(0, 2, rows)}
    write(tmp_path, name, {column: values.tolist() for column, values in table.items()})
    spec = with_data(simple((name,), categorical=(CategoricalColumn(name="c"),)), validation_fraction=0.1)
    small, large = (fit_columns(with_data(spec, memory_mb=mb), tmp_path) for mb in (1, 256))
    assert len(list(stream_rows(small, tmp_path, [name]))) > 5 > len(list(stream_rows(large, tmp_path, [name])))
    assert small.vocabularies == large.vocabularies
    for part in ("training", "validation"):
        one, other = (read_rows(columns, tmp_path, [name], part) for columns in (small, large))
        np.testing.assert_array_equal(one.categorical, other.categorical)
        np.testing.assert_allclose(one.numeric, other.numeric, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(one.labels["y"], other.labels["y"])
    whole = fit_columns(with_data(spec, memory_mb=1, validation_fraction=0.0), tmp_path).numeric["x"]
    for scale, expected in ((small.numeric["x"], large.numeric["x"]), (whole, None)):
        mean, deviation = (expected.mean, expected.deviation) if expected else (table["x"].mean(), table["x"].std())
        assert scale.mean == pytest.approx(mean, rel=1e-12)
        assert scale.deviation == pytest.approx(deviation, rel=1e-12)
