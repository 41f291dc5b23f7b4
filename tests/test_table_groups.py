"""A column of groups: from every kind of file and table, in the cache, in a run's identity and in what evaluates."""

import datetime
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from shared_bottom.checkpoint.identity import fingerprints
from shared_bottom.table_training import fit_table
from shared_bottom.tables.encoded import text_columns
from shared_bottom.tables.joined import outcomes
from shared_bottom.tables.rows import fit_columns, read_rows
from shared_bottom.tables.training import check_table, read_table
from spec import NumericColumn, TaskSpec
from tests.helpers.builders import rejection
from tests.helpers.table_files import simple, with_data, write

pytestmark = [
    pytest.mark.filterwarnings("ignore::shared_bottom.DataWarning"),  # the tables are tiny
    pytest.mark.filterwarnings("ignore::shared_bottom.run.metrics.UndefinedMetricWarning"),
]

USERS = ["ann", "bob", "ann", None, "cleo", "bob", "ann", "cleo"]
TABLE = {"x": list(range(8)), "y": [0, 1, 1, 0, 1, 0, 0, 0], "user": USERS}
GROUPS = [0, 1, 0, -1, 2, 1, 0, 2]
"""Which rows of the table have one user, and which has none."""


def asking(train=("train.csv",), metrics=("group_auc", "ndcg@3"), **data):
    """An experiment on the table, whose task has these metrics."""
    spec = simple(train, group="user", **data)
    tasks = (TaskSpec(name="y", kind="binary", more_metrics=metrics),)
    return replace(spec, model=replace(spec.model, tasks=tasks))


def numbered(group):
    """The groups numbered from 0 in the order in which they come, -1 for none."""
    order = list(dict.fromkeys(number for number in group.tolist() if number >= 0))
    return [order.index(number) if number >= 0 else -1 for number in group.tolist()]


@pytest.mark.parametrize("name", ["train.csv", "train.csv.gz", "train.parquet"])
def test_rows_of_one_value_are_one_group_in_every_format(tmp_path, name):
    write(tmp_path, name, TABLE)
    spec = asking((name,))
    rows = read_rows(fit_columns(spec, tmp_path), tmp_path, name)
    assert rows.group.dtype == np.int64
    assert numbered(rows.group) == GROUPS
    without = read_rows(fit_columns(spec, tmp_path), tmp_path, name, labels=False)
    assert without.group is None


MOMENTS = [None if user is None else datetime.datetime(2024, 1, len(user), 12) for user in USERS]
VALUES = {
    "numbers": [None if user is None else float(len(user) + ord(user[0])) for user in USERS],
    "truths": pa.array([None if user is None else user == "ann" for user in USERS]),
    "times": MOMENTS,
    "dictionary": pa.array(USERS).dictionary_encode(),
}


@pytest.mark.parametrize("kind", VALUES)
def test_a_group_may_be_a_value_of_any_type(tmp_path, kind):
    write(tmp_path, "train.parquet", TABLE | {"user": VALUES[kind]})
    spec = asking(("train.parquet",))
    group = read_rows(fit_columns(spec, tmp_path), tmp_path, "train.parquet").group
    values = VALUES[kind].to_pylist() if isinstance(VALUES[kind], pa.Array) else VALUES[kind]
    for one, a in zip(group, values, strict=True):
        assert (one == -1) == (a is None)
        assert [one == other for other in group] == [a == b for b in values]


@pytest.mark.parametrize("kind", [pd.DataFrame, pa.table, dict])
def test_a_table_in_memory_has_the_groups_of_the_file(tmp_path, kind):
    write(tmp_path, "train.csv", TABLE)
    spec = asking()
    of_file = read_rows(fit_columns(spec, tmp_path), tmp_path, "train.csv")
    of_table = read_rows(fit_columns(with_data(spec, train=()), kind(TABLE)), kind(TABLE))
    assert of_table.group.tolist() == of_file.group.tolist()


def test_one_spelling_of_a_number_is_that_of_another(tmp_path):
    users = [1, 2, 1, None, 3, 2, 1, 3]
    spec = asking(("a.csv", "b.parquet"))
    write(tmp_path, "a.csv", TABLE | {"user": [f"{user}.0" if user else "" for user in users]})
    write(tmp_path, "b.parquet", TABLE | {"user": users})
    group = read_rows(fit_columns(spec, tmp_path), tmp_path, spec.data.train).group
    assert group[:8].tolist() == group[8:].tolist()
    assert numbered(group[:8]) == GROUPS


def test_a_missing_group_is_what_the_table_says(tmp_path):
    write(tmp_path, "train.csv", TABLE | {"user": [user or "?" for user in USERS]})
    spec = asking(missing=("?",))
    assert numbered(read_rows(fit_columns(spec, tmp_path), tmp_path, "train.csv").group) == GROUPS


