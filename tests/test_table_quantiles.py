"""The quantile transform and bins of numbers: against NumPy, scikit-learn and the paper's formula in plain loops."""

import math
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import QuantileTransformer

from shared_bottom.tables.columns import FittedColumns
from shared_bottom.tables.quantiles import LANDMARKS, SAMPLE, Sample, bin_edges, landmarks, piecewise_linear, spread
from shared_bottom.tables.rows import fit_columns, read_rows
from spec import CategoricalColumn, NumericColumn, from_json, to_json
from tests.helpers.builders import rejection
from tests.helpers.strategies import repeatable
from tests.helpers.table_files import encoded, simple, with_data, write

NAN = math.nan
finite = st.floats(-1e150, 1e150)
many_equal = st.sampled_from([-2.0, 0.0, 0.5, 3.0])
columns_of_numbers = st.lists(finite | many_equal, min_size=1, max_size=60).map(np.array)


def sample_of(*blocks):
    sample = Sample()
    for block in blocks:
        sample.add(np.asarray(block, np.float64))
    return sample.numbers


def with_numbers(folder, numbers, column, **data):
    """What is learnt of a column x that has these numbers, and its rows, encoded."""
    write(folder, "train.csv", {"x": numbers, "y": [i % 2 for i in range(len(numbers))]})
    return encoded(folder, simple(numeric=(column,), **data))


@pytest.mark.parametrize("distribution", ["uniform", "normal"])
@pytest.mark.parametrize("rows", [50, 5000])
def test_the_quantile_transform_is_that_of_scikit_learn(tmp_path, distribution, rows):
    draw = np.random.default_rng(0)
    numbers = draw.lognormal(0, 2, rows)
    numbers[draw.random(rows) < 0.3] = np.median(numbers)
    column = NumericColumn(name="x", transform="quantile", distribution=distribution, standardise=False)
    columns, data = with_numbers(tmp_path, numbers.tolist(), column)
    judge = QuantileTransformer(n_quantiles=min(rows, LANDMARKS), output_distribution=distribution, subsample=None).fit(
        numbers[:, None]
    )
    np.testing.assert_allclose(data.numeric, judge.transform(numbers[:, None]), atol=2e-6)
    assert columns.quantiles["x"] == pytest.approx(judge.quantiles_[:, 0], rel=1e-12)

    others = np.sort(draw.lognormal(0, 3, 500))
    write(tmp_path, "other.csv", {"x": [-1e9, *others, 1e300]})
    read = read_rows(columns, tmp_path, ["other.csv"], labels=False).numeric[:, 0]
    np.testing.assert_allclose(read[1:-1], judge.transform(others[:, None])[:, 0], atol=2e-6)
    ends = {"uniform": 1, "normal": 5.2}[distribution]
    assert read[[0, -1]] == pytest.approx([0 if distribution == "uniform" else -ends, ends], abs=1e-3)


def test_equal_numbers_share_the_middle_of_their_shares_at_the_ends_too():
    numbers = np.array([0, 0, 0, 0, 1, 2, 2, 2, 9, 9.0])
    expected = [((numbers < x).sum() + ((numbers == x).sum() - 1) / 2) / 9 for x in numbers]
    assert spread(numbers, landmarks(numbers), "uniform") == pytest.approx(expected, rel=1e-12)


def test_a_missing_number_becomes_the_mean_after_the_transform_and_numbers_are_standardised(tmp_path):
    numbers = [5.0, None, 1.0, 700.0, 5.0]
    columns, data = with_numbers(
        tmp_path, numbers, NumericColumn(name="x", transform="quantile", distribution="uniform")
    )
    shares = np.array([0.5, NAN, 0, 1, 0.5])
    standard = (shares - np.nanmean(shares)) / np.nanstd(shares)
    np.testing.assert_allclose(data.numeric, np.stack([np.nan_to_num(standard), np.isnan(shares)], axis=1), atol=1e-7)
    assert columns.numeric["x"].mean == pytest.approx(0.5)


@repeatable
@given(columns_of_numbers, st.sampled_from(["uniform", "normal"]), st.lists(finite | many_equal, min_size=1))
def test_the_quantile_transform_rises_and_stays_in_its_range(numbers, distribution, others):
    others = np.sort(np.array(others))
    encoded = spread(others, landmarks(numbers), distribution)
    assert (np.diff(encoded) >= -1e-12).all()
    assert np.abs(encoded).max() <= {"uniform": 1, "normal": 5.2}[distribution]
    assert distribution == "normal" or encoded.min() >= 0


