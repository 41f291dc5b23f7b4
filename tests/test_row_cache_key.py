"""The cache of encoded tables: what decides the encoding makes another entry, and nothing else does."""

import os
import shutil
from dataclasses import replace

import pyarrow as pa
import pytest
from pyarrow import parquet

from shared_bottom.tables.training import read_table
from spec import CategoricalColumn, LabelColumn, NumericColumn
from tests.helpers import row_cache as shared
from tests.helpers.row_cache import assert_same, names, no_reading
from tests.helpers.table_files import COLUMNS, TASKS, experiment, simple, with_data, write

pytestmark = pytest.mark.filterwarnings("error::shared_bottom.tables.cache.RowCacheWarning")
folder, large, small = shared.folder, shared.large, shared.small


CHANGES = {
    "a number's transform": {"numeric": (NumericColumn(name="age"), NumericColumn(name="paid"))},
    "the order of columns": {"numeric": (NumericColumn(name="paid", transform="log1p"), NumericColumn(name="age"))},
    "rare values": {"categorical": (CategoricalColumn(name="city", minimum_count=2),)},
    "missing values": {"missing": ("", "Rome")},
    "missing values of a column": {"numeric": (NumericColumn(name="age", missing=("", "31")),)},
    "the weight": {"weight": None},
    "how many rows are read": {"rows": 4},
    "the memory, which decides where sums are cut": {"memory_mb": 2},
    "what is positive": {
        "labels": experiment().data.labels | {"click": LabelColumn(columns=("click",), positive="0")},
    },
}


@pytest.mark.filterwarnings("ignore::shared_bottom.DataWarning")
@pytest.mark.parametrize("name", CHANGES)
def test_what_decides_the_encoding_makes_another_entry(tmp_path, folder, small, name):
    read_table(small, tmp_path, cache=folder)
    changed = with_data(small, **CHANGES[name])
    assert_same(read_table(changed, tmp_path, cache=folder), read_table(changed, tmp_path))
    assert len(names(folder)) == 2


def test_the_seed_decides_the_encoding_only_where_it_sets_rows_aside(tmp_path, folder, small, large):
    for spec, entries_made in ((small, 1), (large, 2)):
        read_table(spec, tmp_path, cache=folder / spec.data.train[0])
        other = replace(spec, train=replace(spec.train, seed=77))
        assert_same(read_table(other, tmp_path, cache=folder / spec.data.train[0]), read_table(other, tmp_path))
        assert len(names(folder / spec.data.train[0])) == entries_made


def test_the_share_for_validation_decides_the_encoding(tmp_path, folder, large):
    for share in (0.3, 0.4):
        spec = with_data(large, validation_fraction=share)
        assert_same(read_table(spec, tmp_path, cache=folder), read_table(spec, tmp_path))
    assert len(names(folder)) == 2


def test_the_outputs_and_the_kind_of_a_task_decide_the_encoding(tmp_path, folder, small):
    left_open = replace(small, model=replace(small.model, tasks=(*TASKS[:2], replace(TASKS[2], outputs=1))))
    for spec in (small, left_open):
        assert_same(read_table(spec, tmp_path, cache=folder), read_table(spec, tmp_path))
    assert len(names(folder)) == 2


def test_what_does_not_decide_the_encoding_takes_the_same_entry(tmp_path, folder, large, monkeypatch):
    other = with_data(
        large,
        categorical=tuple(replace(column, dimension=7) for column in large.data.categorical),
        time=tuple(replace(column, dimension=3) for column in large.data.time),
        test=("a.csv",),
    )
    tasks = tuple(replace(task, hidden=(3,), weight=2.0) for task in TASKS)
    network = replace(other.model, tasks=tasks, trunk=(9,))
    other = replace(other, model=network, train=replace(other.train, epochs=7, batch_size=3))
    expected = read_table(other, tmp_path)
    read_table(large, tmp_path, cache=folder)
    no_reading(monkeypatch)
    read = read_table(other, tmp_path, cache=folder)
    assert_same(read, expected)
    assert read[0].model(network) == expected[0].model(network)


@pytest.mark.parametrize("later", [0, 1])
def test_a_file_that_changed_is_read_anew(tmp_path, folder, small, later):
    """Also where it has as many bytes and the old time of modification, as an unpacked archive may give it."""
    read_table(small, tmp_path, cache=folder)
    before = (tmp_path / "train.csv").stat()
    write(tmp_path, "train.csv", COLUMNS | {"age": [32.0, None, 58.0, 44.5, 23.0, 39.0]})
    os.utime(tmp_path / "train.csv", ns=(before.st_atime_ns, before.st_mtime_ns + later))
    assert (tmp_path / "train.csv").stat().st_size == before.st_size
    assert_same(read_table(small, tmp_path, cache=folder), read_table(small, tmp_path))
    assert len(names(folder)) == 2


def test_one_more_file_in_a_folder_is_read_too(tmp_path, folder):
    (tmp_path / "rows").mkdir()
    write(tmp_path / "rows", "a.csv")
    spec = experiment(("rows",))
    read_table(spec, tmp_path, cache=folder)
    write(tmp_path / "rows", "b.csv")
    assert_same(read_table(spec, tmp_path, cache=folder), read_table(spec, tmp_path))


def test_given_embeddings_count_by_their_values(tmp_path, folder, monkeypatch):
    write(tmp_path, "train.csv")
    column = CategoricalColumn(name="city", dimension=2, embeddings="v.parquet")
    spec = simple(inputs=(column,), label=LabelColumn(columns=("click",)))

    def give(*values):
        parquet.write_table(pa.table({"v": values, "e": [[0.0, float(len(values))]] * len(values)}), "v.parquet")

    monkeypatch.chdir(tmp_path)
    for values in (("Rome",), ("Rome", "Paris")):
        give(*values)
        assert_same(read_table(spec, cache=folder), read_table(spec))
    assert len(names(folder)) == 2
    no_reading(monkeypatch)
    read_table(spec, cache=folder, given={"city": ["Rome"]})
    moved = with_data(spec, categorical=(replace(column, embeddings="moved.parquet"),))
    shutil.move("v.parquet", "moved.parquet")
    assert read_table(moved, cache=folder)[0].data == moved.data
