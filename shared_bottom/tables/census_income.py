"""Census-Income (KDD), the public data on which Ma et al. (MMoE, KDD 2018) measured the Shared-Bottom network.

A result on these data can be compared with published ones only if the rows, the columns and the split are the same.
Therefore the files must be the official ones, byte for byte (see `shared_bottom.tables.census_files`), and the protocol
is that of the paper's first group of tasks: whether the income is above 50,000, and whether a person never married.
Education, marital status, income and the instance weight are not inputs. The vocabularies, the means and the standard
deviations are learnt from the training file alone. The official test file is divided at random into two halves, one for
validation and one for testing.

Terran Lane and Ronny Kohavi, UCI Machine Learning Repository, 2000 (https://doi.org/10.24432/C5N30T), CC BY 4.0.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from shared_bottom.tables.census_files import cached_arrays, official_files, official_text
from spec import Dataset

PARSER_VERSION = 1
"""Increased whenever `_parse` comes to make other arrays of the same files, so that no older cache is read."""

# fmt: off
COLUMNS: dict[str, int | Literal["number", "money", "no input"]] = {
    "age": "number", "class_of_worker": 10, "industry_code": 53, "occupation_code": 48, "education": "no input",
    "wage_per_hour": "money", "enrolled_in_edu_inst_last_wk": 4, "marital_status": "no input",
    "major_industry_code": 25, "major_occupation_code": 16, "race": 6, "hispanic_origin": 11, "sex": 3,
    "member_of_a_labor_union": 4, "reason_for_unemployment": 7, "full_or_part_time_employment_stat": 9,
    "capital_gains": "money", "capital_losses": "money", "dividends_from_stocks": "money", "tax_filer_status": 7,
    "region_of_previous_residence": 7, "state_of_previous_residence": 52, "detailed_household_and_family_stat": 39,
    "detailed_household_summary_in_household": 9, "instance_weight": "no input", "migration_code_change_in_msa": 11,
    "migration_code_change_in_reg": 10, "migration_code_move_within_reg": 11, "live_in_this_house_1_year_ago": 4,
    "migration_prev_res_in_sunbelt": 5, "num_persons_worked_for_employer": "number", "family_members_under_18": 6,
    "country_of_birth_father": 44, "country_of_birth_mother": 44, "country_of_birth_self": 44, "citizenship": 6,
    "own_business_or_self_employed": 4, "fill_inc_questionnaire_for_veterans_admin": 4, "veterans_benefits": 4,
    "weeks_worked_in_year": "number", "year": 3, "income": "no input",
}
"""The columns of the files, in order, and what each is. For a categorical column it is the number of ids, including id
0 for an unknown value. "money" is an amount, of which the network takes log(1 + x)."""
# fmt: on
NUMERIC = tuple(name for name, kind in COLUMNS.items() if kind in ("number", "money"))
"""The numeric columns, in order."""
VOCABULARIES = {name: kind for name, kind in COLUMNS.items() if isinstance(kind, int)}
"""The number of ids of each categorical column, in order."""
TASKS = {"income": ("income", "50000+."), "never_married": ("marital_status", "Never married")}
"""For each task, the column of its label, and the value that is the label 1. Every other value is the label 0."""
POSITIVE = {"income": 0.062, "never_married": 0.433}
"""For each task, the share of the training file's rows whose label is 1."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Census:
    """The three sets of rows. numeric: float32 (N, 7). categorical: int32 (N, 31). labels: float32 (N,) of 0 and 1."""

    train: Dataset
    validation: Dataset
    test: Dataset
    vocabularies: dict[str, int]
    """For each categorical column, in order, the number of its ids, including id 0 for an unknown value."""


def load(folder: Path | None = None, *, seed: int = 0) -> Census:
    """The official data, in the protocol's training, validation and test set.

    folder: the folder that has the official files, gzipped or not. If None, they are downloaded.
    seed: decides which rows of the official test file are for validation and which for testing.

    Downloaded files and the parsed arrays are kept in `cache_folder()`. Raises FileNotFoundError if the folder lacks a
    file, OSError if a file cannot be downloaded, and ValueError if a file is not the official one.
    """
    files = official_files(folder)
    arrays = cached_arrays(files, _parse, PARSER_VERSION)

    def dataset(file: str) -> Dataset:
        labels = {task: arrays[f"{file}.{task}"] for task in TASKS}
        return Dataset(numeric=arrays[f"{file}.numeric"], categorical=arrays[f"{file}.categorical"], labels=labels)

    train, held_out = (dataset(file) for file in files)
    order = np.random.default_rng(seed).permutation(held_out.rows)
    half = held_out.rows // 2
    return Census(
        train=train,
        validation=held_out.take(order[:half]),
        test=held_out.take(order[half:]),
        vocabularies=dict(zip(VOCABULARIES, arrays["vocabularies"].tolist(), strict=True)),
    )