def paper(x, edges):
    """The encoding of one number as the paper writes it, and then clipped."""
    bins = len(edges) - 1
    encoding = []
    for t in range(1, bins + 1):
        if x < edges[t - 1] and t > 1:
            e = 0.0
        elif x >= edges[t] and t < bins:
            e = 1.0
        else:
            e = (x - edges[t - 1]) / (edges[t] - edges[t - 1])
        encoding.append(min(max(e, 0.0), 1.0))
    return encoding


@pytest.mark.parametrize(
    "column",
    [
        NumericColumn(name="x", bins=8),
        NumericColumn(name="x", bins=8, standardise=False),
        NumericColumn(name="x", bins=8, transform="log1p"),
        NumericColumn(name="x", bins=8, transform="quantile"),
    ],
    ids=["plain", "not standardised", "log1p", "quantile"],
)
def test_bins_are_those_of_the_paper(tmp_path, column):
    draw, rows = np.random.default_rng(1), 300
    numbers = draw.exponential(5, rows)
    numbers[draw.random(rows) < 0.4] = 0.0
    missing = draw.random(rows) < 0.1
    given = [None if gone else float(x) for x, gone in zip(numbers, missing, strict=True)]
    columns, data = with_numbers(tmp_path, given, column)
    transformed = {
        "none": lambda x: x,
        "log1p": np.log1p,
        "quantile": lambda x: spread(x, landmarks(numbers[~missing]), "normal"),
    }[column.transform](numbers)
    edges = np.unique(np.quantile(transformed[~missing], np.linspace(0, 1, 9)))
    assert columns.bins["x"] == pytest.approx(edges, rel=1e-12)
    assert len(edges) < 9  # the bins of the zeros have no width
    filled = np.where(missing, transformed[~missing].mean(), transformed)
    expected = np.array([[*paper(x, edges), gone] for x, gone in zip(filled, missing, strict=True)])
    np.testing.assert_allclose(data.numeric, expected, atol=2e-6)
    assert columns.model(simple().model).numeric == len(edges)  # the bins that are left, and the indicator
    data.check(columns.model(simple().model))


@repeatable
@given(columns_of_numbers, st.integers(2, 40), st.lists(finite | many_equal, min_size=1))
def test_bins_rise_and_stay_in_0_to_1(numbers, bins, others):
    edges = bin_edges(numbers, bins)
    assert list(edges) == sorted(set(edges))
    assert len(edges) <= bins + 1
    encoded = piecewise_linear(np.sort(np.array(others)), edges)
    assert encoded.shape == (len(others), max(len(edges) - 1, 1))
    assert encoded.min() >= 0
    assert encoded.max() <= 1
    assert (np.diff(encoded, axis=0) >= 0).all()
    assert (np.diff(encoded, axis=1) <= 0).all()  # a bin is full before the next one begins


@pytest.mark.filterwarnings("ignore::shared_bottom.DataWarning")
def test_a_constant_column_keeps_one_input_that_is_0(tmp_path):
    columns, data = with_numbers(tmp_path, [7.0] * 6, NumericColumn(name="x", bins=4))
    assert columns.bins == {"x": (7.0,)}
    np.testing.assert_array_equal(data.numeric, np.zeros((6, 1)))
    data.check(columns.model(simple().model))


@pytest.mark.filterwarnings("ignore::shared_bottom.DataWarning")
def test_the_inputs_come_in_the_order_of_the_columns_and_then_the_indicators(tmp_path):
    table = {"a": [1.0, None, 3.0], "b": [0.0, 5.0, 10.0], "c": [None, 4.0, 4.0], "y": [0, 1, 0]}
    write(tmp_path, "train.csv", table)
    plain = {"standardise": False}
    numeric = (NumericColumn(name="a", **plain), NumericColumn(name="b", bins=2), NumericColumn(name="c", **plain))
    _, data = encoded(tmp_path, simple(numeric=numeric))
    np.testing.assert_allclose(data.numeric, [[1, 0, 0, 4, 0, 1], [2, 1, 0, 4, 1, 0], [3, 1, 1, 4, 0, 0]])


@pytest.mark.parametrize("rows", [SAMPLE, 3 * SAMPLE + 17])
def test_quantiles_are_exact_while_the_sample_holds_all_and_else_close(rows):
    numbers = np.random.default_rng(2).normal(size=rows)
    sample = sample_of(numbers)
    assert len(sample) == SAMPLE
    levels = np.linspace(0.01, 0.99, 50)
    expected = np.quantile(numbers, levels)
    np.testing.assert_allclose(np.quantile(sample, levels), expected, atol=0 if rows == SAMPLE else 0.01)


