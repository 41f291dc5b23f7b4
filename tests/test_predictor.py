"""A network that is built once: what it predicts, what it checks, and what it compiles."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from backends import predictor as predictors
from backends.programs import forward_program
from spec import Dataset, Predictor, initial_params, load_backend
from tests.helpers.backends import PAIRS, each_backend
from tests.helpers.builders import rejection
from tests.helpers.parity import compare_params, example_data, example_model
from tests.helpers.plain import plain_logits
from tests.helpers.sharing_models import SHARINGS, data_of, model_of

SMALL = example_model("binary", trunk=(3,))


def predictor_of(backend, model, seed=0):
    return backend.predictor(model, initial_params(model, seed=seed, precision="float64"), device="cpu")


def test_each_row_alone_is_predicted_as_among_others(backend):
    predictor, data = predictor_of(backend, SMALL), example_data(SMALL, 9)
    assert isinstance(predictor, Predictor)
    together = predictor.predict(data)
    for name, values in together.items():
        alone = [predictor.predict(data.take([row]))[name] for row in range(9)]
        np.testing.assert_allclose(np.concatenate(alone), values, rtol=1e-13)
        assert values.flags.writeable


def test_what_becomes_of_the_arrays_of_the_parameters_later_makes_no_difference(backend):
    params, data = initial_params(SMALL, precision="float64"), example_data(SMALL, 4)
    predictor = backend.predictor(SMALL, params)
    before = predictor.predict(data)
    for value in params.values():
        value[:] = np.nan
    compare_params(predictor.predict(data), before, 0)


def test_rows_of_other_types_and_read_only_ones(backend):
    data, predictor = example_data(SMALL, 4), predictor_of(backend, SMALL)
    numeric, categorical = data.numeric.astype(np.float32), data.categorical.astype(np.int16)
    expected = predictor.predict(Dataset(numeric=numeric.astype(np.float64), categorical=data.categorical))
    for array in (numeric, categorical):
        array.flags.writeable = False
    compare_params(predictor.predict(Dataset(numeric=numeric, categorical=categorical)), expected, 0)
    numeric, categorical = (np.asfortranarray(array) for array in (numeric, categorical.astype(np.uint64)))
    compare_params(predictor.predict(Dataset(numeric=numeric, categorical=categorical)), expected, 0)


def test_rows_are_checked_whenever_it_predicts(backend):
    predictor, data = predictor_of(backend, SMALL), example_data(SMALL, 3)
    for ask in (predictor.predict, predictor.gates, predictor.trunk_outputs):
        wrong = data.numeric.copy()
        wrong[2, 1] = np.nan
        said = "numeric: expected finite values, got nan in column 1, row 2"
        assert rejection(ask, replace(data, numeric=wrong)) == said
        assert rejection(ask, replace(data, categorical=None)).startswith(
            "categorical: expected an array of shape (3, "
        )
        beyond = np.full_like(data.categorical, 1000)
        assert rejection(ask, replace(data, categorical=beyond)).startswith("categorical: expected ids in [0, ")
        assert rejection(ask, data.take(slice(0))) == "data: expected at least one row, got 0"


def test_several_threads_may_ask_predictors_of_either_precision_at_once(backend):
    data = example_data(SMALL, 16)
    of_both = [backend.predictor(SMALL, initial_params(SMALL, precision=p)) for p in ("float32", "float64")]
    expected = [predictor.predict(data) for predictor in of_both]
    with ThreadPoolExecutor(4) as pool:
        for i, predictions in enumerate(pool.map(lambda i: of_both[i % 2].predict(data), range(60))):
            compare_params(predictions, expected[i % 2], 0)


@pytest.mark.parametrize("way", SHARINGS)
def test_what_the_heads_take_is_what_their_logits_are_made_of(way):
    """Whose heads have one layer: each task's output of the trunk, times the head's kernel. Alike in every backend."""
    model = model_of(way)
    model = replace(model, tasks=tuple(replace(task, hidden=()) for task in model.tasks))
    params, data = initial_params(model, seed=3, precision="float64"), data_of(model, 5)
    outputs = {}
    for name in {name for pair in PAIRS for name in pair}:
        predictor = load_backend(name).predictor(model, params, device="cpu")
        outputs[name] = predictor.trunk_outputs(data)
        assert list(outputs[name]) == [task.name for task in model.tasks]
        logits = {
            task: of_task @ params[f"tasks.{task}.0.kernel"] + params[f"tasks.{task}.0.bias"]
            for task, of_task in outputs[name].items()
        }
        compare_params(logits, plain_logits(model, params, data), 1e-13)
    for one, other in PAIRS:
        compare_params(outputs[one], outputs[other], 1e-9)


@pytest.mark.slow
@each_backend
def test_more_rows_than_one_call_takes_have_one_output_each(name, monkeypatch):
    model = model_of("mmoe")
    predictor, data = predictor_of(load_backend(name), model), data_of(model, 11)
    whole, gates = predictor.trunk_outputs(data), predictor.gates(data)
    monkeypatch.setattr(predictors, "PREDICT_ROWS", 4)
    compare_params(predictor.trunk_outputs(data), whole, 1e-13)
    compare_params(predictor.gates(data), gates, 1e-13)


def test_a_network_without_gates_has_no_weights_of_gates(backend):
    assert predictor_of(backend, SMALL).gates(example_data(SMALL, 3)) == {}


def test_jax_compiles_once_for_each_power_of_two_and_for_all_networks_of_a_model(monkeypatch):
    pytest.importorskip("flax")
    from backends.jax.steps import make_forward

    monkeypatch.setattr(predictors, "PREDICT_ROWS", 8)
    model = replace(SMALL, trunk=(5,))  # which no other test has compiled
    data, compiled = example_data(model, 21), make_forward(forward_program(model), "logits")
    for seed in range(2):
        predictor = predictor_of(load_backend("jax"), model, seed)
        for rows in (1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 21):
            assert {len(values) for values in predictor.predict(data.take(slice(rows))).values()} == {rows}
        assert compiled._cache_size() == 3  # of 1, 4 and 8 rows
    weighed = replace(model, tasks=(replace(model.tasks[0], weight=9.0),), dropout=0.5)  # of which it has no use
    load_backend("jax").predict(weighed, initial_params(weighed, seed=5, precision="float64"), data.take(slice(6)))
    assert compiled._cache_size() == 3


@each_backend
def test_the_parameters_of_a_built_network_are_those_that_it_was_built_with(name):
    backend = load_backend(name)
    params = initial_params(SMALL, seed=4, precision="float64")
    compare_params(backend.params_of(SMALL, backend.build(SMALL, params, device="cpu")), params, 0)
    other = backend.build(replace(SMALL, trunk=(4,)), initial_params(replace(SMALL, trunk=(4,))), device="cpu")
    assert rejection(backend.params_of, SMALL, other).startswith("network['trunk.0.kernel']: expected shape ")
    deeper = backend.build(replace(SMALL, trunk=(3, 3)), initial_params(replace(SMALL, trunk=(3, 3))), device="cpu")
    assert rejection(backend.params_of, SMALL, deeper).startswith("network: expected no entry 'trunk.1.")
    assert rejection(backend.params_of, SMALL, params).startswith("network: expected a ")


@each_backend
def test_a_network_of_half_the_precision_is_refused(name):
    backend = load_backend(name)
    network = backend.build(SMALL, initial_params(SMALL), device="cpu")
    if name == "torch":
        network = network.bfloat16()
    else:
        import jax
        from flax import nnx

        nnx.update(network, jax.tree.map(lambda x: x.astype("bfloat16"), nnx.state(network)))
    assert "float64, got " in rejection(backend.params_of, SMALL, network)
