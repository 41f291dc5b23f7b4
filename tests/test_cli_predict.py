"""predict and evaluate: what a trained model says of a table, whichever framework trained it."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv, parquet
from sklearn.metrics import accuracy_score, log_loss, mean_absolute_error, mean_squared_error, roc_auc_score

from shared_bottom.folder import read_trained
from shared_bottom.tables.columns import FittedColumns
from shared_bottom.tables.files import read_blocks
from shared_bottom.tables.rows import read_rows
from spec import from_json, load_backend, to_json
from tests.helpers.cli import LABELS, contents, error, run, table, write

OTHER = {"torch": "jax", "jax": "torch"}
PREDICTED = ["click", "price_low", "price_high", "region", "region_east", "region_north", "region_south"]


@pytest.fixture
def backend_of(trained):
    """The name of the backend that trained it."""
    return trained.parent.name.rstrip("0123456789")


@pytest.fixture
def copy(trained, tmp_path):
    """The model of a run, to be changed: without its checksums."""
    ignored = shutil.ignore_patterns("model.sha256")
    shutil.copytree(trained / "model", tmp_path / "copy" / "model", ignore=ignored)
    return tmp_path / "copy"


def predictions(folder, out, *arguments):
    run("predict", folder, *arguments, "--out", out)
    return (csv.read_csv if out.suffix == ".csv" else parquet.read_table)(out)


def test_the_columns_are_what_the_backend_predicts(trained, backend_of, tmp_path, capsys):
    file = trained.parent / "test.parquet"
    found = predictions(trained, tmp_path / "p.parquet", file, "--backend", backend_of)
    assert capsys.readouterr().out == f"{len(found):,} rows: {tmp_path / 'p.parquet'}\n"
    assert found.column_names == PREDICTED
    own = read_trained(trained)
    rows = read_rows(own.columns, Path(), [str(file)], labels=False)
    expected = load_backend(backend_of).predict(own.model, own.params, rows)
    np.testing.assert_allclose(found["click"], expected["click"], rtol=1e-6)
    prices = own.columns.restore("price", expected["price"])
    np.testing.assert_allclose(np.stack([found["price_low"], found["price_high"]], axis=1), prices, rtol=1e-6)
    classes = own.columns.classes["region"]
    assert classes == ("east", "north", "south")
    probabilities = np.stack([found[f"region_{name}"] for name in classes], axis=1)
    np.testing.assert_allclose(probabilities, expected["region"], rtol=1e-6)
    assert found["region"].to_pylist() == [classes[i] for i in probabilities.argmax(axis=1)]


def test_the_other_framework_predicts_the_same(trained, backend_of, tmp_path):
    pytest.importorskip({"jax": "torch", "torch": "flax"}[backend_of])
    file = trained.parent / "test.parquet"
    own, other = (
        predictions(trained, tmp_path / f"{name}.parquet", file, "--backend", name)
        for name in (backend_of, OTHER[backend_of])
    )
    assert own.column_names == other.column_names
    assert own["region"] == other["region"]
    for name in PREDICTED:
        if name != "region":
            np.testing.assert_allclose(other[name], own[name], rtol=1e-5, atol=1e-6)


def test_rows_come_in_their_order_with_the_columns_to_keep_and_need_no_labels(trained, backend_of, tmp_path):
    flags = ("--backend", backend_of, "--keep", "id", "colour")
    parts = [table(40, seed=3), table(25, seed=4)]
    files = [write(tmp_path / f"{i}.parquet", part.drop_columns(list(LABELS))) for i, part in enumerate(parts)]
    found = predictions(trained, tmp_path / "both.parquet", *files, *flags)
    assert found.column_names == ["id", "colour", *PREDICTED]
    assert found.select(["id", "colour"]) == pa.concat_tables(part.select(["id", "colour"]) for part in parts)
    second = predictions(trained, tmp_path / "second.parquet", files[1], *flags)
    assert found.slice(40)["id"] == second["id"]
    np.testing.assert_allclose(found.slice(40)["click"], second["click"], rtol=1e-6)


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_label_to_keep_stands_beside_its_prediction_under_another_name(trained, backend_of, tmp_path, form):
    rows = table(40, seed=3).rename_columns({"id": "click_kept"}).append_column("price", [["?"] * 40])
    file = write(tmp_path / f"rows.{form}", rows)
    flags = ("--backend", backend_of, "--keep", "region", "click", "click_kept", "price", "region")
    found = predictions(trained, tmp_path / f"p.{form}", file, *flags)
    assert found.column_names == ["region_kept", "click_kept_kept", "click_kept", "price", *PREDICTED]
    plain = predictions(trained, tmp_path / f"plain.{form}", file, "--backend", backend_of)
    assert found.select(PREDICTED) == plain
    assert found["click_kept"].to_pylist() == list(range(3000, 3040))
    assert found["region_kept"].to_pylist() == rows["region"].to_pylist()


def test_columns_may_be_stored_in_any_way(trained, backend_of, tmp_path):
    plain = table(30, seed=9)
    colours = plain["colour"].combine_chunks().dictionary_encode()
    stored = {
        "colour": pa.DictionaryArray.from_arrays(colours.indices.cast(pa.uint8()), colours.dictionary),
        "x": plain["x"].combine_chunks().dictionary_encode(),
        "seen": plain["seen"].cast(pa.timestamp("ms", "UTC")),
        "id": plain["id"].cast(pa.string()).cast(pa.string_view()),
    }
    flags = ("--backend", backend_of, "--keep", "id", "colour")
    found = []
    for name, columns in {"stored": stored, "plain": {"id": plain["id"].cast(pa.string())}}.items():
        rows = pa.table(dict(zip(plain.column_names, plain.columns, strict=True)) | columns)
        file = write(tmp_path / f"{name}.parquet", rows)
        found.append(predictions(trained, tmp_path / f"{name}_out.parquet", file, *flags))
    assert found[0].equals(found[1])
    assert found[0]["colour"].to_pylist() == plain["colour"].to_pylist()
    assert found[0]["id"].to_pylist() == [str(i + 9000) for i in range(30)]


def test_in_small_blocks_it_writes_what_it_writes_at_once(copy, backend_of, tmp_path):
    file = write(tmp_path / "many.csv", table(1500, seed=5))
    flags = ("--backend", backend_of, "--keep", "id")
    once = predictions(copy, tmp_path / "once.parquet", file, *flags)
    columns = read_trained(copy).columns
    small = replace(columns, data=replace(columns.data, memory_mb=1))
    blocks = [len(list(read_blocks(own.data, file, ["id", "x"]))) for own in (columns, small)]
    assert blocks[0] == 1
    assert blocks[1] > 3
    (copy / "model" / "columns.json").write_text(to_json(small))
    found = predictions(copy, tmp_path / "small.parquet", file, *flags)
    assert found["id"].to_pylist() == [str(i + 5000) for i in range(1500)]
    assert found["region"] == once["region"]
    for name in set(PREDICTED) - {"region"}:
        np.testing.assert_allclose(found[name], once[name], rtol=1e-5, atol=1e-6)


def test_csv_holds_the_same_as_parquet(trained, backend_of, tmp_path):
    flags = (trained.parent / "test.parquet", "--backend", backend_of, "--keep", "id")
    text, binary = (predictions(trained, tmp_path / f"p.{form}", *flags) for form in ("csv", "parquet"))
    assert text.column_names == binary.column_names
    assert text.select(["id", "region"]) == binary.select(["id", "region"])
    for name in set(PREDICTED) - {"region"}:
        np.testing.assert_allclose(text[name], binary[name], rtol=1e-6)


def test_a_list_to_keep_is_written_to_parquet_and_refused_for_csv(trained, backend_of, tmp_path, capsys):
    lists = [[i, i + 1] for i in range(5)]
    file = write(tmp_path / "rows.parquet", table(5).append_column("seen_before", pa.array(lists)))
    flags = ("--backend", backend_of, "--keep", "id", "seen_before")
    said = error(capsys, "predict", trained, file, "--out", tmp_path / "p.csv", *flags)
    of_lists = "got list<element: int64> in 'seen_before'"
    assert said == f"--keep: expected columns of single values for CSV, {of_lists}"
    assert not (tmp_path / "p.csv").exists()
    assert predictions(trained, tmp_path / "p.parquet", file, *flags)["seen_before"].to_pylist() == lists


def test_it_writes_all_or_nothing(copy, tmp_path, capsys):
    rows = table(3000, seed=6)
    bad = rows.set_column(1, "x", [["0.5"] * 2999 + ["much"]])  # in its last block
    (copy / "model" / "columns.json").write_text(
        to_json(replace(own := read_trained(copy).columns, data=replace(own.data, memory_mb=1)))
    )
    files, out = [write(tmp_path / "good.csv", rows), write(tmp_path / "bad.csv", bad)], tmp_path / "p.csv"
    before = {*contents(tmp_path)}
    said = error(capsys, "predict", copy, *files, "--out", out, "--backend", "jax")
    assert said == f"{files[1]}: column 'x', row 3000: expected a number, got 'much'"
    assert {*contents(tmp_path)} == before
    out.write_text("an earlier one")
    error(capsys, "predict", copy, *files, "--out", out, "--backend", "jax")
    assert out.read_text() == "an earlier one"
    assert {*contents(tmp_path)} == before | {"p.csv"}


@pytest.mark.parametrize("backend", ["own", "other"])
def test_the_metrics_are_those_of_the_predictions_in_their_own_units(trained, backend_of, tmp_path, capsys, backend):
    name = backend_of if backend == "own" else OTHER[backend_of]
    pytest.importorskip({"torch": "torch", "jax": "flax"}[name])
    found, file = tmp_path / "metrics.json", trained.parent / "test.parquet"
    run("evaluate", trained, "--backend", name, "--json", found)
    said = [line.split() for line in capsys.readouterr().out.splitlines()]
    content = json.loads(found.read_text())
    assert content["rows"] == 30
    truth, told = parquet.read_table(file), predictions(trained, tmp_path / "p.parquet", file, "--backend", name)
    weight = truth["weight"].to_numpy()
    there = np.array(truth["click"].is_valid())
    click = [truth["click"].to_numpy()[there].astype(int), told["click"].to_numpy()[there]]
    price, own = (
        np.stack([t[a], t[b]], axis=1) for t, a, b in ((truth, "low", "high"), (told, "price_low", "price_high"))
    )
    regions = np.stack([told[f"region_{region}"] for region in ("east", "north", "south")], axis=1).astype(float)
    regions /= regions.sum(axis=1, keepdims=True)
    expected = {
        "click": {
            "auc": roc_auc_score(*click, sample_weight=weight[there]),
            "log_loss": log_loss(*click, sample_weight=weight[there]),
        },
        "price": {
            "rmse": mean_squared_error(price, own, sample_weight=weight) ** 0.5,
            "mae": mean_absolute_error(price, own, sample_weight=weight),
        },
        "region": {
            "accuracy": accuracy_score(truth["region"], told["region"], sample_weight=weight),
            "log_loss": log_loss(truth["region"], regions, sample_weight=weight),
        },
    }
    assert content["metrics"].keys() == expected.keys()
    for task, metrics in expected.items():
        assert content["metrics"][task] == pytest.approx(metrics, rel=1e-6)
    assert ["price", f"{expected['price']['rmse']:#.5g}", f"{expected['price']['mae']:#.5g}"] in said


def test_other_files_may_be_evaluated_in_one_go_or_in_pieces(copy, backend_of, tmp_path):
    files = [write(tmp_path / "a.csv", table(30, seed=7)), write(tmp_path / "b.csv", table(20, seed=8))]
    both = write(tmp_path / "both.csv", pa.concat_tables(map(csv.read_csv, files)))
    for name, data in {"pieces": files, "once": [both]}.items():
        run("evaluate", copy, "--data", *data, "--json", tmp_path / name, "--backend", backend_of)
    pieces, once = (json.loads((tmp_path / name).read_text()) for name in ("pieces", "once"))
    assert pieces["rows"] == once["rows"] == 50
    for task, metrics in once["metrics"].items():
        assert pieces["metrics"][task] == pytest.approx(metrics, rel=1e-5)


def test_a_task_counts_its_rows_by_its_weights_too(copy, backend_of, tmp_path):
    path = copy / "model" / "columns.json"
    columns = from_json(FittedColumns, path.read_text())
    labels = columns.data.labels | {"click": replace(columns.data.labels["click"], weight="weight")}
    path.write_text(to_json(replace(columns, data=replace(columns.data, labels=labels))))
    content, file = table(30, seed=7), tmp_path / "rows.parquet"
    write(file, content)
    run("evaluate", copy, "--data", file, "--json", tmp_path / "metrics.json", "--backend", backend_of)
    metrics = json.loads((tmp_path / "metrics.json").read_text())["metrics"]
    told, weight = (
        predictions(copy, tmp_path / "p.parquet", file, "--backend", backend_of),
        content["weight"].to_numpy(),
    )
    there = np.array(content["click"].is_valid())
    click = content["click"].to_numpy()[there].astype(int), told["click"].to_numpy()[there]
    assert metrics["click"]["log_loss"] == pytest.approx(log_loss(*click, sample_weight=weight[there] ** 2), rel=1e-6)
    accuracy = accuracy_score(content["region"], told["region"], sample_weight=weight)
    assert metrics["region"]["accuracy"] == pytest.approx(accuracy, rel=1e-6)


def test_a_pattern_or_a_folder_that_no_shell_has_expanded(trained, backend_of, tmp_path):
    folder = tmp_path / "rows"
    folder.mkdir()
    for i in range(3):
        write(folder / f"part-{i}.parquet", table(10, seed=i))
    (folder / "_SUCCESS").touch()
    flags = ("--backend", backend_of, "--keep", "id")
    files = [folder / f"part-{i}.parquet" for i in range(3)]
    expected = predictions(trained, tmp_path / "files.parquet", *files, *flags)
    for name in (folder, folder / "part-*", tmp_path / "**" / "part-?.parquet"):
        assert predictions(trained, tmp_path / "p.parquet", name, *flags) == expected
        run("evaluate", trained, "--backend", backend_of, "--data", name, "--json", tmp_path / "m.json")
        assert json.loads((tmp_path / "m.json").read_text())["rows"] == 30


def test_a_pattern_without_files_is_an_error(trained, tmp_path, capsys):
    said = error(capsys, "predict", trained, tmp_path / "part-*", "--out", tmp_path / "p.csv")
    assert said == f"{tmp_path / 'part-*'}: expected files that match the pattern, found none"
    said = error(capsys, "evaluate", trained, "--data", tmp_path / "part-*")
    assert said == f"{tmp_path / 'part-*'}: expected files that match the pattern, found none"
