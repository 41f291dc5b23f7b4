"""A run that starts from an earlier one: what the earlier network has learnt means the same, wherever it stands now."""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest

from shared_bottom.start import take_over
from shared_bottom.tables.rows import fit_columns, read_rows
from shared_bottom.trained import Trained
from spec import (
    PLE,
    LabelColumn,
    MMoE,
    NumericColumn,
    SharedBottom,
    TaskSpec,
    TimeColumn,
    initial_params,
)
from tests.helpers.tomorrow import (
    BEFORE,
    CITY,
    DATA,
    EXPERIMENT,
    LABELS,
    MONDAY,
    TASKS,
    TUESDAY,
    changed,
    logits,
    started,
    state,
    untrained,
)

pytestmark = pytest.mark.filterwarnings("ignore::shared_bottom.DataWarning")
WAYS = [SharedBottom(), MMoE(experts=2), PLE(levels=2, shared_experts=1, task_experts=1)]
BUY = TaskSpec(name="buy", kind="binary")


@pytest.mark.parametrize("sharing", WAYS, ids=lambda way: way.kind)
def test_old_rows_are_predicted_as_before_whatever_the_new_rows_have(sharing):
    """Values that are new, other scales, and columns in another order."""
    earlier = untrained(changed(model={"sharing": sharing}))
    data = {"numeric": DATA.numeric[::-1], "categorical": DATA.categorical[::-1]}
    tomorrow = changed(data=data, model={"sharing": sharing}, train={"seed": 7})
    now, _, start = started(earlier, tomorrow, TUESDAY | {"z": MONDAY["z"]})
    before = logits(earlier)
    for task, output in logits(now).items():
        np.testing.assert_allclose(output, before[task], atol=1e-6)
    assert {part.state for part in start.parts} == {"taken over", "grown"}
    assert start.new_inputs == start.left_out_inputs == ()


@pytest.mark.parametrize("sharing", WAYS, ids=lambda way: way.kind)
def test_a_task_more_and_a_task_less_leave_the_others_as_they_were(sharing):
    earlier = untrained(changed(model={"sharing": sharing}))
    tasks, labels = (BUY, TASKS[2], TASKS[0]), {**LABELS, "buy": LabelColumn(columns=("click",))}
    del labels["spend"]
    now, fresh, start = started(earlier, changed(data={"labels": labels}, model={"tasks": tasks, "sharing": sharing}))
    if sharing.kind == "shared_bottom":  # elsewhere, the experts and gates of a task are part of what others take
        before, after = logits(earlier), logits(now)
        for task in ("plan", "click"):
            np.testing.assert_allclose(after[task], before[task], atol=1e-6)
    np.testing.assert_array_equal(now.params["tasks.buy.0.kernel"], fresh["tasks.buy.0.kernel"])
    np.testing.assert_array_equal(now.params["tasks.click.0.kernel"], earlier.params["tasks.click.0.kernel"])
    assert state(start, "tasks.buy.0") == ("started anew", {}, {"outputs": 1}, {})
    assert state(start, "tasks.spend.0") == ("left out", {}, {}, {"outputs": 1})
    if sharing.kind == "ple":  # a gate of the lowest level looks at every task's experts
        taken, new, left_out = ({"inputs": 18, "experts": 3}, {"inputs": 1, "experts": 1}, {"inputs": 0, "experts": 1})
        assert state(start, "levels.0.gates.shared") == ("grown", taken, new, left_out)


def test_vocabularies_grow_at_their_end():
    earlier = untrained(EXPERIMENT)
    now, fresh, start = started(earlier, changed(data={"categorical": (replace(CITY, minimum_count=2), BEFORE)}))
    assert earlier.columns.vocabularies == {"city": ("Bern", "Oslo", "Rome"), "item": ("cup", "hat", "pen")}
    assert now.columns.vocabularies["city"] == ("Bern", "Oslo", "Rome", "Aarhus"), "Zug is rare; Bern is not forgotten"
    assert now.columns.vocabularies["item"] == ("cup", "hat", "pen", "bag", "ink")
    for table, known in (("city", 4), ("item", 4)):
        name = f"embeddings.{table}"
        np.testing.assert_array_equal(now.params[name][:known], earlier.params[name])
        np.testing.assert_array_equal(now.params[name][known:], fresh[name][known:])
    assert state(start, "embeddings.city") == ("grown", {"values": 3}, {"values": 1}, {"values": 0})
    summary = {column.name: column for column in now.columns.summary}["city"]
    assert (summary.distinct, summary.kept, summary.unknown) == (3, 4, 1 / 6)


