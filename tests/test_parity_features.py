"""Lists of ids, shared tables, frozen tables and task weights: every backend, execution and optimizer has one curve."""

from dataclasses import replace

import numpy as np
import pytest

from shared_bottom.checkpoint.folder import load_checkpoint
from spec import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    CategoricalFeature,
    DynamicWeightAverage,
    GradNorm,
    PCGrad,
    RMSprop,
    TrainSpec,
    UncertaintyWeighting,
    initial_params,
    load_backend,
)
from tests.helpers.backends import BACKENDS, each_backend, each_pair, each_way
from tests.helpers.parity import (
    KINDS,
    LISTS,
    PARAMS_RTOL,
    RTOL,
    both,
    compare_curves,
    compare_params,
    example_data,
    example_model,
    fit,
)
from tests.helpers.plain import central_differences

MODEL = example_model("tied", categorical=LISTS, normalization="layer", dropout=0.2)
DATA = example_data(MODEL, 60, missing=True, weighted=True)
TRAIN = TrainSpec(
    optimizer=SGD(learning_rate=0.05, momentum=0.9, weight_decay=0.01),
    clip_norm=0.5,
    batch_size=16,
    epochs=5,
    precision="float64",
)
"""Three batches of 16 and one of 12 an epoch: 20 steps, all of them clipped."""
FROZEN = "embeddings.place"

OPTIMIZERS = [
    TRAIN.optimizer,
    Adam(learning_rate=3e-3, weight_decay=0.01),
    AdamW(learning_rate=3e-3, weight_decay=0.1),
    Adagrad(initial_accumulator=0.1, weight_decay=0.01),
    RMSprop(learning_rate=1e-3, momentum=0.5, weight_decay=0.01),
]
BALANCINGS = [UncertaintyWeighting(), DynamicWeightAverage(), GradNorm(), PCGrad()]
EAGER = {"torch": "eager"}


@each_pair
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda optimizer: optimizer.kind)
def test_curves_of_every_optimizer(optimizer, pair):
    one, other = both(pair, MODEL, replace(TRAIN, optimizer=optimizer), DATA, steps=20, **EAGER)
    compare_params(one.params, other.params, PARAMS_RTOL)


@each_pair
@pytest.mark.parametrize("balancing", BALANCINGS, ids=lambda balancing: balancing.kind)
def test_curves_of_every_balancing(balancing, pair):
    train = replace(TRAIN, optimizer=Adam(learning_rate=3e-3), balancing=balancing)
    one, other = both(pair, MODEL, train, DATA, steps=20, **EAGER)
    compare_params(one.params, other.params, PARAMS_RTOL)


@each_backend
@pytest.mark.parametrize("execution", ["eager", "step", "epoch"])
def test_every_execution_has_the_curve_of_the_first_backend(execution, name):
    """With two tasks and one trunk layer: what torch.compile takes long for is their number, and that of what it
    compiles for each: layer norm and dropout are shown by other tests.
    """
    train = replace(TRAIN, epochs=2)
    tasks = tuple(replace(task, hidden=()) for task in KINDS["tied"][2:4])
    model = replace(MODEL, trunk=(8,), tasks=tasks, normalization="none", dropout=0.0)
    data = example_data(model, 60, missing=True, weighted=True)
    load_backend(name).check_training(train, execution)
    fitted = fit(name, model, train, data, execution=execution)
    expected = fit(BACKENDS[0], model, train, data, execution="eager" if BACKENDS[0] == "torch" else "auto")
    compare_curves(fitted.history, expected.history, RTOL)
    compare_params(fitted.params, expected.params, PARAMS_RTOL)


@each_way
def test_a_run_is_resumed_in_another_framework(first, then, tmp_path):
    train = replace(TRAIN, optimizer=Adam(learning_rate=3e-3), device="cpu")
    begun, whole = (replace(train, epochs=epochs, execution="auto") for epochs in (2, 5))
    load_backend(first).fit(MODEL, begun, DATA, checkpoint=tmp_path)
    saved = load_checkpoint(tmp_path)
    assert all(FROZEN not in slot and slot.keys() | {FROZEN} == saved.params.keys() for slot in saved.slots.values())
    resumed = load_backend(then).fit(MODEL, whole, DATA, checkpoint=tmp_path, resume=True)
    expected = load_backend(first).fit(MODEL, whole, DATA)
    compare_curves(resumed.history, expected.history, RTOL)
    compare_params(resumed.params, expected.params, PARAMS_RTOL)
    initial = initial_params(MODEL, seed=train.seed, precision="float64")
    np.testing.assert_array_equal(resumed.params[FROZEN], initial[FROZEN])


@each_backend
def test_a_frozen_table_is_what_its_numbers_would_be_as_numeric_inputs(name):
    """So it is not decayed, has no slots, and no part in the norm that is clipped."""
    place = CategoricalFeature(name="place", vocabulary=6, dimension=3, trainable=False)
    model = example_model("tied", categorical=(place, *LISTS[:2]), normalization="layer", dropout=0.2)
    numbers = replace(model, numeric=model.numeric + 3, categorical=LISTS[:2])
    data = example_data(model, 60, missing=True, weighted=True)
    params = initial_params(model, seed=3, precision="float64")
    table = params[FROZEN] = params[FROZEN] * 40.0  # a gradient of such a table would be far from small
    others = {parameter: value for parameter, value in params.items() if parameter != FROZEN}
    numeric = np.concatenate([data.numeric, table[data.categorical[:, 0]]], axis=1)
    as_numbers = replace(data, numeric=numeric, categorical=data.categorical[:, 1:])
    expected = fit(name, numbers, TRAIN, as_numbers, others, execution=load_backend(name).lock_step)
    fitted = fit(name, model, TRAIN, data, params, execution=load_backend(name).lock_step)
    compare_curves(fitted.history, expected.history, RTOL)
    np.testing.assert_array_equal(fitted.params[FROZEN], table)
    assert not np.shares_memory(fitted.params.pop(FROZEN), table)
    compare_params(fitted.params, expected.params, PARAMS_RTOL)


