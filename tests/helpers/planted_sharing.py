"""Faults in the ways of sharing, in the losses and in what a conditional task is given, planted in PyTorch."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import torch
import torch.nn.functional as F

from backends.torch import experts as torch_experts
from backends.torch import losses as torch_losses
from backends.torch import model as torch_model
from spec import (
    PLE,
    CrossEntropy,
    GradNorm,
    LogLoss,
    MMoE,
    PCGrad,
    Quantile,
    TaskSpec,
    UncertaintyWeighting,
    ZeroInflatedLognormal,
)
from tests.helpers.faults import MODEL, Fault, rows_of
from tests.helpers.parity import KINDS
from tests.helpers.planted import other_layout

LEVELS = {"sharing": PLE(shared_experts=1, task_experts=2, levels=2), "tasks": KINDS["tied"][:4], "trunk": (6, 5)}
DROPPED = LEVELS | {"dropout": 0.25}
GATES = {"sharing": MMoE(experts=3), "tasks": KINDS["tied"][:4], "trunk": (6, 5)}
LOSSES = {
    "trunk": (6,),
    "tasks": (
        TaskSpec(name="click", kind="binary", hidden=(4,)),
        TaskSpec(name="buy", kind="binary", hidden=(4,), given="click"),
        TaskSpec(name="like", kind="binary", loss=LogLoss(label_smoothing=0.2, focal_gamma=1.5)),
        TaskSpec(name="region", kind="multiclass", outputs=3, loss=CrossEntropy(class_weights=(0.5, 2.0, 1.0))),
        TaskSpec(name="wait", kind="regression", loss=Quantile(levels=(0.1, 0.5, 0.8))),
        TaskSpec(name="value", kind="regression", loss=ZeroInflatedLognormal()),
    ),
}


def in_levels(change):
    """A level's forward pass is another: `change(level, of_tasks, shared, original)`, original being the right one."""

    def plant(patch):
        original = torch_experts.Level.forward

        def forward(self, of_tasks, shared, key):
            return change(self, of_tasks, shared, lambda: original(self, of_tasks, shared, key))

        patch.setattr(torch_experts.Level, "forward", forward)

    return plant


def gate_reads_the_shared_stream(level, of_tasks, shared, original):
    """In the second level a task's gate takes what the shared experts take."""
    if of_tasks is shared:
        return original()
    gates, level._modules["task_gates"] = level.task_gates, lambda _: gates(shared)
    try:
        return original()
    finally:
        level._modules["task_gates"] = gates


def second_level_left_out(level, of_tasks, shared, original):
    """Its parameters are there, and count for nothing."""
    above, shared_above = original()
    return (above, shared_above) if of_tasks is shared else (of_tasks + 0.0 * above, shared)


def in_gates(change):
    """A gate's weights are others than its own: `change(gate, weights)`."""

    def plant(patch):
        original = torch_experts.Gate.forward
        patch.setattr(torch_experts.Gate, "forward", lambda self, x: change(self, original(self, x)))

    return plant


def over_the_rows(gate, weights):
    """The softmax over the other axis."""
    return weights.log().softmax(-2)


def with_a_bias(gate, weights):
    return (weights.log() + 0.01 * torch.arange(weights.shape[-1])).softmax(-1)


def shared_experts_first(gate, weights):
    """In the columns of the tasks' gates."""
    return weights.roll(1, -1) if gate.kernel.ndim == 3 else weights


def shared_experts_first_in_the_shared_gate(gate, weights):
    return weights.roll(1, -1) if gate.kernel.ndim == 2 else weights


def neighbours_dropout_key(layout):
    """Each expert drops what the one beside it should."""

    def rolled(dense):
        return replace(dense, dropout_keys=(*dense.dropout_keys[1:], dense.dropout_keys[0]))

    levels = []
    for level in layout.levels:
        experts = replace(level.experts, layers=tuple(rolled(dense) for dense in level.experts.layers))
        levels.append(replace(level, experts=experts))
    return replace(layout, levels=tuple(levels))


def heads_of_other_tasks(layout):
    """Each of two tied heads takes what the gate of the other task gave."""
    places = (place[::-1] if isinstance(place, list) else place for place in layout.head_places)
    return replace(layout, head_places=tuple(places))


def gates_are_shared(layout):
    """All before the heads is projected."""
    end = layout.tensors["heads.0.0.kernel"].start
    return replace(layout, pieces=((slice(0, end), True), (slice(end, layout.size), False)))


def first_layer_measured(layout):
    kernel = layout.tensors["levels.0.experts.0.kernel"]
    return replace(layout, last_shared=slice(kernel.start, kernel.stop))


def in_loss(kind, change):
    """The loss of a row is another: `change(original, loss, outputs, labels)`."""

    def plant(patch):
        original = torch_losses.LOSSES[kind]
        patch.setitem(torch_losses.LOSSES, kind, lambda *arguments: change(original, *arguments))

    return plant


