"""Tables that are encoded once: what comes from an entry is what comes from the files, and no entry is read wrongly."""

import errno
import os
import shutil
import time
import warnings
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from shared_bottom.checkpoint.identity import fingerprints
from shared_bottom.tables import encoded, stored
from shared_bottom.tables.cache import LIMIT, RowCacheWarning, entries, limit_bytes, unfinished_entry
from shared_bottom.tables.tally import DataWarning
from shared_bottom.tables.training import read_table
from shared_bottom.trained import fit_table
from spec import CategoricalColumn, Dataset, LabelColumn, NumericColumn, TimeColumn
from tests.helpers.builders import rejection
from tests.helpers.cli import contents
from tests.helpers.table_files import COLUMNS, TASKS, assert_equal, experiment, simple, with_data, write

pytestmark = pytest.mark.filterwarnings("error::shared_bottom.tables.cache.RowCacheWarning")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "kept"


@pytest.fixture
def large(tmp_path):
    """An experiment of two files of several blocks each, with every kind of input, label and weight."""
    draw = np.random.default_rng(3)
    for name in ("a.csv", "b.parquet"):
        table = {key: [values[i] for i in draw.integers(0, 6, 2000)] for key, values in COLUMNS.items()}
        when = np.datetime64("2024-01-05") + draw.integers(0, 900, 2000)
        write(tmp_path, name, table | {"when": [str(day) for day in when], "importance": draw.uniform(size=2000)})
    spec = experiment(
        ("a.csv", "b.parquet"),
        memory_mb=1,
        validation_fraction=0.3,
        seed=5,
        time=(TimeColumn(name="when", parts=("weekday", "year")),),
    )
    return with_data(spec, labels=spec.data.labels | {"click": LabelColumn(columns=("click",), weight="importance")})


@pytest.fixture
def small(tmp_path):
    """An experiment of one file."""
    write(tmp_path, "train.csv")
    return experiment()


def names(folder):
    return {entry.path.name for entry in entries(folder)}


def assert_same(one, other):
    """Assert that what `read_table` returned is the same twice."""
    for rows, expected in zip(one, other, strict=True):
        if not isinstance(expected, Dataset):
            assert rows == expected
        else:
            assert_equal(rows, expected)
            assert rows.task_weight.keys() == expected.task_weight.keys()
            for task, weight in expected.task_weight.items():
                assert rows.task_weight[task].tobytes() == weight.tobytes()


def no_reading(monkeypatch):
    """Fail where a table's rows are read."""
    monkeypatch.setattr(encoded, "encode_table", lambda *_: pytest.fail("the table was read"))


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


