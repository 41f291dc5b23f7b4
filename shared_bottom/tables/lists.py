"""The values of a categorical column: one in each row, or a list of them."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared_bottom.tables.arrays import decoded, is_text
from shared_bottom.tables.blocks import Block, Texts
from shared_bottom.tables.missing import Missing
from spec.columns import CategoricalColumn

LISTS = {
    arrow_type.id
    for arrow_type in (
        pa.list_(pa.null()),
        pa.large_list(pa.null()),
        pa.list_(pa.null(), 1),
        pa.list_view(pa.null()),
        pa.large_list_view(pa.null()),
    )
}
"""What the types of lists are called within pyarrow."""


class Values(NamedTuple):
    """The V values that a categorical column has in a block of N rows, row by row."""

    texts: Texts
    """The values: V texts. One is missing only if the column's length is 1, since a list has no missing values."""
    rows: np.ndarray
    """int (V,): the index of each value's row, in [0, N)."""
    places: np.ndarray
    """int (V,): the place of each value among those of its row, in [0, length)."""


def column_values(block: Block, column: CategoricalColumn) -> Values:
    """The values of a categorical column.

    Where its length is above 1, missing values and empty texts are left out, and then at most `length` values of each
    row are kept, the first or the last. Raises ValueError if the column's type is not one that its length allows, or as
    `Block.texts` does.
    """
    name = column.name
    if column.length == 1:
        if block.columns[name].type.id in LISTS:
            raise _wrong_type(block, name, "text, numbers or booleans", "a row of a column of length 1 has one value")
        return Values(block.texts(name, column.missing), np.arange(block.rows), np.zeros(block.rows, np.int64))
    elements, rows = _elements(block, column)
    texts = elements.texts(name, column.missing)
    there = np.array([*map(bool, texts.values), False])[texts.codes]  # neither missing nor empty
    rows, codes = rows[there], texts.codes[there]
    counts = np.bincount(rows, minlength=block.rows)
    places = np.arange(len(rows)) - (np.cumsum(counts) - counts)[rows]
    if column.keep == "last":
        places -= np.maximum(counts - column.length, 0)[rows]
    kept = (places >= 0) & (places < column.length)
    return Values(Texts(texts.values, codes[kept]), rows[kept], places[kept])


def _elements(block: Block, column: CategoricalColumn) -> tuple[Block, np.ndarray]:
    """The elements of a column's lists, as a block that has the column alone and an element in each row.

    The second result is the index of each element's row in the given block. A column with a separator may also hold
    lists, whose elements are then not divided, or single values that are no texts.
    """
    name, array = column.name, decoded(block.columns[column.name])
    if column.separator is not None and is_text(array.type):
        array = _divided(array, column.separator, block.missing(column.missing))
    if array.type.id in LISTS:
        lengths = pc.list_value_length(array)
        if lengths.null_count:
            lengths = lengths.fill_null(0)
        rows, elements = np.repeat(np.arange(block.rows), lengths.to_numpy()), pc.list_flatten(array)
    elif column.separator is not None or pa.types.is_null(array.type):
        rows, elements = np.arange(block.rows), array
    else:
        raise _wrong_type(block, name, "lists, or texts and a separator", f"its length is {column.length}")
    if pa.types.is_nested(elements.type):
        raise _wrong_type(block, name, "lists of text, numbers or booleans", "the elements are lists or tables")
    return replace(block, row_numbers=block.row_numbers[rows], columns={name: elements}), rows


def _divided(array: Any, separator: str, missing: Missing) -> Any:
    """Texts divided at each separator, as a pyarrow array of lists; a text that stands for a missing value is null."""
    is_missing = pc.is_in(pc.utf8_trim_whitespace(array), missing.texts.cast(array.type))
    return pc.split_pattern(pc.if_else(is_missing, None, array), pattern=separator)


def _wrong_type(block: Block, name: str, expected: str, why: str) -> ValueError:
    got = decoded(block.columns[name][:0]).type
    return ValueError(f"{block.path}: column {name!r}: expected {expected}, got {got} ({why})")