@each_backend
def test_gradients_are_the_slopes_of_the_plain_loss_and_zero_for_a_frozen_table(name):
    model = example_model("untied", categorical=LISTS, activation="tanh", trunk=(4,))
    data = example_data(model, 9, missing=True, weighted=True)
    params = initial_params(model, seed=8, precision="float64")
    _, gradients = load_backend(name).gradients(model, params, data, device="cpu")
    slopes = central_differences(model, params, data)
    assert slopes[FROZEN].any()
    slopes[FROZEN][:] = 0.0
    for parameter, gradient in gradients.items():
        np.testing.assert_allclose(gradient, slopes[parameter], rtol=1e-5, atol=1e-8, err_msg=parameter)


@each_backend
def test_a_shared_table_has_the_sum_of_the_gradients_of_separate_ones(name):
    shared = tuple(replace(feature, table="word") for feature in (LISTS[0], LISTS[3]))
    separate = tuple(replace(feature, table=None) for feature in shared)
    model, apart = (example_model("tied", categorical=features) for features in (shared, separate))
    data = example_data(model, 30)
    params = initial_params(model, seed=2, precision="float64")
    word = params["embeddings.word"]
    copies = {"embeddings.query": word, "embeddings.title": word.copy()}
    of_copies = copies | {key: value for key, value in params.items() if key != "embeddings.word"}
    loss, gradients = load_backend(name).gradients(model, params, data, device="cpu")
    same_loss, of_each = load_backend(name).gradients(apart, of_copies, data, device="cpu")
    assert loss == pytest.approx(same_loss, rel=1e-14)
    total = sum(of_each[key] for key in copies)
    np.testing.assert_allclose(gradients["embeddings.word"], total, rtol=1e-12, atol=1e-17)


@each_backend
@pytest.mark.parametrize("pooling", ["mean", "sum", "max"])
def test_a_place_without_an_id_counts_for_nothing(name, pooling):
    """Wherever it is in the list, whatever the first row of the table is; and of a list of none there is 0."""
    one = CategoricalFeature(name="tags", vocabulary=4, dimension=2)
    three = replace(one, length=3, pooling=pooling)
    alone, listed = (example_model("tied", numeric=1, categorical=(feature,)) for feature in (one, three))
    data = example_data(alone, 3)
    params = initial_params(alone, seed=2, precision="float64")
    params["embeddings.tags"][0] = np.nan
    backend = load_backend(name)

    def ask(model, ids):
        rows = replace(data, categorical=np.array(ids))
        predictions = backend.predict(model, params, rows, device="cpu")
        return predictions | backend.gradients(model, params, rows, device="cpu")[1]

    compare_params(ask(listed, [[1, -1, -1], [-1, 3, -1], [-1, -1, 2]]), ask(alone, [[1], [3], [2]]), 1e-12)
    nothing = ask(listed, np.full((3, 3), -1))
    assert not nothing["embeddings.tags"].any()
    params["embeddings.tags"][1] = 0.0
    compare_params(nothing, ask(alone, [[1]] * 3) | {"embeddings.tags": np.zeros((4, 2))}, 1e-12)


@each_backend
def test_equal_largest_elements_share_the_gradient_evenly(name):
    feature = CategoricalFeature(name="tags", vocabulary=4, dimension=2, length=4, pooling="max")
    model = example_model("regression", numeric=1, categorical=(feature,), activation="tanh")
    params = initial_params(model, seed=2, precision="float64")
    params["embeddings.tags"][:] = [[1.0, 0.5], [1.0, 0.5], [1.0, 0.0], [2.0, 2.0]]
    data = replace(example_data(model, 1), categorical=np.array([[0, 1, 2, -1]]))
    _, gradients = load_backend(name).gradients(model, params, data, device="cpu")
    first, second = gradients["embeddings.tags"].T
    assert first[0] != 0
    assert second[0] != 0
    np.testing.assert_allclose(first, [first[0], first[0], first[0], 0.0], rtol=1e-14)
    np.testing.assert_allclose(second, [second[0], second[0], 0.0, 0.0], rtol=1e-14)


@each_backend
def test_a_task_weight_is_a_weight_of_the_rows_of_that_task_alone(name):
    model, backend = example_model("untied", categorical=LISTS[:1], trunk=(6,)), load_backend(name)
    data = example_data(model, 40, missing=True)
    weight = np.random.default_rng(1).integers(1, 4, 40)
    weighted = replace(data, sample_weight=weight.astype(float))
    params = initial_params(model, seed=2, precision="float64")

    def gradients(tasks, rows):
        return backend.gradients(only(model, *tasks), params, rows, device="cpu")[1]

    for task in (task.name for task in model.tasks):
        of_task = replace(data, task_weight={task: weight})
        compare_params(gradients([task], of_task), gradients([task], weighted), 1e-12)
        others = [other.name for other in model.tasks if other.name != task]
        compare_params(gradients(others, of_task), gradients(others, data), 1e-12)


def only(model, *names):
    """The model with the weight 0 for all other tasks."""
    return replace(
        model, tasks=tuple(task if task.name in names else replace(task, weight=0.0) for task in model.tasks)
    )
