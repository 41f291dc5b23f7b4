"""Faults in how processes share each batch. Each is planted inside every process, or in process 1 alone."""

import importlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import pytest

from backends import parts
from backends.parts import rows_axis
from shared_bottom.run.errors import ProcessError
from spec import Fitted
from tests.helpers.shared_batches import CASES, Case

SMALL, TUTORIAL = (
    replace(case, train=replace(case.train, epochs=2)) for case in (CASES["dropout, uncertainty"], CASES["tutorial"])
)
"""With dropout and uncertainty weighting, 7 rows a batch; and of 32 rows, with a batch of 8 at step 31."""


def module(backend, name):
    return importlib.import_module(f"backends.{backend}.{name}")


def in_process_1() -> bool:
    return os.environ["RANK"] == "1"


def mean_of_the_sums(patch, backend):
    gradients = module(backend, "gradients")
    original = gradients.summed

    def averaged(losses, gradient, part):
        return tuple(array / part.of for array in original(losses, gradient, part))

    patch.setattr(gradients, "summed", averaged)


def other_parts(change):
    """`change` has the layout and the whole batches, and what makes a part of them."""

    def plant(patch, backend):
        training = module(backend, "training")
        original = training.part_of
        patch.setattr(
            training,
            "part_of",
            lambda layout, batches, part: change(layout, batches, lambda whole: original(layout, whole, part)),
        )

    return plant


def shares_of_the_part(layout, batches, part):
    """Each row's share of the mean over the rows that a process has."""
    own = part(batches)
    for name in own:
        if name.startswith("shares."):
            total = own[name].sum(-1, keepdims=True)
            own[name] = own[name] / np.where(total > 0, total, 1.0)
    return own


def mean_of_the_means(patch, backend):
    """What frameworks' wrappers do. It is right where all batches are whole and all rows have a label."""
    other_parts(shares_of_the_part)(patch, backend)
    mean_of_the_sums(patch, backend)


def a_row_further(layout, batches, part):
    if not in_process_1():
        return part(batches)
    axes = {name: rows_axis(layout, name) for name in batches}
    return part({name: a if axes[name] is None else np.roll(a, 1, axes[name] + 1) for name, a in batches.items()})


def presence_of_the_part(layout, batches, part):
    return {name: array for name, array in part(batches).items() if name != "present"}


def filling_counts(patch, backend):
    original = parts._rows
    patch.setattr(parts, "_rows", lambda name, *others: original("", *others))


def dropout_by_the_row_of_the_part(patch, backend):
    patch.setattr(module(backend, "layers"), "first_row", lambda rows, part: 0)


def other_slots_in_process_1(patch, backend):
    optimizers = module(backend, "optimizers")
    original = optimizers.init

    def torch_init(*arguments):
        return {name: slot + 1e-9 for name, slot in original(*arguments).items()}

    def jax_init(*arguments):
        import jax  # here, because the processes of PyTorch need not wait for it

        return jax.tree.map(lambda slot: slot + 1e-9, original(*arguments))

    if in_process_1():
        patch.setattr(optimizers, "init", {"torch": torch_init, "jax": jax_init}[backend])


@dataclass(frozen=True)
class Fault:
    plant: Callable[[pytest.MonkeyPatch, str], None]
    seen: str
    """What is said of it: by the comparison with one process, or by the processes themselves."""
    case: Case = SMALL
    backends: tuple[str, ...] = ("torch",)
    """Those that have code of their own for it."""


BOTH = ("torch", "jax")
DIFFER = "^expected the same in all processes after epoch 1, got "
FAULTS = {
    "the mean of the sums": Fault(mean_of_the_sums, "^step 0, ", backends=BOTH),
    "shares of each process's rows": Fault(other_parts(shares_of_the_part), "^step 0, "),
    "the mean of each process's mean": Fault(mean_of_the_means, "^step 31, ", case=TUTORIAL),
    "rows of one process shifted by one": Fault(other_parts(a_row_further), "^step 0, "),
    "rows that fill a part up counted": Fault(filling_counts, "^step 0, "),
    "dropout by the row's place in the part": Fault(dropout_by_the_row_of_the_part, "^step 0, ", backends=BOTH),
    "presence of labels by each process's rows": Fault(
        other_parts(presence_of_the_part),
        r"^expected the same in all processes after epoch 1, got balance: ",
    ),
    "other slots in one process": Fault(other_slots_in_process_1, DIFFER + r".*\bmu: ", backends=BOTH),
}


def fit_with(backend: str, execution: str, names: Iterable[str]) -> dict[str, Fitted | str]:
    """By name of a fault, what `fit` returns with it, or the message with which it ends."""
    results: dict[str, Fitted | str] = {}
    for name in names:
        fault = FAULTS[name]
        module(backend, "steps").compiled_run.cache_clear()
        with pytest.MonkeyPatch.context() as patch:
            fault.plant(patch, backend)
            try:
                results[name] = fault.case.fit(backend, execution)
            except ProcessError as error:
                results[name] = str(error)
    return results
