"""fit, predict and evaluate with embeddings that a file gives: only a run that begins needs the file."""

import signal

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from shared_bottom.folder import read_given, read_trained
from spec import CategoricalColumn, initial_params, load_backend
from tests.helpers.cli import EXPERIMENT, changed, contents, error, fit, run, without_plots, write_experiment
from tests.helpers.runs import quickest, signalled

VECTORS = {"red": [0.5, -0.5], "mauve": [1.0, 2.0], "blue": [-1.0, 0.25]}
"""The training rows have red and blue, and green besides."""


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    without_plots(monkeypatch)


def experiment(folder, **fields):
    """The experiment's file in a new folder, with the vectors beside it."""
    colour = CategoricalColumn(name="colour", dimension=2, embeddings="vectors.parquet", **fields)
    file = write_experiment(folder, changed(EXPERIMENT, categorical=(colour,)))
    table = pa.table({"value": list(VECTORS), "vector": list(VECTORS.values())})
    parquet.write_table(table, folder / "vectors.parquet")
    return file


def test_training_starts_from_the_vectors(tmp_path):
    still = ("--quiet", "--train.optimizer.learning-rate", "1e-30")  # too little to move a float32
    out = fit(experiment(tmp_path / "data"), tmp_path / "run", "jax", *still)
    trained = read_trained(out)
    assert trained.columns.vocabularies["colour"] == ("blue", "green", "mauve", "red")
    embedding = trained.params["embeddings.colour"]
    usual = initial_params(trained.model, seed=EXPERIMENT.train.seed)["embeddings.colour"]
    np.testing.assert_array_equal(embedding[[1, 3, 4]], [VECTORS["blue"], VECTORS["mauve"], VECTORS["red"]])
    np.testing.assert_array_equal(embedding[[0, 2]], usual[[0, 2]])


def test_frozen_vectors_stay_as_the_file_has_them(backend, tmp_path):
    out = fit(experiment(tmp_path / "data", trainable=False), tmp_path / "run", backend.name, "--quiet")
    embedding = read_trained(out).params["embeddings.colour"]
    np.testing.assert_array_equal(embedding, [[0, 0], VECTORS["blue"], VECTORS["mauve"], VECTORS["red"]])


def test_a_run_that_began_needs_the_file_no_more(tmp_path, monkeypatch):
    file, every = experiment(tmp_path / "data"), ("--save-every", "2", "--quiet")
    whole = fit(file, tmp_path / "whole", "jax", *every)
    out, flags = tmp_path / "run", ("--backend", "jax", "--train.execution", quickest("jax"), *every)
    with monkeypatch.context() as patch:
        signalled(load_backend("jax"), patch, 2, signal.SIGINT)
        run("fit", file, "--out", out, *flags, code=130)
    assert read_given(out) == {"colour": list(VECTORS)}
    (tmp_path / "data" / "vectors.parquet").unlink()
    run("fit", file, "--out", out, *flags, "--resume")
    for name in contents(whole / "model"):
        assert (out / "model" / name).read_bytes() == (whole / "model" / name).read_bytes()
    test = tmp_path / "data" / "test.parquet"
    run("predict", out, test, "--out", tmp_path / "p.csv", "--backend", "jax")
    run("evaluate", out, "--backend", "jax")
    run("describe", out)


def test_a_run_that_begins_without_the_file_is_an_error_and_leaves_nothing(tmp_path, capsys):
    file = experiment(tmp_path / "data")
    (tmp_path / "data" / "vectors.parquet").unlink()
    said = error(capsys, "fit", file, "--out", tmp_path / "run", "--backend", "jax")
    path = tmp_path / "data" / "vectors.parquet"
    assert said.startswith(f"{path}: expected a Parquet or a NumPy file of embeddings, got: ")
    assert not (tmp_path / "run").exists()
