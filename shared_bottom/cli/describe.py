"""The command describe: prints what the training rows have in each column, and a network as a table of its layers."""

import math
from collections.abc import Sequence
from pathlib import Path

from shared_bottom.cli.options import Describe
from shared_bottom.cli.parsing import read
from shared_bottom.cli.printing import print_columns, print_table
from shared_bottom.folder import EXPERIMENT, read_trained
from shared_bottom.tables.rows import has_table
from shared_bottom.tables.summary import ColumnSummary
from shared_bottom.tables.training import check_table
from spec.files import read_experiment
from spec.flops import layer_flops, step_flops
from spec.model import ModelSpec
from spec.network import layers
from spec.params import parameter_shapes


def describe(options: Describe) -> None:
    """Print the columns and the network of an experiment or of a run's folder."""
    summaries, model, batch_size = columns_and_network(options.path)
    print_columns(summaries)
    print_network(model, batch_size)


def columns_and_network(path: Path) -> tuple[Sequence[ColumnSummary], ModelSpec, int]:
    """The columns' summaries, if there is a table; the network; and the number of rows in a training step.

    path: the folder of a run, a TOML file with a table, or a TOML file with a complete network. For a file with a
    table its rows are read, because the number of inputs and the sizes of the vocabularies depend on them, and are
    checked as `fit` checks them.
    """
    if path.is_dir():
        trained = read_trained(path)
        return trained.columns.summary, trained.model, read(path / EXPERIMENT).train.batch_size
    if not has_table(path):
        experiment = read_experiment(path)
        return (), experiment.model, experiment.train.batch_size
    table = read(path)
    columns = check_table(table, Path())
    return columns.summary, columns.model(table.model), table.train.batch_size


def print_network(model: ModelSpec, batch_size: int) -> None:
    """Print the shape, the parameters and the operations per training step of each embedding table and layer.

    model: the network.
    batch_size: the number of rows in a training step.
    """
    sizes = {name: math.prod(shape) for name, shape in parameter_shapes(model).items()}
    flops = layer_flops(model, batch_size)
    rows = []
    tables = {feature.parameter: feature for feature in model.categorical}
    for name, feature in tables.items():
        frozen = "" if feature.trainable else ", frozen"
        rows.append([name, f"{feature.vocabulary:,} × {feature.dimension}{frozen}", f"{sizes[name]:,}", "–"])
    for layer in layers(model):
        layer_size = sum(size for name, size in sizes.items() if name.startswith(f"{layer.name}."))
        rows.append([layer.name, f"{layer.inputs:,} × {layer.outputs:,}", f"{layer_size:,}", f"{flops[layer.name]:,}"])
    hidden = "linear" + (", layer norm" if model.normalization == "layer" else "") + f", {model.activation}"
    hidden += f", dropout {model.dropout:g}" if model.dropout else ""
    inputs = f"numeric inputs: {model.numeric}; embeddings: {len(tables)}"
    print_table(
        f"{inputs}; hidden layers: {hidden}",
        ["layer", "shape", "parameters", f"operations of a step of {batch_size:,} rows"],
        rows,
        ["total", "", f"{sum(sizes.values()):,}", f"{step_flops(model, batch_size):,}"],
    )
    tasks = ", ".join(f"{task.name} ({task.kind}, weight {task.weight:g})" for task in model.tasks)
    print(f"tasks: {tasks}")