def product_with_what_did_not_happen(patch):
    """q·(1-p) in place of p·q."""

    def unconditional(layout, logits):
        by_task = layout.by_task(logits)
        for task, given in layout.chains:
            a, b = -by_task[given], by_task[task]
            by_task[task] = -torch.stack([-a, -b, -a - b]).logsumexp(0)
        of_heads = [[by_task[task.name] for task in head.tasks] for head in layout.heads]
        return [torch.stack(z) if head.tied else z[0] for z, head in zip(of_heads, layout.heads, strict=True)]

    patch.setattr(torch_losses, "unconditional", unconditional)


def conditional_of_the_clicked_alone(patch):
    """The loss of the conversion is taken on the rows that were clicked."""
    data = rows_of(replace(MODEL, **LOSSES))
    buy = np.where(data.labels["click"] == 1, data.labels["buy"], np.nan)
    return {"data": replace(data, labels=data.labels | {"buy": buy})}


def head_of_the_given_alone(patch):
    """The conversion's loss is that of its head's output, as if nothing were given."""
    patch.setattr(torch_losses, "unconditional", lambda layout, logits: logits)


def weights_divided_by_their_mean(original, loss, z, y):
    weights = z.new_tensor(loss.class_weights)
    return original(loss, z, y) / weights.mean()


def smoothed_twice_as_far(original, loss, z, y):
    s = loss.label_smoothing
    return original(loss, z, y + s / 2 / (1 - s)) if s else original(loss, z, y)


def focal_on_the_other_term(original, loss, z, y):
    """p^γ where (1-p)^γ belongs, and the other way round."""
    if not loss.focal_gamma:
        return original(loss, z, y)
    plain = SimpleNamespace(plain=False, focal_gamma=0.0, positive_weight=1.0, label_smoothing=0.0)
    p, y = z.squeeze(-1).sigmoid(), y * (1 - loss.label_smoothing) + loss.label_smoothing / 2
    of_truth, of_false = (original(plain, z, torch.full_like(y, label)) for label in (1.0, 0.0))
    return y * p**loss.focal_gamma * of_truth + (1 - y) * (1 - p) ** loss.focal_gamma * of_false


def levels_reversed(original, loss, z, y):
    return original(SimpleNamespace(levels=loss.levels[::-1]), z, y)


def density_of_the_logarithm(original, loss, z, y):
    """Without the 1/y: the normal density of log y. That moves no parameter but a learned weight of the task."""
    amount = y.squeeze(-1)
    return original(loss, z, y) - torch.where(amount > 0, amount, 1.0).log()


def exponential_scale(patch):
    """σ = e^z in place of log(1 + e^z)."""
    patch.setattr(F, "softplus", lambda z, **_: torch.exp(z))


def of_levels(plant, model=LEVELS):
    return Fault("torch", 0, plant, model=model)


def of_losses(task, plant):
    return Fault("torch", 0, plant, model=LOSSES, where=task)


SHARING_FAULTS = {
    "a task's gate reads the shared stream": of_levels(in_levels(gate_reads_the_shared_stream)),
    "a level left out": of_levels(in_levels(second_level_left_out)),
    "softmax over the rows": of_levels(in_gates(over_the_rows), GATES),
    "a gate with a bias": of_levels(in_gates(with_a_bias), GATES),
    "a task's experts and the shared ones exchanged": of_levels(in_gates(shared_experts_first)),
    "the shared gate looks at the shared experts first": of_levels(in_gates(shared_experts_first_in_the_shared_gate)),
    "an expert drops what its neighbour should": of_levels(other_layout(torch_model, neighbours_dropout_key), DROPPED),
    "a head takes what another task's gate gave": of_levels(other_layout(torch_model, heads_of_other_tasks), GATES),
    "a task's gate taken for shared": Fault(
        "torch", 1, other_layout(torch_model, gates_are_shared), model=GATES, train={"balancing": PCGrad()}
    ),
    "gradient norms of the experts' first layer": Fault(
        "torch", 1, other_layout(torch_model, first_layer_measured), model=GATES, train={"balancing": GradNorm()}
    ),
    "a product with what did not happen": of_losses("buy", product_with_what_did_not_happen),
    "a conditional loss of some rows alone": of_losses("buy", conditional_of_the_clicked_alone),
    "nothing given": of_losses("buy", head_of_the_given_alone),
    "class weights divided by their mean": of_losses("region", in_loss("cross_entropy", weights_divided_by_their_mean)),
    "labels smoothed twice as far": of_losses("like", in_loss("log_loss", smoothed_twice_as_far)),
    "the focal exponent on the other term": of_losses("like", in_loss("log_loss", focal_on_the_other_term)),
    "quantile levels reversed": of_losses("wait", in_loss("quantile", levels_reversed)),
    "the density of the logarithm": Fault(
        "torch",
        0,
        in_loss("zero_inflated_lognormal", density_of_the_logarithm),
        model=LOSSES,
        train={"balancing": UncertaintyWeighting()},
        where="value",
    ),
    "an exponential scale": of_losses("value", exponential_scale),
}
