"""What makes two runs the same run: the specs, the rows and the parameters that it starts from."""

import hashlib
from collections.abc import Mapping
from typing import Annotated

import numpy as np
from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from spec.data import Dataset, row_order
from spec.files import dotted
from spec.model import ModelSpec
from spec.params import parameter_shapes
from spec.training import TrainSpec
from spec.validation import STRICT, Count

MAY_DIFFER = ("train.device", "train.execution", "train.on_divergence", "train.early_stopping.patience")
"""What a run may be resumed with another value of, since no step and no comparison of weights depends on it."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Fingerprint:
    """An array in few words."""

    dtype: str
    """As NumPy writes it, byte order included: <f8."""
    shape: Annotated[tuple[Count, ...], Field(min_length=1)]
    sha256: str
    """Of its bytes in C order."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Run:
    """All that decides what a run computes."""

    model: ModelSpec
    train: TrainSpec
    data: dict[str, Fingerprint]
    """By numeric, categorical, sample_weight, group, labels.<task>, labels.<task>.mask, task_weight.<task>; what the
    data set does not have is left out."""
    validation: dict[str, Fingerprint] | None
    start: str
    """SHA-256 of the parameters that the run starts from, in the spec's order and the training's precision."""
    order: str | None = None
    """SHA-256 of the order of the rows in the first epoch, as int64; None where they are not shuffled, or where the run
    was saved in version 1 of the format. NumPy may come to shuffle otherwise: the run could not go on from there."""

    @model_validator(mode="after")
    def _has_rows(self) -> "Run":
        for name, arrays in (("data", self.data), ("validation", self.validation)):
            lengths = {array.shape[0] for array in (arrays or {}).values()}
            if arrays is not None and (len(lengths) != 1 or 0 in lengths):
                raise ValueError(f"{name}: expected arrays of as many rows, got {sorted(lengths)}")
        return self

    @property
    def rows(self) -> int:
        """The number of training rows."""
        return next(iter(self.data.values())).shape[0]


def identify(
    model: ModelSpec, train: TrainSpec, data: Dataset, validation: Dataset | None, params: Mapping[str, np.ndarray]
) -> Run:
    """The identity of a run. Takes as long as reading all rows once that are not hashed already."""
    start = hashlib.sha256()
    for name in parameter_shapes(model):
        start.update(np.ascontiguousarray(params[name], dtype=train.precision).data)
    return Run(
        model=model,
        train=train,
        data=fingerprints(data),
        validation=None if validation is None else fingerprints(validation),
        start=start.hexdigest(),
        order=order_fingerprint(train.seed, data.rows) if train.shuffle else None,
    )


def order_fingerprint(seed: int, rows: int) -> str:
    """The SHA-256 of the order of the rows in the first epoch, as little-endian int64."""
    return hashlib.sha256(row_order(seed, 0, rows).astype("<i8").data).hexdigest()


def fingerprints(data: Dataset) -> dict[str, Fingerprint]:
    """Those of the data set's arrays, of which only those are hashed that have not been before."""
    arrays = data.arrays
    for name, array in data.arrays.items():
        if isinstance(array, np.ma.MaskedArray):
            arrays |= {name: np.ma.filled(array, 0), f"{name}.mask": np.ma.getmaskarray(array)}
    return {
        name: Fingerprint(
            dtype=array.dtype.str,
            shape=array.shape,
            sha256=data.sha256.get(name) or hashlib.sha256(np.ascontiguousarray(array).data).hexdigest(),
        )
        for name, array in arrays.items()
    }


def differences(saved: Run, now: Run) -> list[str]:
    """Each field in which a saved run and the one that would resume it differ: "train.seed: 1 saved, 2 now".

    The number of epochs may differ where no step depends on it, which is where the learning rate does not decay. The
    order of the rows is compared where both are known and what it is drawn from is the same.
    """
    free = (*MAY_DIFFER, "train.epochs") if now.train.schedule.kind == "constant" else MAY_DIFFER
    values_saved, values_now = (dotted(run) for run in (saved, now))
    listed = [
        f"{name}: {values_saved.get(name, 'nothing')} saved, {values_now.get(name, 'nothing')} now"
        for name in dict.fromkeys([*values_saved, *values_now])
        if name not in (*free, "order") and values_saved.get(name, "nothing") != values_now.get(name, "nothing")
    ]
    same_draw = (saved.train.seed, saved.rows) == (now.train.seed, now.rows)
    if same_draw and saved.order and now.order and saved.order != now.order:
        listed.append(
            f"order: {saved.order} saved, {now.order} now: of the same seed, this version of NumPy makes another order "
            "of the rows than the one that the run began with"
        )
    return listed