CHANGES = {
    "a number's transform": {"numeric": (NumericColumn(name="age"), NumericColumn(name="paid"))},
    "the order of columns": {"numeric": (NumericColumn(name="paid", transform="log1p"), NumericColumn(name="age"))},
    "rare values": {"categorical": (CategoricalColumn(name="city", minimum_count=2),)},
    "missing values": {"missing": ("", "Rome")},
    "missing values of a column": {"numeric": (NumericColumn(name="age", missing=("", "31")),)},
    "the weight": {"weight": None},
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


def test_a_file_that_changed_is_read_anew(tmp_path, folder, small):
    read_table(small, tmp_path, cache=folder)
    before = (tmp_path / "train.csv").stat()
    write(tmp_path, "train.csv", COLUMNS | {"age": [32.0, None, 58.0, 44.5, 23.0, 39.0]})  # as many bytes
    os.utime(tmp_path / "train.csv", ns=(before.st_atime_ns, before.st_mtime_ns + 1))
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


def test_a_replaced_array_loses_its_sha256(small, tmp_path, folder):
    _, rows, _ = read_table(small, tmp_path, cache=folder)
    other = replace(rows, numeric=rows.numeric + 1)
    assert fingerprints(other) == fingerprints(Dataset(**{name: getattr(other, name) for name in FIELDS}))
    assert fingerprints(rows.take(slice(2))) != fingerprints(rows)


FIELDS = ("numeric", "categorical", "labels", "sample_weight", "task_weight")


def cut(path):
    path.write_bytes(path.read_bytes()[:-2])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(path):
    path.write_bytes(b"")


DAMAGE = {"cut": cut, "flipped": flip, "empty": empty, "missing": os.unlink}


@pytest.mark.filterwarnings("default::shared_bottom.tables.cache.RowCacheWarning")
@pytest.mark.parametrize("file", ["training.0", "training.1", "columns.json", "entry.json", "sha256"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_noticed_and_the_table_read_anew(small, tmp_path, folder, monkeypatch, file, damage):
    expected = read_table(small, tmp_path)
    read_table(small, tmp_path, cache=folder)
    (entry,) = entries(folder)
    DAMAGE[damage](entry.path / file)
    with pytest.warns(RowCacheWarning, match="cache of tables: .*; the table is read anew$") as caught:
        assert_same(read_table(small, tmp_path, cache=folder), expected)
    assert len(caught) == 1
    assert str(entry.path) in str(caught[0].message)
    no_reading(monkeypatch)
    assert_same(read_table(small, tmp_path, cache=folder), expected)


@pytest.mark.parametrize("change", ["rewritten", "removed"])
def test_a_file_that_changes_while_it_is_read_makes_no_entry(small, tmp_path, folder, monkeypatch, change):
    fit_blocks, path = encoded.fit_blocks, tmp_path / "train.csv"

    def changing(*arguments):
        learnt = fit_blocks(*arguments)
        path.write_bytes(path.read_bytes() * 2) if change == "rewritten" else path.unlink()
        return learnt

    expected = read_table(small, tmp_path)
    monkeypatch.setattr(encoded, "fit_blocks", changing)
    with pytest.warns(RowCacheWarning, match=r"train\.csv: changed while it was read; the encoded rows are not kept"):
        read = read_table(small, tmp_path, cache=folder)
    assert_same(read, expected)
    assert contents(folder) == [".lock"]


def test_two_that_encode_the_same_table_do_not_disturb_each_other(small, tmp_path, folder, monkeypatch):
    fit_blocks, inner = encoded.fit_blocks, []

    def meanwhile(*arguments):
        if not inner:
            inner.append(None)
            inner[0] = read_table(small, tmp_path, cache=folder)
        return fit_blocks(*arguments)

    monkeypatch.setattr(encoded, "fit_blocks", meanwhile)
    outer = read_table(small, tmp_path, cache=folder)
    assert_same(outer, inner[0])
    assert_same(outer, read_table(small, tmp_path))
    assert len(names(folder)) == 1
    assert [name for name in contents(folder) if name.startswith(".saving")] == []


def test_what_a_killed_process_left_goes_but_not_what_another_writes(small, tmp_path, folder):
    with unfinished_entry(folder) as written:
        (folder / ".saving-left").mkdir()
        read_table(small, tmp_path, cache=folder)
        assert written.is_dir()
        assert (folder / ".saving-left").is_dir()  # nobody knows that nobody writes it
    shutil.rmtree(folder / names(folder).pop())
    read_table(small, tmp_path, cache=folder)
    assert contents(folder) == [".lock", *names(folder)]


def test_an_error_leaves_nothing(small, tmp_path, folder):
    write(tmp_path, "train.csv", COLUMNS | {"age": ["old"] * 6})
    line = rejection(read_table, small, tmp_path)
    assert rejection(read_table, small, tmp_path, cache=folder) == line
    assert contents(folder) == [".lock"]


@pytest.mark.parametrize("place", ["append", "finish"])
def test_a_full_disk_is_an_error_that_names_the_folder_and_what_helps(small, tmp_path, folder, monkeypatch, place):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(stored.ArrayFile if place == "append" else stored.StoredRows, place, full)
    with pytest.raises(OSError, match=r"No space left on device; .* \(--no-cache\)") as caught:
        read_table(small, tmp_path, cache=folder)
    assert caught.value.filename == str(folder)
    assert contents(folder) == [".lock"]


@pytest.mark.parametrize("obstacle", ["a file", "read-only"])
def test_where_nothing_can_be_made_the_rows_are_in_memory(small, tmp_path, folder, obstacle):
    if obstacle == "a file":
        folder.write_text("")
    else:
        folder.mkdir()
        (folder / ".lock").mkdir()  # as root, nothing is read-only
    with pytest.warns(RowCacheWarning, match=r"cache of tables .*kept: .*; the rows are read into memory"):
        read = read_table(small, tmp_path, cache=folder)
    assert_same(read, read_table(small, tmp_path))
    assert read[1].numeric.flags.writeable


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


def test_those_not_used_for_longest_go_first(tmp_path, folder, monkeypatch, small):
    def use(memory_mb):
        before = names(folder)
        read_table(with_data(small, memory_mb=memory_mb), tmp_path, cache=folder)
        for i, entry in enumerate(entries(folder)):  # times that no clock has to tell apart
            os.utime(entry.path, (time.time() - 9 - i,) * 2)
        return names(folder) - before

    first, second = use(1), use(2)
    size = max(entry.size for entry in entries(folder))
    monkeypatch.setenv(LIMIT, f"{3.5 * size / 1e9:.12f}")
    third = use(3)
    assert use(1) == set()  # it is used now
    fourth = use(4)
    assert names(folder) == first | third | fourth
    assert second


def test_rows_in_use_stay_when_their_entry_goes(small, tmp_path, folder):
    expected = read_table(small, tmp_path)
    read = read_table(small, tmp_path, cache=folder)
    shutil.rmtree(folder)
    assert_same(read, expected)


def test_rows_of_more_bytes_than_all_entries_may_have_are_not_kept(small, tmp_path, folder, monkeypatch):
    monkeypatch.setenv(LIMIT, "0.000001")
    with pytest.warns(RowCacheWarning, match=r"the rows are not kept: .* GB are more than .* may have together, 1e-06"):
        read = read_table(small, tmp_path, cache=folder)
    assert_same(read, read_table(small, tmp_path))
    assert names(folder) == set()


@pytest.mark.parametrize("text", ["0", "-1", "much", "nan", "inf"])
def test_a_limit_that_is_no_number_is_rejected_before_a_file_is_read(small, tmp_path, folder, monkeypatch, text):
    no_reading(monkeypatch)
    monkeypatch.setenv(LIMIT, text)
    line = rejection(read_table, small, tmp_path, cache=folder)
    assert line == f"SHARED_BOTTOM_CACHE_GB: expected a number of GB above 0, got {text!r}"


def test_without_a_limit_in_the_environment_it_is_20_gb(monkeypatch):
    for text in (None, ""):
        monkeypatch.delenv(LIMIT, raising=False) if text is None else monkeypatch.setenv(LIMIT, text)
        assert limit_bytes() == 20_000_000_000


def test_nothing_is_warned_of_twice_or_without_reason(small, tmp_path, folder):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            read_table(small, tmp_path, cache=folder)
