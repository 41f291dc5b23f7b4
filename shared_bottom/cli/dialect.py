"""How evaluate and predict read files that are written otherwise than the training files."""

from dataclasses import asdict, replace

from shared_bottom.cli.options import Dialect
from shared_bottom.tables.columns import FittedColumns
from spec.table import TableSpec
from spec.validation import one_line


def in_dialect(columns: FittedColumns, dialect: Dialect) -> FittedColumns:
    """The columns, to be read from files in a dialect.

    columns: what was learnt from the training rows, and how the training files were written.
    dialect: what is different in the given files.

    Raises ValueError, in one line that names the flag, if a value is none that the field of [data] can have, or if
    there is a separator but no column of lists.
    """
    given = {name: value for name, value in asdict(dialect).items() if value is not None}
    separator = given.pop("separator", None)
    none = {name: None for name, value in given.items() if value == "" and getattr(TableSpec, name) is None}
    if separator is not None and not any(column.length > 1 for column in columns.data.categorical):
        raise ValueError(f"--separator: expected none, since no column of the model holds lists, got {separator!r}")
    try:
        categorical = tuple(
            replace(column, separator=separator) if separator is not None and column.length > 1 else column
            for column in columns.data.categorical
        )
        data = replace(columns.data, categorical=categorical, **given | none)
    except ValueError as error:
        line = one_line(error).removeprefix(f"{TableSpec.__name__}: ")
        raise ValueError(f"--{line.replace('_', '-', 1)}") from error
    return replace(columns, data=data)
