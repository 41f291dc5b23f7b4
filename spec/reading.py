"""Reads TOML and JSON that somebody else wrote: the answer is the content, or an error of one line at once."""

import io
import json
import re
import stat
import tomllib
from pathlib import Path
from typing import Any

from spec.validation import unique

DEEPEST = 16
"""The most levels of lists and inline tables, and the most names of a dotted key, that a TOML may have. Ours need half
as many. The parser needs time and memory that grow with the square of a key's names, and ends in a RecursionError."""

_TOKENS = re.compile(
    r"""
    (?P<text> \"{3} (?:\\.|[^\\])*? (?:\"{3}|\Z) | '{3} .*? (?:'{3}|\Z) | "(?:\\.|[^"\\\n])*+"? | '[^'\n]*+'? )
    | (?P<comment> \#[^\n]*+ )
    | (?P<open> [\[{] ) | (?P<close> [\]}] )
    | (?P<dot> \. ) | (?P<name> [\w-]++ )
    """,
    re.VERBOSE | re.DOTALL,
)
"""The parts of a TOML, as far as they tell how deep it is. A text that does not end goes on to the end of its line."""


def check_file(path: Path) -> None:
    """Raises OSError if there is no file, and ValueError if it is a named pipe, a socket or a device.

    Those would be waited for, perhaps without an end. A link to a file is a file.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # to read a folder raises an OSError
        kinds = {stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket"}
        raise ValueError(f"expected a file, got {kinds.get(stat.S_IFMT(mode), 'a device')}")


def read_bytes(path: Path) -> bytes:
    """The content of a file. Raises OSError and ValueError, as `check_file` does."""
    check_file(path)
    return path.read_bytes()


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, with or without a byte-order mark, and with any kind of line ends.

    Raises OSError, and ValueError if it is not such a file.
    """
    content = read_bytes(path)
    if content.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in content[:2]:
        raise ValueError("expected text in utf-8, got UTF-16 or UTF-32")
    return io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig").read()


def parse_toml(text: str) -> dict[str, Any]:
    """The content of a TOML. Raises ValueError, with the line, for what is none, and for more than `DEEPEST` levels."""
    _check_depth(text)
    return tomllib.loads(text)


def parse_json(text: str | bytes) -> Any:
    """The content of a JSON. Raises ValueError for what is none, for a name that occurs twice, and for too many levels.

    Of two equal names, other readers take the first, or the last: what such a file says is not known.
    """
    try:
        return json.loads(text, object_pairs_hook=_distinct)
    except json.JSONDecodeError as error:
        said = f"{error.msg[:1].lower()}{error.msg[1:]}"
        raise ValueError(f"expected JSON, got an error in line {error.lineno}, column {error.colno}: {said}") from error
    except RecursionError as error:
        raise ValueError("expected fewer levels of lists and objects") from error


def _check_depth(text: str) -> None:
    brackets = names = 0
    after_dot = False
    for token in _TOKENS.finditer(text):
        kind = token.lastgroup
        if kind == "comment":
            continue
        brackets += (kind == "open") - (kind == "close")
        if kind in ("text", "name"):
            names = names + 1 if after_dot else 1
        after_dot = kind == "dot"
        if max(brackets, names) > DEEPEST:
            line = text.count("\n", 0, token.start()) + 1
            expected = f"expected at most {DEEPEST} levels of lists, tables and dotted names"
            raise ValueError(f"{expected}, got more (line {line})")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique("JSON", (name for name, _ in pairs))
    return dict(pairs)
