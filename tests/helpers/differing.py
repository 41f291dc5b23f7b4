"""What `fit` may be called with in process 1 and not in process 0: no run must come of it."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from shared_bottom import fit as fit_module
from shared_bottom.run.errors import ProcessError
from spec import SGD, Fitted, initial_params, load_backend
from tests.helpers.shared_batches import CASES, QUICKEST

CASE = CASES["dropout, uncertainty"]
MODEL, DATA, TRAIN = CASE.model, CASE.data, replace(CASE.train, epochs=1)


@dataclass(frozen=True)
class Difference:
    change: Callable[[pytest.MonkeyPatch], dict[str, Any]]
    """Gives the arguments of process 1 that are others."""
    said: str
    """The difference in words, as a regular expression."""


def arguments(**others):
    return lambda patch: others


def a_bit_more(array: np.ndarray) -> np.ndarray:
    """The array with another last number."""
    changed = array.copy()
    changed.flat[-1] = np.nextafter(changed.flat[-1], np.inf)
    return changed


def data(**fields) -> Callable[[pytest.MonkeyPatch], dict[str, Any]]:
    return arguments(data=replace(DATA, **fields))


def params(patch):
    initial = initial_params(MODEL, seed=TRAIN.seed, precision="float64")
    return {"params": initial | {"trunk.0.bias": a_bit_more(initial["trunk.0.bias"])}}


def version(patch):
    original = fit_module.versions_of
    patch.setattr(fit_module, "versions_of", lambda libraries: original(libraries) | {libraries[-1]: "0.1"})
    return {}


SHA = "[0-9a-f]{64}"
DIFFERENCES = {
    "seed": Difference(arguments(train={"seed": 4}), r"train\.seed: 3 in process 0, 4 in process 1; "),
    "optimizer": Difference(
        arguments(train={"optimizer": SGD()}), r"train\.optimizer\.kind: adam in process 0, sgd in process 1; "
    ),
    "execution": Difference(
        arguments(train={"execution": "auto"}), r"train\.execution: \w+ in process 0, auto in process 1$"
    ),
    "numbers of the rows": Difference(
        data(numeric=a_bit_more(DATA.numeric)),
        rf"data\.numeric\.sha256: {SHA} in process 0, {SHA} in process 1$",
    ),
    "labels of the rows": Difference(
        data(labels=DATA.labels | {"buy": 1.0 - DATA.labels["buy"]}),
        rf"data\.labels\.buy\.sha256: {SHA} in process 0, {SHA} in process 1$",
    ),
    "number of rows": Difference(
        arguments(data=DATA.take(slice(70))),
        r"data\.numeric\.shape: \[74, 4\] in process 0, \[70, 4\] in process 1; ",
    ),
    "validation rows": Difference(
        arguments(validation=DATA.take(slice(20))), r"validation: None in process 0, nothing in process 1; "
    ),
    "initial parameters": Difference(params, rf"start: {SHA} in process 0, {SHA} in process 1$"),
    "versions": Difference(version, r"(torch|optax): \d+\.\d+\S* in process 0, 0\.1 in process 1$"),
    "whether it saves": Difference(
        arguments(checkpoint=None), r"checkpoint: a folder in process 0, none in process 1$"
    ),
    "how often it saves": Difference(arguments(save_every=3), r"save_every: None in process 0, 3 in process 1$"),
}


def fit_otherwise(backend: str, folder: str) -> tuple[dict[str, tuple[str, int]], Fitted]:
    """By difference, the message and the code of the error that `fit` raises in this process; and a run without any."""
    train, ends = replace(TRAIN, execution=QUICKEST[backend]), {}
    for name, difference in DIFFERENCES.items():
        with pytest.MonkeyPatch.context() as patch:
            others = difference.change(patch) if os.environ["RANK"] == "1" else {}
            if "train" in others:
                others["train"] = replace(train, **others["train"])
            own = {"train": train, "data": DATA, "checkpoint": folder} | others
            with pytest.raises(ProcessError) as caught:
                load_backend(backend).fit(MODEL, **own)
        ends[name] = str(caught.value), caught.value.code
    return ends, load_backend(backend).fit(MODEL, train, DATA)
