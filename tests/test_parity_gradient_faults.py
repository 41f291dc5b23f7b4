"""The parity tests prove themselves by going red: a gradient or parameter is wrong on one side, and gets named."""

import pytest

from backends.torch import layers as torch_layers
from backends.torch import losses as torch_losses
from backends.torch import model as torch_model
from spec import initial_params, load_backend
from tests.helpers.faults import DATA, MODEL, fresh_runs
from tests.helpers.parity import compare_params
from tests.helpers.planted import swap_heads, transpose, zero_bias


def gradients(name):
    params = initial_params(MODEL, seed=1, precision="float64")
    return load_backend(name).gradients(MODEL, params, DATA, device="cpu")[1]


def embeddings_detached(patch):
    original = torch_model.Network.embed

    def embed(*arguments):
        x = original(*arguments)
        return x.detach() + 0.0 * x

    patch.setattr(torch_model.Network, "embed", embed)


def head_gradient_doubled(patch):
    """As a task's weight that counts twice in the backward pass, and once in the loss."""
    original = torch_losses.LOSSES["cross_entropy"]
    patch.setitem(
        torch_losses.LOSSES,
        "cross_entropy",
        lambda loss, x, y: 2.0 * original(loss, x, y) - original(loss, x, y).detach(),
    )


def output_biases_frozen(patch):
    forward = torch_layers.Dense.forward

    def without(self, x, key):
        y = forward(self, x, key)
        bias = self.bias.unsqueeze(-2)
        return y if self.hidden else y - bias + bias.detach()

    patch.setattr(torch_layers.Dense, "forward", without)


GRADIENT_FAULTS = {
    "embeddings not trained": (embeddings_detached, "embeddings.colour"),
    "a loss counted twice": (head_gradient_doubled, "embeddings.colour"),
    "output biases not trained": (output_biases_frozen, "tasks.click.2.bias"),
}


@pytest.mark.parametrize("name", GRADIENT_FAULTS)
def test_a_wrong_gradient_is_seen_and_its_parameter_named(name, monkeypatch):
    plant, parameter = GRADIENT_FAULTS[name]
    compare_params(gradients("torch"), gradients("jax"), 1e-10)
    with fresh_runs(), monkeypatch.context() as patch:
        plant(patch)
        faulty = gradients("torch")
    with pytest.raises(AssertionError, match=rf"^{parameter}\["):
        compare_params(faulty, gradients("jax"), 1e-10)


@pytest.mark.parametrize(
    ("change", "parameter"),
    [(transpose, "trunk.1.kernel"), (zero_bias, "tasks.city.1.bias"), (swap_heads, "tasks.click.0.kernel")],
)
def test_a_wrong_parameter_is_named(change, parameter):
    params = initial_params(MODEL, seed=1, precision="float64")
    right = {name: value.copy() for name, value in params.items()}
    compare_params(params, right, 0)
    change(params)
    with pytest.raises(AssertionError, match=rf"^{parameter}\["):
        compare_params(params, right, 1e-8)
