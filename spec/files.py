"""Specs as TOML and JSON: a round trip gives an equal spec, and a JSON schema tells an editor what may stand there.

And the folder where the project keeps what it can make again.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter

from spec.classes import in_one_line, spec_class
from spec.model import ModelSpec, NetworkSpec
from spec.reading import parse_json, parse_toml, read_text
from spec.training import TrainSpec
from spec.validation import one_line

Spec = TypeVar("Spec")


@spec_class
class Experiment:
    """A file's content: the tables [model] and [train]."""

    model: ModelSpec
    train: TrainSpec = TrainSpec()


def to_json(spec: Any) -> str:
    """The spec as indented JSON."""
    return TypeAdapter(type(spec)).dump_json(spec, indent=2).decode()


def from_json(cls: type[Spec], text: str) -> Spec:
    """The spec of class `cls` that `text` describes.

    Raises ValueError, in one line: a SpecError with the field, or which name occurs twice.
    """
    parse_json(text)  # pydantic takes the last of two equal names, and says of what is no JSON nothing in our words
    with in_one_line():
        return TypeAdapter(cls).validate_json(text)


def to_toml(spec: Any) -> str:
    """The spec as TOML. TOML has no null: fields that are None are left out, and None is what they default to."""
    import tomli_w  # here, so that `import spec` stays light

    return tomli_w.dumps(TypeAdapter(type(spec)).dump_python(spec, mode="json", exclude_none=True))


def from_toml(cls: type[Spec], text: str) -> Spec:
    """The spec of class `cls` that `text` describes.

    Raises ValueError, in one line: tomllib.TOMLDecodeError with line and column, or a SpecError with the field.
    """
    with in_one_line():
        return TypeAdapter(cls).validate_python(parse_toml(text))


def json_schema(cls: type[Any]) -> dict[str, Any]:
    """The JSON schema of a spec class, the fields' docstrings included."""
    schema = TypeAdapter(cls).json_schema()
    for definition in (schema, *schema.get("$defs", {}).values()):
        if definition.get("title") == ModelSpec.__name__:  # pydantic leaves out the docstrings of inherited fields
            for name, field in TypeAdapter(NetworkSpec).json_schema()["properties"].items():
                definition["properties"][name] = field | definition["properties"][name]
    return schema


def dotted(spec: Any) -> dict[str, Any]:
    """Each value of a spec by its dotted name, such as model.tasks.0.weight. A list of plain values is one value."""
    return dict(_leaves("", TypeAdapter(type(spec)).dump_python(spec, mode="json")))


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    items: Any = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        items = enumerate(value)
    elif not isinstance(value, dict):
        yield name, value
    for key, item in items:
        yield from _leaves(f"{name}.{key}" if name else str(key), item)


def read_experiment(path: Path) -> Experiment:
    """The experiment in a TOML file. Raises OSError, or ValueError in one line that names the file and the field."""
    try:
        return from_toml(Experiment, read_text(path))
    except ValueError as error:
        raise ValueError(f"{path}: {one_line(error)}") from error


def cache_folder() -> Path:
    """Where downloads, rows and compiled code are kept: $SHARED_BOTTOM_CACHE, or the user's cache folder.

    Raises ValueError if there is neither, since the user has no home folder.
    """
    import platformdirs

    if named := os.environ.get("SHARED_BOTTOM_CACHE"):
        return Path(named)
    try:
        return Path(platformdirs.user_cache_dir("shared-bottom"))
    except RuntimeError as error:
        raise ValueError(f"SHARED_BOTTOM_CACHE: expected a folder, got none, and {one_line(error)}") from error
