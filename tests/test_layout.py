"""Where parameters lie in a backend: packed without loss, like heads and tables tied together."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from backends.layout import layout_of, native_arrays
from spec import CategoricalFeature, ModelSpec, TaskSpec, initial_params, parameter_shapes, presets
from spec.params import frozen_parameters
from tests.helpers.builders import tasks_of
from tests.helpers.strategies import model_specs, repeatable


@repeatable
@given(model_specs())
def test_a_vector_and_its_params_are_inverse(model):
    layout = layout_of(model)
    params = initial_params(model, seed=1, precision="float64")
    flat = layout.to_vector(params)
    frozen = {name: params[name] for name in frozen_parameters(model)}
    trained = {name: value for name, value in params.items() if name not in frozen}
    assert flat.shape == (layout.size,) == (sum(value.size for value in trained.values()),)
    again = layout.to_params(flat)
    assert list(again) == list(trained)
    assert list(layout.to_params(flat, frozen)) == list(params)
    for name, value in trained.items():
        assert again[name].dtype == np.float64
        np.testing.assert_array_equal(again[name], value)
        assert not np.shares_memory(again[name], flat)
    np.testing.assert_array_equal(layout.to_vector(again), flat)


@repeatable
@given(model_specs())
def test_native_tensors_tile_the_vector(model):
    layout = layout_of(model)
    flat = np.arange(len(layout.to_vector(initial_params(model))))
    views = layout.to_tensors(flat)
    assert np.concatenate([view.ravel() for view in views.values()]).tolist() == flat.tolist()
    assert all(np.shares_memory(view, flat) for view in views.values())
    assert {name: view.shape for name, view in views.items()} == {n: t.shape for n, t in layout.tensors.items()}
    parts = [part for tensor in layout.native.values() for part in tensor.parts]
    assert sorted(parts) == sorted(parameter_shapes(model))
    assert sorted(part for tensor in layout.frozen.values() for part in tensor.parts) == sorted(
        frozen_parameters(model)
    )
    assert sorted(task.name for task in layout.tasks) == sorted(task.name for task in model.tasks)
    shapes = {(task.objective, task.hidden, task.outputs) for task in model.tasks}
    assert len(layout.heads) == len(shapes)
    assert len(layout.tables) == len({(feature.dimension, feature.trainable) for feature in model.categorical})


@repeatable
@given(model_specs(), st.data())
def test_whatever_is_frozen_has_no_place_in_the_vector_and_its_members_are_joined_again(model, data):
    """The network's tensors are the same, whatever of them is in the vector and whatever is not."""
    params, names = initial_params(model, seed=1), list(parameter_shapes(model))
    patterns = tuple(data.draw(st.lists(st.sampled_from(names), unique=True, max_size=len(names) - 1)))
    assume(len(still := frozen_parameters(model)) + len(set(patterns) - set(still)) < len(names))
    layout, whole = layout_of(model, None, patterns), layout_of(model)
    frozen = {name: params[name] for name in frozen_parameters(model, patterns)}
    vector = layout.to_vector(params)
    assert len(vector) == sum(params[name].size for name in params.keys() - frozen.keys())
    assert list(layout.to_params(vector, frozen)) == names
    moved, others = layout.to_tensors(vector), layout.frozen_tensors(params)
    joined = {name: np.concatenate([moved[name], others[name]])[order] for name, order in layout.joined.items()}
    expected = whole.to_tensors(whole.to_vector(params)) | whole.frozen_tensors(params)
    for name, tensor in {**moved, **others, **joined}.items():
        if not name.startswith("tables."):  # which are numbered by what moves, too
            np.testing.assert_array_equal(tensor, expected[name])
    assert {name for name in expected if not name.startswith("tables.")} <= {*moved, *others}


@repeatable
@given(model_specs())
def test_all_parameters_go_to_native_arrays_and_come_back(model):
    layout, params = layout_of(model), initial_params(model, seed=1)
    arrays = native_arrays(model, params)
    assert {name: array.shape for name, array in arrays.items()} == {n: t.shape for n, t in layout.native.items()}
    again = layout.from_tensors(arrays)
    assert list(again) == list(params)
    for name, value in params.items():
        np.testing.assert_array_equal(again[name], value)


