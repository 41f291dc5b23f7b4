"""A level of experts, and the gates that weigh their outputs: see `spec.sharing`."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from backends import stacks
from backends.torch.layers import Dense, through, through_all, unloaded
from spec.model import ModelSpec
from spec.training import Part


class Gate(nn.Module):
    """The weights of experts, for each row: those of one gate, or of several tied ones, which have a leading axis."""

    def __init__(self, gates: stacks.TiedGates) -> None:
        super().__init__()
        self.kernel = unloaded(*gates.shape)

    def forward(self, x: Float[Tensor, "*members rows inputs"]) -> Float[Tensor, "*members rows experts"]:
        """x: as in `Dense`."""
        logits = x @ self.kernel if x.ndim == self.kernel.ndim else through_all(x, self.kernel)
        return logits.softmax(-1)


class Level(nn.Module):
    """Experts side by side, and the gates that weigh their outputs."""

    def __init__(self, level: stacks.TiedLevel, model: ModelSpec, device: torch.device, part: Part) -> None:
        super().__init__()
        self.tasks, sharing = len(model.tasks), model.sharing
        self.task_experts, self.shared_experts = sharing.task_experts, sharing.shared_experts
        self.experts = nn.ModuleList(Dense(dense, model, device, part) for dense in level.experts.layers)
        self.task_gates = Gate(level.task_gates)
        self.shared_gate = Gate(level.shared_gate) if level.shared_gate else None

    def forward(self, of_tasks: Tensor, shared: Tensor, step_key: Int[Tensor, ""] | None) -> tuple[Tensor, Tensor]:
        """What each task takes from this level (tasks, rows, width), and the shared experts above it (rows, width).

        of_tasks, shared: the same of the level below; or else the network's inputs, (rows, width) both.
        """
        experts = through(self.experts, self.inputs(of_tasks, shared), step_key)
        of_tasks = self.mixed(self.task_gates(of_tasks), experts)
        if self.shared_gate is None:
            return of_tasks, shared
        return of_tasks, torch.einsum("re,erw->rw", self.shared_gate(shared), experts)

    def inputs(self, of_tasks: Tensor, shared: Tensor) -> Float[Tensor, "*experts rows width"]:
        """What the experts take: without an axis of experts if it is the same for all."""
        if of_tasks is shared:
            return shared
        each = of_tasks.repeat_interleave(self.task_experts, dim=0)
        return torch.cat([each, shared.expand(self.shared_experts, *shared.shape)])

    def mixed(
        self, weights: Float[Tensor, "tasks rows experts"], experts: Float[Tensor, "all rows width"]
    ) -> Float[Tensor, "tasks rows width"]:
        """For each task the sum, by its weights, of the outputs of its experts and of the shared ones."""
        count = self.task_experts
        shared = torch.einsum("tre,erw->trw", weights[..., count:], experts[self.tasks * count :])
        if not count:
            return shared
        each = experts[: self.tasks * count].unflatten(0, (self.tasks, count))
        return torch.einsum("tre,terw->trw", weights[..., :count], each) + shared
