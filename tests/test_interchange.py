"""A user's own loop, with the framework's own optimizer, goes on where `fit` stopped: the curve is that of one run."""

import importlib
from dataclasses import replace

import numpy as np
import pytest

from backends.layout import layout_of
from shared_bottom.checkpoint.folder import load_checkpoint
from spec import Adam, AdamW, CategoricalFeature, ModelSpec, TaskSpec, initial_params, presets
from spec.data import row_order
from tests.helpers.parity import compare_params
from tests.helpers.runs import training

STEP, STEPS, ROWS, BATCH = 4, 12, 18, 6
"""Handed over within the second of four epochs of three steps."""

OPTIMIZERS = {
    "adam": Adam(learning_rate=1e-2, beta1=0.8, eps=1e-5, weight_decay=0.02),
    "adamw": AdamW(learning_rate=1e-2, weight_decay=0.1),
}


@pytest.fixture
def interchange(backend):
    return importlib.import_module(f"backends.{backend.name}.interchange")


TASKS = tuple(
    TaskSpec(name=name, kind="regression", hidden=(4,), outputs=2, weight=w) for name, w in [("a", 1), ("b", 2)]
)
MODEL = ModelSpec(
    numeric=2,
    categorical=(CategoricalFeature(name="colour", vocabulary=3, dimension=2),),
    trunk=(5,),
    tasks=(*TASKS, TaskSpec(name="c", kind="regression", weight=0.5)),
    activation="tanh",
    normalization="layer",
)
"""Two heads tied, one apart; regression alone, so that the user's loss is one line."""
DATA = presets.random_data(MODEL, ROWS, seed=1)


