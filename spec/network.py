"""The network as layers: the experts and gates of each level, and the heads, whatever the way of sharing.

Everything that has to know which layers there are reads it here: the parameter table, the backends' layout, the count
of the arithmetic.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from spec.model import ModelSpec
from spec.tasks import TaskSpec


@dataclass(frozen=True)
class Layer:
    """A linear layer (in, out)."""

    name: str
    inputs: int
    outputs: int
    hidden: bool = False
    """Whether it is normalized, activated and dropped out; the others are a head's output and the gates."""
    bias: bool = True
    """A gate has none."""


@dataclass(frozen=True)
class Stack:
    """Layers that follow one another: an expert, such as the trunk, or the head of a task."""

    name: str
    """What its layers' names begin with: trunk, experts.<e>, tasks.<task>."""
    layers: tuple[Layer, ...]
    task: TaskSpec | None = None
    """Whose head or expert it is; None if all tasks share it."""
    reads_inputs: bool = False
    """Whether its first layer takes the network's inputs."""


@dataclass(frozen=True)
class Gate:
    """What weighs the outputs of experts, by a kernel (in, experts)."""

    layer: Layer
    task: TaskSpec | None
    """Whose it is; None for that of the shared experts."""
    experts: tuple[int, ...]
    """Those that it looks at, in the order of its kernel's columns: their places in the level."""


@dataclass(frozen=True)
class Level:
    """Experts side by side, each task's in order and then the shared ones; and the gates in the same order, if any."""

    experts: tuple[Stack, ...]
    gates: tuple[Gate, ...]
    reads_inputs: bool
    """Whether it takes the network's inputs; or else what the level below gave, as the experts of a task and the shared
    ones each take what the gate of theirs gave."""


def levels(model: ModelSpec) -> tuple[Level, ...]:
    """The network between its inputs and the heads."""
    return tuple(_level(model, number) for number in range(model.sharing.levels))


def _level(model: ModelSpec, number: int) -> Level:
    sharing, first, last = model.sharing, number == 0, number == model.sharing.levels - 1
    width = model.input_width if first else model.trunk[-1]
    owners = [task for task in model.tasks for _ in range(sharing.task_experts)] + [None] * sharing.shared_experts
    experts = []
    for place, task in enumerate(owners):
        name = sharing.expert(number, task.name if task else None, owners[:place].count(task))
        experts.append(Stack(name, _layers(name, (width, *model.trunk), len(model.trunk)), task, reads_inputs=first))
    gates = []
    gated: list[TaskSpec | None] = [*model.tasks] if sharing.gated else []
    for owner in gated + ([None] if sharing.gated and not last else []):
        looks_at = [place for place, other in enumerate(owners) if owner is None or other in (owner, None)]
        name = sharing.gate(number, owner.name if owner else None)
        gates.append(Gate(Layer(name, width, len(looks_at), bias=False), owner, tuple(looks_at)))
    return Level(tuple(experts), tuple(gates), reads_inputs=first)


def heads(model: ModelSpec) -> tuple[Stack, ...]:
    """Each task's head, in the order of the tasks."""
    stacks = []
    for task in model.tasks:
        name, widths = f"tasks.{task.name}", (model.trunk[-1], *task.hidden, task.head_outputs)
        stacks.append(Stack(name, _layers(name, widths, len(task.hidden)), task))
    return tuple(stacks)


def _layers(name: str, widths: tuple[int, ...], hidden: int) -> tuple[Layer, ...]:
    return tuple(
        Layer(f"{name}.{i}", inputs, outputs, hidden=i < hidden) for i, (inputs, outputs) in enumerate(pairwise(widths))
    )


def layers(model: ModelSpec) -> Iterator[Layer]:
    """Every linear layer in network order: of each level the shared experts, each task's, the gates; then the heads."""
    for level in levels(model):
        for stack in sorted(level.experts, key=lambda expert: expert.task is not None):  # the shared ones first
            yield from stack.layers
        yield from (gate.layer for gate in level.gates)
    for head in heads(model):
        yield from head.layers


def own_layers(model: ModelSpec) -> dict[str, TaskSpec]:
    """The layers that serve one task alone, by name, and which: those from which no path leads to another's head.

    In a level below the last, the shared gate looks at every task's experts, so that all tasks share them; and the
    gates of a level further below too, since these experts take what they gave. Through the head of a task that
    another is given runs that one's loss.
    """
    own: dict[str, TaskSpec | None] = {}
    last = model.sharing.levels - 1
    for number, level in enumerate(levels(model)):
        stacks = level.experts if number == last else ()
        own |= {layer.name: stack.task for stack in stacks for layer in stack.layers}
        gates = level.gates if number >= last - 1 else ()
        own |= {gate.layer.name: gate.task for gate in gates}
    own |= {layer.name: head.task for head in heads(model) for layer in head.layers}
    given = {task.given for task in model.tasks}
    return {name: task for name, task in own.items() if task is not None and task.name not in given}


def shared_layers(model: ModelSpec) -> Iterator[list[str]]:
    """The layers of the shared experts, from the last to the first; those side by side together."""
    for level in reversed(levels(model)):
        experts = [stack.layers for stack in level.experts if stack.task is None]
        for layers_beside in reversed(list(zip(*experts, strict=True))):
            yield [layer.name for layer in layers_beside]
