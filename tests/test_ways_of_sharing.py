"""The parameters of each way of sharing: names and shapes, which of them several tasks share, and how they lie."""

from dataclasses import replace

import numpy as np
import pytest

from backends.layout import layout_of
from spec import PLE, MMoE, ModelSpec, Separate, SharedBottom, TaskSpec, initial_params, parameter_shapes
from spec.params import last_shared_parameters, shared_parameters
from spec.sharing import WAYS
from tests.helpers.parity import FEATURES, compare_params
from tests.helpers.plain_sharing import last_shared_kernels, of_one_task
from tests.helpers.sharing_models import SHARINGS, TASKS, model_of

MODEL = ModelSpec(
    numeric=3,
    categorical=FEATURES[:1],
    trunk=(5, 4),
    tasks=(TaskSpec(name="a", kind="binary", hidden=(2,)), TaskSpec(name="b", kind="multiclass", outputs=3)),
)
"""Six inputs."""
TABLE, HEADS = (
    {"embeddings.colour": (5, 3)},
    {
        "tasks.a.0.kernel": (4, 2),
        "tasks.a.0.bias": (2,),
        "tasks.a.1.kernel": (2, 1),
        "tasks.a.1.bias": (1,),
        "tasks.b.0.kernel": (4, 3),
        "tasks.b.0.bias": (3,),
    },
)


def stack(name, inputs=6):
    """An expert's parameters."""
    shapes = {"0.kernel": (inputs, 5), "0.bias": (5,), "1.kernel": (5, 4), "1.bias": (4,)}
    return {f"{name}.{part}": shape for part, shape in shapes.items()}


BETWEEN = {
    SharedBottom(): stack("trunk"),
    Separate(): stack("tasks.a.trunk") | stack("tasks.b.trunk"),
    MMoE(experts=2): stack("experts.0") | stack("experts.1") | {"gates.a.kernel": (6, 2), "gates.b.kernel": (6, 2)},
    PLE(shared_experts=1, task_experts=2): stack("levels.0.shared.0")
    | stack("levels.0.a.0")
    | stack("levels.0.a.1")
    | stack("levels.0.b.0")
    | stack("levels.0.b.1")
    | {"levels.0.gates.a.kernel": (6, 3), "levels.0.gates.b.kernel": (6, 3)},
    PLE(shared_experts=2, task_experts=1, levels=2): stack("levels.0.shared.0")
    | stack("levels.0.shared.1")
    | stack("levels.0.a.0")
    | stack("levels.0.b.0")
    | {"levels.0.gates.a.kernel": (6, 3), "levels.0.gates.b.kernel": (6, 3), "levels.0.gates.shared.kernel": (6, 4)}
    | stack("levels.1.shared.0", 4)
    | stack("levels.1.shared.1", 4)
    | stack("levels.1.a.0", 4)
    | stack("levels.1.b.0", 4)
    | {"levels.1.gates.a.kernel": (4, 3), "levels.1.gates.b.kernel": (4, 3)},
}
"""By way: what stands between the tables and the heads."""


def test_every_way_has_its_table():
    assert {type(way) for way in BETWEEN} == set(WAYS) == {type(way) for way in SHARINGS.values()}


@pytest.mark.parametrize("way", BETWEEN, ids=lambda way: f"{way.kind}-{way.levels}")
def test_names_and_shapes_in_network_order(way):
    shapes = parameter_shapes(replace(MODEL, sharing=way))
    assert list(shapes.items()) == list((TABLE | BETWEEN[way] | HEADS).items())


@pytest.mark.parametrize("way", BETWEEN, ids=lambda way: f"{way.kind}-{way.levels}")
def test_every_expert_has_layer_norm_and_no_gate_has(way):
    shapes = parameter_shapes(replace(MODEL, sharing=way, normalization="layer"))
    normed = {name.removesuffix(".norm.scale") for name in shapes if name.endswith(".norm.scale")}
    hidden = {name.removesuffix(".kernel") for name in BETWEEN[way] if name.endswith("kernel") and "gates" not in name}
    assert normed == hidden | {"tasks.a.0"}


@pytest.mark.parametrize("tasks", TASKS)
@pytest.mark.parametrize("way", SHARINGS)
def test_what_several_tasks_share(way, tasks):
    model = model_of(way, tasks)
    shapes = parameter_shapes(model)
    assert shared_parameters(model) == [name for name in shapes if not of_one_task(model, name)]
    assert sorted(last_shared_parameters(model)) == sorted(last_shared_kernels(model))
    assert set(last_shared_parameters(model)) <= set(shared_parameters(model))