def test_scales_quantiles_and_edges_are_taken_over_and_indicators_are_added():
    earlier = untrained(EXPERIMENT)
    now, fresh, start = started(earlier, EXPERIMENT)
    assert now.columns.numeric == earlier.columns.numeric
    assert now.columns.quantiles == earlier.columns.quantiles
    assert now.columns.bins == earlier.columns.bins
    assert now.columns.labels == earlier.columns.labels
    assert (earlier.columns.indicators, now.columns.indicators) == (("y",), ("y", "z"))
    numbers = {column.name: column.mean for column in now.columns.summary if column.name in ("x", "spend")}
    assert numbers == {"x": np.mean(TUESDAY["x"]), "spend": np.mean(TUESDAY["spend"])}, "of the rows, for a reader"
    assert state(start, "trunk.0") == ("grown", {"inputs": 18}, {"inputs": 1}, {"inputs": 0})
    assert start.new_inputs == ("z",)
    place = now.columns.numeric_width - 1
    np.testing.assert_array_equal(now.params["trunk.0.kernel"][place], fresh["trunk.0.kernel"][place])
    rest = np.delete(now.params["trunk.0.kernel"], place, axis=0)
    np.testing.assert_array_equal(rest, earlier.params["trunk.0.kernel"])


def test_columns_are_added_and_left_out_by_their_name():
    earlier = untrained(EXPERIMENT)
    numeric = (NumericColumn(name="w", transform="log1p"), *DATA.numeric[:2])
    now, fresh, start = started(earlier, changed(data={"numeric": numeric, "categorical": DATA.categorical[1:]}))
    assert start.new_inputs == ("w",)
    assert start.left_out_inputs == ("z", "city")
    assert state(start, "trunk.0") == ("grown", {"inputs": 14}, {"inputs": 1}, {"inputs": 4})
    assert state(start, "embeddings.city") == ("left out", {}, {}, {"values": 3})
    kernel, old = now.params["trunk.0.kernel"], earlier.params["trunk.0.kernel"]
    np.testing.assert_array_equal(kernel[0], fresh["trunk.0.kernel"][0])
    np.testing.assert_array_equal(kernel[1:3], old[:2])
    np.testing.assert_array_equal(kernel[-2:], old[-2:])
    np.testing.assert_array_equal(now.params["trunk.0.bias"], earlier.params["trunk.0.bias"])


def of_x(**fields):
    return {"data": {"numeric": (NumericColumn(name="x", **fields), *DATA.numeric[1:])}}


def of_categorical(place, **fields):
    columns = [*DATA.categorical]
    columns[place] = replace(columns[place], **fields)
    return {"data": {"categorical": tuple(columns)}}


OTHERWISE = {
    "a transform": (of_x(transform="quantile"), ("x",)),
    "not standardised": (of_x(standardise=False), ("x",)),
    "bins": (of_x(bins=2), ("x",)),
    "a dimension": (of_categorical(0, dimension=3), ("city",)),
    "hashed": (of_categorical(0, encoding="hash", buckets=3), ("city",)),
    "other buckets": (of_categorical(3, buckets=5), ("campaign",)),
    "a pooling": (of_categorical(2, pooling="mean"), ("before",)),
    "a part of a time": (
        {"data": {"time": (TimeColumn(name="seen", parts=("elapsed_days", "hour")),)}},
        ("seen_hour",),
    ),
}


@pytest.mark.parametrize(
    "changes", [*(changes for changes, _ in OTHERWISE.values()), *({"model": {"sharing": way}} for way in WAYS)]
)
def test_the_same_experiment_takes_over_all(changes):
    earlier = untrained(changed(**changes))
    now, _, start = started(earlier, changed(**changes), MONDAY)
    assert now.columns == earlier.columns
    assert now.params.keys() == earlier.params.keys()
    for name, value in earlier.params.items():
        np.testing.assert_array_equal(now.params[name], value, err_msg=name)
    assert {part.state for part in start.parts} == {"taken over"}
    assert not any(count for part in start.parts for count in (*part.new.values(), *part.left_out.values()))


