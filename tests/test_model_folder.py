"""The folder model/: a change of any of its files is noticed, and a read-only one is replaced without a trace."""

import json
import os
import shutil
import struct
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pyarrow import csv
from safetensors.numpy import load_file, save_file

from shared_bottom.folder import read_trained, write_trained
from tests.helpers.backends import each_backend
from tests.helpers.builders import rejection
from tests.helpers.cli import contents, error
from tests.helpers.folders import write_folder
from tests.helpers.golden import GOLDEN

FILES = ("columns.json", "model.json", "params.safetensors")


@pytest.fixture
def folder(trained, tmp_path):
    return shutil.copytree(trained / "model", tmp_path / "run" / "model").parent


@pytest.fixture
def unsummed(folder):
    """As a version that wrote no checksums has left it."""
    (folder / "model" / "model.sha256").unlink()
    return folder


def test_sha256sum_checks_it(folder):
    command = ["sha256sum", "--check", "--strict", "model.sha256"]
    assert subprocess.run(command, cwd=folder / "model", capture_output=True).returncode == 0
    assert [line.split("  ")[1] for line in (folder / "model" / "model.sha256").read_text().splitlines()] == [*FILES]


def flipped(path):
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def exchanged(path):
    content = json.loads(path.read_text())
    vocabulary = next(iter(content["vocabularies"].values()))
    vocabulary[:2] = reversed(vocabulary[:2])
    path.write_text(json.dumps(content))


def not_finite(path):
    params = load_file(path)
    next(iter(params.values())).flat[0] = np.nan
    save_file(params, path)


def emptied(path):
    path.write_bytes(b"")


CHANGES = [
    *(pytest.param(name, flipped, id=f"{name} flipped") for name in FILES),
    *(pytest.param(name, emptied, id=f"{name} emptied") for name in FILES),
    pytest.param("columns.json", exchanged, id="two values of a vocabulary exchanged"),
    pytest.param("params.safetensors", not_finite, id="NaN"),
]


@pytest.mark.parametrize(("name", "change"), CHANGES)
def test_a_changed_file_is_named(folder, tmp_path, capsys, name, change):
    change(folder / "model" / name)
    said = "expected the file that fit wrote, got another: its SHA-256 is not that in model.sha256"
    for command in (("evaluate",), ("describe",), ("predict", "rows.csv", "--out", tmp_path / "p.csv")):
        assert error(capsys, command[0], folder, *command[1:]) == f"{folder}/model/{name}: {said}"


@pytest.mark.parametrize("content", [b"", b"\xff\x00", b"0" * 64 + b"  columns.json\n"])
def test_checksums_that_are_damaged_themselves_are_an_error(folder, content):
    (folder / "model" / "model.sha256").write_bytes(content)
    assert "its SHA-256 is not that in model.sha256" in rejection(read_trained, folder)


def test_without_checksums_it_is_read(trained, unsummed):
    assert read_trained(unsummed).model == read_trained(trained).model


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_without_checksums_weights_that_are_not_finite_are_an_error(unsummed, value):
    path = unsummed / "model" / "params.safetensors"
    params = load_file(path)
    params["trunk.0.bias"][1] = value
    save_file(params, path)
    assert rejection(read_trained, unsummed) == f"{path}: params['trunk.0.bias']: expected finite numbers, got {value}"


@pytest.mark.parametrize(("dtype", "size"), [("BF16", 2), ("F8_E4M3", 1), ("F8_E5M2", 1), ("F16", 2), ("I64", 8)])
def test_without_checksums_another_type_is_an_error(unsummed, dtype, size):
    path = unsummed / "model" / "params.safetensors"
    header, at = {}, 0
    for name, value in load_file(path).items():
        header[name] = {"dtype": dtype, "shape": value.shape, "data_offsets": [at, at := at + value.size * size]}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(at))
    said = rejection(read_trained, unsummed)
    assert said.startswith(f"{path}: ")
    assert "float32" in said
    assert dtype in said or f"got {'float16' if dtype == 'F16' else 'int64'}" in said


def test_what_is_written_again_has_its_checksums(folder):
    trained = read_trained(folder)
    params = {name: value + 1 for name, value in trained.params.items()}
    write_trained(folder, replace(trained, params=params))
    np.testing.assert_array_equal(read_trained(folder).params["trunk.0.bias"], params["trunk.0.bias"])


@each_backend
def test_a_model_of_an_earlier_version_predicts_as_it_did(name):
    """Its file columns.json lacks newer fields, says `standardise` of every label, and has 1.50 as a value."""
    expected = csv.read_csv(GOLDEN / "table" / "predictions.csv").to_pydict()
    received = replace(read_trained(GOLDEN / "table"), backend=name).predict(GOLDEN / "table" / "rows.csv").to_pydict()
    assert list(received) == list(expected)
    assert received.pop("plan") == expected.pop("plan")
    for column, values in expected.items():
        np.testing.assert_allclose(received[column], values, rtol=1e-5, err_msg=column)


@pytest.fixture
def unprivileged():
    """A folder of a user whom permissions bind, whose rights the process has meanwhile."""
    folder, user = Path(tempfile.mkdtemp()), os.geteuid()
    if user == 0:
        os.chown(folder, 65534, -1)
        os.seteuid(65534)
    yield folder
    os.seteuid(user)
    shutil.rmtree(folder)


def test_a_read_only_folder_is_replaced_and_leaves_nothing_behind(unprivileged):
    path = unprivileged / "model"
    write_folder(path, {"a": b"old"})
    path.chmod(0o500)
    write_folder(path, {"a": b"new"})
    assert (path / "a").read_bytes() == b"new"
    assert contents(unprivileged) == ["model"]
