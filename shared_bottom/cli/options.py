"""What the commands take, and how their arguments are parsed.

The fields of a TOML file's experiment are flags of `fit`, named by their place in the file; the file's own values are
their defaults. So the file is found and read first, and tyro parses with it.
"""

import contextlib
import io
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Union, get_args

import tyro
from pydantic import ValidationError
from rich.text import Text

from spec.backend import backend_names
from spec.balancing import Balancing
from spec.table import TableExperiment
from spec.training import Device, EarlyStopping, Optimizer
from spec.validation import one_line

PROG = "python -m shared_bottom"
BACKEND_HELP = f"One of {', '.join(backend_names())}; if not given, the first of them that is installed."


@dataclass(frozen=True, kw_only=True)
class Common:
    """What every command takes."""

    debug: bool = False
    """Show the traceback of an error, which is one line otherwise."""


@dataclass(frozen=True, kw_only=True)
class FitFlags(Common):
    """What `fit` takes besides the file and its fields."""

    out: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """A folder that is not there yet or is empty; with --resume, that of the run."""
    backend: Annotated[str | None, tyro.conf.arg(help=BACKEND_HELP)] = None
    resume: bool = False
    """Go on from the newest checkpoint in DIR, whichever backend saved it; start if there is none."""
    save_every: int | None = None
    """Save a checkpoint after so many steps of an epoch, besides at its end."""
    tensorboard: bool = False
    """Write TensorBoard events to DIR, too."""
    quiet: bool = False
    """Print nothing but warnings and errors."""


@dataclass(frozen=True, kw_only=True)
class Fit(FitFlags):
    """Train the network of FILE.toml on the rows of its tables; the folder DIR then has the model and a report.

    Every field of the file is a flag too, which overrides it: --train.epochs 3, --train.optimizer.learning-rate 0.01,
    --model.tasks.0.weight 2. Another kind of optimizer or balancing starts from its defaults:
    --train.optimizer.kind sgd --train.optimizer.momentum 0.9. `fit FILE.toml --help` lists them all. Exit code 1 if
    the loss is not finite; 130 and 143 after Ctrl-C and SIGTERM, which save the run first.
    """

    file: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="FILE.toml")]]
    """The experiment: tables [model], [train] and [data]."""


@dataclass(frozen=True, kw_only=True)
class FitExperiment(Fit):
    """A `Fit` whose file has been read."""

    experiment: Annotated[TableExperiment, tyro.conf.arg(name="")]


@dataclass(frozen=True, kw_only=True)
class Evaluate(Common):
    """Print the metrics of a trained model by task, in the columns' own units."""

    folder: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="DIR")]]
    """What `fit` wrote."""
    data: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="FILE")] = ()
    """Tables with labels; if not given, the experiment's test files."""
    backend: Annotated[str | None, tyro.conf.arg(help=f"{BACKEND_HELP} It need not be the one that trained.")] = None
    device: Device = "auto"
    """Where to compute; auto takes a GPU if there is one."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Write the metrics to this file, too."""


@dataclass(frozen=True, kw_only=True)
class Predict(Common):
    """Write the predictions of a trained model for the rows of tables, in their order, to a table.

    A binary task has a column of the probability of its positive value; a regression task one in the label's own unit
    (<task>_0, <task>_1, … for several outputs); a multiclass task one of the likeliest value, and <task>_<value> with
    the probability of each.
    """

    folder: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="DIR")]]
    """What `fit` wrote."""
    files: tyro.conf.Positional[Annotated[tuple[Path, ...], tyro.conf.arg(metavar="FILE")]]
    """Tables; they need no labels."""
    out: Annotated[Path, tyro.conf.arg(metavar="PREDICTIONS.parquet|.csv")]
    """The table to write, whole or not at all; one that is there is replaced."""
    keep: Annotated[tuple[str, ...], tyro.conf.arg(metavar="COLUMN")] = ()
    """Columns of the tables to write beside the predictions, as they are: an id, say."""
    backend: Annotated[str | None, tyro.conf.arg(help=f"{BACKEND_HELP} It need not be the one that trained.")] = None
    device: Device = "auto"
    """Where to compute; auto takes a GPU if there is one."""


@dataclass(frozen=True, kw_only=True)
class Describe(Common):
    """Print the network layer by layer: shapes, parameters, arithmetic.

    For a file with [data], its training rows are read once, since they decide how many ids a column has; a file with
    a whole [model] needs none.
    """

    path: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="FILE.toml|DIR")]]
    """An experiment, or what `fit` wrote."""


