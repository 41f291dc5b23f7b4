"""Whatever files and flags the command line is given, it ends with 0 or with one line, and writes whole or nothing.

The report is written without plots, which would take most of the time.
"""

import contextlib
import gzip
import io
import json
import random
import shutil
import tomllib
import warnings
from pathlib import Path

import pytest
from pyarrow import csv, parquet

from shared_bottom.cli import main
from shared_bottom.run.metrics import UndefinedMetricWarning
from spec import to_toml
from tests.helpers.broken import broken_json, broken_table, broken_toml, damaged, odd_flags
from tests.helpers.cli import contents, fit, without_plots, write
from tests.helpers.every_field import EXPERIMENT, table, with_lists

CASES = {"describe": 1000, "fit": 300, "predict": 450, "evaluate": 200, "model": 300}
"""By what is broken, how many of each. A case's own seed is its name."""
WRITTEN = {"experiment.toml", "metrics.jsonl", "model", "report.html", "checkpoints", "plots", "status.json"}
TABLE, TEST = table(24), table(12, seed=1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run's folder, made with what starts fastest: nothing is compiled, whatever the network."""
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("property")
    with pytest.MonkeyPatch.context() as patch:
        without_plots(patch)
        (folder / "shop.toml").write_text(to_toml(EXPERIMENT))
        write(folder / "train.csv", table(60))
        write(folder / "test.parquet", with_lists(table(30, seed=1)))
        return fit(folder / "shop.toml", folder / "run", "torch", "--quiet", "--train.epochs", "1")


@pytest.mark.parametrize("kind", CASES)
def test_any_input_gives_success_or_one_line(kind, trained, tmp_path, monkeypatch):
    without_plots(monkeypatch)
    for number in range(CASES[kind]):
        check(f"{kind} {number}", trained, tmp_path / str(number), monkeypatch)


def check(name, trained, folder, monkeypatch):
    """Runs the case of that name in a new folder, and looks at what it says and leaves."""
    draw = random.Random(name)
    folder.mkdir()
    monkeypatch.chdir(folder)
    command, arguments, out = ARGUMENTS[name.split()[0]](draw, trained)
    before = snapshot(folder)
    code, said = ended(name, [command, *arguments])
    where = f"case {name!r}: {command} {arguments} said {said!r}, code {code}"
    lines = said.splitlines()
    assert code in (0, 2) or (code == 1 and lines[-1].startswith("error: loss: expected finite values")), where
    assert "Traceback" not in said, where
    if code:
        assert [line for line in said.split("\n") if not line.startswith("warning: ")][1:] == [""], where
        assert said.split("\n")[-2].startswith("error: "), where
        assert said.replace("\n", "").isprintable(), where
        assert len(said) < 4000, where
    after = snapshot(folder)
    if code == 2:
        assert after == before, where
    elif code == 0:
        own = {path for path in after if out and (path == out or out in path.parents or path in out.parents)}
        assert {path: after[path] for path in after.keys() - own} == {p: before[p] for p in before.keys() - own}, where
        complete(command, out, arguments)
    assert not [path for path in after if "partial" in path.name or path.name.startswith((".saving", ".probe"))], where
    shutil.rmtree(folder)


def ended(name, arguments):
    """The exit code, and what came on standard error."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("always", UndefinedMetricWarning)  # it is shown; any other is a fault
        try:
            main(arguments)
        except SystemExit as stop:
            return stop.code or 0, said.getvalue()
        except BaseException as error:
            raise AssertionError(f"case {name!r}: {arguments} raised {type(error).__name__}: {error}") from error
    return 0, said.getvalue()


def snapshot(folder):
    """By path, a file's bytes; None for a folder."""
    paths = (path.relative_to(folder) for path in folder.rglob("*"))
    return {path: path.read_bytes() if path.is_file() else None for path in paths}


def complete(command, out, arguments):
    """What a command that succeeded has written is all there."""
    if out is None or "--help" in arguments:
        return
    if command == "fit":
        assert {path.name for path in out.iterdir()} >= WRITTEN
        assert contents(out / "model") == ["columns.json", "model.json", "model.sha256", "params.safetensors"]
        assert tomllib.loads((out / "experiment.toml").read_text())
        assert [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    if command == "predict":
        assert rows_in(out) == sum(map(rows_in, map(Path, arguments[1 : arguments.index("--out")])))
    if command == "evaluate":
        assert json.loads(out.read_text())["metrics"]


def rows_in(path):
    """The rows of a table that can be read, by pyarrow alone. Its content says what it is, not its name."""
    content = path.read_bytes()
    if content.startswith(b"PAR1"):
        return parquet.read_metadata(path).num_rows
    content = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
    return csv.read_csv(io.BytesIO(content), parse_options=csv.ParseOptions(newlines_in_values=True)).num_rows


def with_some_lists(draw, content):
    """The table, which CSV can store, or the same one with lists, which CSV cannot store."""
    return with_lists(content) if draw.random() < 0.3 else content


def described(draw, trained):
    toml = experiment_toml(draw, broken=True)
    Path("train.csv").write_bytes(TRAIN)
    return "describe", [toml, *(odd_flags(draw) if draw.random() < 0.05 else ())], None


def fitted(draw, trained):
    toml, flags = experiment_toml(draw, broken=draw.random() < 0.3), []
    suffix, content = broken_table(draw, with_some_lists(draw, TABLE)) if draw.random() < 0.5 else (".csv", TRAIN)
    Path("train.csv").write_bytes(content)
    if suffix == ".parquet":
        flags += ["--data.format", "parquet"]
    if draw.random() < 0.4:
        flags += odd_flags(draw)
    out = output(draw, "run")
    cheap = ["--train.execution", "eager", "--train.epochs", "1"]
    return "fit", [toml, "--out", out, "--backend", "torch", *flags, *cheap], Path(out)


def predicted(draw, trained):
    suffix, content = broken_table(draw, with_some_lists(draw, TEST))
    Path(f"rows{suffix}").write_bytes(content)
    files = [f"rows{suffix}"] if draw.random() < 0.9 else [f"rows{suffix}", "none.csv"]
    out = output(draw, draw.choice(["p.parquet", "p.csv"]))
    keep = ["--keep", draw.choice(["id", "click", "none", "x"])] if draw.random() < 0.3 else []
    flags = odd_flags(draw) if draw.random() < 0.1 else []
    return "predict", [str(trained), *files, "--out", out, "--backend", "torch", *keep, *flags], Path(out)


def evaluated(draw, trained):
    suffix, content = broken_table(draw, with_some_lists(draw, TEST))
    Path(f"rows{suffix}").write_bytes(content)
    out = output(draw, "metrics.json")
    flags = odd_flags(draw) if draw.random() < 0.1 else []
    return "evaluate", [str(trained), "--data", f"rows{suffix}", "--json", out, "--backend", "torch", *flags], Path(out)


def with_a_broken_model(draw, trained):
    shutil.copytree(trained / "model", "run/model")
    shutil.copy(trained / "experiment.toml", "run")
    Path("rows.parquet").write_bytes(ROWS)
    part = Path("run/model") / draw.choice(["columns.json", "model.json", "params.safetensors"])
    if draw.random() < 0.1:
        part.unlink()
        if draw.random() < 0.5:
            part.mkdir()
    else:
        content = part.read_bytes()
        part.write_bytes((broken_json if part.suffix == ".json" else damaged)(draw, content))
    match draw.randrange(3):
        case 0:
            return "describe", ["run"], None
        case 1:
            files = ["--data", "rows.parquet", "--json", "metrics.json"]
            return "evaluate", ["run", *files, "--backend", "torch"], Path("metrics.json")
    return "predict", ["run", "rows.parquet", "--out", "p.csv", "--backend", "torch"], Path("p.csv")


ARGUMENTS = {
    "describe": described,
    "fit": fitted,
    "predict": predicted,
    "evaluate": evaluated,
    "model": with_a_broken_model,
}


def experiment_toml(draw, *, broken):
    """The name of an experiment's file in this folder; a folder, or none, now and then."""
    content = tomllib.loads(to_toml(EXPERIMENT))
    text = broken_toml(draw, content) if broken else to_toml(EXPERIMENT).encode()
    match draw.randrange(60):
        case 0:
            return "none.toml"
        case 1:
            Path("shop.toml").mkdir()
        case _:
            Path("shop.toml").write_bytes(text)
    return "shop.toml"


def output(draw, name):
    """A name to write: mostly a new one, else one that is there, a file where a folder should be, or nowhere."""
    match draw.randrange(15):
        case 0:
            Path(name).write_bytes(b"earlier")
        case 1:
            Path(name).mkdir()
        case 2:
            return f"none/{name}"
        case 3:
            Path("file").write_bytes(b"")
            return f"file/{name}"
        case 4:
            return draw.choice(["/proc/run.csv", "/dev/null/p.csv", "", "\ud800.csv", "a" * 300 + ".csv", "p.txt"])
    return name


def as_bytes(write, content):
    said = io.BytesIO()
    write(content, said)
    return said.getvalue()


TRAIN, ROWS = as_bytes(csv.write_csv, TABLE), as_bytes(parquet.write_table, TEST)