def test_what_several_tasks_share_of_two_levels():
    """The experts of a task in the first level serve the other, through the shared gate; the task's gate does not."""
    model = replace(MODEL, sharing=PLE(shared_experts=1, task_experts=1, levels=2))
    first = [f"levels.0.{owner}.0" for owner in ("shared", "a", "b")]
    shared = [name for expert in first for name in stack(expert)]
    shared += ["levels.0.gates.shared.kernel", *stack("levels.1.shared.0")]
    assert shared_parameters(model) == ["embeddings.colour", *shared]
    assert last_shared_parameters(model) == ["levels.1.shared.0.1.kernel"]


def test_the_head_of_a_task_that_another_is_given_serves_both():
    given = TaskSpec(name="c", kind="binary", given="a")
    model = replace(MODEL, tasks=(*MODEL.tasks, given), sharing=Separate())
    of_a = [*stack("tasks.a.trunk"), "tasks.a.0.kernel", "tasks.a.0.bias", "tasks.a.1.kernel", "tasks.a.1.bias"]
    assert shared_parameters(model) == ["embeddings.colour", *of_a]


@pytest.mark.parametrize("lazy_batch", [None, 4], ids=["dense", "lazy"])
@pytest.mark.parametrize("tasks", TASKS)
@pytest.mark.parametrize("way", SHARINGS)
def test_the_layout_knows_where_they_lie(way, tasks, lazy_batch):
    """Each piece of the vector, and what GradNorm measures, are the parameters that the spec says, and no others."""
    model = model_of(way, tasks)
    layout = layout_of(model, lazy_batch)
    shared, last = (
        {name: np.full(shape, float(name in names)) for name, shape in parameter_shapes(model).items()}
        for names in (shared_parameters(model), last_shared_parameters(model))
    )
    of_several = np.concatenate([np.full(piece.stop - piece.start, several) for piece, several in layout.pieces])
    of_last = np.zeros(layout.size)
    of_last[layout.last_shared] = 1.0
    lazily = layout.lazy_size  # these rows are 0 in a vector of parameters
    assert of_several[:lazily].all()
    np.testing.assert_array_equal(of_several[lazily:], layout.to_vector(shared)[lazily:])
    np.testing.assert_array_equal(of_last[lazily:], layout.to_vector(last)[lazily:])
    assert of_last[:lazily].all() or way != "separate"


@pytest.mark.parametrize("way", SHARINGS)
def test_a_layout_gives_back_what_it_was_given(way):
    model = model_of(way, normalization="layer")
    params = initial_params(model, seed=1)
    layout = layout_of(model)
    compare_params(layout.to_params(layout.to_vector(params)), params, 0)
    assert list(layout.by_task([np.zeros(head.layers[0].members or (1,)) for head in layout.heads])) == [
        task.name for task in model.tasks
    ]


@pytest.mark.parametrize("initializer", ["torch_default", "he_normal", "glorot_uniform"])
def test_a_parameter_starts_with_numbers_of_its_name_alone(initializer):
    """Whatever else the network has; of a gate's kernel and an expert's, as of every other."""
    few, many = (
        initial_params(replace(MODEL, initializer=initializer, sharing=way), seed=3)
        for way in (PLE(shared_experts=1, task_experts=1), PLE(shared_experts=1, task_experts=1, levels=2))
    )
    assert set(few) < set(many)
    compare_params({name: many[name] for name in few}, few, 0)
    gate = few["levels.0.gates.a.kernel"].ravel()
    draw = np.random.default_rng([3, *b"levels.0.gates.a.kernel"])
    expected = {
        "torch_default": lambda: draw.uniform(-(6**-0.5), 6**-0.5, 12),
        "he_normal": lambda: draw.normal(0.0, (2 / 6) ** 0.5, 12),
        "glorot_uniform": lambda: draw.uniform(-((6 / 8) ** 0.5), (6 / 8) ** 0.5, 12),
    }[initializer]()
    np.testing.assert_array_equal(gate, expected.astype(np.float32))


def test_no_two_parameters_start_alike():
    params = initial_params(model_of("ple of 3 levels"), seed=0, precision="float64")
    firsts = [value.flat[0] for value in params.values()]
    assert len(set(firsts)) == len(firsts)


def test_a_network_that_names_no_way_is_shared_bottom():
    """Its parameters start as they always did: by the generator of their name."""
    assert MODEL.sharing == SharedBottom()
    params = initial_params(MODEL, seed=0, precision="float64")
    compare_params(params, initial_params(replace(MODEL, sharing=SharedBottom()), seed=0, precision="float64"), 0)
    for name in ("trunk.0.kernel", "trunk.0.bias", "tasks.a.0.kernel"):
        bound = 1 / np.sqrt(parameter_shapes(MODEL)[f"{name.rpartition('.')[0]}.kernel"][0])
        drawn = np.random.default_rng([0, *name.encode()]).uniform(-bound, bound, params[name].size)
        np.testing.assert_array_equal(params[name].ravel(), drawn)
