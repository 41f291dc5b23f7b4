"""Every field of the spec, as Markdown made from the classes themselves.

python -m spec.reference > docs/reference.md
"""

import dataclasses
import inspect
import json
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

from spec.files import json_schema
from spec.model import ModelSpec, NetworkSpec
from spec.table import TableExperiment
from spec.training import TrainSpec

ROUND = {2**31: "2³¹", 2**32: "2³²"}
"""Bounds that nobody recognises by their digits."""

INTRODUCTION = """\
# Every field

What a TOML file and the classes of `spec` may say. A file's `[model]` is a `ModelSpec`, `[train]` a `TrainSpec`; with
rows from a table, `[data]` is a `TableSpec` and gives the model its inputs, `numeric` and `categorical`. Where several
classes may stand, `kind` chooses, and a kind alone stands for its class with the defaults: `sharing = "mmoe"`. This
page is made from the classes: `python -m spec.reference > docs/reference.md`.
"""


def reference() -> str:
    """The page: each class that a file may name, and then those that its fields may hold."""
    return "\n".join([INTRODUCTION, *(_section(cls) for cls in documented())])


def documented() -> list[type[Any]]:
    """The classes of the page. A NetworkSpec is a ModelSpec without its inputs, and stands there."""
    classes = dict.fromkeys(cls for top in (ModelSpec, TrainSpec, TableExperiment) for cls in _classes(top))
    return [cls for cls in classes if cls is not NetworkSpec]


def _classes(annotation: Any) -> Iterator[type[Any]]:
    """The dataclasses in a type: itself, and those of its fields."""
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        yield annotation
        for annotation_of_field in get_type_hints(annotation).values():
            yield from _classes(annotation_of_field)
    else:
        for argument in get_args(annotation):
            yield from _classes(argument)


def _section(cls: type[Any]) -> str:
    schema = json_schema(cls)
    rows = [_row(name, field, name in schema.get("required", [])) for name, field in schema["properties"].items()]
    lines = [f"## {cls.__name__}", inspect.getdoc(cls) or "", ""]
    return "\n".join([*lines, "| field | values | default | meaning |", "| --- | --- | --- | --- |", *rows, ""])


def _row(name: str, field: dict[str, Any], required: bool) -> str:
    if field.get("const") is not None:
        return f'| `{name}` | `"{field["const"]}"` | the same | which class it is |'
    default = "required" if required else f"`{_short(field.get('default'))}`"
    meaning = " ".join(field.get("description", "").split()).replace("|", "\\|")
    return f"| `{name}` | {_values(field)} | {default} | {meaning} |"


def _short(default: Any) -> str:
    """A class's default values by its name, if it has one, rather than each of its fields."""
    if isinstance(default, dict):
        return str(default.get("kind", "{…}"))
    return "none" if default is None else json.dumps(default, ensure_ascii=False)


def _values(field: dict[str, Any]) -> str:
    """What may stand there, in words."""
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2].replace("NetworkSpec", "ModelSpec")
        return f"[{name}](#{name.lower()})"
    for several in ("anyOf", "oneOf"):
        if several in field:
            return " or ".join(_values(option) for option in field[several])
    if "enum" in field:
        return ", ".join(f'`"{value}"`' for value in field["enum"])
    kind = field.get("type")
    if kind == "array":
        return f"list of {_values(field.get('items', {}))}" + (", at least one" if field.get("minItems") else "")
    if kind == "object":
        return f"table of {_values(field.get('additionalProperties', {}))} by name"
    words = {
        "integer": "whole number",
        "number": "number",
        "boolean": "true or false",
        "string": "text",
        "null": "none",
    }
    bounds = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    limits = [f"{sign} {ROUND.get(field[key], f'{field[key]:g}')}" for key, sign in bounds.items() if key in field]
    return " ".join([words[str(kind)], ", ".join(limits)]).strip()


if __name__ == "__main__":
    print(reference(), end="")
