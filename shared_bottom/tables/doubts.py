"""What in the training rows is most likely not meant so: a line for each, which becomes a warning."""

from collections import Counter
from collections.abc import Iterator, Sequence

from shared_bottom.tables.columns import FittedColumns
from shared_bottom.tables.numbers import Moments
from shared_bottom.tables.observed import Observed, ObservedColumns
from shared_bottom.tables.tally import left_out, listed, named
from shared_bottom.tables.values import canonical
from spec.columns import CategoricalColumn, LabelColumn
from spec.tasks import TaskSpec

ROWS, DISTINCT = 100, 0.9
"""With so many rows or more, so many distinct values for each row are too many for a category. Fewer rows say nothing
of hours, minutes and frozen vectors either."""
SEPARATORS = ("|", ";", ",")
"""What may stand between the values of a text that is a list."""
SEPARATED = 0.5
"""Texts of which more than this share has a separator are most likely lists."""
LACKING = 0.05
"""Of a column's values, more than this share without a vector that is given and frozen is too many."""
NEAR = 10.0
"""Numbers are near unit size if their deviation is within this factor of 1, and their mean this near to 0."""


def doubts(columns: FittedColumns, seen: ObservedColumns) -> Iterator[str]:
    """A line for each column or task that is most likely not meant as it is.

    columns: what was learnt from the training rows.
    seen: what was counted in them.
    """
    for column in columns.data.numeric:  # a year may well be the same in all training rows
        if (numbers := seen.numeric[column.name].moments).constant:
            got = f"{numbers.largest:g} in every row that has one"
            yield f"column {column.name!r}: expected numbers that differ, got {got}"
    for time in columns.data.time:
        for name, part in time.categorical_parts.items():
            if seen.times[time.name].values >= ROWS and len(of_clock := seen.clock[name]) == 1:
                got = f"{part} {min(of_clock)} in every row that has one (are they dates?)"
                yield f"column {time.name!r}: expected times whose {part}s differ, got {got}"
    for categorical in columns.data.categorical:
        yield from _of_category(categorical, seen.categorical[categorical.name])
        if not categorical.trainable:
            yield from _of_frozen(columns, categorical, seen.categorical[categorical.name])
    for task in columns.tasks:
        label = columns.data.labels[task.name]
        if task.traits.label == "number":
            yield from _of_numbers(columns, task, label, seen.label_numbers[task.name])
        elif task.traits.label == "class":
            yield from _of_classes(task.name, columns.classes[task.name], seen.label_texts[task.name])
        else:
            yield from _of_truth(task.name, label, seen.label_texts[task.name])


def _of_category(column: CategoricalColumn, texts: Observed) -> Iterator[str]:
    name, counts, values = column.name, texts.counts, texts.counts.total()
    if column.buckets is None:
        if column.embeddings is None and values >= ROWS and len(counts) >= DISTINCT * values:
            got = f"{len(counts):,} distinct values in {values:,} (is it a number, a time or the row's id?)"
            yield f"column {name!r}: expected a category, got {got}"
        elif len(counts) == 1 and not texts.missing and values > 1:
            yield f"column {name!r}: expected values that differ, got {next(iter(counts))!r} in every row"
    for separator in SEPARATORS if column.length == 1 else ():
        separated = sum(rows for text, rows in counts.items() if separator in text)
        if separated > SEPARATED * values:
            yield (
                f"column {name!r}: {separated:,} of {values:,} values have {separator!r} in them; if they are lists, "
                f"set separator = {separator!r} and a length above 1"
            )
            return


def _of_frozen(columns: FittedColumns, column: CategoricalColumn, texts: Observed) -> Iterator[str]:
    without = texts.without(columns.vocabularies[column.table_name])
    if texts.values >= ROWS and without > LACKING * texts.values:
        got = f"none for {without:,} of {texts.values:,} ({without / texts.values:.1%})"
        yield f"column {column.name!r}: expected a vector for each value, since its embeddings are frozen, got {got}"


def _of_numbers(columns: FittedColumns, task: TaskSpec, label: LabelColumn, seen: list[Moments]) -> Iterator[str]:
    as_they_are = not label.standardised(task.objective) and not task.objective.non_negative
    for name, numbers, scale in zip(label.columns, seen, columns.labels[task.name], strict=True):
        if numbers.constant:
            yield f"task {task.name!r}: expected labels that differ, got {numbers.largest:g} in every row that has one"
        elif as_they_are and not (abs(scale.mean) <= NEAR and 1 / NEAR <= scale.deviation <= NEAR):
            yield (
                f"task {task.name!r}: expected labels near unit size without standardise, "
                f"got a mean of {scale.mean:.4g} and a deviation of {scale.deviation:.4g} in column {name!r}"
            )
        elif len(columns.tasks) > 1 and task.objective.link == "exponential" and task.weight * scale.mean > NEAR:
            yield (
                f"task {task.name!r}: expected counts near unit size or a weight far below 1, since the loss is as "
                f"large as the counts and outweighs other tasks', got a mean of {scale.mean:.4g} in column {name!r}"
            )


def _of_classes(task: str, classes: Sequence[str], texts: Observed) -> Iterator[str]:
    without = [value for value in classes if not texts.counts[value]]
    if without:
        yield f"task {task!r}: expected rows of each class, got none of {listed(without)}"
    known = {*classes}
    if others := Counter({value: rows for value, rows in texts.counts.items() if value not in known}):
        yield left_out(task, others)


def _of_truth(task: str, label: LabelColumn, texts: Observed) -> Iterator[str]:
    if len(texts.counts) == 1:
        yield f"task {task!r}: expected labels of both kinds, got {next(iter(texts.counts))!r} in all {texts.values:,}"
    others = texts.counts.copy()
    if label.positive is not None:
        del others[canonical(label.positive)]
        if len(others) > 1:
            yield f"task {task!r}: labels other than {label.positive!r} count as 0: {named(others)}"
