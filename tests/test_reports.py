"""The files of a report: whole and valid, the page complete, and TensorBoard's files as it reads them."""

import base64
import json
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from shared_bottom.reports import write_events, write_report
from shared_bottom.reports.classes import MOST, class_rows
from shared_bottom.reports.rows import rows_by_task
from shared_bottom.run.metrics import evaluate
from shared_bottom.run.watcher import EVENTS
from spec import Experiment, TaskSpec, TrainSpec, from_toml
from tests.helpers.builders import model as small_model
from tests.helpers.builders import rejection
from tests.helpers.histories import history_of
from tests.test_imports import run

PLOTS = ("losses", "metrics", "task_weights", "roc", "calibration", "confusion", "regression")
TRAIN = TrainSpec(batch_size=4, epochs=2)


def write(folder, model, history, data=None, predictions=None, **fields):
    own = {
        "title": "A run",
        "model": model,
        "train": TRAIN,
        "history": history,
        "labels": data.labels if data else {},
        "predictions": predictions or {},
        "sample_weight": data.sample_weight if data else None,
        "evaluated_on": "validation rows",
    }
    write_report(str(folder), **(own | fields))
    return (folder / "report.html").read_text(encoding="utf-8")


class Page(HTMLParser):
    """What a page links to, and its text."""

    def __init__(self, text):
        super().__init__()
        self.links, self.tags, self.text, self.spec = [], [], "", ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag):
        self.tags.append(f"/{tag}")

    def handle_data(self, data):
        self.text += data
        self.spec += data if self.tags[-1:] == ["pre"] else ""


