"""A run in MLflow: what was asked for, each epoch's losses and metrics as it ends, and the model that came of it.

python examples/track.py --backend jax
"""

import os
import tempfile
from pathlib import Path
from typing import Any

import mlflow

from shared_bottom import fit_table, read_table_experiment, to_toml, write_trained
from shared_bottom.cli.program import run
from spec.files import dotted

FILE = Path("examples/clicks.toml")


def record(epoch: Any) -> None:
    """Log an epoch: `fit` calls this as each one ends."""
    named = {f"{task} {name}": value for task, of_task in epoch["metrics"].items() for name, value in of_task.items()}
    losses = {f"training loss {task}": loss for task, loss in epoch["task_loss"].items()}
    mlflow.log_metrics({"training loss": epoch["loss"], **losses, **named}, step=epoch["epoch"])


def main(*, backend: str, store: str = "mlruns") -> None:
    """Train on the clicks, and log. STORE: a folder, or a database or server that MLflow takes."""
    experiment = read_table_experiment(FILE)
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # MLflow would rather have a database, but needs none
    mlflow.set_tracking_uri(store)
    mlflow.set_experiment("clicks")
    with mlflow.start_run() as run:
        mlflow.log_params({name: value for name, value in dotted(experiment).items() if value is not None})
        mlflow.log_text(to_toml(experiment), "experiment.toml")
        trained = fit_table(experiment, FILE.with_name("clicks.parquet"), backend=backend, on_epoch=record)
        for task, metrics in trained.evaluate(FILE.with_name("clicks_test.parquet")).items():
            mlflow.log_metrics({f"test {task} {name}": value for name, value in metrics.items()})
        with tempfile.TemporaryDirectory() as folder:
            write_trained(folder, trained)
            mlflow.log_artifacts(folder)
        print(f"run {run.info.run_id} in {store}")


if __name__ == "__main__":
    run(main)
