"""Tables that are encoded once: what comes from an entry is what comes from the files."""

import shutil
import warnings
from dataclasses import replace

import numpy as np
import pytest

from shared_bottom.checkpoint.identity import fingerprints
from shared_bottom.table_training import fit_table
from shared_bottom.tables.tally import DataWarning
from shared_bottom.tables.training import read_table
from spec import Dataset
from tests.helpers import row_cache as shared
from tests.helpers.row_cache import assert_same, names, no_reading
from tests.helpers.table_files import COLUMNS, experiment, with_data, write

pytestmark = pytest.mark.filterwarnings("error::shared_bottom.tables.cache.RowCacheWarning")
folder, large, small = shared.folder, shared.large, shared.small


def test_the_second_time_no_file_is_read_and_the_rows_are_the_same(large, tmp_path, folder, monkeypatch):
    expected = read_table(large, tmp_path)
    assert_same(read_table(large, tmp_path, cache=folder), expected)
    no_reading(monkeypatch)
    again = read_table(large, tmp_path, cache=str(folder))
    assert_same(again, expected)
    assert len(names(folder)) == 1
    for rows in again[1:]:
        for array in rows.arrays.values():
            assert not array.flags.writeable
            assert isinstance(array.base, np.memmap)


def test_validation_rows_of_files(tmp_path, folder, monkeypatch, small):
    write(tmp_path, "aside.parquet", COLUMNS | {"age": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]})
    named = with_data(small, validation=("aside.parquet",))
    expected = read_table(named, tmp_path)
    assert_same(read_table(named, tmp_path, cache=folder), expected)
    no_reading(monkeypatch)
    assert_same(read_table(named, tmp_path, cache=folder), expected)
    given = read_table(small, tmp_path / "train.csv", tmp_path / "aside.parquet", cache=folder)
    assert_same(given[1:], expected[1:])  # the same files, by other arguments


def test_the_warnings_of_the_data_are_shown_each_time(tmp_path, folder, monkeypatch):
    write(tmp_path, "train.csv", COLUMNS | {"age": [1.0] * 6})
    write(tmp_path, "aside.csv", COLUMNS | {"city": ["Paris"] * 6})
    spec = experiment(validation=("aside.csv",))
    said = []
    for _ in range(2):
        with pytest.warns(DataWarning) as caught:
            read_table(spec, tmp_path, cache=folder)
        said.append([str(warning.message) for warning in caught])
        no_reading(monkeypatch)
    assert said[0] == said[1]
    assert [line.partition(":")[0] for line in said[0]] == ["training rows", "validation rows"]


@pytest.mark.parametrize("cache", [None, "kept"])
def test_the_sha256_of_the_arrays_are_those_that_resuming_compares(large, tmp_path, folder, monkeypatch, cache):
    expected = [fingerprints(rows) for rows in read_table(large, tmp_path)[1:]]
    made = [read_table(large, tmp_path, cache=cache and folder) for _ in range(2)]
    if cache:
        monkeypatch.setattr("hashlib.sha256", lambda *_: pytest.fail("an array was hashed again"))
    for _, *parts in made:
        assert [fingerprints(rows) for rows in parts] == expected


FIELDS = ("numeric", "categorical", "labels", "sample_weight", "task_weight")


def test_a_replaced_array_loses_its_sha256(small, tmp_path, folder):
    _, rows, _ = read_table(small, tmp_path, cache=folder)
    other = replace(rows, numeric=rows.numeric + 1)
    assert fingerprints(other) == fingerprints(Dataset(**{name: getattr(other, name) for name in FIELDS}))
    assert fingerprints(rows.take(slice(2))) != fingerprints(rows)


def test_tables_in_memory_are_not_kept(small, tmp_path, folder):
    read_table(small, COLUMNS, cache=folder)
    read_table(small, tmp_path / "train.csv", COLUMNS, cache=folder)
    assert not folder.exists()


def test_fit_table_keeps_the_rows_of_files(small, tmp_path, folder, monkeypatch):
    spec = replace(small, train=replace(small.train, epochs=1, batch_size=3, execution="eager"))
    file, options = tmp_path / "train.csv", {"backend": "torch", "progress": "none"}
    expected = fit_table(spec, file, **options)
    first = fit_table(spec, file, **options, cache=folder)
    no_reading(monkeypatch)
    for trained in (first, fit_table(spec, file, **options, cache=folder)):
        assert trained.columns == expected.columns
        np.testing.assert_array_equal(trained.history.step_loss, expected.history.step_loss)


def test_rows_in_use_stay_when_their_entry_goes(small, tmp_path, folder):
    expected = read_table(small, tmp_path)
    read = read_table(small, tmp_path, cache=folder)
    shutil.rmtree(folder)
    assert_same(read, expected)


def test_nothing_is_warned_of_twice_or_without_reason(small, tmp_path, folder):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            read_table(small, tmp_path, cache=folder)
