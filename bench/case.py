"""A network with its training run and rows: what the bench measures, as data."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from backends.costs import Cost
from bench.results import REFERENCES
from spec import Dataset, ModelSpec, TrainSpec, presets

STEPS = 32
"""Steps per call, and per epoch if the rows are generated for the bench."""
CHECKED = 8
"""The step whose loss is compared. In float32 the losses of two frameworks differ by 1e-5 or less at this step, but by
1e-3 some dozens of steps later, because Adam moves a weight whose gradient is only rounding error as far as any other.
"""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A network and its training run."""

    name: str
    variant: str = ""
    """Which network or which data it is, if the case is a family of them: "8 tasks"."""
    way: str = ""
    """How it trains, if a variant is trained in several ways: "lazy"."""
    curve: str = ""
    """Which loss curve it draws, if the ways of a variant draw different ones: losses are compared within a curve."""
    rows_from: str
    """Where the rows come from, in words for the report."""
    model: ModelSpec
    train: TrainSpec
    rows: int
    """Rows of an epoch."""
    read: Callable[[], Dataset]
    """The rows, which are first made when they are first read."""
    test: Dataset | None = None
    """Rows for the evaluation at the end."""
    steps: int = STEPS
    """Steps per call."""
    checked: int = CHECKED
    """The step, counted from 1, at which every row of the table must have the same loss."""
    reference: str | None = REFERENCES[1]
    """The loop that the backends are compared with; None if another way of the variant has it."""
    executions: Callable[[Mapping[str, Cost]], Sequence[str]] = tuple
    """Of the executions that a backend has, those that are measured unless the user names one."""
    left_out: str = ""
    """What the family leaves out and why, in words for the report."""

    @property
    def epoch_steps(self) -> int:
        """Steps per epoch."""
        return self.train.steps_per_epoch(self.rows)


def random_case(
    model: ModelSpec, train: TrainSpec, *, name: str, variant: str = "", steps: int = STEPS, seed: int = 0
) -> Case:
    """A network on random rows, as many as `steps` steps take."""
    data = presets.random_data(model, steps * train.batch_size, seed=seed)
    return Case(
        name=name,
        variant=variant,
        rows_from="random rows",
        model=model,
        train=train,
        rows=data.rows,
        read=lambda: data,
        steps=steps,
        checked=min(CHECKED, steps),
    )
