"""The columns of a table, and what becomes of each before it enters the network."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from spec.classes import spec_class
from spec.losses import Loss
from spec.model import Pooling
from spec.validation import Flag, Many, Name, Some, Width, unique

Transform = Literal["none", "log1p", "quantile"]
TimePart = Literal["year", "month", "day", "weekday", "hour", "minute", "elapsed_days"]

TIME_PARTS: dict[TimePart, int | None] = {
    "year": None,
    "month": 12,
    "day": 31,
    "weekday": 7,
    "hour": 24,
    "minute": 60,
    "elapsed_days": None,
}
"""How many values a part of a time can have; None: it is a number."""


@spec_class
class NumericColumn:
    """A column of numbers. Where the training rows have one missing, it is filled with their mean, and one more input
    of 0 and 1 says where.
    """

    name: Name
    transform: Transform = "none"
    """log1p: log(1 + x), for amounts and counts; x must be above -1. quantile: the share of the training rows that have
    a smaller number, half of those with the same number counted too, so that about as many rows lie in each of equally
    long intervals. The numbers in between are interpolated, those outside become 0 or 1. Quantiles are those of all
    training rows, or of 262,144 if there are more, which are chosen by a hash of their place among them."""
    distribution: Literal["normal", "uniform"] = "normal"
    """quantile: how the shares are spread. uniform: as they are, over [0, 1]. normal: by the normal distribution's
    inverse, within ±5.2."""
    standardise: Flag = True
    """Subtract the training rows' mean and divide by their standard deviation, after the transform."""
    bins: Annotated[int, Field(ge=2)] | None = None
    """The piecewise-linear encoding (Gorishniy et al., "On Embeddings for Numerical Features in Tabular Deep Learning",
    NeurIPS 2022, section 3.2): instead of one number, the network takes one for each of so many bins, which the
    training rows' quantiles divide. It is 0 below the bin, 1 above it, grows linearly within, and is not standardised.
    Bins without a width are left out. None: the number itself."""
    missing: Many[str] | None = None
    """The texts that stand for a missing value in this column; None: those of the table."""

    @model_validator(mode="after")
    def _distribution_belongs_to_quantile(self) -> "NumericColumn":
        if self.distribution != "normal" and self.transform != "quantile":
            raise ValueError(
                f"distribution: expected none without transform 'quantile' in column {self.name!r}, "
                f"got {self.distribution!r}"
            )
        return self


@spec_class
class TimeColumn:
    """A column of timestamps, of dates, or of texts in ISO 8601 such as 2024-01-05 or 2024-01-05T17:30:00+01:00.

    Each part of it is an input. A year and elapsed days are numbers, standardised like a numeric column; the others are
    looked up in an embedding table of all values that the part can have, in which id 0 is for a missing time. The parts
    are those of the time as it is written, in its time zone if it has one, so that the same moment has other parts in
    another zone. A date is its midnight.
    """

    name: Name
    parts: Some[TimePart]
    """weekday: from Monday. elapsed_days: days since the beginning of 1970, with the fraction of the day."""
    dimension: Width = 4
    """Width of the embedding of each part that has one."""
    missing: Many[str] | None = None
    """The texts that stand for a missing value in this column; None: those of the table."""

    @property
    def numeric_parts(self) -> dict[str, TimePart]:
        """The parts that are numbers, by the name of their input."""
        return {f"{self.name}.{part}": part for part in self.parts if TIME_PARTS[part] is None}

    @property
    def categorical_parts(self) -> dict[str, TimePart]:
        """The parts that are looked up in a table, by the name of their input."""
        return {f"{self.name}.{part}": part for part in self.parts if TIME_PARTS[part] is not None}

    @model_validator(mode="after")
    def _distinct_parts(self) -> "TimeColumn":
        unique("parts", self.parts)
        return self


