"""What the backends are compared with: PyTorch loops as people write them, with a network written by hand.

tutorial's loop   DataLoader with shuffling, nn.Module, torch.optim, .item() at every step: the original script
plain loop        the same without DataLoader and .item(): what one writes who cares for speed, and does not compile
sparse loop       the plain loop for lazy updates: nn.Embedding(sparse=True), torch.optim.SparseAdam for the embeddings

All start from the spec's parameters and see its rows in its order, so that their loss is the backends'.
"""

import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from bench.case import STEPS, Case
from bench.results import REFERENCES
from bench.timing import Contestant
from spec import Adam, Fixed, ModelSpec, Schedule, SharedBottom, TrainSpec, initial_params, learning_rates
from spec.data import label_shape, row_order
from spec.tasks import TaskSpec

TASK_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "log_loss": lambda output, label: F.binary_cross_entropy_with_logits(output.squeeze(1), label),
    "squared": F.mse_loss,
    "cross_entropy": F.cross_entropy,
}
NAMES = {"decay": "alpha", "initial_accumulator": "initial_accumulator_value", "learning_rate": "lr"}
"""The spec's names that torch.optim has others for."""


class Activation(nn.Module):
    """A function of torch.nn.functional by the spec's name, which is PyTorch's too."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._function = getattr(F, name)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        activated: Tensor = self._function(x)
        return activated


class Network(nn.Module):
    """The Shared-Bottom network from PyTorch's own layers, one by one. Its parameters are in the spec's order."""

    def __init__(self, model: ModelSpec, *, sparse: bool) -> None:
        """sparse: whether the gradient of an embedding has only the rows that the batch names."""
        super().__init__()
        self.embeddings = nn.ModuleList(
            nn.Embedding(f.vocabulary, f.dimension, sparse=sparse) for f in model.categorical
        )
        self.trunk = nn.Sequential(*self._hidden(model, model.input_width, model.trunk))
        self.heads = nn.ModuleList(
            nn.Sequential(
                *self._hidden(model, model.trunk[-1], task.hidden),
                nn.Linear((model.trunk[-1], *task.hidden)[-1], task.outputs),
            )
            for task in model.tasks
        )

    @staticmethod
    def _hidden(model: ModelSpec, width: int, widths: tuple[int, ...]) -> Iterator[nn.Module]:
        for outputs in widths:
            yield nn.Linear(width, outputs)
            if model.normalization == "layer":
                yield nn.LayerNorm(outputs)
            yield Activation(model.activation)
            width = outputs

    def forward(self, numeric: Tensor | None, categorical: Tensor | None) -> list[Tensor]:
        """Each task's outputs (rows, outputs)."""
        parts = [] if numeric is None else [numeric]
        if categorical is not None:
            parts += [table(ids) for table, ids in zip(self.embeddings, categorical.unbind(1), strict=True)]
        shared = self.trunk(torch.cat(parts, dim=1) if len(parts) > 1 else parts[0])
        return [head(shared) for head in self.heads]

    def load(self, params: dict[str, np.ndarray]) -> None:
        """Start from the spec's parameters."""
        with torch.no_grad():
            for parameter, (name, value) in zip(self.parameters(), params.items(), strict=True):
                parameter.copy_(torch.from_numpy(value.T if name.endswith("kernel") else value))


def task_loss(task: TaskSpec, output: Tensor, label: Tensor) -> Tensor:
    """The mean over the rows, times the task's weight."""
    loss = TASK_LOSSES[task.objective.kind](output, label)
    return loss if task.weight == 1 else loss * task.weight


def make_optimizers(train: TrainSpec, network: Network) -> list[torch.optim.Optimizer]:
    """The optimizer of torch.optim; by lazy updates, SparseAdam for the embeddings besides."""
    settings = {NAMES.get(name, name): value for name, value in vars(train.optimizer).items() if name != "kind"}
    if "beta1" in settings:
        settings["betas"] = (settings.pop("beta1"), settings.pop("beta2"))
    optimizer = getattr(torch.optim, type(train.optimizer).__name__)  # the spec's classes are called as PyTorch's
    tables = list(network.embeddings.parameters())
    if train.embedding_updates == "dense" or not tables:
        return [optimizer(network.parameters(), **settings)]
    others = [*network.trunk.parameters(), *network.heads.parameters()]
    sparse = torch.optim.SparseAdam(tables, settings["lr"], settings["betas"], settings["eps"])
    return [sparse, optimizer(others, **settings)]


