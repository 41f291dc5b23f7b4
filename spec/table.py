"""Where the rows of an experiment come from: a table's files, and what its columns are."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from spec.classes import spec_class
from spec.columns import CategoricalColumn, LabelColumn, NumericColumn, TimeColumn
from spec.model import NetworkSpec
from spec.training import TrainSpec
from spec.validation import Fraction, Identifier, Many, Name, Width, unique

MISSING = ("", "NA", "N/A", "n/a", "<NA>", "NaN", "nan", "NaT", "null", "NULL", "None")
"""What stands for a missing value if a table does not say otherwise."""


@spec_class
class TableSpec:
    """The files and their columns. Paths are relative to the folder of the TOML file that names them."""

    train: Many[Name] = ()
    """CSV, Parquet or Arrow files, CSV compressed or not. A folder stands for all files in it, and a pattern such as
    part-*.parquet or **/*.csv for those that it matches, in plain order of their paths: part-10 comes before part-2.
    Names that begin with . or _ are left out, and columns that stand in names of folders (year=2024) are not read.
    (): the rows are a table in memory."""
    validation: Many[Name] = ()
    """Files of validation rows, likewise."""
    test: Many[Name] = ()
    """Files that `evaluate` reads if not told otherwise."""
    validation_fraction: Fraction = 0.0
    """Share of the training files' rows that are for validation instead, by a hash of the seed and the row's number."""
    rows: Width | None = None
    """For a first try: read only the first so many rows of all training files together, of which `validation_fraction`
    is a share, and as many of the validation files. Nothing is learnt from the others. None: all."""
    numeric: Many[NumericColumn] = ()
    categorical: Many[CategoricalColumn] = ()
    """A column may be numeric and categorical at once."""
    time: Many[TimeColumn] = ()
    labels: dict[Identifier, LabelColumn]
    """By task."""
    weight: Name | None = None
    """The column of the rows' weights."""
    group: Name | None = None
    """The column whose values put rows together to groups, such as a user's, for metrics that compare rows within one:
    group_auc, ndcg@K. It may hold texts, numbers or times, and may be an input, too. A row whose value is missing is in
    no group."""
    format: Literal["auto", "csv", "parquet"] = "auto"
    """auto: Parquet or Arrow if a file begins as such files do, else CSV, whatever its name."""
    delimiter: Annotated[str, Field(pattern=r"^[\t !#-~]$")] = ","
    """CSV: one ASCII character."""
    decimal: Literal[".", ","] = "."
    """What stands before the decimals of a number that is a text, as all are in CSV."""
    thousands: Literal[".", ",", "'", "_", " "] | None = None
    """What stands between the thousands of such a number in a numeric column, a label or a weight."""
    escape: Annotated[str, Field(pattern=r"^[!#-~]$")] | None = None
    """CSV: what stands before a delimiter or a quote that belongs to a value, such as a backslash."""
    comment: Annotated[str, Field(min_length=1)] | None = None
    """CSV: lines before the header, or before the first row, that begin so are left out. (So is Excel's sep=,.)"""
    column_names: Many[Name] = ()
    """CSV without a header: the columns' names, in order."""
    missing: Many[str] = MISSING
    """Texts that stand for a missing value, besides nulls and NaN, in every kind of column and in both formats. Blanks
    around a text are no part of it. A text that is a number or a time also stands for the number or the time in all
    their spellings and types, so -999 for -999.0."""
    memory_mb: Width = 256
    """Memory, in MiB, that reading keeps within. Vocabularies, the encoded rows where no cache keeps them in files, and
    4 MiB for each numeric column with quantiles or bins come on top."""

    @model_validator(mode="after")
    def _columns(self) -> "TableSpec":
        if not self.inputs:
            raise ValueError("numeric, categorical, time: expected at least one input column, got none")
        unique("numeric", (column.name for column in self.numeric))
        unique("categorical", (column.name for column in self.categorical))
        unique("time", (column.name for column in self.time))
        self._check_tables()
        unique("column_names", self.column_names)
        if self.decimal in (self.thousands, self.delimiter):
            raise ValueError(f"decimal: expected another than thousands and delimiter have, got {self.decimal!r}")
        if self.thousands == self.delimiter:
            raise ValueError(f"thousands: expected another than delimiter has, got {self.thousands!r}")
        if self.validation and self.validation_fraction:
            raise ValueError(f"validation_fraction: expected 0 with validation files, got {self.validation_fraction}")
        return self

    def _check_tables(self) -> None:
        first: dict[str, CategoricalColumn] = {}
        for column in self.categorical:
            other = first.setdefault(column.table_name, column)
            for option in ("dimension", "encoding", "minimum_count", "buckets", "embeddings", "trainable"):
                if getattr(column, option) != getattr(other, option):
                    expected = f"the {option} of column {other.name!r}, {getattr(other, option)!r}"
                    got = f"{getattr(column, option)!r} in column {column.name!r}"
                    raise ValueError(f"categorical: expected {expected}, for table {column.table_name!r}, got {got}")

    @property
    def numeric_inputs(self) -> tuple[str, ...]:
        """The names of the numeric inputs: the numeric columns, then the parts of times that are numbers."""
        times = (name for column in self.time for name in column.numeric_parts)
        return (*(column.name for column in self.numeric), *times)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the input columns, each once: the numeric ones first, then the categorical, then the times."""
        columns: tuple[NumericColumn | CategoricalColumn | TimeColumn, ...]
        columns = (*self.numeric, *self.categorical, *self.time)
        return tuple(dict.fromkeys(column.name for column in columns))


@spec_class
class TableExperiment:
    """A file's content: the tables [model], [train] and [data]. The model's inputs are the data's columns."""

    model: NetworkSpec
    train: TrainSpec = TrainSpec()
    data: TableSpec