@spec_class
class CategoricalColumn:
    """A column of values that are looked up in an embedding table. Id 0 is for unknown and missing values.

    Values are compared as texts: 3, "3", 3.0 and 3e+00 are one value, and so are 1.5 and "1.50", true and "True", the
    date 2024-01-05 and its midnight. Texts such as "007", "+5" and "1e5" stay as they are, and a time's zone is no part
    of it. A float beyond 2^53 may have been another whole number before, so it is an error unless it is a multiple of
    ten up to 10^16. With a length above 1, a row has a list of values: see `length`.
    """

    name: Name
    dimension: Width = 8
    """Width of a value's embedding."""
    length: Width = 1
    """The most values that are taken from a row. Above 1, the column holds lists (Parquet, tables in memory) or texts
    that `separator` divides. A missing value of a list and an empty text are no values, and a row may have none."""
    separator: Annotated[str, Field(min_length=1)] | None = None
    """What stands between the values of a text. None: the column holds lists."""
    keep: Literal["last", "first"] = "last"
    """Which values are taken where a row has more than `length`: those at the end of its list, or at the beginning."""
    pooling: Pooling = "mean"
    """How the embeddings of a row's values become one; without a value it is zero."""
    table: Name | None = None
    """Columns with the same table share one vocabulary and one embedding, such as the item that a user looks at and the
    items that the user bought. They agree in all that a table is made by: dimension, encoding, minimum_count, buckets,
    embeddings and trainable. None: a table for this column alone, called as the column is."""
    embeddings: Name | None = None
    """A file of two columns, first a value and then its vector of `dimension` numbers, from which the embeddings start:
    Parquet with lists, or .npy with a structured array. The vocabulary is then the file's values and, if they are
    trained, those of the training rows, which start as usual. The path is relative to the folder of the TOML file."""
    trainable: Flag = True
    """false: the embeddings stay as the file `embeddings` has them, and an unknown value's is zero."""
    encoding: Literal["vocabulary", "hash"] = "vocabulary"
    """vocabulary: an id for each value of the training rows. hash: the value's hash chooses one of `buckets` ids."""
    minimum_count: Width = 1
    """Values that the training rows have less often, in all columns of the table together, are unknown. It does not
    concern the values that `embeddings` gives."""
    buckets: Width | None = None
    """Ids of a hashed column, besides the unknown."""
    missing: Many[str] | None = None
    """The texts that stand for a missing value in this column; None: those of the table."""

    @property
    def table_name(self) -> str:
        """The name of its embedding table."""
        return self.table or self.name

    @model_validator(mode="after")
    def _lists_have_options(self) -> "CategoricalColumn":
        if self.length == 1:
            for option, none in (("separator", None), ("keep", "last"), ("pooling", "mean")):
                if (value := getattr(self, option)) != none:
                    raise ValueError(f"{option}: expected none with length 1 in column {self.name!r}, got {value!r}")
        return self

    @model_validator(mode="after")
    def _embeddings_have_a_vocabulary(self) -> "CategoricalColumn":
        if self.embeddings is not None and self.encoding == "hash":
            raise ValueError(f"embeddings: expected none with encoding 'hash', got {self.embeddings!r}")
        if self.embeddings is None and not self.trainable:
            raise ValueError(f"trainable: expected true without embeddings in column {self.name!r}, got false")
        return self

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


@spec_class
class LabelColumn:
    """Which column, or columns, a task's label is. An empty value is a missing label."""

    columns: Some[Name]
    """One; a regression task of several outputs has one for each."""
    weight: Name | None = None
    """The column of the rows' weights in this task, which multiply those of `TableSpec.weight`."""
    positive: str | None = None
    """binary: the value that is a 1, every other being a 0. None: the column holds 0 and 1, or false and true."""
    classes: Many[str] = ()
    """multiclass: the values in the classes' order, others are missing. (): the training rows', in sorted order."""
    transform: Literal["none", "log1p"] = "none"
    """regression: what the network learns. Predictions are given back in the unit of the column. none with a loss whose
    labels are 0 or more, poisson and zero_inflated_lognormal, which learn them as they are."""
    standardise: Flag | None = None
    """regression: subtract the training rows' mean and divide by their deviation, after the transform. None: yes, but
    with a loss whose labels are 0 or more."""
    missing: Many[str] | None = None
    """The texts that stand for a missing value in these columns; None: those of the table."""

    def standardised(self, loss: Loss) -> bool:
        """Whether the numbers that the network learns with this loss are standardised."""
        return not loss.non_negative if self.standardise is None else self.standardise