@pytest.mark.parametrize(("changes", "columns"), OTHERWISE.values(), ids=OTHERWISE)
def test_a_column_that_is_encoded_otherwise_enters_anew(changes, columns):
    _, fresh, start = started(untrained(EXPERIMENT), changed(**changes), MONDAY)
    assert start.new_inputs == columns
    assert state(start, "trunk.0")[0] == "grown"
    for name in ("city", "campaign"):
        if name in columns:
            assert state(start, f"embeddings.{name}")[0] == "started anew"
            np.testing.assert_array_equal(start.params[f"embeddings.{name}"], fresh[f"embeddings.{name}"])


LACKING = {
    "a number": ("x", {}),
    "a number with quantiles": ("y", {}),
    "a number with bins": ("z", {}),
    "a value": ("city", {}),
    "a truth": ("click", {}),
    "the positive truth": ("click", {"labels": LABELS | {"click": LabelColumn(columns=("click",), positive="1")}}),
    "a label that is a number": ("spend", {}),
    "a class": ("plan", {}),
    "a listed class": ("plan", {"labels": LABELS | {"plan": LabelColumn(columns=("plan",), classes=("c", "b", "a"))}}),
}


@pytest.mark.parametrize(("column", "data"), LACKING.values(), ids=LACKING)
def test_a_day_may_be_without_what_the_earlier_run_knows(column, data):
    spec = changed(data=data)
    earlier, rows = untrained(spec), MONDAY | {column: [None] * 5 + [0 if data and column == "click" else None]}
    with pytest.raises(ValueError, match="expected") if column != "city" else nullcontext():
        fit_columns(spec, rows)
    now, _, _ = started(earlier, spec, rows)
    for field in ("numeric", "quantiles", "bins", "vocabularies", "classes", "labels"):
        assert getattr(now.columns, field) == getattr(earlier.columns, field)
    (summary,) = (summary for summary in now.columns.summary if summary.name == column)
    assert summary.missing >= 5
    assert read_rows(now.columns, rows).rows == 6


def test_values_of_an_earlier_version_are_those_of_this_one():
    """It wrote 3.0 where this one writes 3, and told apart what is one value now."""
    city, plan = ("3.0", "Oslo", "TRUE", "true"), ("1.0", "2.0", "x")
    rows = MONDAY | {"city": ["Oslo", "4", "TRUE", "x", "3", "Oslo"], "plan": ["1", "2", "x", "1", "2", "3"]}
    columns = untrained(EXPERIMENT).columns
    columns = replace(
        columns, vocabularies=columns.vocabularies | {"city": city}, classes=columns.classes | {"plan": plan}
    )
    model = columns.model(EXPERIMENT.model)
    earlier = Trained(columns=columns, model=model, params=initial_params(model, seed=5))
    now, fresh, start = started(earlier, EXPERIMENT, rows)
    assert now.columns.vocabularies["city"] == ("3", "Oslo", "true", "4", "x")
    assert now.columns.classes["plan"] == ("1", "2", "x", "3")
    table = now.params["embeddings.city"]
    np.testing.assert_array_equal(table[:4], earlier.params["embeddings.city"][:4])
    np.testing.assert_array_equal(table[4:], fresh["embeddings.city"][4:])
    kernel = now.params["tasks.plan.0.kernel"]
    np.testing.assert_array_equal(kernel[:, :3], earlier.params["tasks.plan.0.kernel"])
    assert state(start, "embeddings.city") == ("grown", {"values": 3}, {"values": 2}, {"values": 0})


def test_columns_that_were_learnt_without_the_earlier_run_are_not_taken_for_its():
    """Their inputs have other scales, and their vocabularies another order."""
    earlier, other = untrained(EXPERIMENT), untrained(EXPERIMENT, TUESDAY, seed=1)
    start = take_over(earlier, other.columns, other.model, dict(other.params), {})
    assert start.new_inputs == ("x", "z")
    oslo = 1 + other.columns.vocabularies["city"].index("Oslo")
    np.testing.assert_array_equal(start.params["embeddings.city"][oslo], earlier.params["embeddings.city"][2])
