"""The loop that the project started from, as a tutorial writes it: DataLoader, nn.Module, torch.optim, .item()."""

import time

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from bench.timing import Row
from spec import initial_params, presets


class SharedBottomTutorial(nn.Module):
    """The tutorial's network, written by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Sequential(
            nn.Linear(10, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU()
        )
        self.task_a = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 3))
        self.task_b = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 2))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Both tasks' outputs: (rows, 3), (rows, 2)."""
        shared = self.shared(x)
        return self.task_a(shared), self.task_b(shared)

    def load(self, params: dict[str, np.ndarray]) -> None:
        """Start from the spec's parameters."""
        linears = [layer for layer in self.modules() if isinstance(layer, nn.Linear)]
        names = [f"trunk.{i}" for i in range(3)] + [
            f"tasks.{task}.{i}" for task in ("task_a", "task_b") for i in range(2)
        ]
        with torch.no_grad():
            for name, linear in zip(names, linears, strict=True):
                linear.weight.copy_(torch.from_numpy(params[f"{name}.kernel"].T))
                linear.bias.copy_(torch.from_numpy(params[f"{name}.bias"]))


def time_tutorial_loop(threads: int) -> Row:
    """Train the tutorial's run with the tutorial's own loop. Its rows come in an order of their own."""
    train, data = presets.tutorial_training(), presets.tutorial_data()
    assert data.numeric is not None
    arrays = (data.numeric, data.labels["task_a"], data.labels["task_b"])
    dataset = TensorDataset(*(torch.from_numpy(array).float() for array in arrays))
    start = time.perf_counter()
    torch.manual_seed(train.seed)
    model, criterion = SharedBottomTutorial(), nn.MSELoss()
    model.load(initial_params(presets.tutorial_model(), seed=train.seed))
    loader = DataLoader(dataset, batch_size=train.batch_size, shuffle=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=train.optimizer.learning_rate)
    losses, seconds = [], []
    for _ in range(train.epochs):
        for x, a, b in loader:
            optimizer.zero_grad()
            out_a, out_b = model(x)
            loss = criterion(out_a, a) + criterion(out_b, b)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        seconds.append(time.perf_counter() - start)
        start = time.perf_counter()
    return Row(
        backend="torch",
        execution="tutorial's loop",
        device="cpu",
        threads=threads,
        steps=len(losses),
        first_call_seconds=seconds[0],
        step_microseconds=[second / len(loader) * 1e6 for second in seconds[1:]],
        batch_size=train.batch_size,
        first_loss=losses[0],
        last_loss=losses[-1],
    )
