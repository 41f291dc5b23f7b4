"""A run with lazy embedding updates whose batches name some rows of its tables, all of them, or none."""

import functools
from dataclasses import replace

import numpy as np

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
)
from tests.helpers.parity import KINDS, RTOL, compare_params, example_data, example_model
from tests.helpers.plain_training import train_plainly
from tests.helpers.runs import quickest

FEATURES = (
    CategoricalFeature(name="query", vocabulary=150, dimension=3, length=3, table="word"),
    CategoricalFeature(name="colour", vocabulary=5, dimension=3),
    CategoricalFeature(name="place", vocabulary=6, dimension=3, length=2, pooling="sum", trainable=False),
    CategoricalFeature(name="title", vocabulary=150, dimension=3, length=2, pooling="max", table="word"),
    CategoricalFeature(name="tags", vocabulary=40, dimension=2, length=2, pooling="sum"),
    CategoricalFeature(name="maker", vocabulary=3, dimension=4),
)
"""Lists with each pooling, a table that two features share, tables of one dimension, one of them frozen, and one that
has fewer rows than a batch has ids."""
MODEL = example_model(categorical=FEATURES, tasks=KINDS["tied"][:4], activation="tanh", trunk=(6, 5))
ROWS, BATCH = 44, 8


def rows_of(model):
    """With missing labels and weights of 0. Tags are rare, and two rows name an id several times."""
    data = example_data(model, ROWS, missing=True, weighted=True)
    ids = data.categorical.copy()
    query, colour, _, title, tags, _ = model.id_columns
    ids[:, tags], ids[:6, tags] = -1, np.arange(12).reshape(6, 2)
    ids[:2, query], ids[:2, title], ids[:2, colour] = 7, 7, 2
    return replace(data, categorical=ids)


DATA = rows_of(MODEL)
TRAIN = TrainSpec(
    optimizer=Adam(learning_rate=1e-2, weight_decay=0.1),
    clip_norm=0.5,
    embedding_updates="lazy",
    batch_size=BATCH,
    epochs=3,
    seed=5,
    precision="float64",
    device="cpu",
)
"""Five batches of 8 and one of 4 an epoch: 18 steps."""
STEPS = 18

OPTIMIZERS = {
    "sgd": SGD(learning_rate=0.05),
    "momentum": SGD(learning_rate=0.05, momentum=0.8),
    "nesterov": SGD(learning_rate=0.05, momentum=0.8, nesterov=True),
    "adam": Adam(learning_rate=1e-2, beta1=0.8, beta2=0.97),
    "adamw": AdamW(learning_rate=1e-2, weight_decay=0.0),
    "adagrad": Adagrad(learning_rate=0.05, initial_accumulator=0.1),
    "rmsprop": RMSprop(learning_rate=2e-3, decay=0.9),
    "rmsprop with momentum": RMSprop(learning_rate=2e-3, decay=0.9, momentum=0.7),
}
"""Without weight decay."""
BALANCINGS = [UncertaintyWeighting(initial_log_variance=0.3), DynamicWeightAverage(), GradNorm(), PCGrad()]

plain = functools.cache(lambda model, train: train_plainly(model, train, rows_of(model)))


def agrees(backend, train, folder, execution=None, model=MODEL):
    """The run, after the whole of it was compared with the plain version. It saves the end of each epoch."""
    fitted = backend.fit(
        model,
        replace(train, execution=execution or quickest(backend.name)),
        rows_of(model),
        checkpoint=folder,
        keep=100,
    )
    expected = plain(model, train)
    assert fitted.history.step_loss.shape == (STEPS,)
    np.testing.assert_allclose(fitted.history.step_loss, expected.total, rtol=RTOL)
    weights = [fitted.history.task_weight[task.name] for task in model.tasks]
    np.testing.assert_allclose(np.stack(weights, axis=1), expected.weights, rtol=RTOL)
    compare_params(fitted.params, expected.params, RTOL)
    slots = load_checkpoint(folder).slots
    assert list(slots) == list(train.optimizer.slots)
    for name, slot in slots.items():
        compare_params(slot, expected.slots[name], RTOL)
    return fitted
