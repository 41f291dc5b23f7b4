"""What the plots of a report show: their lines, bins and labels, not their pixels."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from shared_bottom.reports import curves, outcomes
from shared_bottom.reports.rows import rows_by_task
from shared_bottom.reports.style import INK, PALETTE, colours
from spec import TaskSpec
from tests.helpers.builders import model as small_model
from tests.helpers.builders import tasks_of
from tests.helpers.histories import history_of


@pytest.fixture
def rows(model, data, predictions):
    return rows_by_task(model, data.labels, predictions, data.sample_weight)


class TestCurves:
    def test_losses_are_the_history_and_epochs_are_marked(self, model, history):
        axes = curves.losses(history).axes
        assert [own.get_title() for own in axes] == ["total", *history.task_loss]
        for own, loss in zip(axes, [history.step_loss, *history.task_loss.values()], strict=True):
            line, *marks = own.lines
            np.testing.assert_array_equal(line.get_xdata(), np.arange(1, 13))
            np.testing.assert_array_equal(line.get_ydata(), loss)
            assert [mark.get_xdata()[0] for mark in marks] == [6.5, 6]  # between the epochs; the best one's end

    def test_a_task_may_be_called_total(self, history):
        history.task_loss["total"] = 7.0 * history.step_loss
        axes = curves.losses(history).axes
        assert [own.get_title() for own in axes] == ["all tasks", *history.task_loss]
        np.testing.assert_array_equal(axes[0].lines[0].get_ydata(), history.step_loss)
        assert axes[0].lines[0].get_color() == INK

    def test_many_steps_have_a_running_mean_of_the_finite_ones(self, model):
        history = history_of(model, steps=500)
        history.step_loss[[100, 700]] = np.nan, np.inf
        raw, mean, *_ = curves.losses(history).axes[0].lines
        assert np.isnan(raw.get_ydata()[[100, 700]]).all()
        assert np.isfinite(mean.get_ydata()).all()
        np.testing.assert_allclose(mean.get_ydata()[400], history.step_loss[390:410].mean())
        assert curves.losses(history).axes[0].texts[0].get_text() == "off the scale: 2"

    def test_task_weights(self, history):
        axes = curves.task_weights(history).axes
        for own, weight in zip(axes, history.task_weight.values(), strict=True):
            np.testing.assert_array_equal(own.lines[0].get_ydata(), weight)

    def test_metrics_of_one_epoch_are_markers(self, model, history):
        one = history_of(model, epochs=1, metrics=history.epochs[0]["metrics"])
        axes = curves.metrics(one).axes
        assert [own.get_title() for own in axes][:3] == ["click · auc", "click · log_loss", "price · rmse"]
        assert {own.lines[0].get_marker() for own in axes} == {"o"}
        assert axes[0].lines[0].get_ydata() == [history.epochs[0]["metrics"]["click"]["auc"]]

    def test_a_task_has_one_colour_everywhere(self, model, history, rows):
        colour = colours(task.name for task in model.tasks)
        assert list(colour.values()) == list(PALETTE[:5])
        assert [own.lines[0].get_color() for own in curves.losses(history).axes[1:]] == list(colour.values())
        drawn = [own.lines[1].get_color() for own in outcomes.roc(rows, colour).axes]
        assert drawn == [colour["click"], colour["buy"]]

    def test_sixty_four_tasks_all_have_a_panel(self):
        model = small_model(tasks=tasks_of("binary", 64))
        assert len(curves.losses(history_of(model)).axes) == 65

    @pytest.mark.parametrize(("epochs", "marks"), [(0, []), (1, [10.5]), (2, [10.5, 20.5]), (40, [])])
    def test_the_epochs_of_a_run_that_diverged_in_the_next_are_marked(self, model, epochs, marks):
        history = history_of(model, steps=10, epochs=epochs, more=5)
        history.step_loss[:] = 1.0  # from which no length of an epoch could be told
        figure = curves.losses(history)
        assert [line.get_xdata()[0] for line in figure.axes[0].lines if len(line.get_xdata()) == 2] == marks
        labels = {axes.get_xlabel() for axes in figure.axes} - {""}
        assert labels == {"step (10 an epoch)" if epochs else "step"}


class TestOutcomes:
    def test_the_roc_names_the_weighted_area(self, model, data, predictions, rows):
        own = outcomes.roc(rows, colours(predictions)).axes[0]
        counts = ~np.isnan(data.labels["click"]) & (data.sample_weight > 0)
        weight = data.sample_weight[counts]
        area = roc_auc_score(data.labels["click"][counts], predictions["click"][counts], sample_weight=weight)
        assert own.lines[1].get_label() == f"AUC {area:.4f}"
        curve = np.trapezoid(own.lines[1].get_ydata(), own.lines[1].get_xdata())
        np.testing.assert_allclose(curve, area)

    def test_calibration_of_a_perfect_forecast_is_the_diagonal(self):
        model = small_model(tasks=tasks_of("binary", 1))
        predicted = np.repeat(np.arange(0.05, 1.0, 0.1), 20)
        label = np.concatenate([np.arange(20) < round(20 * p) for p in np.arange(0.05, 1.0, 0.1)]).astype(float)
        found = outcomes.calibration(rows_by_task(model, {"t0": label}, {"t0": predicted}, None), {"t0": "red"})
        np.testing.assert_allclose(*found.axes[0].lines[1].get_data())
        assert len(found.axes[0].lines[1].get_xdata()) == 10

    def test_confusion_is_by_class_and_weight(self):
        model = small_model(tasks=tasks_of("multiclass", 1))
        label, found = np.array([0, 0, 1, 2, -1]), np.eye(3)[[0, 1, 1, 0, 2]]
        weight = np.array([3.0, 1.0, 1.0, 1.0, 1.0])
        for classes, names in (({"t0": ["tv", "phone", "tablet"]}, ["tv", "phone", "tablet"]), (None, ["0", "1", "2"])):
            rows = rows_by_task(model, {"t0": label}, {"t0": found}, weight, classes)
            axes = outcomes.confusion(rows, {"t0": "red"}).axes[0]
            np.testing.assert_allclose(axes.images[0].get_array(), [[0.75, 0.25, 0], [0, 1, 0], [1, 0, 0]])
            assert [text.get_text() for text in axes.get_xticklabels()] == names
            assert [text.get_text() for text in axes.get_yticklabels()] == names

    def test_of_many_classes_some_are_named(self):
        model = small_model(tasks=(TaskSpec(name="a", kind="multiclass", outputs=12),))
        label, names = np.arange(12), [f"shop {i}" for i in range(12)]
        rows = rows_by_task(model, {"a": label}, {"a": np.eye(12)}, None, {"a": names})
        axes = outcomes.confusion(rows, {"a": "red"}).axes[0]
        for ticks, labels in ((axes.get_xticks(), axes.get_xticklabels()), (axes.get_yticks(), axes.get_yticklabels())):
            assert list(ticks) == [0, 2, 4, 6, 8, 10]
            assert [label.get_text() for label in labels] == names[::2]
        assert not axes.texts

    def test_the_outputs_of_a_regression_have_their_names(self):
        model = small_model(tasks=tasks_of("regression", 1))
        label = np.arange(12.0).reshape(4, 3)
        for names, titles in (
            ({"t0": ["p", "q", "s"]}, ["t0[p]", "t0[q]", "t0[s]"]),
            (None, ["t0[0]", "t0[1]", "t0[2]"]),
        ):
            rows = rows_by_task(model, {"t0": label}, {"t0": label}, None, names)
            assert [axes.get_title() for axes in outcomes.regression(rows, {"t0": "red"}).axes] == titles

    @pytest.mark.parametrize(("count", "hexagons"), [(50, False), (3000, True)])
    def test_regression(self, count, hexagons):
        model = small_model()
        label = np.linspace(0.0, 9.0, count)
        label[3] = np.nan
        (own,) = outcomes.regression(rows_by_task(model, {"a": label}, {"a": label[:, None]}, None), {"a": "red"}).axes
        assert own.texts[0].get_text() == "R² 1.000"
        if hexagons:
            assert own.collections[0].get_array().sum() == count - 1
        else:
            np.testing.assert_array_equal(own.lines[0].get_data(), [np.delete(label, 3)] * 2)

    @pytest.mark.parametrize(
        ("label", "predicted", "note"),
        [(np.nan, 0.5, "no row has a label"), (1.0, 0.5, "all 9 labels are 1"), (1.0, np.nan, "a prediction is not")],
    )
    def test_what_cannot_be_drawn_is_said(self, label, predicted, note):
        model = small_model(tasks=tasks_of("binary", 1))
        rows = rows_by_task(model, {"t0": np.full(9, label)}, {"t0": np.full(9, predicted)}, None)
        assert outcomes.roc(rows, {"t0": "red"}).axes[0].texts[0].get_text().startswith(note)
