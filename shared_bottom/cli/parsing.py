"""How the arguments of a command become its options.

Every field of the experiment in a TOML file is a flag of `fit`, named by its place in the file, and the value in the
file is the flag's default. Therefore the file is looked for among the arguments and read first, and then tyro parses
all arguments with the experiment as the default.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Union

import tyro

from shared_bottom.cli.asking import ask, unexpected
from shared_bottom.cli.kinds import with_kinds
from shared_bottom.cli.options import (
    Cache,
    Common,
    Compare,
    Describe,
    Evaluate,
    Export,
    Fit,
    FitExperiment,
    FitFlags,
    Launch,
    Predict,
)
from shared_bottom.tables.paths import absolute_name
from spec.classes import SpecError
from spec.table import TableExperiment
from spec.validation import did_you_mean

PROG = "python -m shared_bottom"
NOWHERE = Path("\0")
"""Stands for an --out that is not given: no argument of a command can have this character."""


def parse(arguments: Sequence[str]) -> Common:
    """The command that the arguments give. Raises ValueError in one line; SystemExit(0) once help is printed."""
    commands: dict[str, Any] = {
        "fit": Fit,
        "evaluate": Evaluate,
        "predict": Predict,
        "export": Export,
        "describe": Describe,
        "compare": Compare,
        "cache": Cache,
        "launch": Launch,
    }
    if arguments and arguments[0] not in commands and not arguments[0].startswith("-"):
        expected = f"expected one of {', '.join(commands)}, got {arguments[0]!r}"
        raise ValueError(f"command: {expected}{did_you_mean(arguments[0], commands)}")
    choices = {name: Annotated[cls, tyro.conf.subcommand(name)] for name, cls in commands.items()}
    launched: Sequence[str] = ()
    if arguments[:1] == ["launch"]:  # what follows the name of a command is that command's
        length = next((i for i, word in enumerate(arguments) if word in commands and i), len(arguments))
        arguments, launched = arguments[:length], arguments[length:]
    file = experiment_file(arguments[1:]) if arguments[:1] == ["fit"] else None
    if arguments[:1] == ["fit"] and file is None and (file := resumed_file(arguments[1:])) is not None:
        arguments = ["fit", file, *arguments[1:]]
    if arguments[:1] == ["fit"] and file is None:
        check_flags(arguments[1:])
    if file is not None:
        missing: Any = tyro.MISSING
        experiment, arguments = with_kinds(read(Path(file)), arguments)
        if arguments.count(file) == 1:  # put first, where it is no further value of a flag that takes several
            arguments = ["fit", file, *(argument for argument in arguments[1:] if argument != file)]
        fit = FitExperiment(file=missing, out=missing, experiment=experiment)
        choices["fit"] = Annotated[FitExperiment, tyro.conf.subcommand("fit", default=fit, description=Fit.__doc__)]
    union: Any = Union[tuple(choices.values())]  # noqa: UP007  the file decides what is in it
    command: Common = ask(
        union,
        arguments,
        prog=PROG,
        description="The Shared-Bottom network: train, evaluate and predict from a table.",
    )
    if isinstance(command, Launch):
        return replace(command, command=(*command.command, *launched))
    if type(command) is Fit:  # no argument was an experiment to read
        raise ValueError(f"fit: expected a FILE.toml, got {str(command.file)!r}")
    if not isinstance(command, FitExperiment):
        return command
    experiment = limited(absolute(command.experiment, Path()), command.rows)
    if command.freeze is not None:
        experiment = replace(experiment, train=replace(experiment.train, frozen=names_in(command.freeze)))
    return replace(command, experiment=experiment)


def names_in(freeze: str) -> tuple[str, ...]:
    """What --freeze names. Raises ValueError if a name is empty."""
    names = tuple(name.strip() for name in freeze.split(","))
    if not all(names):
        raise ValueError(f"--freeze: expected names of parameters with commas between them, got {freeze!r}")
    return names


def experiment_file(arguments: Sequence[str]) -> str | None:
    """The FILE.toml among the arguments of `fit` that is not the value of one of its flags; None if there is none.

    The flags that the file's fields are cannot be known before it is read; none takes the name of such a file as its
    value, unless after "=". Raises ValueError if there are two such arguments.
    """
    _, others = flags_of_fit(arguments)
    files = [text for text in others if text.endswith(".toml") and not text.startswith("-")]
    if len(files) > 1:
        raise ValueError(f"fit: expected one FILE.toml, got {files[0]!r} and {files[1]!r}")
    return files[0] if files else None


def check_flags(arguments: Sequence[str]) -> None:
    """Raises ValueError for a flag that `fit` does not have; those of fields are not known without a file."""
    _, others = flags_of_fit(arguments)
    for word in others:
        if word.startswith("--") and word != "--help" and not word.startswith(("--model.", "--train.", "--data.")):
            raise ValueError(unexpected(word, Fit))


def resumed_file(arguments: Sequence[str]) -> str | None:
    """The experiment that the folder of a run has, for arguments of `fit` that name no file and resume that run; None
    if they resume none. Raises ValueError if there is no run in the folder.
    """
    from shared_bottom.folder import EXPERIMENT

    flags, _ = flags_of_fit(arguments)
    if not flags.resume or flags.out == NOWHERE:
        return None
    if not (flags.out / EXPERIMENT).is_file():
        expected = "expected the folder of a run to resume, or a FILE.toml besides"
        raise ValueError(f"--out: {expected}, got {str(flags.out)!r}, with no {EXPERIMENT}")
    return str(flags.out / EXPERIMENT)


def flags_of_fit(arguments: Sequence[str]) -> tuple[FitFlags, list[str]]:
    """The flags among the arguments of `fit` that are no fields of the file, and the other arguments."""
    flags: FitFlags
    flags, others = ask(FitFlags, arguments, default=FitFlags(out=NOWHERE), return_unknown_args=True, add_help=False)
    return flags, others


def read(file: Path) -> TableExperiment:
    """The experiment in a file, with absolute paths.

    Raises ValueError, in one line, if its content is not a valid experiment, and OSError if it cannot be read.
    """
    from shared_bottom.tables.rows import read_table_experiment

    return absolute(read_table_experiment(file), file.parent)


def limited(experiment: TableExperiment, rows: int | None) -> TableExperiment:
    """The experiment of so many rows only; None: of as many as it says. Raises ValueError for less than one."""
    if rows is None:
        return experiment
    try:
        return replace(experiment, data=replace(experiment.data, rows=rows))
    except SpecError as error:
        raise ValueError(f"--{error}") from error


def absolute(experiment: TableExperiment, folder: Path) -> TableExperiment:
    """The experiment with absolute paths.

    experiment: the experiment, whose paths may be relative.
    folder: the folder that they are relative to.
    """

    def absolute_paths(paths: Iterable[str]) -> tuple[str, ...]:
        return tuple(absolute_name(folder, path) for path in paths)

    data = experiment.data
    data = replace(
        data,
        train=absolute_paths(data.train),
        validation=absolute_paths(data.validation),
        test=absolute_paths(data.test),
        categorical=tuple(
            column
            if column.embeddings is None
            else replace(column, embeddings=str((folder / column.embeddings).absolute()))
            for column in data.categorical
        ),
    )
    return replace(experiment, data=data)
