"""Where the rows come from: a table's files, its columns, and what becomes of each before it enters the network."""

from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from spec.model import NetworkSpec
from spec.training import TrainSpec
from spec.validation import STRICT, Flag, Fraction, Identifier, Many, Some, Width, unique

Name = Annotated[str, Field(min_length=1)]
Transform = Literal["none", "log1p"]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class NumericColumn:
    """A column of numbers. Where the training rows have one missing, it is filled with their mean, and a second input
    of 0 and 1 says where.
    """

    name: Name
    transform: Transform = "none"
    """log1p: log(1 + x), for amounts and counts; x must be above -1."""
    standardise: Flag = True
    """Subtract the training rows' mean and divide by their standard deviation, after the transform."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class CategoricalColumn:
    """A column of values that are looked up in an embedding table. Id 0 is for unknown and missing values.

    Values are compared as texts: 3, "3" and 3.0 are one value, and so are true and "True".
    """

    name: Name
    dimension: Width = 8
    """Width of a value's embedding."""
    encoding: Literal["vocabulary", "hash"] = "vocabulary"
    """vocabulary: an id for each value of the training rows. hash: the value's hash chooses one of `buckets` ids."""
    minimum_count: Width = 1
    """Values that fewer training rows have are unknown."""
    buckets: Width | None = None
    """Ids of a hashed column, besides the unknown."""

    @model_validator(mode="after")
    def _buckets_belong_to_hash(self) -> "CategoricalColumn":
        if (self.encoding == "hash") != (self.buckets is not None):
            expected = "a number with" if self.encoding == "hash" else "none without"
            raise ValueError(
                f"buckets: expected {expected} encoding 'hash' in column {self.name!r}, got {self.buckets}"
            )
        if self.encoding == "hash" and self.minimum_count > 1:
            raise ValueError(f"minimum_count: expected 1 with encoding 'hash', got {self.minimum_count}")
        return self


@dataclass(frozen=True, kw_only=True, config=STRICT)
class LabelColumn:
    """Which column, or columns, a task's label is. An empty value is a missing label."""

    columns: Some[Name]
    """One; a regression task of several outputs has one for each."""
    positive: str | None = None
    """binary: the value that is a 1, every other being a 0. None: the column holds 0 and 1, or false and true."""
    classes: Many[str] = ()
    """multiclass: the values in the classes' order, others are missing. (): the training rows', in sorted order."""
    transform: Transform = "none"
    """regression: what the network learns. Predictions are given back in the unit of the column."""
    standardise: Flag = False
    """regression: subtract the training rows' mean and divide by their deviation, after the transform."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TableSpec:
    """The files and their columns. Paths are relative to the folder of the TOML file that names them."""

    train: Some[Name]
    """CSV (.csv, .csv.gz, …) or Parquet (.parquet) files."""
    validation: Many[Name] = ()
    """Files of validation rows."""
    test: Many[Name] = ()
    """Files that `evaluate` reads if not told otherwise."""
    validation_fraction: Fraction = 0.0
    """Share of the training files' rows that are for validation instead, by a hash of the seed and the row's number."""
    numeric: Many[NumericColumn] = ()
    categorical: Many[CategoricalColumn] = ()
    labels: dict[Identifier, LabelColumn]
    """By task."""
    weight: Name | None = None
    """The column of the rows' weights."""
    format: Literal["auto", "csv", "parquet"] = "auto"
    """auto: Parquet if a file's name ends in .parquet, else CSV."""
    delimiter: Annotated[str, Field(pattern=r"^[\t !#-~]$")] = ","
    """CSV: one ASCII character."""
    column_names: Many[Name] = ()
    """CSV without a header: the columns' names, in order."""
    missing: Many[str] = ("", "NA", "NaN", "null")
    """Texts that stand for a missing value, besides nulls and NaN. Blanks around a text are no part of it."""
    memory_mb: Width = 256
    """Memory, in MiB, that reading keeps within; vocabularies and the encoded rows that training holds come on top."""

    @model_validator(mode="after")
    def _columns(self) -> "TableSpec":
        if not self.numeric and not self.categorical:
            raise ValueError("numeric, categorical: expected at least one input column, got none")
        unique("numeric, categorical", self.inputs)
        unique("column_names", self.column_names)
        if self.validation and self.validation_fraction:
            raise ValueError(f"validation_fraction: expected 0 with validation files, got {self.validation_fraction}")
        return self

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the input columns, the numeric ones first."""
        return (*(column.name for column in self.numeric), *(column.name for column in self.categorical))


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TableExperiment:
    """A file's content: the tables [model], [train] and [data]. The model's inputs are the data's columns."""

    model: NetworkSpec
    train: TrainSpec = TrainSpec()
    data: TableSpec
