"""What a run takes over of an earlier run's columns, so that what the earlier one learnt of its inputs stays true.

A kernel that has learnt what x = 1 means has learnt it of one mean and one deviation, and an embedding belongs to one
value. So the scales, quantiles and edges of a column that is still encoded in the same way are those of the earlier
run, whatever the new rows are. Vocabularies and classes grow: the earlier values keep their places, also those that the
new rows do not have or have too seldom, and the new ones follow in sorted order. What is encoded otherwise now, or was
not there, is learnt from the new rows alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from typing import TypeVar

from pydantic.dataclasses import dataclass

from shared_bottom.tables.columns import FittedColumns, Scale
from shared_bottom.tables.numbers import Learnt
from shared_bottom.tables.values import canonical
from spec.columns import CategoricalColumn, NumericColumn
from spec.table import TableExperiment, TableSpec
from spec.validation import STRICT, Finite, Many, Some

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Inherited:
    """What is taken over: entries of `FittedColumns`. Without an earlier run there are none.

    What is taken over need not be learnt: the new rows may be without any number of a column, or label of a task.
    """

    tasks: Many[str] = ()
    """The tasks whose label is the earlier run's: of the same kind, from the same columns."""

    numeric: dict[str, Scale] = field(default_factory=dict)
    quantiles: dict[str, Some[Finite]] = field(default_factory=dict)
    bins: dict[str, Some[Finite]] = field(default_factory=dict)
    indicators: Many[str] = ()
    vocabularies: dict[str, Many[str]] = field(default_factory=dict)
    classes: dict[str, Many[str]] = field(default_factory=dict)
    labels: dict[str, Many[Scale]] = field(default_factory=dict)

    def learnt(self, name: str) -> Learnt:
        """What is taken over of a numeric input that is among `numeric`."""
        return Learnt(self.numeric[name], self.quantiles.get(name, ()), self.bins.get(name, ()))

    def into(self, columns: FittedColumns) -> FittedColumns:
        """The columns, learnt from the new rows, with what is taken over in place of that or before it."""
        present = {*columns.indicators, *self.indicators}
        return replace(
            columns,
            numeric=columns.numeric | self.numeric,
            quantiles=columns.quantiles | self.quantiles,
            bins=columns.bins | self.bins,
            indicators=tuple(name for name in columns.data.numeric_inputs if name in present),
            vocabularies={
                table: grown(self.vocabularies.get(table, ()), values) for table, values in columns.vocabularies.items()
            },
            labels=columns.labels | self.labels,
        )


def grown(known: Sequence[str], values: Iterable[str]) -> tuple[str, ...]:
    """The known values, and then the others in their order."""
    return tuple(dict.fromkeys([*known, *values]))


def spelled(values: Iterable[str]) -> tuple[str, ...]:
    """The values in the spelling of this version, each once."""
    return tuple(dict.fromkeys(map(canonical, values)))


def inherited(experiment: TableExperiment, earlier: FittedColumns | None) -> Inherited:
    """What a run of the experiment takes over of an earlier run's columns; nothing if there was none.

    A numeric input is encoded in the same way if transform, distribution, standardise and bins are the same; a
    vocabulary is taken over if its table is trained and has the same dimension. A task's label is the same if the
    task's kind and the label's columns are; its scale, if transform and standardise are, too. Classes that the
    experiment lists are in its order. Values are spelled as in this version, whatever version the earlier run was of.
    """
    if earlier is None:
        return Inherited()
    data, before, now = experiment.data, encodings(earlier.data), encodings(experiment.data)
    names = [name for name in now if before.get(name) == now[name]]
    tables, tables_before = _vocabularies(data), _vocabularies(earlier.data)
    labels, classes, earlier_tasks, tasks = {}, {}, {task.name: task for task in earlier.tasks}, []
    for task in experiment.model.tasks:
        name, known = task.name, earlier_tasks.get(task.name)
        if known is None or known.kind != task.kind or earlier.data.labels[name].columns != data.labels[name].columns:
            continue
        old, new = earlier.data.labels[name], data.labels[name]
        tasks.append(name)
        if name in earlier.classes and not new.classes:
            classes[name] = spelled(earlier.classes[name])
        scaled = (old.transform, old.standardised(known.objective)) == (new.transform, new.standardised(task.objective))
        if name in earlier.labels and scaled:
            labels[name] = earlier.labels[name]
    return Inherited(
        tasks=tuple(tasks),
        numeric=_of(names, earlier.numeric),
        quantiles=_of(names, earlier.quantiles),
        bins=_of(names, earlier.bins),
        indicators=tuple(name for name in earlier.indicators if name in names),
        vocabularies={
            table: spelled(earlier.vocabularies[table])
            for table, column in tables.items()
            if column.trainable and table in tables_before and tables_before[table].dimension == column.dimension
        },
        classes=classes,
        labels=labels,
    )


def encodings(data: TableSpec) -> dict[str, tuple[object, ...]]:
    """By numeric input: what decides, beside what is learnt from the rows, how its numbers are encoded."""
    times = (NumericColumn(name=name) for column in data.time for name in column.numeric_parts)
    return {
        column.name: (column.transform, column.distribution, column.standardise, column.bins)
        for column in (*data.numeric, *times)
    }


def _vocabularies(data: TableSpec) -> dict[str, CategoricalColumn]:
    """By embedding table that has a vocabulary: a column that looks values up in it."""
    return {column.table_name: column for column in data.categorical if column.buckets is None}


def _of(names: Iterable[str], entries: Mapping[str, T]) -> dict[str, T]:
    return {name: entries[name] for name in names if name in entries}
