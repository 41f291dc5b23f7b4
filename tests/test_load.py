"""A trained model as an object: loaded, looked into, changed in its framework, and taken back."""

import copy
import json
import pickle
import socket
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from shared_bottom import Trained, fit_columns, load, read_rows, read_trained
from spec import CategoricalColumn, TimeColumn, initial_params
from spec.columns import TIME_PARTS
from tests.helpers.backends import each_backend, installed
from tests.helpers.builders import rejection
from tests.helpers.cli import table
from tests.helpers.parity import compare_params
from tests.helpers.sharing_models import SHARINGS
from tests.helpers.table_files import COLUMNS, experiment

FILES = ("columns.json", "model.json", "params.safetensors")


def untrained(columns, network, **fields):
    """A network with its initial parameters."""
    model = columns.model(network)
    return Trained(columns=columns, model=model, params=initial_params(model, seed=1), device="cpu", **fields)


def made(name=None, rows=COLUMNS, sharing="shared_bottom", **data):
    spec = experiment((), **data)
    network = replace(spec.model, sharing=SHARINGS[sharing.replace("_", " ")])
    return untrained(fit_columns(spec, rows), network, backend=name)


def test_what_is_loaded_predicts_as_what_is_read_does(backend, trained):
    loaded = load(str(trained), backend.name, device="cpu", threads=None)
    assert (loaded.backend, loaded.device, loaded.threads, loaded.history) == (backend.name, "cpu", None, None)
    assert loaded.spec == loaded.model == read_trained(trained).model
    expected = replace(read_trained(trained), backend=backend.name).predict(table(7))
    assert loaded.predict(table(7)).equals(expected)
    assert loaded.evaluate(table(30)).keys() == {"click", "price", "region"}


def test_the_backend_that_is_installed_is_loaded_if_none_is_named(trained):
    assert load(trained).predict(table(3)).num_rows == 3


def test_what_cannot_be_loaded_is_said_in_a_line(trained, tmp_path):
    assert rejection(load, trained, "none").startswith("backend: expected one of ")
    assert rejection(load, trained, device="tpu").startswith("device: expected one of ")
    assert rejection(load, trained, threads=0).startswith("threads: expected 1 to ")
    assert rejection(load, tmp_path) == f"{tmp_path}: expected a folder that fit has completed, found no model in it"


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ({"state": "running", "process": 7, "host": "a"}, "; its run is going on (process 7 on a)"),
        ({"state": "stopped"}, "; its run was stopped, and fit --resume --out {folder} goes on with it"),
        (
            {"state": "running", "process": 2**22 + 1, "host": socket.gethostname()},
            "; its run was killed, and fit --resume --out {folder} goes on with it",
        ),
        ({"state": "failed", "reason": "loss: expected 1"}, "; its run failed: loss: expected 1"),
        ({"state": "finished"}, ""),
        ({"state": 3}, ""),
    ],
    ids=["running", "stopped", "killed", "failed", "finished and removed", "damaged"],
)
def test_of_a_run_without_a_model_it_is_said_how_far_it_is(tmp_path, status, said):
    (tmp_path / "status.json").write_text(json.dumps(status))
    expected = "expected a folder that fit has completed, found no model in it"
    assert rejection(load, tmp_path) == f"{tmp_path}: {expected}{said.format(folder=tmp_path)}"


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("place", [0, 0.5, -1], ids=["first", "middle", "last"])
def test_a_changed_byte_is_an_error_that_names_the_file(trained, tmp_path, name, place):
    (tmp_path / "model").mkdir()
    for file in (trained / "model").iterdir():
        content = bytearray(file.read_bytes())
        if file.name == name:
            content[int(place * len(content))] ^= 1
        (tmp_path / "model" / file.name).write_bytes(content)
    said = "expected the file that fit wrote, got another: its SHA-256 is not that in model.sha256"
    assert rejection(load, tmp_path) == f"{tmp_path / 'model' / name}: {said}"


def test_the_network_is_built_once(backend, monkeypatch):
    model, asked = made(backend.name), []
    forward = backend.forward
    monkeypatch.setattr(backend, "forward", lambda *arguments: asked.append(1) or forward(*arguments))
    for _ in range(3):
        model.predict(COLUMNS)
        model.trunk_outputs(COLUMNS)
    model.evaluate(COLUMNS)
    assert asked == [1]
    assert model.network is model.network


def test_a_table_of_texts_has_their_embeddings():
    model = made()
    values, vectors = model.embedding("city")
    assert values == (None, "Bern", "Oslo", "Rome")
    rows = {name: column * 2 for name, column in COLUMNS.items()} | {"city": [*values, "Paris"] + [None] * 7}
    ids = read_rows(model.columns, rows, labels=False).categorical[:5, 0]
    assert ids.tolist() == [0, 1, 2, 3, 0]
    np.testing.assert_array_equal(vectors, model.params["embeddings.city"])