def test_the_column_may_be_an_input_too(tmp_path):
    write(tmp_path, "train.csv", TABLE | {"user": [1, 2, 1, 4, 3, 2, 1, 3]})
    spec = asking(numeric=(NumericColumn(name="x"), NumericColumn(name="user")))
    rows = read_rows(fit_columns(spec, tmp_path), tmp_path, "train.csv")
    assert rows.numeric.shape == (8, 2)
    assert len(set(rows.group.tolist())) == 4


def test_groups_are_kept_in_the_cache_and_read_from_it(tmp_path):
    write(tmp_path, "train.csv", TABLE)
    write(tmp_path, "more.csv", TABLE | {"user": list(reversed(USERS))})
    spec = asking(validation=("more.csv",))
    _, training, validation = read_table(spec, tmp_path)
    for _ in range(2):  # it is made, then read
        _, kept, kept_validation = read_table(spec, tmp_path, cache=tmp_path / "cache")
        for one, other in ((kept, training), (kept_validation, validation)):
            assert one.mapped
            assert one.group.dtype == np.int64
            assert one.group.tolist() == other.group.tolist()
    assert len([path for path in (tmp_path / "cache").iterdir() if path.is_dir()]) == 1
    read_table(asking(validation=("more.csv",), metrics=()), tmp_path, cache=tmp_path / "cache")
    assert len([path for path in (tmp_path / "cache").iterdir() if path.is_dir()]) == 1  # metrics decide no row
    assert "user" in text_columns(spec)


def test_the_groups_belong_to_the_identity_of_a_run():
    spec = asking(train=())
    rows = read_rows(fit_columns(spec, TABLE), TABLE)
    found = fingerprints(rows)
    assert found["group"].shape == (8,)
    assert fingerprints(replace(rows, group=rows.group[::-1]))["group"] != found["group"]
    assert fingerprints(replace(rows, group=None)) == {k: v for k, v in found.items() if k != "group"}
    assert fingerprints(replace(rows, group=np.array(["a", "b"] * 4)))["group"].dtype == "<U1"


def test_every_way_of_handling_rows_takes_the_groups_along():
    spec = asking(train=())
    rows = read_rows(fit_columns(spec, TABLE), TABLE)
    assert rows.take([4, 0]).group.tolist() == rows.group[[4, 0]].tolist()
    assert np.concatenate([piece.group for piece in rows.pieces(3)]).tolist() == rows.group.tolist()
    assert rows.map(lambda array: array[::-1]).group.tolist() == rows.group[::-1].tolist()
    assert rows.hashed({}).group is rows.group
    assert outcomes(rows).group is rows.group
    assert list(rows.arrays) == ["numeric", "group", "labels.y"]


def test_a_column_that_is_not_there_is_named(tmp_path):
    write(tmp_path, "train.csv", {name: values for name, values in TABLE.items() if name != "user"})
    assert rejection(fit_columns, asking(), tmp_path) == (
        f"{tmp_path / 'train.csv'}: expected a column 'user', found x, y"
    )


def test_a_metric_within_groups_needs_a_column_of_groups(tmp_path):
    write(tmp_path, "train.csv", TABLE)
    spec = with_data(asking(), group=None)
    for read in (fit_columns, read_table, check_table):
        assert rejection(read, spec, tmp_path) == (
            "data.group: expected the column of the rows' groups for the metric y.group_auc, got none"
        )


def test_lists_are_no_groups(tmp_path):
    write(tmp_path, "train.parquet", TABLE | {"user": [["ann"]] * 8})
    line = rejection(read_table, asking(("train.parquet",)), tmp_path)
    assert "column 'user': expected text, numbers or booleans, got list<" in line


def test_a_trained_network_is_evaluated_within_groups(backend):
    draw = np.random.default_rng(0)
    table = {"x": draw.normal(size=90), "y": draw.integers(0, 2, 90), "user": draw.integers(0, 9, 90)}
    spec = asking(train=(), validation_fraction=0.3)
    quick = replace(spec.train, epochs=1, execution="eager", device="cpu")
    trained = fit_table(replace(spec, train=quick), table, backend=backend.name)
    assert list(trained.history.epochs[0]["metrics"]["y"]) == ["auc", "log_loss", "group_auc", "ndcg@3"]
    found = trained.evaluate(table)["y"]
    assert 0 < found["group_auc"] < 1
    assert trained.evaluate(pd.DataFrame(table))["y"] == found
    other = trained.evaluate(table | {"user": draw.integers(0, 30, 90)})["y"]
    assert (other["auc"], other["log_loss"]) == (found["auc"], found["log_loss"])
    assert other["group_auc"] != found["group_auc"]
    with pytest.raises(ValueError, match="expected a column 'user', found x, y"):
        trained.evaluate({name: table[name] for name in ("x", "y")})
    assert trained.predict({"x": table["x"]}).num_rows == 90