@settings(max_examples=5, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, SAMPLE * 3), max_size=5), st.integers(0, 2**32 - 1))
def test_the_sample_is_the_same_however_the_rows_are_divided(cuts, seed):
    draw = np.random.default_rng(seed)
    numbers = draw.normal(size=SAMPLE * 3)
    numbers[draw.random(len(numbers)) < 0.2] = NAN
    np.testing.assert_array_equal(sample_of(*np.split(numbers, sorted(cuts))), sample_of(numbers))


def test_which_rows_are_sampled_does_not_depend_on_their_numbers():
    numbers = np.random.default_rng(3).permutation(2 * SAMPLE)
    chosen = np.isin(numbers, sample_of(numbers))
    np.testing.assert_array_equal(np.flatnonzero(chosen), sample_of(np.arange(2 * SAMPLE)))


def test_files_and_blocks_change_nothing(tmp_path):
    draw = np.random.default_rng(4)
    numbers = draw.normal(size=20_000).tolist()
    labels = [0, 1] * 10_000
    write(tmp_path, "whole.parquet", {"x": numbers, "y": labels})
    write(tmp_path, "one.csv", {"x": numbers[:777], "y": labels[:777]})
    write(tmp_path, "two.csv", {"x": numbers[777:], "y": labels[777:]})
    column = NumericColumn(name="x", transform="quantile", bins=16)
    spec = simple(("whole.parquet",), numeric=(column,), validation_fraction=0.2)
    whole = fit_columns(spec, tmp_path)
    parts = fit_columns(with_data(spec, train=("one.csv", "two.csv"), memory_mb=1), tmp_path)
    assert (parts.quantiles, parts.bins, parts.numeric) == (whole.quantiles, whole.bins, whole.numeric)
    assert from_json(FittedColumns, to_json(whole)) == whole


@pytest.mark.parametrize("name", ["train.csv", "train.parquet"])
def test_a_column_can_be_numeric_and_categorical_at_once(tmp_path, name):
    write(tmp_path, name, {"x": [3, None, 1, 3], "y": [0, 1, 0, 1]})
    spec = simple((name,), categorical=(CategoricalColumn(name="x", dimension=2),))
    columns, data = encoded(tmp_path, spec)
    assert columns.vocabularies == {"x": ("1", "3")}
    assert data.categorical[:, 0].tolist() == [2, 0, 1, 2]
    numbers = np.array([3, 7 / 3, 1, 3])
    deviation = np.std([3, 1, 3])
    np.testing.assert_allclose(data.numeric, np.stack([(numbers - 7 / 3) / deviation, [0, 1, 0, 0]], axis=1), atol=1e-6)
    model = columns.model(spec.model)
    assert (model.numeric, [feature.name for feature in model.categorical]) == (2, ["x"])
    data.check(model)


def test_edges_that_do_not_ascend_are_rejected(tmp_path):
    columns, _ = with_numbers(tmp_path, [1.0, 2.0, 3.0], NumericColumn(name="x", bins=2))
    said = rejection(replace, columns, bins={"x": (1.0, 9.0, 3.0)})
    assert said == "FittedColumns: bins.x: expected edges that ascend, got (1.0, 9.0, 3.0)"


def test_quantiles_that_descend_are_rejected(tmp_path):
    columns, _ = with_numbers(tmp_path, [1.0, 2.0, 3.0], NumericColumn(name="x", transform="quantile"))
    said = rejection(replace, columns, quantiles={"x": (1.0, 9.0, 3.0)})
    assert said == "FittedColumns: quantiles.x: expected numbers that do not descend, got (1.0, 9.0, 3.0)"


def test_a_sample_takes_the_same_memory_whatever_the_number_of_rows():
    block, sample, taken = np.random.default_rng(5).normal(size=SAMPLE), Sample(), []
    tracemalloc.start()
    for _ in range(6):
        sample.add(block)
        taken.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert max(taken) < 4 * 2**20


def test_numbers_too_large_to_have_a_deviation_are_named(tmp_path):
    said = rejection(with_numbers, tmp_path, [1e300, -1e300], NumericColumn(name="x", transform="quantile"))
    assert "column 'x': expected numbers whose squares fit float64, got one of size 1e+300" in said
