"""An ONNX file that is asked row by row: what is checked, and what is answered."""

import onnx
import pytest
from pydantic import ValidationError

from shared_bottom import ExportedModel, export_onnx
from spec import CategoricalColumn, LabelColumn, NumericColumn, TimeColumn
from tests.helpers.exported import untrained
from tests.helpers.table_files import simple
from tests.test_imports import run

ROWS = {
    "x": [1.5, None, -2.0],
    "code": [3, 1, None],
    "truth": [True, False, None],
    "tags": [["a", "b"], [], None],
    "seen": ["2024-02-29T17:30:00+05:00", "1969-12-31", None],
    "y": [0, 1, 1],
}
INPUTS = [{name: values[row] for name, values in ROWS.items() if name != "y"} for row in range(3)]


@pytest.fixture
def network():
    spec = simple(
        numeric=(NumericColumn(name="x"),),
        categorical=(
            CategoricalColumn(name="code"),
            CategoricalColumn(name="truth", encoding="hash", buckets=5),
            CategoricalColumn(name="tags", length=3),
        ),
        time=(TimeColumn(name="seen", parts=("day", "hour", "elapsed_days")),),
        label=LabelColumn(columns=("y",)),
    )
    return untrained(spec, ROWS)


@pytest.fixture
def exported(network, tmp_path):
    export_onnx(network, tmp_path / "network.onnx")
    return ExportedModel(tmp_path / "network.onnx")


def answers(exported, rows):
    return [answer["y"] for answer in exported.predict([exported.row.model_validate(row) for row in rows])]


def test_rows_are_answered_as_predict_does(network, exported):
    assert answers(exported, INPUTS) == pytest.approx(network.predict(ROWS)["y"].to_pylist(), rel=1e-5)
    assert answers(exported, INPUTS[2:]) == pytest.approx(network.predict(ROWS)["y"].to_pylist()[2:], rel=1e-5)


@pytest.mark.parametrize(
    "spelled",
    [{"code": code} for code in (3, 3.0, "3", " 3 ", "3.0", "3e+00")]
    + [{"truth": truth} for truth in ("true", "True", "TRUE")]
    + [{"tags": tags} for tags in (["a ", "b"], ["a", None, "b", ""])],
    ids=str,
)
def test_a_value_may_be_spelled_otherwise(exported, spelled):
    assert answers(exported, [INPUTS[0] | spelled]) == answers(exported, INPUTS[:1])


@pytest.mark.parametrize(
    "wrong",
    [{"x": "1.5"}, {"x": True}, {"x": float("inf")}, {"code": [3]}, {"tags": "a"}, {"seen": "yesterday"}, {"more": 1}],
    ids=str,
)
def test_what_no_row_may_have(exported, wrong):
    with pytest.raises(ValidationError) as caught:
        exported.row.model_validate(INPUTS[0] | wrong)
    assert {error["loc"][0] for error in caught.value.errors()} == set(wrong)


def test_other_files_are_refused_in_one_line(tmp_path):
    path = tmp_path / "other.onnx"
    with pytest.raises(FileNotFoundError, match=str(path)):
        ExportedModel(path)
    path.write_bytes(b"junk")
    with pytest.raises(ValueError, match=f"{path}: expected an ONNX file, got: "):
        ExportedModel(path)
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n"])
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Neg", ["x"], ["y"])],
        "g",
        [value],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n"])],
    )
    opset = onnx.helper.make_opsetid("", 20)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=9), path)
    with pytest.raises(ValueError, match=f"{path}: expected a file that export wrote, got one without its metadata"):
        ExportedModel(path)


def test_it_needs_neither_onnx_nor_a_framework_nor_pyarrow(exported, tmp_path):
    code = f"""
    from shared_bottom import ExportedModel
    print(len(ExportedModel("{tmp_path}/network.onnx").metadata["inputs"]))
    """
    assert run(code, blocked={"onnx", "torch", "jax", "pyarrow", "sklearn"}) == "5"


def test_without_onnxruntime_one_line_names_the_extra():
    code = """
    from shared_bottom import ExportedModel
    try:
        ExportedModel("a.onnx")
    except ImportError as error:
        print(error)
    """
    said = run(code, blocked={"onnxruntime"})
    assert said == "ONNX files need onnxruntime, which is not installed: pip install -e '.[onnx]'"
