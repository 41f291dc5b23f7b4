"""The parameter table: names, order, shapes, and the numbers that training starts from."""

import hashlib
import math
import os
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given

from spec import CategoricalFeature, ModelSpec, TaskSpec, initial_params, parameter_shapes, presets
from spec.params import EMBEDDING_STD, PIECE, check_params
from tests.helpers.strategies import model_specs, repeatable

TUTORIAL = {
    "trunk.0.kernel": (10, 64),
    "trunk.0.bias": (64,),
    "trunk.1.kernel": (64, 32),
    "trunk.1.bias": (32,),
    "trunk.2.kernel": (32, 16),
    "trunk.2.bias": (16,),
    "tasks.task_a.0.kernel": (16, 32),
    "tasks.task_a.0.bias": (32,),
    "tasks.task_a.1.kernel": (32, 3),
    "tasks.task_a.1.bias": (3,),
    "tasks.task_b.0.kernel": (16, 32),
    "tasks.task_b.0.bias": (32,),
    "tasks.task_b.1.kernel": (32, 2),
    "tasks.task_b.1.bias": (2,),
}

MIXED = ModelSpec(
    numeric=3,
    categorical=(
        CategoricalFeature(name="colour", vocabulary=7, dimension=4),
        CategoricalFeature(name="size", vocabulary=5, dimension=2),
    ),
    trunk=(8,),
    tasks=(
        TaskSpec(name="click", kind="binary"),
        TaskSpec(name="region", kind="multiclass", hidden=(6,), outputs=5),
    ),
    normalization="layer",
)
IN_PIECES = ModelSpec(
    numeric=300,
    categorical=(CategoricalFeature(name="user", vocabulary=100_000, dimension=7),),
    trunk=(501,),
    tasks=(TaskSpec(name="click", kind="binary"),),
)
"""A table and a kernel that are drawn in several pieces, the last one short."""
MIXED_SHAPES = {
    "embeddings.colour": (7, 4),
    "embeddings.size": (5, 2),
    "trunk.0.kernel": (9, 8),
    "trunk.0.bias": (8,),
    "trunk.0.norm.scale": (8,),
    "trunk.0.norm.bias": (8,),
    "tasks.click.0.kernel": (8, 1),
    "tasks.click.0.bias": (1,),
    "tasks.region.0.kernel": (8, 6),
    "tasks.region.0.bias": (6,),
    "tasks.region.0.norm.scale": (6,),
    "tasks.region.0.norm.bias": (6,),
    "tasks.region.1.kernel": (6, 5),
    "tasks.region.1.bias": (5,),
}

SHARED = ModelSpec(
    categorical=(
        CategoricalFeature(name="query", vocabulary=7, dimension=4, length=3, table="word"),
        CategoricalFeature(name="colour", vocabulary=6, dimension=2, trainable=False),
        CategoricalFeature(name="title", vocabulary=7, dimension=4, length=2, table="word", pooling="max"),
        CategoricalFeature(name="shade", vocabulary=6, dimension=2, table="colour", trainable=False),
    ),
    trunk=(8,),
    tasks=(TaskSpec(name="click", kind="binary"),),
)
SHARED_SHAPES = {
    "embeddings.word": (7, 4),
    "embeddings.colour": (6, 2),
    "trunk.0.kernel": (12, 8),
    "trunk.0.bias": (8,),
    "tasks.click.0.kernel": (8, 1),
    "tasks.click.0.bias": (1,),
}

LARGE = ModelSpec(
    numeric=400,
    categorical=(CategoricalFeature(name="word", vocabulary=5000, dimension=32),),
    trunk=(300,),
    tasks=(TaskSpec(name="a", kind="regression"),),
    normalization="layer",
)


def digest(params):
    return hashlib.sha256(b"".join(params[name].tobytes() for name in params)).hexdigest()


@pytest.mark.parametrize(
    ("model", "shapes", "numbers"),
    [(presets.tutorial_model(), TUTORIAL, 4565), (MIXED, MIXED_SHAPES, 244), (SHARED, SHARED_SHAPES, 153)],
    ids=["tutorial", "mixed", "shared tables"],
)
def test_the_table(model, shapes, numbers):
    assert list(parameter_shapes(model).items()) == list(shapes.items())
    params = initial_params(model)
    assert [(name, value.shape) for name, value in params.items()] == list(shapes.items())
    assert sum(value.size for value in params.values()) == numbers


@repeatable
@given(model_specs())
def test_initial_params_are_the_table_in_both_precisions(model):
    single, double = (initial_params(model, seed=3, precision=precision) for precision in ("float32", "float64"))
    assert (check_params(model, single), check_params(model, double)) == ("float32", "float64")
    for name, value in single.items():
        np.testing.assert_array_equal(value, double[name].astype(np.float32), err_msg=name)
    drawn = double[f"tasks.{model.tasks[0].name}.0.kernel"]  # in float64, and not a float32 number widened
    assert (drawn != drawn.astype(np.float32)).any()


def test_the_same_seed_gives_the_same_numbers_in_any_process():
    code = (
        "from tests.test_params import MIXED, digest; from spec import initial_params;"
        "print(digest(initial_params(MIXED, seed=5)))"
    )
    for hash_seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        root = Path(__file__).parents[1]
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, env=environment)
        assert run.stdout.strip() == digest(initial_params(MIXED, seed=5)), run.stderr


def test_another_seed_gives_other_numbers():
    one, other = (initial_params(MIXED, seed=seed) for seed in (0, 1))
    for name in MIXED_SHAPES:
        assert np.array_equal(one[name], other[name]) == (".norm." in name), name


