"""Files that somebody else wrote: read where they can be, and otherwise one line at once, whatever is in them."""

import codecs
import os
import shutil
import socket
from contextlib import closing
from functools import partial

import pytest

from shared_bottom.checkpoint.folder import load_checkpoint
from shared_bottom.folder import read_trained
from shared_bottom.tables.rows import read_table_experiment
from spec import Experiment, ModelSpec, TrainSpec, from_json, from_toml, read_experiment, to_json, to_toml
from spec.reading import DEEPEST, parse_json, parse_toml
from tests.helpers.builders import model, rejection
from tests.helpers.golden import FOLDERS

TEXT = to_toml(Experiment(model=model()))


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8], ids=["plain", "byte-order mark"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_a_toml_is_read_as_every_editor_writes_it(tmp_path, mark, end):
    path = tmp_path / "run.toml"
    path.write_bytes(mark + TEXT.replace("\n", end).encode())
    assert read_experiment(path) == Experiment(model=model())


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("read", [read_experiment, read_table_experiment])
def test_another_encoding_is_named(tmp_path, encoding, read):
    path = tmp_path / "run.toml"
    path.write_bytes(TEXT.encode(encoding))
    assert rejection(read, path) == f"{path}: expected text in utf-8, got UTF-16 or UTF-32"


def pipe(path):
    os.mkfifo(path)
    return "a named pipe"


def bound_socket(path):
    with closing(socket.socket(socket.AF_UNIX)) as made:
        made.bind(os.path.relpath(path))  # the path of a socket has about 100 letters at most
    return "a socket"


def device(path):
    path.symlink_to("/dev/zero")
    return "a device"


SPECIAL = pytest.mark.parametrize("make", [pipe, bound_socket, device])


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@SPECIAL
@pytest.mark.parametrize("read", [read_experiment, read_table_experiment])
def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path, make, read):
    path = tmp_path / "run.toml"
    kind = make(path)
    assert rejection(read, path) == f"{path}: expected a file, got {kind}"


@SPECIAL
@pytest.mark.parametrize("name", ["columns.json", "model.json", "params.safetensors"])
def test_a_trained_network_one_of_whose_files_is_none_is_refused(tmp_path, trained, make, name):
    folder = shutil.copytree(trained, tmp_path / "run")
    path = folder / "model" / name
    path.unlink()
    kind = make(path)
    assert rejection(read_trained, folder) == f"{path}: expected a file, got {kind}"


@SPECIAL
@pytest.mark.parametrize("name", ["checkpoint.json", "checkpoint.sha256", "tensors.safetensors"])
def test_a_checkpoint_one_of_whose_files_is_none_is_damaged(tmp_path, make, name):
    folder = shutil.copytree(FOLDERS[2] / "torch-sgd" / "step-00000006", tmp_path / "step-00000006")
    (folder / name).unlink()
    kind = make(folder / name)
    assert rejection(load_checkpoint, folder) == f"{folder}: {name}: expected a file, got {kind}"


DEEP = {
    "lists": "numeric = " + "[" * 100_000,
    "inline tables": "numeric = " + "{a = " * 100_000,
    "a dotted name": "numeric" + ".a" * 100_000 + " = 1",
    "a dotted name in quotes": '"numeric"' + " . 'a'" * 100_000 + " = 1",
    "a table's name": "[model" + ".a" * 100_000 + "]",
    "a list of tables": "[[model" + ".a" * 100_000 + "]]",
}


@pytest.mark.parametrize("text", DEEP.values(), ids=DEEP)
def test_a_deep_toml_is_refused_at_once(text):
    said = rejection(from_toml, ModelSpec, f"# a comment\n{text}")
    assert said == f"expected at most {DEEPEST} levels of lists, tables and dotted names, got more (line 2)"


def test_brackets_and_dots_in_texts_and_comments_are_not_levels():
    deep = "[" * 99 + "a." * 99
    text = f'# {deep}\na = "{deep}\\"{deep}"\nb = \'{deep}"\'\nc = \'\'\'\n{deep}\'\n\'\'\'\nd = """{deep}\\""""\n'
    assert parse_toml(f"{text}e = 1.5\n") == {
        "a": f'{deep}"{deep}',
        "b": f'{deep}"',
        "c": f"{deep}'\n",
        "d": f'{deep}"',
        "e": 1.5,
    }


def test_as_many_levels_as_are_allowed_can_be_read_and_refused():
    """Levels of both kinds multiply. No error message may fail at them."""
    name = ".".join("a" * DEEPEST)
    text = f"{name} = {{" * DEEPEST + "}" * DEEPEST
    depth, content = 0, parse_toml(text)
    while content:
        depth, content = depth + 1, content["a"]
    assert depth == DEEPEST**2
    assert rejection(from_toml, TrainSpec, text).startswith("a: unexpected field, got {'a': ")


def test_a_deep_json_is_refused_at_once():
    for read in (parse_json, partial(from_json, ModelSpec)):
        assert rejection(read, "[" * 100_000) == "expected fewer levels of lists and objects"


@pytest.mark.parametrize("read", [parse_json, partial(from_json, TrainSpec)])
def test_a_json_that_is_cut_off_is_refused_with_the_place(read):
    said = rejection(read, '{\n "seed":')
    assert said == "expected JSON, got an error in line 2, column 9: expecting value"


def test_a_json_in_which_a_name_occurs_twice_is_refused():
    text = to_json(TrainSpec()).replace('"epochs": 10,', '"epochs": 10, "epochs": 20,')
    assert rejection(from_json, TrainSpec, text) == "JSON: expected distinct names, got 'epochs' twice"
