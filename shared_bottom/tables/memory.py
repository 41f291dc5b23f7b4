"""Rows of tables in memory, as blocks: no file is read, and neither pandas nor polars is imported."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from shared_bottom.tables.blocks import Block
from shared_bottom.tables.checks import check_names
from shared_bottom.tables.files import numbered
from shared_bottom.tables.paths import IN_MEMORY
from spec.table import TableSpec
from spec.validation import one_line


def memory_blocks(data: TableSpec, rows: Any, names: Sequence[str]) -> Iterator[Block]:
    """The rows of a table in memory in their order, block by block.

    data: what the table says of its columns.
    rows: the table, of a kind that `shared_bottom.tables.sources.Rows` names. The index of a pandas frame is no column.
    names: the columns to read.

    Raises ValueError, in one line, if `rows` is no table, if it lacks a column or has it twice, or if the values of a
    column are not of one type.
    """
    return numbered(data, IN_MEMORY, _batches(rows, names), names, typed=True)


def _batches(rows: Any, names: Sequence[str]) -> Iterable[Any]:
    """The columns `names` as pyarrow batches."""
    if isinstance(rows, pa.RecordBatch):
        rows = pa.table(rows)
    elif isinstance(rows, Mapping):
        rows = _table(list(rows.items()), names)
    elif isinstance(rows, list) and rows and all(isinstance(row, Mapping) for row in rows):
        columns_of_rows = dict.fromkeys(name for row in rows for name in row)  # a row without one has no value there
        rows = _table([(name, [row.get(name) for row in rows]) for name in columns_of_rows], names)
    elif hasattr(rows, "iloc") and hasattr(rows, "columns"):  # a pandas frame; its columns' names need not be texts
        columns = [(name, rows.iloc[:, i]) for i, name in enumerate(rows.columns)]
        rows = _table(columns, names)
    elif hasattr(rows, "get_columns"):  # a polars frame
        rows = _table([(column.name, column) for column in rows.get_columns()], names)
    elif not isinstance(rows, pa.Table | pa.RecordBatchReader):
        try:
            rows = pa.RecordBatchReader.from_stream(rows)
        except (pa.ArrowException, TypeError) as error:
            expected = "the names of files, a data frame, a pyarrow table, a dict of columns or a list of dicts"
            kind = type(rows).__name__
            hint = "; its method collect() returns a data frame" if kind == "LazyFrame" else ""
            raise ValueError(f"rows: expected {expected}, got {kind}{hint}") from error
    check_names(IN_MEMORY, names, rows.schema.names)
    if isinstance(rows, pa.Table):
        return rows.select(list(names)).to_batches()
    return (batch.select(list(names)) for batch in rows)


def _table(columns: Sequence[tuple[Any, Any]], names: Sequence[str]) -> Any:
    """The columns `names` as a pyarrow table; the others need not have a type that pyarrow knows."""
    check_names(IN_MEMORY, names, [str(name) for name, _ in columns])
    arrays = {str(name): _array(str(name), values) for name, values in columns if str(name) in names}
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"{IN_MEMORY}: expected columns of one length, got {lengths}")
    return pa.table(arrays)


def _array(name: str, values: Any) -> Any:
    """The values of a column as a pyarrow array. In an array of NumPy or pandas, NaN is a missing value."""
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise ValueError(
            f"{IN_MEMORY}: column {name!r}: expected a list with a value for each row, got {values!r:.100}"
        )
    try:
        if hasattr(values, "__arrow_c_stream__") and not hasattr(values, "iloc"):  # a column of polars
            if str(getattr(values, "dtype", "")) == "Object":  # pyarrow would get the addresses of the objects
                raise TypeError("the dtype Object of polars may hold anything")
            return pa.chunked_array(values)
        return pa.array(values, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f"{IN_MEMORY}: column {name!r}: expected values of one type, got others ({one_line(error)})"
        ) from error
