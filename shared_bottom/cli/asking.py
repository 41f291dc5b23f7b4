"""What tyro is asked, and what it answers in our words: help, and errors of one line."""

import contextlib
import io
import itertools
import re
import sys
from collections.abc import Sequence
from typing import Any, TextIO, cast

import tyro
from rich.text import Text

from shared_bottom.cli.kinds import KINDS
from spec.classes import SpecError
from spec.validation import did_you_mean, one_line

FIELD = re.compile(r"(?<=--)(?:model|train|data)\.[\w.-]+|\b(?:model|train|data)\.[\w.-]+(?= options)")
"""A flag that is a field of the file, and the title above the flags of one class."""
FLAG = re.compile(r"--[a-z][\w.-]*")
ITEM = re.compile(r"\.\d+(?=\.|$)")
"""The part of a flag that numbers an item of a list."""
ARGUMENT = re.compile(r"(?:-\S+ )?[^\s,]+")
"""An argument at the beginning of its help: a flag with what its value is called, or what a positional is called."""
MISSING, UNKNOWN = "Missing from ", "Unrecognized options: "
"""How tyro begins to say that arguments are missing, and that there are some which the command does not take."""
ALIKE = 0.8
"""How close an unknown flag must be to one that is suggested; most of a long flag is its path, which many share."""

OPTIONAL = r"no type matching (?:\{None\}\|)?%s could be instantiated from \["
WORDS = [
    (
        rf"(-\S+): (?:invalid literal for int\(\) with base 10: |{OPTIONAL % 'INT'})(.*?)\]?\.?",
        r"\1: expected an integer, got \2",
    ),
    (
        rf"(-\S+): (?:could not convert string to float: |{OPTIONAL % 'FLOAT'})(.*?)\]?\.?",
        r"\1: expected a number, got \2",
    ),
    (r"(-\S+): Could not find valid parse for arguments: \[(.*)\]", r"\1: expected values of another type, got \2"),
    (r"invalid choice (.*) for argument '(-\S+)'\. Expected one of \((.*)\)\.", r"\2: expected one of \3, got \1"),
    (r"Missing value for argument '(-\S+)'\..*", r"\1: expected a value, got none"),
]
"""What tyro says of a flag's value, as patterns, and what is said here. Other errors are said as tyro says them."""


def ask(cls: Any, arguments: Sequence[str], **options: Any) -> Any:
    """What tyro makes of the arguments. Raises ValueError in one line; SystemExit(0) once help is printed."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(cast(TextIO, AsInTheFile(sys.stdout))), KINDS:
            config = (tyro.conf.AvoidSubcommands, tyro.conf.CascadeSubcommandArgs, tyro.conf.FlagCreatePairsOff)
            return tyro.cli(cls, args=list(arguments), config=config, **options)
    except SystemExit as stop:
        if not stop.code:
            raise
        line = as_in_the_file(usage(said.getvalue(), stop))
        if line.startswith(MISSING):
            line = missing(line)
        elif line.startswith(UNKNOWN):
            line = unexpected(line.removeprefix(UNKNOWN), cls, arguments, **options)
        raise ValueError(line) from None


def missing(said: str) -> str:
    """What is said of arguments that are missing.

    said: what tyro says: the command, and each argument with its help and "(required)".
    """
    command, _, listed = said.removeprefix(MISSING).partition(": ")
    arguments = [ARGUMENT.match(item.strip()) for item in listed.split(" (required)")]
    expected = " and ".join(argument[0] for argument in arguments if argument)
    resumed = f", or {expected.replace('FILE.toml', '--resume')}" if "FILE.toml" in expected.split() else ""
    return f"{command.split()[-1]}: expected {expected}{resumed}, got none"


def unexpected(said: str, cls: Any, arguments: Sequence[str] = (), **options: Any) -> str:
    """What is said of the first argument that the command does not take: where it is a flag, one that is close to it.

    said: the argument, and after it perhaps "=" and its value, or a comma and others.
    """
    word = said.split(", ")[0]
    if not word.startswith("-"):
        return f"{word}: unexpected argument"
    word = word.split("=")[0]
    known = flags_of(cls, arguments, **options)
    same_items = [flag for flag in known if ITEM.findall(flag) == ITEM.findall(word)]
    return f"{word}: unexpected flag{items(word, known) or did_you_mean(word, same_items, ALIKE)}"


def items(word: str, known: Sequence[str]) -> str:
    """What an error adds about an unknown flag in which something else stands where the known ones number an item of a
    list: how the items are numbered. Nothing about any other flag.
    """
    parts = word.split(".")
    for i in range(1, len(parts)):
        beginning = ".".join(parts[:i])
        numbers = {flag.split(".")[i] for flag in known if flag.startswith(f"{beginning}.")}
        if numbers and all(map(str.isdecimal, numbers)) and parts[i] not in numbers:
            last = max(map(int, numbers))
            alike = ".".join([beginning, "0", *parts[i + 1 :]])
            example = alike if alike in known else f"{beginning}.0"
            return f"; the items of {parts[i - 1]} are numbered from 0{f' to {last}' if last else ''}, as in {example}"
    return ""


def flags_of(cls: Any, arguments: Sequence[str], **options: Any) -> list[str]:
    """The flags that the help of the arguments' command shows."""
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
        ask(cls, [*arguments[:1], "--help"], **options)
    return FLAG.findall(shown.getvalue())


class AsInTheFile:
    """A text stream on which the flags of the file's fields are written as the file writes the fields."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write the text, and return its length."""
        return self._stream.write(as_in_the_file(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def as_in_the_file(text: str) -> str:
    """A text of tyro's in which the flags of the file's fields have "_" where the file has it, and tyro "-".

    Both are understood. What makes a field false begins with "no-", as in --train.no-shuffle.
    """
    return FIELD.sub(lambda field: re.sub(r"(?<!\.no)-|(?<=\.no)-(?=[\w-]*\.)", "_", field[0]), text)


def usage(printed: str, stop: BaseException) -> str:
    """An error of tyro in one line.

    printed: what tyro printed, which is a box drawn by lines or by ASCII characters. The result is its first paragraph.
    stop: the exception that tyro raised. If a class of the spec rejected a value, the result is the spec's message.
    """
    lines = [line.strip("│╭╮╰╯ ") for line in Text.from_ansi(printed).plain.splitlines()[1:]]
    lines = list(itertools.dropwhile(lambda line: not line.strip("─-"), lines))
    line = " ".join(itertools.takewhile(lambda line: line.strip("─-"), lines)).removeprefix("Error parsing ")
    cause: BaseException | None = stop
    while cause is not None and not isinstance(cause, SpecError):
        cause = cause.__context__
    if cause is None:
        matches = ((re.fullmatch(theirs, line), ours) for theirs, ours in WORDS)
        return next((match.expand(ours) for match, ours in matches if match), line)
    field = line.split(": ")[0].split("experiment.")[-1]
    return f"{field}: {one_line(cause)}"
