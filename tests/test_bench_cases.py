"""The cases of the bench: what each of them trains, on which rows."""

import numpy as np
import pytest

from backends.costs import Cost
from bench.cases import BATCHES, TASKS, load_cases
from spec import load_backend, presets, to_toml
from tests.helpers.builders import rejection
from tests.helpers.cli import EXPERIMENT


class TestCases:
    def test_the_families(self):
        assert [len(case.model.tasks) for case in load_cases("tasks", None)] == list(TASKS) == [2**i for i in range(7)]
        assert [case.train.batch_size for case in load_cases("batch", None)] == list(BATCHES)
        assert (min(BATCHES), max(BATCHES)) == (8, 8192)

    def test_vocabularies_are_trained_densely_up_to_a_size(self, monkeypatch):
        monkeypatch.setattr("bench.scale.VOCABULARIES", (100, 1_000))
        monkeypatch.setattr("bench.scale.DENSE_UP_TO", 100)
        monkeypatch.setattr("bench.scale.DRAWN_STEPS", 40)
        cases = load_cases("vocabulary", None)
        assert [(case.variant, case.train.embedding_updates) for case in cases] == [
            ("100 ids", "dense"),
            ("100 ids", "lazy"),
            ("1,000 ids", "lazy"),
        ]
        for case in cases:
            case.read().check(case.model)
            assert case.epoch_steps > case.steps

    def test_the_rows_of_a_vocabulary_are_drawn_once_when_they_are_first_read(self, monkeypatch):
        drawn, random_data = [], presets.random_data

        def draw(model, rows):
            drawn.append(rows)
            return random_data(model, rows)

        monkeypatch.setattr("bench.scale.VOCABULARIES", (100,))
        monkeypatch.setattr("bench.scale.DRAWN_STEPS", 2)
        monkeypatch.setattr("spec.presets.random_data", draw)
        dense, lazy = load_cases("vocabulary", None)
        assert drawn == []
        assert dense.read() is lazy.read()
        assert drawn == [dense.read().rows] == [dense.rows]

    @pytest.mark.parametrize(
        ("name", "jax", "torch"),
        [
            ("vocabulary", ["step", "epoch"], ["eager", "step", "epoch"]),
            ("rows", ["epoch"], ["epoch"]),
            ("tasks", ["eager", "step", "epoch"], ["eager", "step", "epoch"]),
        ],
    )
    def test_which_executions_are_measured(self, monkeypatch, name, jax, torch):
        monkeypatch.setattr("bench.scale.VOCABULARIES", (100,))
        monkeypatch.setattr("bench.scale.DRAWN_STEPS", 40)
        for case in load_cases(name, None):
            assert [list(case.executions(load_backend(backend).costs)) for backend in ("jax", "torch")] == [jax, torch]
            assert list(case.executions({"eager": Cost(0.0, 1.0, 1e9)})) == ["eager"]

    def test_rows_in_memory_and_mapped_are_the_same(self, monkeypatch):
        monkeypatch.setattr("bench.scale.ROWS", (2_500,))
        monkeypatch.setattr("bench.scale.BLOCK", 1_000)
        memory, mapped = load_cases("rows", None)
        assert (memory.way, mapped.way, memory.variant) == ("memory", "mapped", "2,500 rows")
        assert memory.steps == 2  # of full batches
        rows, view = memory.read(), mapped.read()
        assert rows.rows == memory.rows == 2_500
        view.check(mapped.model)
        arrays = [(rows.numeric, view.numeric), (rows.categorical, view.categorical)]
        arrays += [(rows.labels[task], view.labels[task]) for task in rows.labels]
        for array, mapping in arrays:
            np.testing.assert_array_equal(array, mapping)
            assert not isinstance(array.base, np.memmap)
            assert isinstance(mapping if isinstance(mapping, np.memmap) else mapping.base, np.memmap)
        assert len(np.unique(rows.numeric)) > 2_400 * 8  # blocks are drawn apart

    def test_the_files_of_the_rows_go_with_the_cases(self, tmp_path, monkeypatch):
        monkeypatch.setattr("bench.scale.ROWS", (100,))
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        cases = load_cases("rows", None)
        assert list(tmp_path.iterdir()) == []  # nothing is written before it is read
        cases[0].read()
        (folder,) = tmp_path.iterdir()
        assert folder.name.startswith("shared-bottom-rows-")
        del cases
        assert list(tmp_path.iterdir()) == []

    def test_a_call_is_part_of_an_epoch(self):
        for name in ("tutorial", "tasks", "batch"):
            for case in load_cases(name, None):
                assert 1 <= case.steps <= case.epoch_steps
        assert load_cases("tutorial", None, 5)[0].steps == 5

    def test_steps_beyond_an_epoch_are_refused(self):
        assert "--steps: expected 1 to 32, the steps of an epoch of tutorial, got 33" in rejection(
            load_cases, "tutorial", None, 33
        )

    def test_a_toml_with_an_error_names_file_and_field(self, tmp_path):
        path = tmp_path / "net.toml"
        path.write_text("[model]\nnumeric = 2\ntrunk = [0]\ntasks = [{name = 'a', kind = 'binary'}]\n")
        assert (
            rejection(load_cases, str(path), None) == f"{path}: model.trunk.0: expected a number greater than 0, got 0"
        )

    def test_a_toml_with_a_table_gives_its_first_rows(self, file, monkeypatch):
        (case,) = load_cases(str(file), None)
        assert (case.rows, case.steps, case.rows_from) == (60, 8, "the first 60 rows of train.csv")
        case.read().check(case.model)
        monkeypatch.setattr("bench.cases.TABLE_ROWS", 20)
        monkeypatch.setattr("bench.cases.STEPS", 3)
        (fewer,) = load_cases(str(file), None)
        assert (fewer.rows, fewer.steps, fewer.checked) == (24, 3, 3)
        assert fewer.model == case.model
        np.testing.assert_array_equal(fewer.read().numeric, case.read().numeric[:24])

    def test_a_table_with_an_error_names_its_file(self, tmp_path):
        path = tmp_path / "net.toml"
        path.write_text(to_toml(EXPERIMENT))
        assert rejection(load_cases, str(path), None).startswith(f"{tmp_path}/train.csv: expected a file")
