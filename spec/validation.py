"""The field types of the spec, and errors that fit one line.

Every number in a spec is checked by its type, so that the classes read as plain declarations. Integers are strict (3.0
and True are no widths), and NumPy's scalars pass, since `X.shape[1]` and `ids.max() + 1` are where widths come from.
"""

import difflib
import keyword
from collections.abc import Iterable, Mapping
from itertools import pairwise
from types import NoneType
from typing import Annotated, Any, Literal, TypeVar, get_args

import numpy as np
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    TypeAdapter,
    ValidationError,
)

STRICT = ConfigDict(extra="forbid", use_attribute_docstrings=True)
"""Of a class that files are read into."""


def _python_scalar(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _identifier(name: str) -> str:
    if not name.isidentifier() or keyword.iskeyword(name):
        raise ValueError(f"expected a Python identifier, got {name!r}")
    return name


def _ordered(items: Any) -> Any:
    if not isinstance(items, tuple | list):  # a set would pass, in an order of its own
        raise ValueError(f"expected a tuple or a list, got {items!r}")
    return items


def _some(items: tuple[Any, ...]) -> tuple[Any, ...]:
    # Not Field(min_length=1): that also calls a tuple empty whose items are wrong, and as a default it is positional.
    if not items:
        raise ValueError("expected at least one, got ()")
    return items


def _sorted(items: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(sorted(set(items)))


def unique(field: str, names: Iterable[str]) -> None:
    """Raises ValueError, naming `field` and the name, if a name occurs twice."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"{field}: expected distinct names, got {name!r} twice")
        seen.add(name)


def ascending(field: str, numbers: Iterable[float]) -> None:
    """Raises ValueError, naming `field`, if a number is not above the one before it."""
    listed = tuple(numbers)
    if any(lower >= upper for lower, upper in pairwise(listed)):
        raise ValueError(f"{field}: expected numbers that ascend, got {listed}")


def did_you_mean(name: str, known: Iterable[str], alike: float = 0.6) -> str:
    """What an error adds where a name is close to one that there is: "; did you mean 'optimizer'?", or nothing.

    alike: the least ratio of `difflib.SequenceMatcher` at which it is close.
    """
    near = difflib.get_close_matches(name, known, 1, alike)
    return f"; did you mean {near[0]!r}?" if near else ""


def kinds_with(name: str, classes: Mapping[str, Any]) -> list[str]:
    """The kinds that have a field of this name. classes: those of all kinds, by kind."""
    return [kind for kind, cls in classes.items() if name in cls.__dataclass_fields__]


def error_at(field: str, value: Any, message: str) -> ValidationError:
    """An error that pydantic places at the field of what it is validating.

    value: what came there.
    """
    detail: Any = {"type": "value_error", "loc": (field,), "input": value, "ctx": {"error": ValueError(message)}}
    return ValidationError.from_exception_data(field, [detail])


def check_class(field: str, value: Any, cls: type[Any], whence: str) -> None:
    """Raises ValueError, naming `field`, for what is no `cls`. whence: where the caller has one from."""
    if not isinstance(value, cls):
        got = f"{value!r:.200}" if isinstance(value, str) else f"a {type(value).__name__}"
        raise ValueError(f"{field}: expected a {cls.__name__}, as {whence}, got {got}")


class ByKind:
    """Of a field that holds one of several classes, which `kind` chooses: the kind alone stands for the class with its
    defaults. Errors name the field and what is wrong in it, and no class as pydantic's do.
    """

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        """What pydantic asks of an annotation."""
        classes = {cls.kind: cls for cls in get_args(source) if cls is not NoneType}

        def chosen(value: Any) -> Any:
            if isinstance(value, get_args(source)):  # NoneType is among them where the field may be None
                return value
            fields = {"kind": value} if isinstance(value, str) else value
            if not isinstance(fields, dict):
                raise ValueError(
                    f"expected one of {', '.join(classes)}, or a table with its fields, got {value!r:.200}"
                )
            if fields.get("kind") not in [*classes]:  # a list, since the kind may be anything, hashable or not
                got = f"{fields['kind']!r:.200}" if "kind" in fields else "none"
                raise error_at("kind", fields, f"expected one of {', '.join(classes)}, got {got}")
            for name, given in fields.items():
                kinds = kinds_with(name, classes)
                if kinds and fields["kind"] not in kinds:
                    unexpected = f"unexpected field of kind {fields['kind']}, got {given!r:.200}"
                    raise error_at(name, given, f"{unexpected}; it belongs to kind {' and '.join(kinds)}")
            return TypeAdapter(classes[fields["kind"]]).validate_python(fields)

        either = Literal[tuple(classes)] | source
        return BeforeValidator(chosen, json_schema_input_type=either).__get_pydantic_core_schema__(source, handler)


_Scalar = BeforeValidator(_python_scalar)
Identifier = Annotated[str, AfterValidator(_identifier)]
Name = Annotated[str, Field(min_length=1)]
# What counts and sizes can be is what an int32 can, which ids are: arithmetic on them never leaves what NumPy takes.
Width = Annotated[int, _Scalar, Field(strict=True, gt=0, lt=2**31)]
Count = Annotated[int, _Scalar, Field(strict=True, ge=0, lt=2**31)]
Seed = Annotated[int, _Scalar, Field(strict=True, ge=0, lt=2**32)]
Finite = Annotated[float, _Scalar, Field(strict=True, allow_inf_nan=False)]
Positive = Annotated[float, _Scalar, Field(strict=True, gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, _Scalar, Field(strict=True, ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, _Scalar, Field(strict=True, ge=0, lt=1)]
Level = Annotated[float, _Scalar, Field(strict=True, gt=0, lt=1)]
Share = Annotated[float, _Scalar, Field(strict=True, ge=0, le=1)]
Flag = Annotated[bool, _Scalar, Field(strict=True)]
Item = TypeVar("Item")
Many = Annotated[tuple[Item, ...], BeforeValidator(_ordered)]
Sorted = Annotated[Many[Item], AfterValidator(_sorted)]
"""Of items whose order and number mean nothing: each once, in ascending order, so that equal ones are equal."""
Some = Annotated[Many[Item], AfterValidator(_some), Field(json_schema_extra={"minItems": 1})]


def plain(text: str) -> str:
    """The text in one line, with what cannot be printed, such as a terminal's escapes, written out."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in " ".join(text.split()))


WORDS = (
    ("Input should be greater", "expected a number greater"),
    ("Input should be less", "expected a number less"),
    ("Input should be a valid integer", "expected an integer"),
    ("Input should be a valid ", "expected a "),
    ("Input should be ", "expected "),
    ("String should have ", "expected a string of "),
    ("Field required", "expected a value, got none"),
    ("Unexpected keyword argument", "unexpected field"),
    ("Extra inputs are not permitted", "unexpected field"),
    ("Value error, ", ""),
)
"""How pydantic's messages begin, and what they begin with here; the first that fits."""


def one_line(error: Exception) -> str:
    """The error as one line: field, what was expected, what came; or the file. Further errors of a spec are counted."""
    if isinstance(error, OSError) and error.filename is not None:
        return plain(f"{error.filename}: {error.strerror}")
    if not isinstance(error, ValidationError):
        return plain(str(error))
    first, *others = error.errors(include_url=False)
    field = ".".join(str(part) for part in first["loc"]) or error.title
    message = first["msg"]
    if first["type"] == "dataclass_type":
        message = f"expected the fields of {first['ctx']['class_name']}"
    for theirs, ours in WORDS:
        if message.startswith(theirs):
            message = ours + message.removeprefix(theirs)
            break
    received = "" if first["type"] in ("value_error", "missing") else f", got {first['input']!r:.200}"
    more = f" (and {len(others)} more)" if others else ""
    return plain(f"{field}: {message}{received}{more}")
