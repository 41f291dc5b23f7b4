"""The layers' product has a derivative of its own: a built network is differentiated in every way as without it."""

import numpy as np
import pytest

from spec import ModelSpec, TaskSpec, initial_params, load_backend

jax = pytest.importorskip("jax")
nnx = pytest.importorskip("flax.nnx")

INPUTS = 3


def network_and_plain(rows, tasks):
    """A built network's loss as a function of its parameters, the same written out, and the parameters."""
    heads = tuple(TaskSpec(name=f"task_{i}", kind="regression") for i in range(tasks))
    model = ModelSpec(numeric=INPUTS, trunk=(8,), tasks=heads, activation="tanh")
    params = initial_params(model, seed=1, precision="float64")
    numeric = np.random.default_rng(0).normal(size=(rows, INPUTS))
    graph, state = nnx.split(load_backend("jax").build(model, params, device="cpu"))
    leaves, tree = jax.tree.flatten(state)
    names = [".".join(map(str, path)) for path, _ in nnx.to_flat_state(state)]

    def network(leaves):
        logits = nnx.merge(graph, jax.tree.unflatten(tree, leaves))(numeric)
        return sum((array**2).sum() for array in logits.values())

    def plain(leaves):
        of = dict(zip(names, leaves, strict=True))
        hidden = jax.numpy.tanh(numeric @ of["trunk.0.kernel"] + of["trunk.0.bias"])
        return ((hidden @ of["heads.0.0.kernel"] + of["heads.0.0.bias"][..., None, :]) ** 2).sum()

    return network, plain, leaves


def along(function):
    """The forward derivative along the parameters themselves."""
    return lambda leaves: jax.jvp(function, (leaves,), (leaves,))


@pytest.mark.parametrize("tasks", [1, 2])
@pytest.mark.parametrize("rows", [6, 10_000])  # the derivative has one form for small layers and one for large
def test_backwards_forwards_and_twice_give_the_derivatives_of_the_plain_product(rows, tasks):
    with jax.enable_x64(True):
        network, plain, leaves = network_and_plain(rows, tasks)
        for derivative in (jax.grad, along, lambda f: jax.grad(lambda x: along(f)(x)[1])):
            got, expected = (jax.tree.leaves(derivative(f)(leaves)) for f in (network, plain))
            for array, right in zip(got, expected, strict=True):
                np.testing.assert_allclose(array, right, rtol=1e-12, atol=1e-12)
