"""Which parameters `TrainSpec.frozen` names, and what is refused before any work is done."""

from dataclasses import replace

import pytest

from spec import CategoricalFeature, GradNorm, ModelSpec, TaskSpec, TrainSpec, from_toml, parameter_shapes, to_toml
from spec.params import frozen_parameters, shared_parameters
from tests.helpers.lazy import DATA, TRAIN
from tests.helpers.lazy import MODEL as TIED

MODEL = ModelSpec(
    categorical=(
        CategoricalFeature(name="query", vocabulary=7, dimension=4, table="word"),
        CategoricalFeature(name="colour", vocabulary=6, dimension=2, trainable=False),
    ),
    trunk=(8,),
    tasks=(TaskSpec(name="click", kind="binary"),),
)


def test_what_is_shared_and_what_is_frozen():
    assert shared_parameters(MODEL) == ["embeddings.word", "embeddings.colour", "trunk.0.kernel", "trunk.0.bias"]
    assert frozen_parameters(MODEL) == ["embeddings.colour"]
    assert frozen_parameters(replace(MODEL, categorical=MODEL.categorical[:1])) == []


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        (("trunk",), ["trunk.0.kernel", "trunk.0.bias"]),
        (("embeddings",), ["embeddings.word"]),
        (("trunk.0.bias", "trunk.0.bias"), ["trunk.0.bias"]),
        (("*.bias", "embeddings.w?rd"), ["embeddings.word", "trunk.0.bias", "tasks.click.0.bias"]),
        (("tasks.[!a]*", "trunk.?.bias"), ["trunk.0.bias", "tasks.click.0.kernel", "tasks.click.0.bias"]),
    ],
)
def test_a_pattern_names_parameters_and_what_their_names_begin_with(patterns, names):
    """Beside the tables that are not trainable, in network order."""
    expected = [name for name in parameter_shapes(MODEL) if name in (*names, "embeddings.colour")]
    assert frozen_parameters(MODEL, patterns) == expected


def test_a_pattern_matches_whole_parts_of_names_in_upper_and_lower_case():
    for pattern in ("trun", "trunk.", "Trunk", "kernel", "embeddings.wor", "tasks.click.0.kern"):
        with pytest.raises(ValueError, match=rf"expected patterns of parameters' names, got '{pattern}'"):
            frozen_parameters(MODEL, (pattern,))


def test_neither_the_order_of_patterns_nor_a_repetition_makes_another_run():
    one, other = (TrainSpec(frozen=patterns) for patterns in (("trunk", "embeddings"), ["embeddings", *2 * ["trunk"]]))
    assert (one, one.step_spec, hash(one)) == (other, other.step_spec, hash(other))
    assert one.frozen == ("embeddings", "trunk")
    assert from_toml(TrainSpec, 'frozen = ["trunk", "embeddings"]') == from_toml(TrainSpec, to_toml(one)) == one


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        (("trnk",), "train.frozen: expected patterns of parameters' names, got 'trnk'; did you mean 'trunk'?"),
        (("trunk", "embeddings.words"), "got 'embeddings.words'; did you mean 'embeddings.word'?"),
        (("Trunk",), "got 'Trunk'; did you mean 'trunk'?"),
        (("",), "got ''"),
        (("*",), "train.frozen: expected patterns that leave a parameter to train, got *"),
        (("trunk", "tasks", "embeddings"), "got embeddings, tasks, trunk"),
    ],
)
def test_patterns_that_name_nothing_or_everything_are_refused(backend, tmp_path, patterns, message):
    with pytest.raises(ValueError, match=r"^train\.frozen: ") as caught:
        backend.fit(TIED, replace(TRAIN, frozen=patterns), DATA, checkpoint=tmp_path / "runs")
    assert str(caught.value).endswith(message)
    assert not (tmp_path / "runs").exists()


def test_gradnorm_is_refused_where_nothing_shared_moves(backend):
    train = replace(TRAIN, balancing=GradNorm(), frozen=("trunk", "embeddings"))
    with pytest.raises(ValueError, match=r"expected another than gradnorm .* no shared kernels or embeddings"):
        backend.fit(TIED, train, DATA)
