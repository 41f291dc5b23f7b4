"""Faults in lazy embedding updates: which rows a batch names, and what a step does with them."""

from dataclasses import replace

import numpy as np
import torch

from backends import batches, lazy
from backends.jax import steps as jax_steps
from backends.layout import layout_of
from backends.lazy import PARAMS, TOUCHED
from backends.torch import optimizers as torch_optimizers
from backends.torch import steps as torch_steps
from spec import SGD, Adam
from tests.helpers.faults import MODEL, TRAIN, Fault
from tests.helpers.lazy import FEATURES
from tests.helpers.planted import other_train

OPTIMIZER = Adam(learning_rate=3e-3, weight_decay=0.1)


def rows_named(change):
    """One backend's steps touch other rows: `change` has the table, the rows named, and the ids' places among them."""

    def plant(patch):
        original = lazy._distinct

        def distinct(whole, length, ids):
            touched, places = original(whole, length, ids)
            for rows, place in zip(touched, places, strict=True):
                change(whole, rows, place)
            return touched, places

        patch.setattr(lazy, "_distinct", distinct)

    return plant


def a_row_for_each_id(whole, rows, places):
    """A row that is named twice is there twice, as far as there is room: what one of the two moved it by is lost."""
    first, room = set(), iter(np.flatnonzero(rows >= whole.rows))
    for index in zip(*np.nonzero(places >= 0), strict=True):
        if places[index] in first and (place := next(room, None)) is not None:
            rows[place], places[index] = rows[places[index]], place
        first.add(places[index])


def room_for_the_last_row(whole, rows, places):
    """What fills the length is the table's last row, and not one past its end."""
    rows[rows >= whole.rows] = whole.rows - 1


def padding_names_its_ids(patch):
    """A short batch is filled up with the first rows of the data, which then name rows of the tables."""
    original = batches.BatchSource.take

    def take(self, order):
        rightly = original(self, order)
        filled = original(self, np.concatenate([order, np.arange(-len(order) % self.batch_size)]))
        return filled | {name: array for name, array in rightly.items() if name.startswith("shares.")}

    patch.setattr(batches.BatchSource, "take", take)


def after_each_step(steps, change):
    """`change` has the state before a step, that after it and the batch, and gives another state."""

    def plant(patch):
        original = steps.lazy_step

        def step(layout, dense_step, state, batch, **options):
            moved, losses = original(layout, dense_step, state, batch, **options)
            return change(state, moved, batch), losses

        patch.setattr(steps, "lazy_step", step)

    return plant


def other_rows_decay(before, after, batch):
    for name, table in after.tables[PARAMS].items():
        others = torch.ones(len(table), dtype=torch.bool)
        others[batch[TOUCHED + name].long()] = False
        table[others] *= 1.0 - batch["learning_rate"] * OPTIMIZER.weight_decay
    return after


def slots_stay_as_they_were(before, after, batch):
    return after._replace(tables={**before.tables, PARAMS: after.tables[PARAMS]})


def slots_start_anew(before, after, batch):
    for name, tables in after.tables.items():
        for table in tables.values():
            table.mul_(name == PARAMS)
    return after


def bias_corrected_by_row(patch):
    """Each row's correction counts the steps that named it."""
    original, counts = torch_steps.lazy_step, {}

    def step(layout, dense_step, state, batch, **options):
        debias = batch["debias"].unsqueeze(1).repeat(1, layout.size)
        for name in layout.lazy:
            rows = batch[TOUCHED + name].long()
            count = counts.setdefault(name, torch.zeros(len(state.tables[PARAMS][name]), dtype=torch.float64))
            count[rows] += 1
            tensor = layout.tensors[name]
            times = count[rows].repeat_interleave(tensor.shape[1])
            betas = torch.tensor([[OPTIMIZER.beta1], [OPTIMIZER.beta2]], dtype=torch.float64)
            debias[:, tensor.start : tensor.stop] = 1.0 / (1.0 - betas**times)
        return original(layout, dense_step, state, {**batch, "debias": debias}, **options)

    patch.setattr(torch_steps, "lazy_step", step)


def norm_without_the_tables(patch):
    size = layout_of(replace(MODEL, categorical=FEATURES), TRAIN.batch_size).lazy_size

    def clip(gradient, most):
        return gradient * (most / (torch.linalg.vector_norm(gradient[size:]) + torch_optimizers.CLIP_EPS)).clamp(max=1)

    patch.setattr(torch_optimizers, "clip_by_norm", clip)


def fault(side, step, plant, optimizer=OPTIMIZER):
    train = {"embedding_updates": "lazy", "optimizer": optimizer, "clip_norm": 0.5}
    return Fault(side, step, plant, model={"categorical": FEATURES, "activation": "tanh"}, train=train)


LAZY_FAULTS = {
    "a row that is named twice counted once": fault("torch", 1, rows_named(a_row_for_each_id)),
    "what fills up the rows named written to a row": fault("torch", 1, rows_named(room_for_the_last_row)),
    "ids of a short batch's padding taken for named": fault("torch", 4, padding_names_its_ids),
    "rows decayed that no id names": fault("torch", 1, after_each_step(torch_steps, other_rows_decay)),
    "slots of the tables not written back": fault("jax", 2, after_each_step(jax_steps, slots_stay_as_they_were)),
    "slots of the tables started anew": fault("torch", 2, after_each_step(torch_steps, slots_start_anew)),
    "bias correction by the steps that name a row": fault("torch", 2, bias_corrected_by_row),
    "the norm of the gradient without the tables": fault("torch", 1, norm_without_the_tables, SGD(learning_rate=0.05)),
    "all rows moved": fault("torch", 1, other_train(embedding_updates="dense")),
}
