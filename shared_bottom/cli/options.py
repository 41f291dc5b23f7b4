"""The arguments of the commands. The docstrings of these classes and of their fields are what `--help` prints."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from spec.backend import backend_names
from spec.table import TableExperiment
from spec.training import Device

BACKEND_HELP = f"One of {', '.join(backend_names())}; if not given, the first of them that is installed."
CACHE_HELP = "The folder in which encoded tables are kept; if not given, tables/ in the user's cache folder."

THREADS = tyro.conf.arg(
    metavar="N",
    help="Threads of the processor that compute. If not given, JAX takes all; PyTorch those that the run had, if it is "
    "resumed, otherwise one for a small network, which more would slow down many times over, and all for a large one.",
)


@dataclass(frozen=True, kw_only=True)
class Common:
    """The arguments that every command takes."""

    debug: bool = False
    """Show the traceback of an error, which is one line otherwise."""


@dataclass(frozen=True, kw_only=True)
class CacheFolder(Common):
    """Where encoded tables are kept."""

    cache: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help=CACHE_HELP)] = None


@dataclass(frozen=True, kw_only=True)
class FitFlags(CacheFolder):
    """What `fit` takes besides the file and its fields."""

    out: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """A folder that is not there yet or is empty; with --resume, that of the run."""
    backend: Annotated[str | None, tyro.conf.arg(metavar="NAME", help=BACKEND_HELP)] = None
    threads: Annotated[int | None, THREADS] = None
    timeout: Annotated[float, tyro.conf.arg(metavar="SECONDS")] = 300.0
    """Of several processes: how long they wait for each other at the start, and how long one may give no sign of life
    before it counts as dead."""
    rows: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """For a first try: read the first N rows only; short for --data.rows N."""
    resume: bool = False
    """Go on from the newest checkpoint in DIR, whichever backend saved it; start if there is none. FILE.toml and the
    flags of its fields may be left out, as DIR has the experiment; and so may --backend and --tensorboard."""
    start_from: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """The folder of a finished run: a new run that starts from its parameters, on other rows, say. Its vocabularies
    grow, and its scales are taken over. What starts anew is printed."""
    freeze: Annotated[str | None, tyro.conf.arg(metavar="NAME,NAME")] = None
    """Parameters that training does not move: trunk,embeddings is short for --train.frozen trunk embeddings."""
    save_every: Annotated[int | None, tyro.conf.arg(metavar="STEPS")] = None
    """Save a checkpoint after so many steps of an epoch, besides at its end."""
    no_cache: bool = False
    """Keep no encoded rows, but hold them in memory."""
    tensorboard: bool = False
    """Write TensorBoard events to DIR, too."""
    importance: bool = False
    """Show in the report what each input column matters to each task, on up to 10,000 validation rows."""
    quiet: bool = False
    """Print nothing but warnings and errors."""


@dataclass(frozen=True, kw_only=True)
class Fit(FitFlags):
    """Train the network of FILE.toml on the rows of its tables; the folder DIR then has the model and a report.

    Every field of the file is a flag too, which overrides it: --train.epochs 3, --train.optimizer.learning_rate 0.01,
    --model.tasks.0.weight 2. Another kind of sharing, loss, optimizer or balancing starts from its defaults:
    --model.sharing.kind mmoe --model.sharing.experts 4, --model.tasks.0.loss.kind huber. `fit FILE.toml --help` lists
    all kinds, and the flags of those that are chosen. Exit code 1 if the loss is not finite, or if the end of the run
    could not be saved; 130 and 143 after Ctrl-C and SIGTERM, which save the run first.
    """

    file: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="FILE.toml")]]
    """The experiment: tables [model], [train] and [data]."""


@dataclass(frozen=True, kw_only=True)
class FitExperiment(Fit):
    """A `Fit` whose file has been read."""

    experiment: Annotated[TableExperiment, tyro.conf.arg(name="")]


def _as_in_training(metavar: str) -> object:
    """What tyro should show for a flag without which the files are read as the training files are."""
    return tyro.conf.arg(metavar=metavar, help_behavior_hint="(default: as in training)")


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How the given files are written: the fields of [data] that differ from those in training. None: as there."""

    format: Annotated[Literal["auto", "csv", "parquet"] | None, _as_in_training("auto|csv|parquet")] = None
    """What the files are; auto: what they begin as."""
    delimiter: Annotated[str | None, _as_in_training("CHARACTER")] = None
    """CSV: what stands between the values; $'\\t' is a tab."""
    decimal: Annotated[str | None, _as_in_training(".|,")] = None
    """What stands before the decimals of a number that is a text."""
    thousands: Annotated[str | None, _as_in_training("CHARACTER")] = None
    """What stands between the thousands of such a number; "" for nothing."""
    escape: Annotated[str | None, _as_in_training("CHARACTER")] = None
    """CSV: what stands before a delimiter or a quote that belongs to a value; "" for nothing."""
    comment: Annotated[str | None, _as_in_training("TEXT")] = None
    """CSV: lines before the header that begin so are left out; "" for none."""
    column_names: Annotated[tuple[str, ...] | None, _as_in_training("COLUMN")] = None
    """CSV without a header: the columns' names, in order; no name if there is a header."""
    separator: Annotated[str | None, _as_in_training("TEXT")] = None
    """What divides the texts of every column of lists into values."""


