"""examples/serve.py, asked over HTTP."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from examples.clicks import visits
from shared_bottom import export_onnx, read_table_experiment
from tests.helpers.exported import untrained

EXAMPLES = Path(__file__).parents[1] / "examples"
SERVE, ENVIRONMENT = [sys.executable, EXAMPLES / "serve.py"], os.environ | {"PYTHONPATH": str(EXAMPLES.parent)}


@pytest.fixture(scope="module")
def network():
    return untrained(read_table_experiment(EXAMPLES / "clicks.toml"), visits(1000, seed=1))


@pytest.fixture(scope="module")
def client(network, tmp_path_factory):
    """A client of the server, which has started."""
    path = tmp_path_factory.mktemp("served") / "clicks.onnx"
    export_onnx(network, path)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with (
        subprocess.Popen([*SERVE, path, "--port", str(port)], env=ENVIRONMENT) as server,
        httpx.Client(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        try:
            wait_for(client, server)
            yield client
        finally:
            server.terminate()


def wait_for(client, server):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert server.poll() is None
        try:
            return client.get("/health")
        except httpx.ConnectError:
            time.sleep(0.05)
    raise TimeoutError


def rows_of(table):
    """Rows as JSON has them."""
    inputs = table.drop_columns(["click", "spend"]).to_pylist()
    return [row | {"visited": row["visited"].isoformat()} for row in inputs]


def assert_same(answered, predicted):
    for answer, expected in zip(answered, predicted.to_pylist(), strict=True):
        assert answer == pytest.approx(expected, rel=1e-5)


def test_a_row_and_rows_are_answered_as_predict_does(client, network):
    table = visits(50, seed=3)
    predicted, rows = network.predict(table), rows_of(table)
    answer = client.post("/predict_rows", json=rows)
    assert answer.status_code == 200
    assert_same(answer.json(), predicted)
    assert_same([client.post("/predict", json=row).json() for row in rows[:5]], predicted.slice(0, 5))


def test_null_is_a_missing_value(client, network):
    row = dict.fromkeys(rows_of(visits(1, seed=3))[0])
    columns = {name: [value] for name, value in row.items()}
    assert_same([client.post("/predict", json=row).json()], network.predict(columns))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("age", "old"),
        ("age", [1.0]),
        ("basket", -1.0),
        ("device", ["phone"]),
        ("categories_before", "shoes"),
        ("visited", "yesterday"),
        ("visited", 1700000000),
        ("campaign", {"id": 3}),
        ("colour", "red"),
    ],
)
def test_what_is_wrong_names_the_column(client, column, value):
    row = rows_of(visits(1, seed=3))[0]
    one, several = client.post("/predict", json=row | {column: value}), [row, row | {column: value}]
    assert one.status_code == 422
    assert one.json()["detail"][0]["loc"][:2] == ["body", column]
    many = client.post("/predict_rows", json=several)
    assert many.status_code == 422
    assert many.json()["detail"][0]["loc"][:3] == ["body", 1, column]


def test_a_column_that_is_not_there_is_named(client):
    row = rows_of(visits(1, seed=3))[0]
    del row["country"]
    answer = client.post("/predict", json=row)
    assert answer.status_code == 422
    assert answer.json() == {"detail": [{"type": "missing", "loc": ["body", "country"], "msg": "Field required"}]}


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999"])
def test_what_is_no_finite_number_is_refused(client, number):
    """Python's reader of JSON takes them, and its writer in the server does not."""
    body = json.dumps(rows_of(visits(1, seed=3))[0] | {"age": "AGE"}).replace('"AGE"', number)
    answer = client.post("/predict", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", "age"])


def error(command, **options):
    """The one line that a program prints which ends with code 2."""
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, **options)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    return line


def test_a_file_that_cannot_be_served_is_one_line(tmp_path):
    path = tmp_path / "clicks.onnx"
    assert error([*SERVE, path]) == f"error: {path}: expected an ONNX file, got: No such file or directory"
    path.write_text("age,click\n31,1\n", encoding="utf-8")
    assert error([*SERVE, path]).startswith(f"error: {path}: expected an ONNX file, got: ")


@pytest.mark.parametrize("package", ["fastapi", "onnxruntime"])
def test_a_package_that_is_missing_is_named_in_one_line(package):
    code = (
        "import runpy, sys; del sys.argv[0]; sys.modules[{!r}] = None; runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    said = error([sys.executable, "-c", code.format(package), EXAMPLES / "serve.py", "a.onnx"])
    assert f"{package}, which is not installed: pip install -e '.[" in said


@pytest.mark.parametrize("name", ["search", "cross_validate", "track", "serve"])
def test_an_example_is_short(name):
    assert len((EXAMPLES / f"{name}.py").read_text(encoding="utf-8").splitlines()) <= 60


def test_no_rows_are_refused(client):
    assert client.post("/predict_rows", json=[]).status_code == 422


def test_health_and_metadata(client):
    assert client.get("/health").json() == {"status": "ok"}
    metadata = client.get("/metadata").json()
    assert [entry["name"] for entry in metadata["outputs"]] == ["click", "spend"]
    assert {entry["column"] for entry in metadata["inputs"]} >= {"age", "campaign", "visited"}