class Loop:
    """Any of the loops, as a `bench.timing.Runner`."""

    def __init__(self, case: Case, *, loader: bool, device: str = "cpu") -> None:
        self.steps, self._case, self._item = min(case.steps, STEPS), case, loader
        train = case.train
        self._dtype = getattr(torch, train.precision)
        self._device = torch.device("cuda" if device == "gpu" else "cpu")
        self._network = Network(case.model, sparse=train.embedding_updates == "lazy").to(self._device, self._dtype)
        self._network.load(initial_params(case.model, seed=train.seed, precision=train.precision))
        self._optimizers = make_optimizers(train, self._network)
        self._rates = itertools.cycle(learning_rates(train, train.epochs * case.epoch_steps).tolist())
        self._scheduled = train.schedule != Schedule()
        self._arrays = [tensor if loader else tensor.to(self._device) for tensor in self._tensors()]
        self._batches = self._loaded() if loader else self._sliced()

    def _tensors(self) -> list[Tensor]:
        model, data, rows = self._case.model, self._case.read(), self._case.rows
        tensors = [torch.tensor(data.numeric, dtype=self._dtype)] if model.numeric else []
        tensors += [torch.tensor(data.categorical, dtype=torch.int64)] if model.categorical else []
        for task in self._case.model.tasks:
            label = data.labels[task.name].reshape(label_shape(task, rows))
            tensors.append(torch.tensor(label, dtype=torch.int64 if task.traits.label == "class" else self._dtype))
        return tensors

    def _orders(self) -> Iterator[np.ndarray]:
        train, rows, epoch = self._case.train, self._case.rows, 0
        while True:
            yield row_order(train.seed, epoch, rows) if train.shuffle else np.arange(rows)
            epoch += 1

    def _loaded(self) -> Iterator[list[Tensor]]:
        dataset = TensorDataset(*self._arrays)
        for order in self._orders():  # as a sampler: what shuffle=True draws, but in the spec's order
            yield from DataLoader(dataset, batch_size=self._case.train.batch_size, sampler=order.tolist())

    def _sliced(self) -> Iterator[list[Tensor]]:
        for order in self._orders():
            for index in torch.split(torch.from_numpy(order), self._case.train.batch_size):
                yield [array[index] for array in self._arrays]

    def run(self, steps: int) -> np.ndarray:
        """See `Runner`."""
        model, clip_norm = self._case.model, self._case.train.clip_norm
        gpu = self._device.type == "cuda"
        losses: list[Any] = []
        for _ in range(steps):
            columns = [column.to(self._device) for column in next(self._batches)] if gpu else next(self._batches)
            numeric = columns.pop(0) if model.numeric else None
            categorical = columns.pop(0) if model.categorical else None
            if self._scheduled:
                rate = next(self._rates)
                for group in (group for optimizer in self._optimizers for group in optimizer.param_groups):
                    group["lr"] = rate
            self._network.zero_grad()
            outputs = self._network(numeric, categorical)
            first, *others = map(task_loss, model.tasks, outputs, columns)
            loss = sum(others, first)
            loss.backward()
            if clip_norm is not None:
                nn.utils.clip_grad_norm_(self._network.parameters(), clip_norm)
            for optimizer in self._optimizers:
                optimizer.step()
            losses.append(loss.item() if self._item else loss.detach())
        return np.array(losses) if self._item else torch.stack(losses).numpy(force=True)


def supports(case: Case) -> bool:
    """Whether the loop can train the case. It has no experts, no balancing, no dropout, whose masks come from the spec,
    no lists of ids, and an embedding table for each feature, which it trains.
    """
    return (
        case.model.dropout == 0
        and all(f.length == 1 and f.trainable and f.table in (None, f.name) for f in case.model.categorical)
        and isinstance(case.train.balancing, Fixed)
        and hasattr(torch.optim, type(case.train.optimizer).__name__)
        and (case.train.embedding_updates == "dense" or _sparse_has(case.train))
        and case.model.sharing == SharedBottom()
        and all(task.objective.kind in TASK_LOSSES and task.objective.plain for task in case.model.tasks)
        and not any(task.given for task in case.model.tasks)
    )


def _sparse_has(train: TrainSpec) -> bool:
    """Whether SparseAdam and PyTorch's clipping can do what the backends do by lazy updates."""
    return isinstance(train.optimizer, Adam) and not train.optimizer.weight_decay and train.clip_norm is None


def contestants(case: Case, device: str) -> list[Contestant]:
    """The loop that a case is compared with; none where the loop cannot train what the backends train."""
    if case.reference is None or not supports(case):
        return []
    loader = case.reference == REFERENCES[0]
    execution = REFERENCES[2] if case.train.embedding_updates == "lazy" else case.reference
    build = functools.partial(Loop, case, loader=loader, device=device)
    return [Contestant(case=case, backend="torch", execution=execution, device=device, build=build)]
