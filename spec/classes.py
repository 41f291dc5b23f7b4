"""What makes a class one of the spec, and errors of its fields that are one line, from Python as from a file."""

import dataclasses
import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast, dataclass_transform

from pydantic import ValidationError, model_validator
from pydantic.dataclasses import dataclass

from spec.validation import STRICT, did_you_mean, error_at, one_line

Class = TypeVar("Class", bound=type[Any])
SHOWN = 12
"""The most fields that are listed where a name is like none of them."""


class SpecError(ValueError):
    """What is wrong with a spec, in one line: the field, what was expected, what came."""


@contextmanager
def in_one_line() -> Iterator[None]:
    """A block in which the error of a spec is a SpecError, and not pydantic's, which has several lines."""
    try:
        yield
    except ValidationError as error:
        raise SpecError(one_line(error)) from None


@dataclass_transform(kw_only_default=True, frozen_default=True)
def spec_class(cls: Class) -> Class:
    """A class of the spec: frozen, with fields that are given by their names and checked by their types.

    Whoever makes one, in Python or by `dataclasses.replace`, gets a SpecError if a field is wrong. Where one is read as
    a part of a file, the error is pydantic's and has the whole path of the field: see `in_one_line`.
    """
    check_names: Any = classmethod(_check_names)
    cls._names_are_known = model_validator(mode="before")(check_names)
    made: Any = dataclass(frozen=True, kw_only=True, config=STRICT)(cls)
    checked = made.__init__

    @functools.wraps(checked)
    def initialise(self: Any, *args: Any, **fields: Any) -> None:
        with in_one_line():
            checked(self, *args, **fields)

    made.__init__ = initialise
    return cast(Class, made)


def _check_names(cls: Any, given: Any) -> Any:
    """Returns what it is given. Raises the error of the first field that the class does not have, which pydantic places
    in the file, and ValueError for one without a name.
    """
    args, fields = getattr(given, "args", None), getattr(given, "kwargs", None) or given  # those of a call, or a dict
    if args:
        raise ValueError(f"expected fields by their names, got {args[0]!r:.200}")
    known = [field.name for field in dataclasses.fields(cls)]
    for name, value in fields.items() if isinstance(fields, dict) else ():
        if name not in known:
            near = (
                did_you_mean(str(name), known)
                or f"; the fields are {', '.join(known[:SHOWN])}{', …' * (len(known) > SHOWN)}"
            )
            raise error_at(name, value, f"unexpected field, got {value!r:.200}{near}")
    return given
