"""Every field of the spec, as Markdown made from the classes themselves.

python -m spec.reference > docs/reference.md
"""

import inspect
import json
from typing import Any, get_args

from spec import balancing, model, table, training
from spec.files import json_schema

CLASSES = (
    *(model.ModelSpec, model.CategoricalFeature, model.TaskSpec),
    *(training.TrainSpec, *get_args(training.Optimizer), training.Schedule, training.EarlyStopping),
    *get_args(balancing.Balancing),
    *(table.TableExperiment, table.TableSpec, table.NumericColumn, table.CategoricalColumn, table.LabelColumn),
)
"""In the order of the page. A NetworkSpec is a ModelSpec without its inputs, and stands there."""

ROUND = {2**31: "2³¹", 2**32: "2³²"}
"""Bounds that nobody recognises by their digits."""

INTRODUCTION = """\
# Every field

What a TOML file and the classes of `spec` may say. A file's `[model]` is a `ModelSpec`, `[train]` a `TrainSpec`; with
rows from a table, `[data]` is a `TableSpec` and gives the model its inputs, `numeric` and `categorical`. Where several
classes may stand, `kind` chooses. This page is made from the classes: `python -m spec.reference > docs/reference.md`.
"""


def reference() -> str:
    """The page."""
    return "\n".join([INTRODUCTION, *(_section(cls) for cls in CLASSES)])


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