def test_a_hashed_table_has_its_buckets_and_a_shared_one_its_values_under_each_of_its_columns():
    lists = {"seen": [["Rome"], ["Oslo", "Graz"], [], None, ["Rome", "Rome"], ["Bern"]]}
    columns = (
        CategoricalColumn(name="plan", encoding="hash", buckets=5, dimension=2),
        CategoricalColumn(name="city", dimension=3),
        CategoricalColumn(name="seen", dimension=3, length=2, table="city"),
    )
    spec_tasks = {"tasks": experiment().model.tasks[:1], "labels": {"click": experiment().data.labels["click"]}}
    model = made(None, COLUMNS | lists, categorical=columns, **spec_tasks)
    assert model.embedding("plan").values == (None, 1, 2, 3, 4, 5)
    assert model.embedding("plan").vectors.shape == (6, 2)
    assert model.embedding("seen").values == model.embedding("city").values
    assert set(model.embedding("seen").values) == {None, "Rome", "Oslo", "Bern", "Graz"}
    assert model.embedding("seen").vectors is model.embedding("city").vectors


def test_a_part_of_a_time_has_the_numbers_of_calendars_and_clocks():
    moments = np.datetime64("2023-12-31T23:59:00") + np.arange(6) * np.timedelta64(40 * 24 * 3600 + 3661, "s")
    parts = tuple(part for part, number in TIME_PARTS.items() if number)
    model = made(None, COLUMNS | {"seen": moments}, time=(TimeColumn(name="seen", parts=parts, dimension=2),))
    ids = read_rows(model.columns, COLUMNS | {"seen": moments}, labels=False).categorical[:, -len(parts) :]
    times = [moment.item() for moment in moments]
    for part, of_rows in zip(parts, ids.T, strict=True):
        values, vectors = model.embedding(f"seen.{part}")
        assert len(values) == len(vectors) == TIME_PARTS[part] + 1
        expected = [time.weekday() if part == "weekday" else getattr(time, part) for time in times]
        assert [values[row] for row in of_rows] == expected


def test_an_input_without_a_table_is_an_error():
    said = "name: expected one of city, floor, got 'age'"
    assert rejection(made().embedding, "age") == said
    without = made(None, categorical=())
    assert rejection(without.embedding, "city") == "name: expected one of none, got 'city'"


@pytest.mark.parametrize("sharing", ["shared_bottom", "separate", "mmoe"])
def test_the_outputs_of_the_trunk_of_a_table(backend, sharing):
    model = made(backend.name, sharing=sharing)
    encoded = read_rows(model.columns, COLUMNS, labels=False)
    outputs = model.trunk_outputs(pa.table(COLUMNS))
    assert {task: of_task.shape for task, of_task in outputs.items()} == dict.fromkeys(
        ("click", "spend", "plan"), (6, 4)
    )
    compare_params(outputs, model.predictor.trunk_outputs(encoded), 0)
    assert np.array_equal(outputs["click"], outputs["spend"]) == (sharing == "shared_bottom")


def changed_natively(name, network):
    """Adds 0.25 to every parameter with the framework's own means."""
    if name == "torch":
        import torch

        with torch.no_grad():
            for parameter in network.parameters():
                parameter += 0.25
    else:
        import jax
        from flax import nnx

        nnx.update(network, jax.tree.map(lambda x: x + 0.25, nnx.state(network)))


@each_backend
def test_a_network_goes_to_its_framework_and_comes_back(name):
    installed(name)
    model = made(name)
    before = model.predict(COLUMNS)
    compare_params(model.from_network(model.network).params, model.params, 0)
    changed_natively(name, model.network)
    assert model.predict(COLUMNS).equals(before)  # it keeps what it predicts with
    changed = model.from_network(model.network)
    compare_params(changed.params, {key: value + np.float32(0.25) for key, value in model.params.items()}, 0)
    expected = replace(model, params={key: value + np.float32(0.25) for key, value in model.params.items()})
    assert changed.predict(COLUMNS).equals(expected.predict(COLUMNS))
    assert not changed.predict(COLUMNS).equals(before)


@each_backend
def test_an_object_that_is_no_such_network_is_refused(name):
    installed(name)
    model, other = made(name), made(name, categorical=(CategoricalColumn(name="city", dimension=5),))
    said = "network: expected an entry 'tables.1.embedding' of shape (4, 3), got none"
    assert rejection(model.from_network, other.network) == said
    broken = replace(model, params={key: value * np.nan for key, value in model.params.items()})
    said = "network: expected finite parameters, got 'embeddings.city' with one that is not"
    assert rejection(model.from_network, broken.network) == said
    for nothing in (None, model, model.params):
        said = f"network: expected a {'torch.nn' if name == 'torch' else 'flax.nnx'}.Module, got "
        assert rejection(model.from_network, nothing) == said + type(nothing).__name__


def test_what_was_built_is_not_copied(backend):
    model = made(backend.name)
    before = model.predict(COLUMNS)
    for again in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert "predictor" not in vars(again)
        assert again.predict(COLUMNS).equals(before)
