"""The command describe: prints what the training rows have in each column, and a network as a table of its layers."""

from collections.abc import Sequence
from pathlib import Path

from shared_bottom.cli.options import Describe
from shared_bottom.cli.parsing import limited, read
from shared_bottom.cli.printing import print_columns, print_table
from shared_bottom.folder import EXPERIMENT, read_trained
from shared_bottom.tables.rows import has_table
from shared_bottom.tables.summary import ColumnSummary
from shared_bottom.tables.training import check_table
from spec.files import read_experiment
from spec.flops import layer_flops
from spec.model import ModelSpec
from spec.outline import outline, sharing_words, task_words
from spec.training import TrainSpec


def describe(options: Describe) -> None:
    """Print the columns and the network of an experiment or of a run's folder."""
    summaries, model, train = columns_and_network(options.path, options.rows)
    print_columns(summaries)
    print_network(model, train)


def columns_and_network(path: Path, rows: int | None) -> tuple[Sequence[ColumnSummary], ModelSpec, TrainSpec]:
    """The columns' summaries, if there is a table; the network; and its training.

    path: the folder of a run, a TOML file with a table, or a TOML file with a complete network. For a file with a
    table its rows are read, because the number of inputs and the sizes of the vocabularies depend on them, and are
    checked as `fit` checks them.
    rows: how many are read; None: as many as the file says.
    """
    if rows is not None and (path.is_dir() or not has_table(path)):
        raise ValueError(f"--rows: expected none without rows to read, got {rows}")
    if path.is_dir():
        trained = read_trained(path)
        return trained.columns.summary, trained.model, read(path / EXPERIMENT).train
    if not has_table(path):
        experiment = read_experiment(path)
        return (), experiment.model, experiment.train
    table = limited(read(path), rows)
    columns = check_table(table, Path())
    return columns.summary, columns.model(table.model), table.train


def print_network(model: ModelSpec, train: TrainSpec) -> None:
    """Print the shape, the parameters and the operations per training step of each embedding table and layer; of the
    layers of experts that are alike, those of all together.

    model: the network.
    train: its training: the number of rows in a step, and what it leaves as it is.

    Raises ValueError for what cannot be frozen.
    """
    batch_size = train.batch_size
    flops, table = layer_flops(model, batch_size), outline(model, train.frozen)
    rows = []
    for row in table:
        operations = f"{sum(flops[layer] for layer in row.layers):,}" if row.layers else "–"
        rows.append([row.name, row.shape, f"{row.parameters:,}", operations])
    hidden = "linear" + (", layer norm" if model.normalization == "layer" else "") + f", {model.activation}"
    hidden += f", dropout {model.dropout:g}" if model.dropout else ""
    tables = sum(not row.layers for row in table)
    print_table(
        f"numeric inputs: {model.numeric}; embeddings: {tables}; {sharing_words(model)}; hidden layers: {hidden}",
        ["layer", "shape", "parameters", f"operations of a step of {batch_size:,} rows"],
        rows,
        ["total", "", f"{sum(row.parameters for row in table):,}", f"{sum(flops.values()):,}"],
    )
    tasks = ", ".join(f"{task.name} ({task_words(task)}, weight {task.weight:g})" for task in model.tasks)
    print(f"tasks: {tasks}")
