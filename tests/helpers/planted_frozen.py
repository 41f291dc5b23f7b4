"""Faults in what training leaves as it is: which parameters these are, and what a step does with them."""

from dataclasses import replace

from backends.layout import layout_of
from backends.places import places_of
from backends.torch import model as torch_model
from backends.torch import steps as torch_steps
from spec import SGD
from spec.params import frozen_parameters
from tests.helpers.faults import MODEL, Fault
from tests.helpers.planted import other_layout, other_train
from tests.helpers.planted_features import torch_decays_frozen_tables

FROZEN = ("trunk.1", "embeddings.shape", "tasks.click.1")
"""A layer, one of two tables of a dimension, and a layer of one of two heads that are tied."""


def put_back_after_each_step(patch):
    """The step moves everything, so that the norm of the gradient counts it, and what is frozen is then as before."""
    original, layout = torch_steps.train_step, layout_of(MODEL)
    names = frozen_parameters(MODEL, FROZEN)
    places = [place for name, place in places_of(MODEL, layout.tensors, {}) if name in names]

    def step(network, step_spec, state, batch):
        moved, losses = original(network, step_spec, state, batch)
        for place in places:
            moved.params[place] = state.params[place]
        return moved, losses

    patch.setattr(torch_steps, "train_step", step)
    return {"train": {"frozen": ()}}


def members_joined_as_they_come(layout):
    """Those that move, and then the frozen ones."""
    changed = replace(layout)
    vars(changed)["joined"] = {name: sorted(members) for name, members in layout.joined.items()}
    return changed


def fault(step, plant, **train):
    own = {"frozen": FROZEN, "optimizer": SGD(learning_rate=0.05, weight_decay=0.01), "clip_norm": 0.5}
    return Fault("torch", step, plant, train=own | train)


FROZEN_FAULTS = {
    "frozen parameters decayed": fault(1, torch_decays_frozen_tables),
    "kernels frozen and biases not": fault(1, other_train(frozen=("trunk.1.kernel", *FROZEN[1:]))),
    "the norm of the gradient with the frozen parameters": fault(1, put_back_after_each_step),
    "frozen members in the place of others": fault(0, other_layout(torch_model, members_joined_as_they_come)),
    "rows of a frozen table moved": fault(1, other_train(frozen=(FROZEN[0], FROZEN[2])), embedding_updates="lazy"),
}
