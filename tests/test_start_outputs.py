"""A run that starts from an earlier one: layers, classes and levels that give something else; embeddings from files."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from spec import MMoE, Poisson, Quantile
from tests.helpers.tomorrow import (
    CITY,
    DATA,
    EXPERIMENT,
    LABELS,
    MONDAY,
    TASKS,
    TUESDAY,
    changed,
    started,
    state,
    untrained,
)

pytestmark = pytest.mark.filterwarnings("ignore::shared_bottom.DataWarning")


def of_task(place, **fields):
    tasks = [*TASKS]
    tasks[place] = replace(tasks[place], **fields)
    return {"model": {"tasks": tuple(tasks)}}


def of_label(name, **fields):
    return {"data": {"labels": LABELS | {name: replace(LABELS[name], **fields)}}}


OUTPUTS = {
    "another link": (of_task(1, loss=Poisson()), "tasks.spend.0"),
    "quantiles": (of_task(1, loss=Quantile(levels=(0.5,))), "tasks.spend.0"),
    "a transform": (of_label("spend", transform="log1p"), "tasks.spend.0"),
    "not standardised": (of_label("spend", standardise=False), "tasks.spend.0"),
    "what is positive": (of_label("click", positive="0"), "tasks.click.1"),
    "hidden units": (of_task(0, hidden=(6,)), "tasks.click.1"),
    "a trunk of another width": ({"model": {"trunk": (5, 3)}}, "trunk.1"),
    "what reads a layer that starts anew": ({"model": {"trunk": (6, 4)}}, "trunk.1"),
    "a head behind another trunk": ({"model": {"trunk": (5, 3)}}, "tasks.click.0"),
    "a head behind a trunk that begins otherwise": ({"model": {"trunk": (6, 4)}}, "tasks.plan.0"),
    "a head behind a trunk of fewer layers": ({"model": {"trunk": (4,)}}, "tasks.click.0"),
    "another activation": ({"model": {"activation": "relu"}}, "trunk.0"),
    "another normalization": ({"model": {"normalization": "none"}}, "tasks.spend.0"),
    "another column of truths": (of_label("click", columns=("truth",)), "tasks.click.1"),
    "another column of numbers": (of_label("spend", columns=("w",)), "tasks.spend.0"),
    "another column of classes": (of_label("plan", columns=("letter",)), "tasks.plan.0"),
    "another way of sharing": ({"model": {"sharing": MMoE(experts=2)}}, "experts.0.0"),
}


@pytest.mark.parametrize(("changes", "layer"), OUTPUTS.values(), ids=OUTPUTS)
def test_a_layer_that_gives_something_else_starts_anew(changes, layer):
    rows = MONDAY | {"truth": [0, 1] * 3, "letter": [*"cabcab"]}
    _, fresh, start = started(untrained(EXPERIMENT), changed(**changes), rows)
    assert state(start, layer)[0] == "started anew"
    for part in ("kernel", "bias"):
        np.testing.assert_array_equal(start.params[f"{layer}.{part}"], fresh[f"{layer}.{part}"])
    np.testing.assert_array_equal(start.params["embeddings.item"], untrained(EXPERIMENT).params["embeddings.item"])


def test_a_gate_knows_experts_that_start_anew_no_more():
    sharing = {"sharing": MMoE(experts=2)}
    _, fresh, start = started(untrained(changed(model=sharing)), changed(model=sharing | {"trunk": (5, 3)}), MONDAY)
    assert state(start, "gates.click")[0] == "started anew"
    np.testing.assert_array_equal(start.params["gates.click.kernel"], fresh["gates.click.kernel"])


CLASSES = {
    "new ones come last": ({}, ("a", "b", "c", "Z")),
    "listed ones are in their order": (of_label("plan", classes=("Z", "c", "a")), ("Z", "c", "a")),
}


@pytest.mark.parametrize(("changes", "expected"), CLASSES.values(), ids=CLASSES)
def test_classes_grow_and_their_outputs_follow_them(changes, expected):
    """The new rows have no a, and a Z."""
    earlier = untrained(EXPERIMENT)
    rows = TUESDAY | {"plan": ["b", "Z", "c", "c", "b", "c"]}
    now, fresh, start = started(earlier, changed(**changes), rows)
    assert now.columns.classes["plan"] == expected
    for place, value in enumerate(expected):
        known = earlier.columns.classes["plan"]
        column = fresh["tasks.plan.0.kernel"][:, place]
        if value in known:
            column = earlier.params["tasks.plan.0.kernel"][:, known.index(value)]
        np.testing.assert_array_equal(now.params["tasks.plan.0.kernel"][:, place], column)
    assert state(start, "tasks.plan.0")[0] == "grown"


def test_levels_are_outputs_by_their_number():
    earlier = untrained(changed(**of_task(1, loss=Quantile(levels=(0.1, 0.5)))))
    now, fresh, start = started(earlier, changed(**of_task(1, loss=Quantile(levels=(0.5, 0.9)))))
    kernel = now.params["tasks.spend.0.kernel"]
    np.testing.assert_array_equal(kernel[:, 0], earlier.params["tasks.spend.0.kernel"][:, 1])
    np.testing.assert_array_equal(kernel[:, 1], fresh["tasks.spend.0.kernel"][:, 1])
    assert state(start, "tasks.spend.0") == ("grown", {"outputs": 1}, {"outputs": 1}, {"outputs": 1})


@pytest.mark.parametrize("trainable", [True, False])
def test_given_embeddings_are_those_of_their_file(tmp_path, trainable):
    vectors = {"Oslo": [1.0, 2.0], "Zug": [3.0, 4.0]}
    parquet.write_table(pa.table({"value": [*vectors], "vector": [*vectors.values()]}), tmp_path / "v.parquet")
    column = replace(CITY, embeddings=str(tmp_path / "v.parquet"), trainable=trainable)
    earlier = untrained(EXPERIMENT)
    now, fresh, start = started(earlier, changed(data={"categorical": (column, *DATA.categorical[1:])}))
    table, values = now.params["embeddings.city"], now.columns.vocabularies["city"]
    assert values == (("Bern", "Oslo", "Rome", "Aarhus", "Zug") if trainable else ("Oslo", "Zug"))
    for value, vector in vectors.items():
        np.testing.assert_array_equal(table[1 + values.index(value)], np.float32(vector))
    if trainable:
        np.testing.assert_array_equal(table[[0, 1, 3]], earlier.params["embeddings.city"][[0, 1, 3]])
        assert state(start, "embeddings.city") == ("grown", {"values": 2}, {"values": 3}, {"values": 0})
    else:
        np.testing.assert_array_equal(table, fresh["embeddings.city"])
        assert state(start, "embeddings.city")[0] == "given"


def test_parameters_are_rounded_to_the_precision_of_the_new_run():
    earlier = untrained(EXPERIMENT)
    wide = {name: value.astype(np.float64) / 3 for name, value in earlier.params.items()}
    now, _, _ = started(replace(earlier, params=wide), EXPERIMENT)
    assert {value.dtype for value in now.params.values()} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(now.params["trunk.1.kernel"], np.float32(wide["trunk.1.kernel"]))