class TestReport:
    def test_files_are_valid_and_the_page_is_complete(self, model, data, predictions, history, tmp_path):
        title = "<script>alert('a')</script> & more"
        html = write(tmp_path, model, history, data, predictions, title=title, extra={"Back<end": '"jax"'})
        assert {path.name for path in (tmp_path / "plots").iterdir()} == {
            f"{name}.{form}" for name in PLOTS for form in ("png", "svg")
        }
        for name in PLOTS:
            assert (tmp_path / f"plots/{name}.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
            assert ElementTree.parse(tmp_path / f"plots/{name}.svg").getroot().tag.endswith("svg")
        page = Page(html)
        assert "script" not in page.tags
        assert [link.split(";")[0] for link in page.links] == ["data:image/svg+xml"] * 7
        assert base64.b64decode(page.links[0].split(",")[1]) == (tmp_path / "plots/losses.svg").read_bytes()
        for said in (title, "Back<end", '"jax"', "numpy", *(task.name for task in model.tasks)):
            assert said in page.text
        own = evaluate(model, predictions, data)
        assert page.text.count(f"{own['click']['auc']:.5g}") == 3  # the last epoch, the best, the rows given
        assert from_toml(Experiment, page.spec) == Experiment(model=model, train=TRAIN)

    def test_columns_and_classes_have_tables_with_their_names(self, model, data, predictions, history, tmp_path):
        columns = [["column", "use"], ["<age>", "numeric"], ["city", "categorical"]]
        classes = {"region": ["north", "south", "east", "no|where"]}
        text = write(tmp_path, model, history, data, predictions, columns=columns, classes=classes)
        for cell in ("&lt;age&gt;", "numeric", "city", "categorical"):
            assert f"<td>{cell}</td>" in text
        assert "2 inputs and labels" in text
        assert all(f"<td>region</td><td>{name}</td>" in text for name in classes["region"])
        without = write(tmp_path, model, history_of(model))
        assert "inputs and labels" not in without
        assert "Each class" not in without

    def test_a_class_has_its_rows_and_the_weighted_share_that_is_right(self):
        network = small_model(tasks=(TaskSpec(name="a", kind="multiclass", outputs=4),))
        label, predicted = np.array([0, 0, 1, 2, -1]), np.eye(4)[[0, 1, 1, 0, 2]]
        weight = np.array([3.0, 1.0, 1.0, 1.0, 1.0])
        rows = rows_by_task(network, {"a": label}, {"a": predicted}, weight, {"a": ["tv", "phone", "tablet", "radio"]})
        assert list(class_rows(rows)) == [
            ("a", "tv", 2, "75.0%", 2),
            ("a", "phone", 1, "100.0%", 2),
            ("a", "tablet", 1, "0.0%", 0),
            ("a", "radio", 0, "–", 0),
        ]
        assert list(class_rows(rows_by_task(network, {"a": label}, {"a": predicted * np.nan}, None))) == []

    def test_of_many_classes_the_most_frequent_have_a_row(self):
        count = MOST + 20
        network = small_model(tasks=(TaskSpec(name="a", kind="multiclass", outputs=count),))
        label = np.concatenate([np.arange(count), np.arange(20, count)])  # the first twenty are rarer
        rows = list(class_rows(rows_by_task(network, {"a": label}, {"a": np.eye(count)[label]}, None)))
        assert [row.name for row in rows] == [str(i) for i in range(20, count)]

    def test_without_rows_there_are_only_curves(self, model, tmp_path):
        page = Page(write(tmp_path, model, history_of(model)))
        assert {path.stem for path in (tmp_path / "plots").iterdir()} == {"losses", "task_weights"}
        assert "auc" not in page.text
        assert "validation rows" not in page.text

    def test_the_lines_are_strict_json(self, model, history, tmp_path):
        found = history.epochs[0]["metrics"]
        history.epochs[1]["metrics"] = {task: dict.fromkeys(own, np.nan) for task, own in found.items()}
        history.epochs[1]["loss"] = float("inf")
        write(tmp_path, model, history)
        lines = (tmp_path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        first, second = (json.loads(line, parse_constant=pytest.fail) for line in lines)
        assert list(first) == ["epoch", "step", "loss", "task_loss", "task_weight", "metrics", "seconds"]
        assert (first["step"], second["step"]) == (6, 12)
        assert first["loss"] == history.epochs[0]["loss"]
        assert first["metrics"] == history.epochs[0]["metrics"]
        assert first["task_weight"]["click"] == history.task_weight["click"][5]
        assert second["loss"] is None
        assert second["metrics"]["click"] == {"auc": None, "log_loss": None}

    def test_a_run_that_diverged_in_its_first_step_is_reported(self, model, tmp_path):
        history = history_of(model, steps=1, epochs=1)
        history.epochs.clear()
        history.step_loss[:] = np.nan
        for loss in history.task_loss.values():
            loss[:] = np.inf
        html = write(tmp_path, model, history)
        assert "click" in html
        assert "1 of up to 4 rows<" in html  # no epoch has ended
        assert (tmp_path / "metrics.jsonl").read_bytes() == b""

    def test_the_epochs_of_a_run_that_diverged_in_the_next_end_where_they_ended(self, model, tmp_path):
        history = history_of(model, steps=10, epochs=2, more=5)
        history.step_loss[:] = 1.0  # from which no length of an epoch could be told
        assert "25 of up to 4 rows, 10 an epoch" in write(tmp_path, model, history)
        lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
        assert [line["step"] for line in lines] == [10, 20]
        weight = history.task_weight["click"]
        assert [line["task_weight"]["click"] for line in lines] == [weight[9], weight[19]]

    @pytest.mark.parametrize("blocked", ["report.html", "plots/losses.svg", "plots"])
    def test_no_file_is_half_written(self, model, tmp_path, blocked):
        if blocked == "plots":
            (tmp_path / blocked).write_text("mine")
        else:
            (tmp_path / blocked).mkdir(parents=True)
        with pytest.raises(OSError, match=blocked):
            write(tmp_path, model, history_of(model))
        for path in tmp_path.rglob("*"):
            assert not path.name.endswith(".partial")
            if path.suffix == ".svg" and path.is_file():
                ElementTree.parse(path)

    @pytest.mark.parametrize(
        ("labels", "predictions", "said"),
        [
            ({}, {"a": np.zeros((3, 1))}, "labels: expected an array for task 'a', got none"),
            ({"a": np.zeros(3)}, {}, "predictions: expected an array for task 'a', got none"),
            ({"b": np.zeros(3)}, {}, "labels: expected tasks among a, got 'b'"),
            ({"a": np.zeros(3)}, {"a": np.zeros(3)}, "predictions['a']: expected shape (3, 1), got (3,)"),
            ({"a": np.zeros((3, 2))}, {"a": np.zeros((3, 1))}, "labels['a']: expected shape (3, 1), got (3, 2)"),
        ],
    )
    def test_rows_that_do_not_fit_are_rejected_before_anything_is_written(self, labels, predictions, said, tmp_path):
        model = small_model()
        fields = {"labels": labels, "predictions": predictions}
        assert rejection(write, tmp_path / "new", model, history_of(model), **fields) == said
        assert not (tmp_path / "new").exists()

    def test_a_weight_a_row(self, tmp_path):
        rows = {"labels": {"a": np.zeros(3)}, "predictions": {"a": np.zeros((3, 1))}, "sample_weight": np.ones(2)}
        model = small_model()
        said = rejection(write, tmp_path, model, history_of(model), **rows)
        assert said == "sample_weight: expected shape (3,), got (2,)"
        weights = {"sample_weight": None, "task_weight": {"a": np.ones(4)}}
        said = rejection(write, tmp_path, model, history_of(model), **(rows | weights))
        assert said == "task_weight['a']: expected shape (3,), got (4,)"


class TestEvents:
    def read(self, folder):
        found = EventAccumulator(str(folder), size_guidance={"scalars": 0})
        found.Reload()
        return {tag: [(own.step, own.value) for own in found.Scalars(tag)] for tag in found.Tags()["scalars"]}

    def test_tensorboard_reads_them_back(self, model, history, tmp_path):
        write_events(tmp_path / "events", history)
        write_events(tmp_path / "events", history)  # in the place of the first
        found = self.read(tmp_path / "events")
        metrics = {f"metrics/{task}/{name}" for task, own in history.epochs[0]["metrics"].items() for name in own}
        tasks = list(history.task_loss)
        expected = {"loss/total", *(f"{kind}/{task}" for kind in ("loss", "weight") for task in tasks), *metrics}
        assert set(found) == expected
        steps = list(range(1, 13))
        for tag, curve in {"loss/total": history.step_loss, "loss/click": history.task_loss["click"]}.items():
            assert [step for step, _ in found[tag]] == steps
            np.testing.assert_allclose([value for _, value in found[tag]], curve, rtol=1e-6)
        weight = history.task_weight["click"]
        np.testing.assert_allclose(found["weight/click"], [(6, weight[5]), (12, weight[11])], rtol=1e-6)
        auc = history.epochs[0]["metrics"]["click"]["auc"]
        np.testing.assert_allclose(found["metrics/click/auc"], [(6, auc), (12, auc)], rtol=1e-6)

    def test_the_epochs_of_a_run_that_diverged_in_the_next_end_where_they_ended(self, model, tmp_path):
        history = history_of(model, steps=10, epochs=2, more=5)
        write_events(tmp_path, history)
        weight = history.task_weight["click"]
        np.testing.assert_allclose(self.read(tmp_path)["weight/click"], [(10, weight[9]), (20, weight[19])], rtol=1e-6)

    def test_a_task_may_be_called_total(self, history, tmp_path):
        history.task_loss["total"] = 7.0 * history.step_loss
        write_events(tmp_path, history)
        for tag, curve in {"loss/all tasks": history.step_loss, "loss/total": history.task_loss["total"]}.items():
            np.testing.assert_allclose([value for _, value in self.read(tmp_path)[tag]], curve, rtol=1e-6)

    def test_they_are_written_whole_or_not_at_all(self, model, tmp_path):
        (tmp_path / EVENTS).mkdir()
        with pytest.raises(OSError, match=EVENTS):
            write_events(tmp_path, history_of(model))
        assert [path.name for path in tmp_path.iterdir()] == [EVENTS]

    @pytest.mark.slow
    def test_without_tensorboard_the_command_that_installs_it_is_named_and_the_report_works(self):
        code = """
        from shared_bottom.reports import check_events, write_report
        try:
            check_events()
        except ImportError as error:
            print(error)
        """
        said = "TensorBoard's event files need tensorboard, which is not installed: pip install -e '.[tensorboard]'"
        assert run(code, blocked={"tensorboard", "torch", "jax"}) == said