def parse(arguments: Sequence[str]) -> Common:
    """The command that the arguments give. Raises ValueError in one line; SystemExit(0) once help is printed."""
    commands: dict[str, Any] = {"fit": Fit, "evaluate": Evaluate, "predict": Predict, "describe": Describe}
    choices = {name: Annotated[cls, tyro.conf.subcommand(name)] for name, cls in commands.items()}
    file = experiment_file(arguments[1:]) if arguments[:1] == ["fit"] else None
    if file is not None:
        missing: Any = tyro.MISSING
        experiment, arguments = with_kinds(read(file), arguments)
        fit = FitExperiment(file=missing, out=missing, experiment=experiment)
        choices["fit"] = Annotated[FitExperiment, tyro.conf.subcommand("fit", default=fit, description=Fit.__doc__)]
    union: Any = Union[tuple(choices.values())]  # noqa: UP007  the file decides what is in it
    command: Common = ask(
        union,
        arguments,
        prog=PROG,
        description="The Shared-Bottom network: train, evaluate and predict from a table.",
    )
    if type(command) is Fit:  # no argument was an experiment to read
        raise ValueError(f"fit: expected a FILE.toml, got {str(command.file)!r}")
    if not isinstance(command, FitExperiment):
        return command
    if command.file != file:  # that was a flag's value, and the fields are not those of the file
        raise ValueError(f"fit: expected one FILE.toml, got {str(file)!r} and {str(command.file)!r}")
    return replace(command, experiment=absolute(command.experiment, Path()))


def experiment_file(arguments: Sequence[str]) -> Path | None:
    """The first FILE.toml among the arguments of `fit` that is not the value of one of its flags.

    The flags that the file's fields are cannot be known before it is read; no field has the name of such a file.
    """
    nowhere = FitFlags(out=Path())
    _, others = ask(FitFlags, arguments, default=nowhere, return_unknown_args=True, add_help=False)
    return next((Path(text) for text in others if text.endswith(".toml") and not text.startswith("-")), None)


def ask(cls: Any, arguments: Sequence[str], **options: Any) -> Any:
    """What tyro makes of the arguments. Raises ValueError in one line; SystemExit(0) once help is printed."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            config = (tyro.conf.CascadeSubcommandArgs, tyro.conf.FlagCreatePairsOff)
            return tyro.cli(cls, args=list(arguments), config=config, **options)
    except SystemExit as stop:
        if not stop.code:
            raise
        raise ValueError(usage(said.getvalue(), stop)) from None


def with_kinds(experiment: TableExperiment, arguments: Sequence[str]) -> tuple[TableExperiment, list[str]]:
    """The experiment with those parts of [train] that the arguments choose another kind of, and the other arguments.

    tyro would make a subcommand of each choice; so made beforehand, a part's fields are flags like all others. Raises
    ValueError for an unknown kind.
    """
    rest = [part for argument in arguments for part in (argument.split("=", 1) if ".kind=" in argument else [argument])]
    own: dict[str, Any] = {}
    if any(argument.startswith("--train.early-stopping.") for argument in rest):
        own["early_stopping"] = experiment.train.early_stopping or EarlyStopping()
    for field, union in {"optimizer": Optimizer, "balancing": Balancing}.items():
        kinds, flag = {cls().kind: cls for cls in get_args(union)}, f"--train.{field}.kind"
        if flag in rest[:-1]:
            place = rest.index(flag)
            _, kind = rest.pop(place), rest.pop(place)
            if kind not in kinds:
                raise ValueError(f"{flag}: expected one of {', '.join(kinds)}, got {kind!r}")
            if kind != getattr(experiment.train, field).kind:
                own[field] = kinds[kind]()
    return replace(experiment, train=replace(experiment.train, **own)), rest


def read(file: Path) -> TableExperiment:
    """The experiment in a file, its paths made absolute. Raises ValueError in one line, or OSError."""
    from shared_bottom.tables.rows import read_table_experiment

    return absolute(read_table_experiment(file), file.parent)


def absolute(experiment: TableExperiment, folder: Path) -> TableExperiment:
    """The experiment with paths that do not depend on where it is read, those that do being relative to `folder`."""

    def found(paths: Iterable[str]) -> tuple[str, ...]:
        return tuple(str((folder / path).absolute()) for path in paths)

    data = experiment.data
    data = replace(data, train=found(data.train), validation=found(data.validation), test=found(data.test))
    return replace(experiment, data=data)


def usage(said: str, stop: BaseException) -> str:
    """What tyro says in a box, of lines or of ASCII, as one line: its first paragraph, or the spec's own words."""
    lines = [line.strip("│╭╮╰╯ ") for line in Text.from_ansi(said).plain.splitlines()[1:]]
    lines = list(itertools.dropwhile(lambda line: not line.strip("─-"), lines))
    line = " ".join(itertools.takewhile(lambda line: line.strip("─-"), lines)).removeprefix("Error parsing ")
    cause: BaseException | None = stop
    while cause is not None and not isinstance(cause, ValidationError):
        cause = cause.__context__
    if cause is None:
        return line
    field = line.split(": ")[0].split("experiment.")[-1]
    return f"{field}: {one_line(cause)}"