def own_batches():
    for step in range(STEP, STEPS):
        epoch, place = divmod(step, ROWS // BATCH)
        yield row_order(1, epoch, ROWS)[place * BATCH : (place + 1) * BATCH]


def torch_loop(interchange, optimizer, saved, network):
    import torch

    kind = torch.optim.AdamW if isinstance(optimizer, AdamW) else torch.optim.Adam
    own = kind(
        network.parameters(),
        lr=optimizer.learning_rate,
        betas=(optimizer.beta1, optimizer.beta2),
        eps=optimizer.eps,
        weight_decay=optimizer.weight_decay,
    )
    own.load_state_dict(interchange.export_slots(MODEL, saved.slots, saved.step, own.state_dict()))
    losses = []
    for rows in own_batches():
        part = DATA.take(rows)
        outputs = network(torch.from_numpy(part.numeric), torch.from_numpy(part.categorical))
        loss = sum(
            t.weight * (outputs[t.name] - torch.from_numpy(part.labels[t.name])).square().mean() for t in MODEL.tasks
        )
        own.zero_grad()
        loss.backward()
        own.step()
        losses.append(loss.item())
    return losses, network.state_dict(), own.state_dict()


def jax_loop(interchange, optimizer, saved, network):
    import jax
    import optax
    from flax import nnx

    beta = (optimizer.beta1, optimizer.beta2, optimizer.eps)
    if isinstance(optimizer, AdamW):
        own = optax.adamw(optimizer.learning_rate, *beta, weight_decay=optimizer.weight_decay)
    else:
        own = optax.chain(optax.add_decayed_weights(optimizer.weight_decay), optax.adam(optimizer.learning_rate, *beta))
    graph, params = nnx.split(network)

    @jax.jit
    def step(params, state, numeric, categorical, labels):
        def loss(params):
            outputs = nnx.merge(graph, params)(numeric, categorical)
            return sum(t.weight * ((outputs[t.name] - labels[t.name]) ** 2).mean() for t in MODEL.tasks)

        value, gradient = jax.value_and_grad(loss)(params)
        updates, state = own.update(gradient, state, params)
        return value, optax.apply_updates(params, updates), state

    with jax.enable_x64(True):
        state = interchange.export_slots(MODEL, saved.slots, saved.step, own.init(params))
        losses = []
        for rows in own_batches():
            part = DATA.take(rows)
            loss, params, state = step(params, state, part.numeric, part.categorical, part.labels)
            losses.append(float(loss))
    return losses, params, state


LOOPS = {"torch": torch_loop, "jax": jax_loop}


def fitted(backend, optimizer, folder):
    train = training(backend, optimizer=optimizer, batch_size=BATCH, epochs=4, precision="float64")
    return backend.fit(MODEL, train, DATA, checkpoint=folder, save_every=1, keep=100)


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_loop_of_the_users_own_continues_the_curve_and_comes_back(backend, interchange, tmp_path, name):
    whole = fitted(backend, OPTIMIZERS[name], tmp_path)
    saved = load_checkpoint(tmp_path / f"step-{STEP:08d}")
    network = backend.build(MODEL, saved.params, device="cpu")
    losses, params, state = LOOPS[backend.name](interchange, OPTIMIZERS[name], saved, network)
    np.testing.assert_allclose(losses, whole.history.step_loss[STEP:], rtol=1e-9)
    compare_params(interchange.import_params(MODEL, params), whole.params, 1e-9)
    slots, step = interchange.import_slots(MODEL, state)
    end = load_checkpoint(tmp_path)
    assert (step, list(slots)) == (STEPS, ["mu", "nu"])
    for slot, values in slots.items():
        compare_params(values, end.slots[slot], 1e-9)


def test_params_are_those_of_the_native_module_and_come_back_bit_for_bit(backend, interchange):
    params = initial_params(MODEL, seed=2, precision="float64")
    network = backend.build(MODEL, initial_params(MODEL, precision="float64"), device="cpu")
    state = interchange.export_params(MODEL, params)
    if backend.name == "torch":
        network.load_state_dict(state)
    else:
        from flax import nnx

        nnx.update(network, state)
    compare_params(backend.params_of(MODEL, network), params, 0)
    compare_params(interchange.import_params(MODEL, state), params, 0)


def native_state(backend, network):
    """That of an Adam optimizer of the network, before its first step."""
    if backend.name == "torch":
        import torch

        return torch.optim.Adam(network.parameters()).state_dict()
    import optax
    from flax import nnx

    return optax.adam(1e-3).init(nnx.state(network, nnx.Param))


def test_a_frozen_table_is_among_the_params_and_has_no_slots(backend, interchange):
    seen = CategoricalFeature(name="seen", vocabulary=4, dimension=2, length=3, trainable=False)
    model = replace(MODEL, categorical=(seen, *MODEL.categorical))
    params = initial_params(model, seed=2)
    compare_params(interchange.import_params(model, interchange.export_params(model, params)), params, 0)
    slots = {slot: initial_params(model, seed=seed) for seed, slot in enumerate(("mu", "nu"))}
    for values in slots.values():
        del values["embeddings.seen"]
    state = native_state(backend, backend.build(model, params, device="cpu"))
    imported, step = interchange.import_slots(model, interchange.export_slots(model, slots, 3, state))
    assert step == 3
    for slot, values in slots.items():
        compare_params(imported[slot], values, 0)
    del slots["mu"]["trunk.0.bias"]
    with pytest.raises(ValueError, match=r"^slots\.mu: expected an entry 'trunk.0.bias', got none"):
        interchange.export_slots(model, slots, 3, state)


def test_slots_of_a_run_with_frozen_parameters_are_refused_by_name(backend, interchange, tmp_path):
    train = training(backend, optimizer=OPTIMIZERS["adam"], frozen=("trunk",), epochs=1)
    fitted = backend.fit(MODEL, train, DATA, checkpoint=tmp_path)
    saved = load_checkpoint(tmp_path)
    state = native_state(backend, backend.build(MODEL, fitted.params, device="cpu"))
    with pytest.raises(ValueError, match=r"^slots\.mu: expected an entry 'trunk.0.kernel', got none; .*train\.frozen"):
        interchange.export_slots(MODEL, saved.slots, saved.step, state)


def test_a_network_with_lazily_updated_tables_comes_back(backend, interchange, tmp_path):
    train = training(backend, optimizer=OPTIMIZERS["adam"], embedding_updates="lazy", batch_size=2, epochs=1)
    fitted = backend.fit(MODEL, train, DATA, checkpoint=tmp_path)
    saved = load_checkpoint(tmp_path)
    compare_params(interchange.import_params(MODEL, interchange.export_params(MODEL, fitted.params)), fitted.params, 0)
    state = native_state(backend, backend.build(MODEL, fitted.params, device="cpu"))
    slots, step = interchange.import_slots(MODEL, interchange.export_slots(MODEL, saved.slots, saved.step, state))
    assert (step, list(slots)) == (ROWS // 2, ["mu", "nu"])
    for slot, values in slots.items():
        compare_params(values, saved.slots[slot], 0)


def test_a_loop_trains_all_of_the_module_but_its_frozen_tables(backend):
    frozen = CategoricalFeature(name="seen", vocabulary=4, dimension=2, trainable=False)
    model = replace(MODEL, categorical=(frozen, *MODEL.categorical))
    network = backend.build(model, initial_params(model), device="cpu")
    if backend.name == "torch":
        trained = [name for name, parameter in network.named_parameters() if parameter.requires_grad]
    else:
        from flax import nnx

        trained = [".".join(map(str, path)) for path, _ in nnx.to_flat_state(nnx.state(network, nnx.Param))]
    assert sorted(trained) == sorted(layout_of(model).tensors)


def test_what_is_another_networks_is_rejected(backend, interchange):
    smaller = replace(MODEL, tasks=MODEL.tasks[:1])
    params = initial_params(MODEL)
    slots = {"mu": params, "nu": params}
    other = native_state(backend, backend.build(smaller, initial_params(smaller), device="cpu"))
    own = native_state(backend, backend.build(MODEL, params, device="cpu"))
    wider = replace(MODEL, numeric=3)  # as many tensors, of other shapes
    wide = initial_params(wider)
    begun = native_state(backend, backend.build(wider, wide, device="cpu"))
    begun = interchange.export_slots(wider, {"mu": wide, "nu": wide}, 1, begun)
    for ask, message in [
        (lambda: interchange.export_params(smaller, params), "params: expected no entry"),
        (
            lambda: interchange.import_params(smaller, interchange.export_params(MODEL, params)),
            "state: expected no entry",
        ),
        (lambda: interchange.import_params(wider, interchange.export_params(MODEL, params)), r"trunk.0.kernel.*shape"),
        (lambda: interchange.export_slots(MODEL, slots, 1, other), "state: expected"),
        (lambda: interchange.export_slots(MODEL, {"trace": params}, 1, own), "slots: expected mu, nu, got trace"),
        (lambda: interchange.export_slots(MODEL, {}, 1, own), "slots: expected mu, nu, got none"),
        (lambda: interchange.import_slots(smaller, own), "state: expected"),
        (lambda: interchange.export_slots(MODEL, slots, 1, begun), r"state\[.*\].*: expected shape \(4, 5\)"),
        (lambda: interchange.import_slots(MODEL, begun), r"state\[.*\].*: expected shape \(4, 5\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            ask()


def test_amsgrad_is_rejected(backend, interchange):
    params = initial_params(MODEL)
    network = backend.build(MODEL, params, device="cpu")
    if backend.name == "torch":
        import torch

        state, said = (
            torch.optim.Adam(network.parameters(), amsgrad=True).state_dict(),
            "amsgrad=False, got amsgrad=True",
        )
    else:
        import optax
        from flax import nnx

        state, said = optax.amsgrad(1e-3).init(nnx.state(network, nnx.Param)), "that of one Adam optimizer, got 0"
    for ask in (
        lambda: interchange.export_slots(MODEL, {"mu": params, "nu": params}, 1, state),
        lambda: interchange.import_slots(MODEL, state),
    ):
        with pytest.raises(ValueError, match=f"^state: expected .*{said}$"):
            ask()
