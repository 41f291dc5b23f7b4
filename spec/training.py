"""How to train it: optimizer, schedule, batches, precision, device.

Every hyperparameter is a field with an explicit value, because the frameworks' defaults differ.
"""

import math
from dataclasses import replace
from typing import Annotated, Literal, NamedTuple

import numpy as np

from spec.balancing import Balancing, Fixed
from spec.classes import spec_class
from spec.optimizers import Adam, Optimizer
from spec.validation import ByKind, Count, Flag, Positive, Seed, Share, Sorted, Width

Precision = Literal["float32", "float64"]
Device = Literal["auto", "cpu", "gpu"]
Execution = Literal["auto", "eager", "step", "epoch"]
EmbeddingUpdates = Literal["dense", "lazy"]
OnDivergence = Literal["stop", "continue"]

CLIP_EPS = 1e-6
"""Added to the gradient's norm before dividing by it, as torch.nn.utils.clip_grad_norm_ does."""


@spec_class
class Schedule:
    """The learning rate over the steps, as a factor of the optimizer's: see `learning_rates`."""

    kind: Literal["constant", "linear", "cosine"] = "constant"
    warmup_steps: Count = 0
    """The factor climbs 1/w, 2/w, … 1 over the first w steps."""
    final: Share = 0.0
    """The factor that a decay ends at, one step after the last."""


@spec_class
class EarlyStopping:
    """Stop when the validation rows say so, and return the best epoch's weights, whether or not the stop fired.

    The rows are looked at when an epoch ends. It is the best if the monitored value is better than all before, in the
    direction that the metric calls for: auc, accuracy and the like up, errors and losses down. NaN never is.
    """

    monitor: str = "loss"
    """What is watched: a task by its name; else "mean" over all tasks, or "loss", weighted as in training."""
    metric: str | None = None
    """Which of the task's metrics, or for "mean" of every task's. None: the main one, the first in its list."""
    patience: Width = 3
    """Epochs in a row without a better value after which the run stops."""


class Part(NamedTuple):
    """The rows of each batch that a process computes, where several devices share it: so many of equal parts."""

    first: int = 0
    """Their place among all parts."""
    devices: int = 1
    """How many they are: one for each device of the process."""
    of: int = 1
    """All processes' devices."""


WHOLE = Part()
"""All rows, for a process that trains alone on one device."""


class StepSpec(NamedTuple):
    """What of the training a step is compiled for. The numbers that it takes as inputs are none of that, so that runs
    which differ in nothing else share compiled code: the learning rate, the weight decay and the norm that clips.
    """

    optimizer: Optimizer
    """With 1 as its learning rate, and without weight decay."""
    inputs: tuple[str, ...]
    """Which of `TrainSpec.numbers` there are."""
    balancing: Balancing
    lazy_batch: int | None = None
    """With lazy embedding updates, the rows of a batch; None without."""
    frozen: tuple[str, ...] = ()
    """See `TrainSpec.frozen`."""
    part: Part = WHOLE
    """Of several parts, losses and gradients are sums over all of them."""


