"""A run in legs: each goes on in the folder that the one before it left."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from spec import AdamW, EarlyStopping, Fitted, UncertaintyWeighting
from tests.helpers.shared_batches import LAZY, QUICKEST, case

CASE = case(
    validation=True,
    optimizer=AdamW(learning_rate=3e-3),
    balancing=UncertaintyWeighting(),
    early_stopping=EarlyStopping(patience=28),
    embedding_updates="lazy",
    categorical=LAZY,
    dropout=0.25,
)
"""All that a step keeps for the next one: parameters, slots, tables, log-variances. 28 epochs of 11 steps."""
SAVE_EVERY = 4
EPOCHS = CASE.train.epochs


def legs(backend: str, folders: Iterable[tuple[str | Path, int]]) -> list[Fitted]:
    """The run of each folder up to so many epochs, from what is there, alone or with the processes started together."""
    return [
        replace(CASE, train=replace(CASE.train, epochs=epochs)).fit(
            backend, QUICKEST[backend], checkpoint=folder, save_every=SAVE_EVERY, keep=1000, resume=True
        )
        for folder, epochs in folders
    ]
