"""What executions cost, as far as it is known before a run: what "auto" and the number of threads are chosen by."""

from collections.abc import Mapping
from typing import NamedTuple

from backends.layout import layout_of
from spec.flops import step_flops
from spec.model import ModelSpec
from spec.training import TrainSpec

MANY_FLOPS = 2e9
"""From so many floating-point operations a step on, more threads are worth their cost. They wait for each other in each
of a step's operations, and for milliseconds where other programs use the processor too.
"""
FEW_FLOPS, FEW_NUMBERS = 2**18, 2**15
"""A call of fewer floating-point operations whose layers have fewer numbers is not divided among threads, however many
there may be: the libraries compute so small a matrix product with one, and PyTorch gives each thread so many numbers.
"""
LOCK_STEPS = 320
"""Steps of a typical run in lock step with another backend: those of the tutorial."""


class Cost(NamedTuple):
    """What an execution takes, measured on one core of a server's CPU: good enough to choose by.

    tests/test_auto.py compares what is chosen with the times of whole runs. No GPU was measured: there the choice goes
    by the same figures.
    """

    first: float
    """Seconds to begin, with compiled code in the caches on disk, as every run of a network but its first has it.

    Were it the time without, the first run would choose eager, and compile nothing that the next could take.
    """
    step: float
    """Seconds of overhead a step."""
    flops: float
    """Floating-point operations a second beside the overhead."""
    row: float = 0.0
    """Seconds for each row of lazily updated tables that a step has, as far as no other execution saves them."""


def soonest(costs: Mapping[str, Cost], model: ModelSpec, train: TrainSpec, steps: int) -> str:
    """The execution that ends a run of so many steps first, compiling included."""
    flops = step_flops(model, train.batch_size)
    rows = layout_of(model, train.step_spec.lazy_batch, train.frozen).lazy_rows

    def seconds(cost: Cost) -> float:
        return cost.first + steps * (cost.step + flops / cost.flops + rows * cost.row)

    return min(costs, key=lambda execution: seconds(costs[execution]))