def test_parameters_of_one_shape_start_apart():
    params = initial_params(presets.tutorial_model(), seed=0)
    assert not np.array_equal(params["tasks.task_a.0.kernel"], params["tasks.task_b.0.kernel"])
    assert not np.array_equal(params["tasks.task_a.0.bias"], params["trunk.1.bias"])


@pytest.mark.parametrize("initializer", ["torch_default", "he_normal", "lecun_normal", "glorot_uniform"])
@pytest.mark.parametrize(
    "tasks",
    [
        (TaskSpec(name="new", kind="regression", hidden=(6,)), *MIXED.tasks),
        MIXED.tasks[::-1],
        MIXED.tasks[1:],
    ],
    ids=["added", "reordered", "removed"],
)
def test_a_task_does_not_touch_the_numbers_of_others(tasks, initializer):
    one = replace(MIXED, initializer=initializer)
    before, after = (initial_params(model, seed=7) for model in (one, replace(one, tasks=tasks)))
    shared = before.keys() & after.keys()
    assert {name.split(".")[1] for name in shared} >= {"colour", "0", "region"}
    for name in shared:
        np.testing.assert_array_equal(before[name], after[name], err_msg=name)


@pytest.mark.parametrize(
    ("initializer", "std", "bound"),
    [
        ("torch_default", 1 / math.sqrt(3 * 432), 1 / math.sqrt(432)),
        ("he_normal", math.sqrt(2 / 432), math.inf),
        ("lecun_normal", math.sqrt(1 / 432), math.inf),
        ("glorot_uniform", math.sqrt(2 / (432 + 300)), math.sqrt(6 / (432 + 300))),
    ],
)
def test_kernels_have_the_initializers_distribution(initializer, std, bound):
    params = initial_params(replace(LARGE, initializer=initializer), seed=11, precision="float64")
    kernel, bias = params["trunk.0.kernel"], params["trunk.0.bias"]
    largest = np.abs(kernel).max()
    assert abs(kernel.mean()) < 5 * std / math.sqrt(kernel.size)
    assert kernel.std() == pytest.approx(std, rel=0.01)
    assert 0.999 * bound < largest <= bound if math.isfinite(bound) else largest > 4 * std
    if initializer == "torch_default":
        assert bias.std() == pytest.approx(std, rel=0.1)
        assert np.abs(bias).max() <= bound
    else:
        assert not bias.any()


def test_embeddings_and_norms_start_as_documented():
    params = initial_params(LARGE, seed=11, precision="float64")
    table = params["embeddings.word"]
    assert table.std() == pytest.approx(0.05, rel=0.01)
    assert abs(table.mean()) < 5 * 0.05 / math.sqrt(table.size)
    assert np.abs(table).max() > 4 * 0.05
    assert (params["trunk.0.norm.scale"] == 1.0).all()
    assert not params["trunk.0.norm.bias"].any()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"trunk.0.bias": None, "tasks.click.0.bias": None}, ["'trunk.0.bias'", "(8,)", "got none"]),
        ({"trunk.7.bias": np.zeros(2), "x": np.zeros(2)}, ["'trunk.7.bias'", "no entry"]),
        ({"trunk.0.kernel": np.zeros((8, 9), np.float32)}, ["'trunk.0.kernel'", "(9, 8)", "got (8, 9)"]),
        ({"trunk.0.bias": np.zeros((8, 1), np.float32)}, ["'trunk.0.bias'", "(8,)", "got (8, 1)"]),
        ({"tasks.click.0.bias": np.zeros(1)}, ["'tasks.click.0.bias'", "float32", "got float64"]),
        ({"tasks.click.0.bias": np.zeros(1, np.int64)}, ["'tasks.click.0.bias'", "float32", "got int64"]),
        ({"embeddings.colour": np.zeros((7, 4), np.float16)}, ["'embeddings.colour'", "float32", "got float16"]),
    ],
    ids=["missing", "extra", "transposed", "column", "mixed", "integer", "half"],
)
def test_params_that_do_not_fit_are_rejected_by_name(changes, words):
    params = {name: value for name, value in (initial_params(MIXED) | changes).items() if value is not None}
    with pytest.raises(ValueError, match=r"^params") as caught:
        check_params(MIXED, params)
    assert [word for word in words if word not in str(caught.value)] == []


@pytest.mark.parametrize("initializer", ["torch_default", "he_normal", "lecun_normal", "glorot_uniform"])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_what_is_drawn_in_pieces_is_what_one_draw_would_give(initializer, precision):
    model = replace(IN_PIECES, initializer=initializer)
    params = initial_params(model, seed=3, precision=precision)
    table, kernel = params["embeddings.user"], params["trunk.0.kernel"]
    assert min(table.size, kernel.size) > 2 * PIECE
    draw = np.random.default_rng([3, *b"embeddings.user"])
    np.testing.assert_array_equal(table, draw.normal(0.0, EMBEDDING_STD, table.shape).astype(precision), strict=True)
    draw, (fan_in, fan_out) = np.random.default_rng([3, *b"trunk.0.kernel"]), kernel.shape
    expected = {
        "torch_default": lambda: draw.uniform(-1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in), kernel.shape),
        "he_normal": lambda: draw.normal(0.0, math.sqrt(2 / fan_in), kernel.shape),
        "lecun_normal": lambda: draw.normal(0.0, math.sqrt(1 / fan_in), kernel.shape),
        "glorot_uniform": lambda: draw.uniform(-bound, bound, kernel.shape),
    }
    bound = math.sqrt(6 / (fan_in + fan_out))
    np.testing.assert_array_equal(kernel, expected[initializer]().astype(precision), strict=True)


def test_drawing_takes_no_more_memory_than_the_numbers():
    tracemalloc.start()
    try:
        params = initial_params(IN_PIECES)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < sum(value.nbytes for value in params.values()) + 32 * PIECE