@repeatable
@given(model_specs())
def test_every_id_is_looked_up_once_in_the_table_of_its_feature(model):
    layout, params = layout_of(model), initial_params(model, seed=1)
    arrays, ids = native_arrays(model, params), presets.random_data(model, 1).categorical
    seen = {}
    for table in layout.tables:
        assert {model.categorical[lookup.feature].trainable for lookup in table.lookups} == {table.trainable}
        for lookup in table.lookups:
            columns, offsets = table.columns[lookup.columns], table.offsets[lookup.columns]
            feature = model.categorical[lookup.feature]
            seen |= dict.fromkeys(columns, feature)
            assert lookup.pooling == (feature.pooling if feature.length > 1 else None)
            for column, offset in zip(columns, offsets, strict=True):
                row = max(ids[0, column], 0)
                looked_up = arrays[f"{table.name}.embedding"][row + offset]
                np.testing.assert_array_equal(looked_up, params[feature.parameter][row])
    expected = [feature for feature in model.categorical for _ in range(feature.length)]
    assert [seen[column] for column in sorted(seen)] == expected


def test_like_heads_and_tables_are_tied(model):
    layout = layout_of(replace(model, normalization="layer"))
    params = initial_params(layout.model, seed=2)
    native = layout.to_tensors(layout.to_vector(params))
    assert [[task.name for task in head.tasks] for head in layout.heads] == [
        ["click", "buy"],
        ["price"],
        ["region"],
        ["span"],
    ]
    assert [(head.loss, head.tied) for head in layout.heads[:2]] == [("log_loss", True), ("squared", False)]
    for part in ("0.kernel", "0.bias", "0.norm.scale", "0.norm.bias", "1.kernel", "1.bias"):
        both = np.stack([params[f"tasks.{task}.{part}"] for task in ("click", "buy")])
        np.testing.assert_array_equal(native[f"heads.0.{part}"], both)
        np.testing.assert_array_equal(native[f"heads.1.{part}"], params[f"tasks.price.{part}"])
    np.testing.assert_array_equal(
        native["tables.0.embedding"], np.vstack([params["embeddings.colour"], params["embeddings.size"]])
    )
    np.testing.assert_array_equal(native["tables.1.embedding"], params["embeddings.shape"])
    assert [(table.columns, table.offsets) for table in layout.tables] == [((0, 2), (0, 3)), ((1,), (0,))]


def test_one_shape_of_another_kind_is_not_tied():
    tasks = (TaskSpec(name="a", kind="regression"), TaskSpec(name="b", kind="binary"), *tasks_of("regression", 2))
    layout = layout_of(ModelSpec(numeric=1, trunk=(2,), tasks=tasks))
    assert [[task.name for task in head.tasks] for head in layout.heads] == [["a"], ["b"], ["t0", "t1"]]


@pytest.mark.parametrize("trainable", [True, False])
def test_tables_of_one_dimension_have_no_more_ids_than_an_int32_counts(trainable):
    def tables_of(*vocabularies):
        features = tuple(
            CategoricalFeature(name=f"f{i}", vocabulary=vocabulary, dimension=1, trainable=trainable)
            for i, vocabulary in enumerate(vocabularies)
        )
        return layout_of(replace(presets.tutorial_model(), categorical=features)).tables

    assert tables_of(2**30, 2**30 - 1)[0].rows == 2**31 - 1
    message = r"^categorical: expected tables of dimension 1 with below 2\^31 ids, got 2,147,483,648$"
    with pytest.raises(ValueError, match=message):
        tables_of(2**30, 2**30)


def test_a_table_whose_rows_are_updated_lazily_has_room_behind_it_for_what_an_int32_counts():
    feature = CategoricalFeature(name="user", vocabulary=2**31 - 8, dimension=1)
    model = replace(presets.tutorial_model(), categorical=(feature,))
    (table,) = layout_of(model, 7).tables
    assert (table.rows, layout_of(model).tables[0].rows) == (7, 2**31 - 8)
    message = r"^categorical: expected lazily updated tables with below 2\^31 ids, got 2,147,483,640$"
    with pytest.raises(ValueError, match=message):
        layout_of(model, 8)


@repeatable
@given(model_specs(), st.integers(1, 9))
def test_with_lazy_updates_the_tables_stand_beside_the_vector_and_come_back(model, batch):
    layout, params = layout_of(model, batch), initial_params(model, seed=1, precision="float64")
    flat, tables = layout.to_vector(params), layout.lazy_tables(params)
    assert tables.keys() == {name for name in layout.tensors if name.startswith("tables.")}
    assert flat.shape == (layout.size,)
    assert not flat[: layout.lazy_size].any()
    again = layout.to_params(flat, {name: params[name] for name in frozen_parameters(model)}, tables)
    assert list(again) == list(params)
    for name, value in params.items():
        np.testing.assert_array_equal(again[name], value)