@spec_class
class TrainSpec:
    """The training run. What a step does depends on nothing else."""

    optimizer: Annotated[Optimizer, ByKind()] = Adam()
    """What moves the parameters."""
    schedule: Schedule = Schedule()
    """How the learning rate changes over the steps."""
    clip_norm: Positive | None = None
    """Largest L2 norm of the whole gradient; a larger one is scaled by clip_norm / (norm + 1e-6)."""
    balancing: Annotated[Balancing, ByKind()] = Fixed()
    """How the tasks are weighed against each other: see `spec.balancing`."""
    embedding_updates: EmbeddingUpdates = "dense"
    """Which rows of the embedding tables a step moves.

    dense: all. Row r has the gradient g_r, which is 0 if the batch does not name it, and goes through the formulas of
    the optimizer with it: its moments decay, and so does the row itself with weight_decay.
    lazy: those that an id of the batch names, so that a step costs the same whatever the vocabulary. With t the steps
    of the run so far,
      (p_r, slots_r) = the optimizer's formulas with (g_r, p_r, slots_r, lr, t)   if the batch names r
      (p_r, slots_r) = (p_r, slots_r)                                             if it does not.
    The bias correction's t is the run's and not the row's; weight_decay reaches a row when it is named; the norm of
    clip_norm is that of the whole gradient, to which other rows add nothing. For SGD without momentum and for Adagrad,
    both without weight_decay, lazy and dense are the same arithmetic. (torch.optim.SparseAdam moves the same rows by
    the same t; its eps stands elsewhere.)"""
    frozen: Sorted[str] = ()
    """Patterns of the names of parameters that training does not move, such as "trunk", "embeddings" or
    "tasks.*.0.bias": see `spec.params.frozen_parameters`. Such a parameter has no gradient, no optimizer slots and no
    weight decay, and neither clipping nor balancing sees it."""
    batch_size: Width = 32
    """Rows a step. A last, shorter batch is kept: its loss is that of the rows that are there."""
    epochs: Width = 10
    """Passes over the rows."""
    shuffle: Flag = True
    """Draw the rows of each epoch in the order of `spec.data.row_order`; otherwise as they stand."""
    seed: Seed = 0
    """Where initial parameters, row orders and dropout masks come from."""
    precision: Precision = "float32"
    """Of parameters and arithmetic. In float64 both backends' curves agree to 1e-9."""
    device: Device = "auto"
    """auto takes a GPU if there is one."""
    execution: Execution = "auto"
    """How much is compiled: eager nothing, step one training step, epoch a scan over many steps."""
    early_stopping: EarlyStopping | None = None
    """Needs validation rows."""
    on_divergence: OnDivergence = "stop"
    """What a loss that is NaN or infinite does: stop the run with a DivergenceError, or nothing."""

    @property
    def step_spec(self) -> StepSpec:
        """What a step is compiled for."""
        optimizer = replace(self.optimizer, learning_rate=1.0, weight_decay=0.0)
        lazy_batch = self.batch_size if self.embedding_updates == "lazy" else None
        return StepSpec(optimizer, tuple(self.numbers), self.balancing, lazy_batch, self.frozen)

    @property
    def numbers(self) -> dict[str, float]:
        """The numbers of the run, if it has them, that each step takes as inputs: weight_decay and clip_norm."""
        numbers = {"weight_decay": self.optimizer.weight_decay} if self.optimizer.weight_decay else {}
        return numbers | ({} if self.clip_norm is None else {"clip_norm": self.clip_norm})

    def steps_per_epoch(self, rows: int) -> int:
        """Optimizer steps in one pass over `rows` rows."""
        return math.ceil(rows / self.batch_size)


def learning_rates(train: TrainSpec, steps: int) -> np.ndarray:
    """The learning rate of each of a run's `steps` steps: float64 (steps,).

    Step s of the w warm-up steps has the factor (s+1)/w. After them, with x = (s-w)/(steps-w) in [0, 1) and f = final,
    it is 1 (constant), 1 - (1-f)·x (linear), f + (1-f)·(1 + cos πx)/2 (cosine: Loshchilov & Hutter, ICLR 2017, eq. 5).
    """
    schedule, step = train.schedule, np.arange(steps, dtype=np.float64)
    warmup = schedule.warmup_steps
    progress = np.clip((step - warmup) / max(steps - warmup, 1), 0.0, 1.0)
    shape = {
        "constant": np.ones_like(progress),
        "linear": 1.0 - progress,
        "cosine": (1.0 + np.cos(np.pi * progress)) / 2.0,
    }[schedule.kind]
    factor = schedule.final + (1.0 - schedule.final) * shape
    if warmup:
        factor = np.where(step < warmup, (step + 1.0) / warmup, factor)
    return train.optimizer.learning_rate * factor
