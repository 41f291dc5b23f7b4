"""What compiled code is kept by: the model without the numbers that its program does not depend on.

The weights of the tasks come with the batch, as `backends.batches.constants` says, so that runs which differ in them
share one compiled step. A forward pass has neither weights nor dropout.
"""

from dataclasses import replace

from spec.model import ModelSpec


def step_program(model: ModelSpec) -> ModelSpec:
    """The model by which a training step is compiled: each task's weight is 1."""
    return replace(model, tasks=tuple(replace(task, weight=1.0) for task in model.tasks))


def forward_program(model: ModelSpec) -> ModelSpec:
    """The model by which a forward pass is compiled: without dropout besides."""
    return replace(step_program(model), dropout=0.0)