@dataclass(frozen=True, kw_only=True)
class Apply(Common):
    """What the commands take that apply a trained model to rows."""

    backend: Annotated[
        str | None, tyro.conf.arg(metavar="NAME", help=f"{BACKEND_HELP} It need not be the one that trained.")
    ] = None
    device: Device = "auto"
    """Where to compute; auto takes a GPU if there is one."""
    threads: Annotated[int | None, THREADS] = None
    max_unknown: Annotated[float | None, tyro.conf.arg(metavar="SHARE")] = None
    """Fail if more than this share of a categorical column's values, from 0 to 1, is unknown to the model."""
    dialect: Annotated[Dialect, tyro.conf.arg(name="")] = Dialect()


@dataclass(frozen=True, kw_only=True)
class Evaluate(Apply):
    """Print the metrics of a trained model by task, in the columns' own units; which rows were left out; and how many
    values the model did not know.
    """

    folder: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="DIR")]]
    """What `fit` wrote."""
    data: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="FILE")] = ()
    """Tables with labels; if not given, the experiment's test files."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Write the metrics to this file, too."""
    importance: bool = False
    """Print, for each input column, by how much the tasks' main metrics are worse when its values are permuted among
    the rows: of more than 10,000 rows, among as many that are drawn."""
    repeats: Annotated[int, tyro.conf.arg(metavar="N")] = 5
    """With --importance: how often each column is permuted."""
    seed: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """With --importance: what the permutations are drawn from."""
    plot: Annotated[Path | None, tyro.conf.arg(metavar="FILE.png|.svg")] = None
    """With --importance, draw it."""


@dataclass(frozen=True, kw_only=True)
class Predict(Apply):
    """Write the predictions of a trained model for the rows of tables, in their order, to a table.

    A binary task has a column of the probability of its positive value, and one that is given another a second,
    <task>_given_<other>, with the probability where that is so; a regression task one in the label's own unit (for
    several outputs <task>_<label column> each, for quantiles <task>_q0.1 and so on, and beside the mean of a
    zero_inflated_lognormal distribution its <task>_probability, <task>_location and <task>_scale); a multiclass task
    one of the likeliest value, and <task>_<value> with the probability of each.
    """

    folder: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="DIR")]]
    """What `fit` wrote."""
    files: tyro.conf.Positional[Annotated[tuple[Path, ...], tyro.conf.arg(metavar="FILE")]]
    """Tables; they need no labels."""
    out: Annotated[Path, tyro.conf.arg(metavar="PREDICTIONS.parquet|.csv")]
    """The table to write, whole or not at all; one that is there is replaced."""
    keep: Annotated[tuple[str, ...], tyro.conf.arg(metavar="COLUMN")] = ()
    """Columns of the tables to write beside the predictions, as they are: an id, say. One called as a prediction is,
    such as the label of a task, is written as <column>_kept."""


@dataclass(frozen=True, kw_only=True)
class Export(Common):
    """Write a trained model into one file for other programs, which need nothing of this one. See docs/serving.md.

    onnx takes the table's columns as they are and gives the columns that `predict` writes; no framework takes part.
    torch (torch.export, .pt2) and stablehlo (jax.export, .stablehlo) take encoded rows and give the predictions in the
    units that the network learns; the backend that writes the format must be installed.
    """

    folder: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="DIR")]]
    """What `fit` wrote."""
    out: Annotated[Path, tyro.conf.arg(metavar="FILE")]
    """The file to write, whole or not at all; one that is there is replaced."""
    format: Annotated[str, tyro.conf.arg(metavar="onnx|torch|stablehlo")] = "onnx"
    """What to write. FILE ends in .onnx, .pt2 or .stablehlo."""
    backend: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """The backend that writes the file, if several write the format."""


@dataclass(frozen=True, kw_only=True)
class Describe(Common):
    """Print what the training rows have in each column, and the network layer by layer: shapes, parameters, arithmetic.

    For a file with [data], its training and validation rows are read and checked as `fit` does; a file with a whole
    [model] needs none.
    """

    path: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="FILE.toml|DIR")]]
    """An experiment, or what `fit` wrote."""
    rows: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Of an experiment, read the first N rows only; short for rows = N in [data]."""


@dataclass(frozen=True, kw_only=True)
class Compare(Common):
    """Print what became of several runs side by side, the metrics of their validation rows, and in which fields their
    experiments differ.

    A run in progress, or one that was stopped, is shown as far as it is. Losses and metrics are in the units that the
    network learns.
    """

    folders: tyro.conf.Positional[Annotated[tuple[Path, ...], tyro.conf.arg(metavar="DIR")]]
    """What `fit` wrote, or is writing."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE.png|.svg|.html")] = None
    """Draw the losses and the metrics of all runs by epoch; as .html, a page with the tables, too."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Write the epochs and the fields of each run to this file, too."""


@dataclass(frozen=True, kw_only=True)
class Cache(CacheFolder):
    """List the tables whose encoded rows `fit` has kept, so that a run on the same rows need not read them again.

    All together they may have as many GB as the variable SHARED_BOTTOM_CACHE_GB says, 20 without it. When they have
    more, those that were not used for longest are removed.
    """

    clear: bool = False
    """Remove them all. A run that uses one goes on."""


@dataclass(frozen=True, kw_only=True)
class Launch(Common):
    """Run a command in several processes of this machine, which train one network together: `launch -n 2 fit …`.

    Each has as many of the processor's threads as there are cores for it, unless the environment says otherwise
    (OMP_NUM_THREADS, PJRT_NPROC), and its own GPU if there are any. Process 0 writes and prints. The exit code is the
    processes'; SIGTERM and Ctrl-C end the run as they do in one process.
    """

    processes: Annotated[int, tyro.conf.arg(metavar="N", aliases=["-n"])]
    """How many."""
    command: tyro.conf.Positional[Annotated[tuple[str, ...], tyro.conf.arg(metavar="COMMAND ARGUMENT")]] = ()
    """What each of them runs: the name of a command and its arguments."""
