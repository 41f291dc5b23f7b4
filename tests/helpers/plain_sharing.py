"""The third judge of sharing: each way in plain NumPy, written from its paper, by the contract's names of parameters.

`expert(name, x)` is a stack of hidden layers, `gate(name, x)` a linear layer without bias and its softmax (rows,
experts). Each way returns what the head of each task takes.
"""

from collections.abc import Callable, Collection

import numpy as np

from spec import ModelSpec

Stack = Callable[[str, np.ndarray], np.ndarray]


def mixed(weights: np.ndarray, experts: list[np.ndarray]) -> np.ndarray:
    """Σ_e g_e·f_e, for each row."""
    assert weights.shape[1] == len(experts)
    return sum(weights[:, [e]] * output for e, output in enumerate(experts))


def shared_bottom(model: ModelSpec, expert: Stack, gate: Stack, x: np.ndarray) -> dict[str, np.ndarray]:
    trunk = expert("trunk", x)
    return {task.name: trunk for task in model.tasks}


def separate(model: ModelSpec, expert: Stack, gate: Stack, x: np.ndarray) -> dict[str, np.ndarray]:
    return {task.name: expert(f"tasks.{task.name}.trunk", x) for task in model.tasks}


def mmoe(model: ModelSpec, expert: Stack, gate: Stack, x: np.ndarray) -> dict[str, np.ndarray]:
    """Ma et al., eq. 6 to 8: f^k(x) = Σ_i g^k(x)_i·f_i(x), g^k(x) = softmax(W_gk·x)."""
    experts = [expert(f"experts.{e}", x) for e in range(model.sharing.experts)]
    return {task.name: mixed(gate(f"gates.{task.name}", x), experts) for task in model.tasks}


def ple(model: ModelSpec, expert: Stack, gate: Stack, x: np.ndarray) -> dict[str, np.ndarray]:
    """Tang et al., eq. 1 to 7: a task's gate selects among E_k and E_s, the shared one among all experts."""
    way = model.sharing
    of_task, of_all = {task.name: x for task in model.tasks}, x
    for level in range(way.levels):
        name = f"levels.{level}"
        tasks = {
            task: [expert(f"{name}.{task}.{e}", own) for e in range(way.task_experts)] for task, own in of_task.items()
        }
        common = [expert(f"{name}.shared.{e}", of_all) for e in range(way.shared_experts)]
        of_task = {
            task: mixed(gate(f"{name}.gates.{task}", own), tasks[task] + common) for task, own in of_task.items()
        }
        if level < way.levels - 1:
            everyone = [output for outputs in tasks.values() for output in outputs] + common
            of_all = mixed(gate(f"{name}.gates.shared", of_all), everyone)
    return of_task


WAYS = {"shared_bottom": shared_bottom, "separate": separate, "mmoe": mmoe, "ple": ple}


def last_shared_kernels(model: ModelSpec, moved: Collection[str] | None = None) -> list[str]:
    """GradNorm's W, as the ways' descriptions say. moved: what training moves; None: everything."""
    way, depths = model.sharing, range(len(model.trunk) - 1, -1, -1)
    kernels: list[list[str]] = []
    if way.kind == "shared_bottom":
        kernels = [[f"trunk.{i}.kernel"] for i in depths]
    if way.kind == "mmoe":
        kernels = [[f"experts.{e}.{i}.kernel" for e in range(way.experts)] for i in depths]
    if way.kind == "ple":
        levels = range(way.levels - 1, -1, -1)
        experts = range(way.shared_experts)
        kernels = [[f"levels.{n}.shared.{e}.{i}.kernel" for e in experts] for n in levels for i in depths]
    kernels.append(sorted({f"embeddings.{feature.table or feature.name}" for feature in model.categorical}))
    return next(w for names in kernels if (w := [name for name in names if moved is None or name in moved]))


def of_one_task(model: ModelSpec, name: str) -> bool:
    """Whether one task's loss alone depends on the parameter: what PCGrad leaves as it is.

    The experts of a task in a level below the last serve all, since the shared gate looks at them. What the gate of a
    task gives in the last level but one goes to that task's experts and gate alone.
    """
    given = {task.given for task in model.tasks}
    last = getattr(model.sharing, "levels", 1) - 1
    for task in model.tasks:
        parts = [f"tasks.{task.name}.", f"gates.{task.name}.", f"levels.{last}.{task.name}."]
        parts += [f"levels.{level}.gates.{task.name}." for level in (last, last - 1)]
        if name.startswith(tuple(parts)):
            return task.name not in given
    return False
