"""The command export: a file for other programs, or one line that says why not."""

import importlib.util

import pytest

from shared_bottom import read_trained
from spec import load_backend
from tests.helpers.backends import BACKENDS, installed
from tests.helpers.cli import contents, error, run, table
from tests.helpers.exported import assert_same, inputs_from


def test_the_file_gives_what_predict_gives(trained, tmp_path, capsys, onnxruntime):
    path, rows = tmp_path / "shop.onnx", table(30, seed=1)
    run("export", trained, "--out", path)
    assert capsys.readouterr().out == f"{path.stat().st_size:,} bytes: {path}\n"
    assert_same(onnxruntime(path, inputs_from(path, rows)), read_trained(trained).predict(rows), 1e-6)


def test_a_file_that_is_there_is_replaced(trained, tmp_path):
    path = tmp_path / "shop.onnx"
    path.write_text("earlier")
    run("export", trained, "--out", path)
    assert path.stat().st_size > 1000
    assert contents(tmp_path) == ["shop.onnx"]


@pytest.mark.slow
@pytest.mark.parametrize("name", BACKENDS)
def test_a_backend_writes_its_format(trained, tmp_path, name):
    backend = installed(name)
    if not backend.export_format:
        pytest.skip(f"{name} writes no files")
    for flags in ((), ("--backend", name)):
        path = tmp_path / f"shop{backend.export_suffix}"
        run("export", trained, "--out", path, "--format", backend.export_format, *flags)
        assert path.stat().st_size > 1000


def test_what_is_wrong_is_one_line(trained, tmp_path, capsys):
    out = tmp_path / "shop.onnx"
    assert error(capsys, "export", tmp_path, "--out", out).startswith(f"{tmp_path}: expected a folder that fit has")
    said = error(capsys, "export", trained, "--out", tmp_path / "shop.pb")
    assert said == f"--out: expected a file .onnx for format onnx, got '{tmp_path / 'shop.pb'}'"
    said = error(capsys, "export", trained, "--out", tmp_path / "none" / "shop.onnx")
    assert said.startswith("--out: expected a file in a folder that can be written")
    said = error(capsys, "export", trained, "--out", trained / "model" / "shop.onnx")
    assert said.startswith(f"--out: expected a file outside of '{trained / 'model'}'")
    said = error(capsys, "export", trained, "--out", out, "--backend", "jax")
    assert said == "--backend: expected none for format onnx, got 'jax'"
    said = error(capsys, "export", trained, "--out", out, "--format", "onxx")
    assert said == "--format: expected a format, got 'onxx'; did you mean 'onnx'?"
    assert contents(tmp_path) == ["cache"] or contents(tmp_path) == []


@pytest.mark.slow
def test_a_format_that_none_writes(trained, tmp_path, capsys):
    said = error(capsys, "export", trained, "--out", tmp_path / "shop.keras", "--format", "keras")
    formats = [load_backend(name).export_format for name in BACKENDS if importlib.util.find_spec(name)]
    formats = [written for written in formats if written]
    assert said == f"--format: expected one of {', '.join(['onnx', *formats])}, got 'keras'"
    other, name = formats[-1], BACKENDS[0]
    said = error(capsys, "export", trained, "--out", tmp_path / "shop.x", "--format", other, "--backend", name)
    assert said == f"--format: expected one of {formats[0]} of backend {name}, got '{other}'"
