"""What an ONNX file says of itself, how its inputs are called, and what is refused before it is written."""

from dataclasses import replace
from pathlib import Path

import onnx
import pyarrow as pa
import pytest

from examples.clicks import visits
from shared_bottom import export_onnx, read_table_experiment
from shared_bottom.tables.columns import FittedColumns
from shared_bottom.tables.values import bucket
from spec import (
    CategoricalColumn,
    LabelColumn,
    ModelSpec,
    NumericColumn,
    TaskSpec,
    TrainSpec,
    from_json,
)
from tests.helpers.exported import (
    bucket_of,
    check,
    described,
    experiment,
    untrained,
)
from tests.helpers.table_strategies import rows_of
from tests.test_imports import run

pytestmark = pytest.mark.filterwarnings("ignore::shared_bottom.DataWarning")
EXAMPLES = Path(__file__).parents[1] / "examples"


def test_columns_that_are_called_as_predictions_are(onnxruntime, tmp_path):
    """And one that is a number and a category at once."""
    task = TaskSpec(name="count", kind="regression")
    spec = experiment(
        tasks=(task,),
        labels={"count": LabelColumn(columns=("label count",))},
        numeric=(NumericColumn(name="count"), NumericColumn(name="code")),
        categorical=(CategoricalColumn(name="count"), CategoricalColumn(name="code")),
    )
    rows = rows_of(spec, 60, 0)
    trained = untrained(spec, rows)
    check(onnxruntime, tmp_path, trained, rows)
    inputs = [(entry["name"], entry["column"]) for entry in described(tmp_path / "network.onnx")["inputs"]]
    assert inputs == [("count_number", "count"), ("code", "code"), ("count_text", "count"), ("code_text", "code")]


def test_inputs_that_would_meet_are_called_apart(onnxruntime, tmp_path):
    names = ("click", "click_number")
    spec = experiment(
        numeric=[NumericColumn(name=name) for name in names], labels={"click": LabelColumn(columns=("y",))}
    )
    rows = pa.table({"click": [1.0, 2.0, 5.0], "click_number": [3.0, -1.0, 0.5], "y": [0, 1, 0]})
    check(onnxruntime, tmp_path, untrained(spec, rows), rows)
    inputs = {entry["column"]: entry["name"] for entry in described(tmp_path / "network.onnx")["inputs"]}
    assert inputs == {"click": "click_number_number", "click_number": "click_number"}


def test_the_file_says_what_it_was_made_from_and_what_it_takes(tmp_path):
    trained = untrained(read_table_experiment(EXAMPLES / "clicks.toml"), visits(1000, seed=1))
    path = tmp_path / "clicks.onnx"
    export_onnx(trained, path)
    content, metadata = onnx.load(path), described(path)
    properties = {entry.key: entry.value for entry in content.metadata_props}
    assert from_json(ModelSpec, properties["spec"]) == trained.model
    without_files = replace(trained.columns.data, train=(), validation=(), test=())
    assert from_json(FittedColumns, properties["columns"]) == replace(trained.columns, data=without_files)
    assert {"onnx", "numpy"} <= metadata["versions"].keys()
    assert [value.name for value in content.graph.input] == list(trained.columns.data.inputs)
    assert [entry["name"] for entry in metadata["outputs"]] == ["click", "spend"]
    assert all(value.doc_string for value in (*content.graph.input, *content.graph.output))
    (campaign,) = [entry for entry in metadata["inputs"] if entry["name"] == "campaign"]
    assert (campaign["kind"], campaign["buckets"], campaign["type"]) == ("bucket", 64, "int64")


def test_the_hash_is_as_the_metadata_says():
    assert [bucket_of(text, 64) for text in ("", "7", "東京")] == [bucket(text, 64) for text in ("", "7", "東京")]


def test_parameters_and_vocabularies_that_are_too_large_for_one_file(tmp_path, monkeypatch):
    spec = experiment(categorical=(CategoricalColumn(name="city"),), train=TrainSpec())
    trained = untrained(spec, rows_of(spec, 20, 0))
    parameters = sum(array.nbytes for array in trained.params.values())
    for most in (parameters - 1, parameters + 100):
        monkeypatch.setattr("shared_bottom.export.file.MOST_BYTES", most)
        said = f"model: expected parameters and vocabularies of at most {most:,} bytes, as an ONNX file can have, got"
        with pytest.raises(ValueError, match=said):
            export_onnx(trained, tmp_path / "large.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", [None, 3, b"a.onnx"])
def test_arguments_of_another_kind_are_named(path):
    spec = read_table_experiment(EXAMPLES / "clicks.toml")
    with pytest.raises(ValueError, match=f"^path: expected the name of a file, got {path!r}$"):
        export_onnx(untrained(spec, visits(100, seed=1)), path)
    with pytest.raises(ValueError, match=r"^trained: expected a Trained, as load returns it, got 'runs/a'$"):
        export_onnx("runs/a", "a.onnx")


def test_without_onnx_one_line_names_the_extra():
    code = """
    from shared_bottom import export_onnx
    try:
        export_onnx(None, "a.onnx")
    except ImportError as error:
        print(error)
    """
    assert run(code, blocked={"onnx"}) == "ONNX files need onnx, which is not installed: pip install -e '.[onnx]'"


@pytest.mark.slow
def test_a_file_is_written_without_a_framework(tmp_path):
    code = f"""
    from shared_bottom import export_onnx, read_table_experiment
    from tests.test_export_file import EXAMPLES, untrained, visits
    export_onnx(untrained(read_table_experiment(EXAMPLES / "clicks.toml"), visits(100, seed=1)), "{tmp_path}/a.onnx")
    """
    run(code, blocked={"torch", "jax", "flax", "optax"})
    assert (tmp_path / "a.onnx").exists()