def synthetic(rows: int, *, seed: int = 0) -> Census:
    """Random rows with the columns of the real ones, for use where the official files are not available.

    rows: the number of training rows. Validation and test set each have a quarter of it, at least 1 row.
    seed: decides all random numbers.

    Numbers are drawn from a normal distribution, and ids uniformly. A label is drawn from a logistic model that is
    linear in all inputs, with random coefficients, so that there is something to learn and the AUC can exceed 0.5. It
    is 1 as often as in the official training file. Raises ValueError if `rows` is less than 1.
    """
    if rows < 1:
        raise ValueError(f"rows: expected 1 or more, got {rows}")
    generator = np.random.default_rng(seed)
    quarter = max(rows // 4, 1)
    total = rows + 2 * quarter
    sizes = list(VOCABULARIES.values())
    numeric = generator.standard_normal((total, len(NUMERIC)), dtype=np.float32)
    categorical = generator.integers(0, sizes, (total, len(sizes)), dtype=np.int32)
    labels = {}
    for task, share in POSITIVE.items():
        score = numeric @ generator.standard_normal(len(NUMERIC))
        for size, ids in zip(sizes, categorical.T, strict=True):
            score += generator.standard_normal(size)[ids]
        latent = score / 2 + generator.logistic(size=total)
        labels[task] = (latent > np.quantile(latent, 1 - share)).astype(np.float32)
    data = Dataset(numeric=numeric, categorical=categorical, labels=labels)
    return Census(
        train=data.take(slice(rows)),
        validation=data.take(slice(rows, rows + quarter)),
        test=data.take(slice(rows + quarter, total)),
        vocabularies=dict(VOCABULARIES),
    )


def _parse(files: dict[str, Path]) -> dict[str, np.ndarray]:
    """The arrays of a `Census` by names such as "census-income.data.numeric", and the sizes of the vocabularies."""
    tables = [_read_table(path, name) for name, path in files.items()]
    training_table = tables[0]
    vocabularies = [
        # Sorted, so that an id does not depend on the order of the rows.
        {value: i for i, value in enumerate(sorted(set(_distinct_values(training_table[column]))), start=1)}
        for column in VOCABULARIES
    ]
    numbers = [_numbers(table) for table in tables]
    mean, deviation = numbers[0].mean(axis=0), numbers[0].std(axis=0)
    arrays = {"vocabularies": np.array([len(vocabulary) + 1 for vocabulary in vocabularies])}
    for file, table, numbers_of_file in zip(files, tables, numbers, strict=True):
        ids = [_ids(table[name], vocabulary) for name, vocabulary in zip(VOCABULARIES, vocabularies, strict=True)]
        arrays[f"{file}.numeric"] = ((numbers_of_file - mean) / deviation).astype(np.float32)
        arrays[f"{file}.categorical"] = np.stack(ids, axis=1)
        for task, (column, positive) in TASKS.items():
            arrays[f"{file}.{task}"] = _ids(table[column], {positive: 1}).astype(np.float32)
    return arrays


def _read_table(path: Path, name: str) -> Any:
    """A file as a pyarrow.Table, with numbers as float64 and all other columns as dictionaries of strings."""
    import pyarrow as pa  # here, because arrays that are in the cache need no parsing
    from pyarrow import csv

    strings = pa.dictionary(pa.int32(), pa.string())
    types = {column: pa.float64() if column in NUMERIC else strings for column in COLUMNS}
    del types["instance_weight"]  # it is not used, and as nearly all its values differ, its dictionary would be large
    table = csv.read_csv(
        pa.BufferReader(official_text(path, name)),
        read_options=csv.ReadOptions(column_names=list(COLUMNS)),
        convert_options=csv.ConvertOptions(column_types=types, include_columns=list(types)),
    )
    return table.unify_dictionaries().combine_chunks()


def _distinct_values(column: Any) -> list[str]:
    """The values in the dictionary of a column of strings, without the blank that follows each comma in the files."""
    return [value.strip() for value in column.chunk(0).dictionary.to_pylist()]


def _ids(column: Any, vocabulary: dict[str, int]) -> np.ndarray:
    """The id of each row's value: int32 (N,), with 0 for a value that is not in the vocabulary."""
    ids = np.array([vocabulary.get(value, 0) for value in _distinct_values(column)], dtype=np.int32)
    return np.take(ids, column.chunk(0).indices.to_numpy())


def _numbers(table: Any) -> np.ndarray:
    """The numeric columns, with log(1 + x) of amounts of money: float64 (N, 7)."""
    columns = {name: table[name].to_numpy() for name in NUMERIC}
    return np.stack([np.log1p(x) if COLUMNS[name] == "money" else x for name, x in columns.items()], axis=1)
