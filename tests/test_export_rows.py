"""An ONNX file that is asked row by row: what is checked, and what is answered."""

import re

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
    return [answer["y"] for answer in exported.predict(rows)]


def test_rows_are_answered_as_predict_does(network, exported):
    assert answers(exported, INPUTS) == pytest.approx(network.predict(ROWS)["y"].to_pylist(), rel=1e-5)
    assert answers(exported, INPUTS[2:]) == pytest.approx(network.predict(ROWS)["y"].to_pylist()[2:], rel=1e-5)


def test_a_row_may_be_a_dict_or_checked_before(exported):
    checked = [exported.row.model_validate(row) for row in INPUTS]
    assert answers(exported, [checked[0], *INPUTS[1:]]) == answers(exported, INPUTS)
    assert repr(checked[1]) == "Row(x=None, code=1, truth=False, tags=[], seen=datetime.datetime(1969, 12, 31, 0, 0))"


@pytest.mark.parametrize(
    "spelled",
    [{"code": code} for code in (3, 3.0, "3", " 3 ", "3.0", "3e+00")]
    + [{"truth": truth} for truth in ("true", "True", "TRUE")]
    + [{"tags": tags} for tags in (["a ", "b"], ["a", None, "b", ""])],
    ids=str,
)
def test_a_value_may_be_spelled_otherwise(exported, spelled):
    assert answers(exported, [INPUTS[0] | spelled]) == answers(exported, INPUTS[:1])


def test_texts_that_a_separator_divides_are_lists_in_a_row(tmp_path):
    spec = simple(
        numeric=(),
        categorical=(CategoricalColumn(name="tags", length=3, separator="|"),),
        label=LabelColumn(columns=("y",)),
    )
    table = {"tags": ["a|b", "b", ""], "y": [0, 1, 1]}
    network, path = untrained(spec, table), tmp_path / "network.onnx"
    export_onnx(network, path)
    rows = [{"tags": text.split("|")} for text in table["tags"]]
    assert answers(ExportedModel(path), rows) == pytest.approx(network.predict(table)["y"].to_pylist(), rel=1e-5)
    with pytest.raises(ValueError, match=r"^row 1: tags: expected a list, got 'a\|b'$"):
        ExportedModel(path).predict([{"tags": "a|b"}])


TIME = "expected a time in ISO 8601 such as 2024-01-05 or 2024-01-05T17:30:00"
TEXT = "expected a text, a finite number or a boolean"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"x": "1.5"}, "x: expected a number, got '1.5'"),
        ({"x": True}, "x: expected a number, got True"),
        ({"x": float("inf")}, "x: expected a finite number, got inf"),
        ({"code": [3]}, f"code: {TEXT}, got [3]"),
        ({"code": float("nan")}, f"code: {TEXT}, got nan"),
        ({"tags": "a"}, "tags: expected a list, got 'a'"),
        ({"tags": ["a", {}]}, f"tags.1: {TEXT}, got {{}}"),
        ({"seen": "yesterday"}, f"seen: {TIME}, got 'yesterday'"),
        ({"seen": 1700000000}, f"seen: {TIME}, got 1700000000"),
        ({"seen": 1.7e9}, f"seen: {TIME}, got 1700000000.0"),
        ({"seen": "1700000000"}, f"seen: {TIME}, got '1700000000'"),
        ({"more": 1}, "more: unexpected field, got 1"),
    ],
    ids=str,
)
def test_what_no_row_may_have(exported, wrong, said):
    with pytest.raises(ValidationError) as caught:
        exported.row.model_validate(INPUTS[0] | wrong)
    assert {error["loc"][0] for error in caught.value.errors()} == set(wrong)
    with pytest.raises(ValueError, match=f"^row 2: {re.escape(said)}$"):
        exported.predict([INPUTS[0], INPUTS[0] | wrong])


def test_rows_that_lack_a_column_or_are_none(exported):
    without = {name: value for name, value in INPUTS[0].items() if name != "seen"}
    with pytest.raises(ValueError, match=r"^row 1: seen: expected a value, got none$"):
        exported.predict([without])
    with pytest.raises(ValueError, match=r"^row 3: Row: expected a dictionary or instance of Row, got 7$"):
        exported.predict([*INPUTS[:2], 7])
    with pytest.raises(ValueError, match=r"^rows: expected a list of rows, got \{'x': 1\.5, "):
        exported.predict(INPUTS[0])


def test_other_files_are_refused_in_one_line(tmp_path):
    path = tmp_path / "other.onnx"
    for missing, error in ((path, FileNotFoundError), (tmp_path, IsADirectoryError)):
        with pytest.raises(error, match=f"expected an ONNX file, got: .*: '{missing}'$"):
            ExportedModel(missing)
    for content in (b"", b"junk", b"x,y\n1,2\n"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"^{path}: expected an ONNX file, got: .*$"):
            ExportedModel(path)
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n"])
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Neg", ["x"], ["y"])],
        "g",
        [value],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n"])],
    )
    opset = onnx.helper.make_opsetid("", 20)
    foreign = {"inputs": "[{}]", "outputs": "[]", "versions": "{}"}
    for metadata in ({}, dict.fromkeys(("inputs", "outputs", "versions"), "x"), foreign):
        content = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=9)
        onnx.helper.set_model_props(content, metadata)
        onnx.save(content, path)
        said = f"^{path}: expected a file that export wrote, got one without its metadata$"
        with pytest.raises(ValueError, match=said):
            ExportedModel(path)


def test_a_damaged_file_is_refused_in_one_line(exported, tmp_path, capfd):
    path = tmp_path / "network.onnx"
    content = path.read_bytes()
    others = ((b"inputs", b"input\xff"), (b"inputs", b"inputz"), (b'"kind"', b'"kine"'), (b'"kind":', b'"kind";'))
    for damaged in (content[: len(content) // 2], content[:-50], *(content.replace(*other) for other in others)):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=f"^{path}: expected .*, got.*$"):
            ExportedModel(path)
    assert capfd.readouterr() == ("", "")


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
