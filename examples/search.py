"""Fifty settings of one network: Optuna proposes them, the table is read once, and hopeless trials end early.

python examples/search.py --backend jax
"""

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import optuna

from shared_bottom import AdamW, load_backend, read_table, read_table_experiment, to_toml
from shared_bottom.cli.program import run
from shared_bottom.disk import write_whole
from spec.metrics import higher_is_better

FILE, BEST = Path("examples/clicks.toml"), Path("examples/clicks_best.toml")
Objective = Literal["click.auc", "click.log_loss", "spend.rmse", "spend.mae"]
RANGES = {"learning_rate": (1e-3, 3e-2), "weight_decay": (1e-4, 1e-1), "weight": (0.1, 3.0)}


def changed(network: Any, train: Any, learning_rate: float, weight_decay: float, weight: float) -> tuple[Any, Any]:
    """With other numbers: the last is the second task's weight. None is compiled, so that only one trial compiles."""
    first, second = network.tasks
    optimizer = AdamW(learning_rate=learning_rate, weight_decay=weight_decay)
    return replace(network, tasks=(first, replace(second, weight=weight))), replace(train, optimizer=optimizer)


def main(*, backend: str, objectives: tuple[Objective, ...] = ("click.auc",), trials: int = 50) -> None:
    """Search, or go on with a search until there are so many trials, and write the best experiment."""
    experiment, chosen = read_table_experiment(FILE), load_backend(backend)
    columns, rows, validation = read_table(experiment, FILE.parent)
    model = columns.model(experiment.model)

    def values(epoch: Any) -> list[float]:
        return [epoch["metrics"][task][metric] for task, metric in (name.split(".") for name in objectives)]

    def objective(trial: optuna.Trial) -> list[float]:
        def on_epoch(epoch: Any) -> None:
            if len(objectives) == 1:  # Optuna prunes by one alone; of several, it keeps all trade-offs
                trial.report(values(epoch)[0], epoch["epoch"])
                if trial.should_prune():
                    raise optuna.TrialPruned

        numbers = (trial.suggest_float(name, *ends, log=True) for name, ends in RANGES.items())
        network, train = changed(model, experiment.train, *numbers)
        fitted = chosen.fit(network, train, rows, validation, on_epoch=on_epoch, progress="none")
        return values(fitted.history.epochs[-1])

    directions = ["maximize" if higher_is_better(name.split(".")[1]) else "minimize" for name in objectives]
    name, storage = " ".join(objectives), "sqlite:///search.db"
    search = optuna.create_study(storage=storage, study_name=name, directions=directions, load_if_exists=True)
    search.optimize(objective, n_trials=max(0, trials - sum(trial.state.is_finished() for trial in search.trials)))
    print(*(f"{trial.values} {trial.params}" for trial in search.best_trials), sep="\n")
    network, train = changed(experiment.model, experiment.train, **search.best_trials[0].params)
    write_whole(BEST, to_toml(replace(experiment, model=network, train=train)).encode())


if __name__ == "__main__":
    run(main)
