"""Census-Income (KDD), the public data on which Ma et al. (MMoE, KDD 2018) measured the Shared-Bottom network.

A figure on it compares with other people's only if the rows, the columns and the split are the same. So the files are
the official ones, byte for byte, and the protocol is that paper's first group of tasks: income above 50,000 and never
married. Education, marital status, income and the instance weight are no inputs. Everything learnt from the data, the
vocabularies and the means, comes from the training file alone; the official test file is halved at random.

Terran Lane and Ronny Kohavi, UCI Machine Learning Repository, 2000 (https://doi.org/10.24432/C5N30T), CC BY 4.0.
"""

import gzip
import hashlib
import io
import tempfile
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from spec import Dataset
from spec.files import cache_folder

URL = "https://archive.ics.uci.edu/ml/machine-learning-databases/census-income-mld/"
PARSER_VERSION = 1
"""Counted up whenever the same files come to give other arrays, so that no older cache is read."""

OFFICIAL = {
    "census-income.data": "103874469 bytes, SHA-256 3676a81db7d3528f3f8b9f3c699d0f0aa28db45e6e994fa0b8ed38327539ee86",
    "census-income.test": "51918813 bytes, SHA-256 98402b1ab879573d0a7f38a699a40258080e25e33d3401e7bf9c96d3fa0fab8c",
}
"""By file, the training file first: the `fingerprint` of its text, as the same text can be gzipped in many ways."""

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
"""The files' columns, in order. A categorical one has the number of its ids, "unknown" (0) included."""
# fmt: on
NUMERIC = tuple(name for name, kind in COLUMNS.items() if kind in ("number", "money"))
VOCABULARIES = {name: kind for name, kind in COLUMNS.items() if isinstance(kind, int)}
TASKS = {"income": ("income", "50000+."), "never_married": ("marital_status", "Never married")}
"""By task: the column, and the value that is a 1. Every other value is a 0."""
POSITIVE = {"income": 0.062, "never_married": 0.433}
"""The share of ones in the training file."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Census:
    """The three sets. numeric float32 (N, 7), categorical int32 (N, 31), labels float32 (N,) of 0 and 1."""

    train: Dataset
    validation: Dataset
    test: Dataset
    vocabularies: dict[str, int]
    """By categorical column, in order: its number of ids, "unknown" (0) included."""


def load(folder: Path | None = None, *, seed: int = 0) -> Census:
    """The official files from `folder`, gzipped or not, or downloaded. `seed` halves the official test file.

    The download and the parsed arrays are kept in `cache_folder()`. Raises FileNotFoundError for a file that is not
    there, OSError if it cannot be downloaded, and ValueError for one that is cut off or altered.
    """
    files = {name: _download(name) if folder is None else _find(Path(folder), name) for name in OFFICIAL}
    arrays = _cached(files)

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
    """Random rows shaped like the real ones, for where the files are not: `rows` for training, a quarter for each half.

    Inputs are drawn evenly. A label is logistic in a random linear function of them all, so that there is something to
    learn and an AUC to measure, and it is 1 as often as in the real files.
    """
    if rows < 1:
        raise ValueError(f"rows: expected 1 or more, got {rows}")
    draw = np.random.default_rng(seed)
    quarter = max(rows // 4, 1)
    total = rows + 2 * quarter
    sizes = list(VOCABULARIES.values())
    numeric = draw.standard_normal((total, len(NUMERIC)), dtype=np.float32)
    categorical = draw.integers(0, sizes, (total, len(sizes)), dtype=np.int32)
    labels = {}
    for task, share in POSITIVE.items():
        score = numeric @ draw.standard_normal(len(NUMERIC))
        for size, ids in zip(sizes, categorical.T, strict=True):
            score += draw.standard_normal(size)[ids]
        latent = score / 2 + draw.logistic(size=total)
        labels[task] = (latent > np.quantile(latent, 1 - share)).astype(np.float32)
    data = Dataset(numeric=numeric, categorical=categorical, labels=labels)
    return Census(
        train=data.take(slice(rows)),
        validation=data.take(slice(rows, rows + quarter)),
        test=data.take(slice(rows + quarter, total)),
        vocabularies=dict(VOCABULARIES),
    )


def fingerprint(content: bytes) -> str:
    """What tells one content from another, as OFFICIAL and the errors have it."""
    return f"{len(content)} bytes, SHA-256 {hashlib.sha256(content).hexdigest()}"


def _find(folder: Path, name: str) -> Path:
    for path in (folder / f"{name}.gz", folder / name):
        if path.is_file():
            return path
    raise FileNotFoundError(f"{folder}: expected {name}.gz or {name}, a text of {OFFICIAL[name]}, found neither")


def _download(name: str) -> Path:
    import pooch  # here, as pyarrow below: only a first start needs it, and the later ones need not wait for it

    path = cache_folder() / f"{name}.gz"
    if path.is_file():
        return path
    try:
        pooch.create(path=path.parent, base_url=URL, registry={path.name: None}).fetch(path.name)
    except OSError as error:
        raise OSError(f"{URL}{path.name}: expected a file to download into {path.parent}, got {error}") from error
    try:
        _text(path, name)
    except ValueError:
        path.unlink()  # so that the next start downloads it again
        raise
    return path


def _text(path: Path, name: str) -> bytes:
    """The uncompressed text of a file, which must be the official one."""
    content = path.read_bytes()
    expected = f"{path}: expected a text of {OFFICIAL[name]}"
    try:
        # Asked of the content, not of the name: a server may declare .gz an encoding, which the download then undoes.
        text = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{expected}, found a damaged gzip file of {fingerprint(content)} ({error})") from error
    if fingerprint(text) != OFFICIAL[name]:
        raise ValueError(f"{expected}, found {fingerprint(text)}")
    return text


def _cached(files: dict[str, Path]) -> dict[str, np.ndarray]:
    """What `_parse` gives, from the cache if these very files were parsed, and so checked, before."""
    # The files as they lie on the disk: gzipped they are a tenth of the text, and nothing needs unpacking.
    contents = [fingerprint(path.read_bytes()) for path in files.values()]
    key = hashlib.sha256(repr((PARSER_VERSION, contents)).encode()).hexdigest()
    cache = cache_folder() / f"census-income-{key}.cache"
    if cache.exists():
        stored = cache.read_bytes()
        digest, content = stored[:32], stored[32:]
        if digest == hashlib.sha256(content).digest():
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                return dict(arrays)
        warnings.warn(f"{cache}: expected the parsed arrays, found a damaged file; parsing again", stacklevel=3)
    parsed = _parse(files)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **parsed)
    content = buffer.getvalue()
    cache.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache.parent) as folder:  # so that nobody ever reads half a cache
        # The digest goes first: a zip file checks its members, but not all that says where they are.
        Path(folder, cache.name).write_bytes(hashlib.sha256(content).digest() + content)
        Path(folder, cache.name).replace(cache)
    return parsed


def _parse(files: dict[str, Path]) -> dict[str, np.ndarray]:
    """The arrays by file and kind, and the vocabularies' sizes."""
    tables = [_table(path, name) for name, path in files.items()]
    vocabularies = [
        # Sorted, so that an id does not depend on the order of the rows.
        {value: i for i, value in enumerate(sorted(set(_values(tables[0][column]))), start=1)}
        for column in VOCABULARIES
    ]
    numbers = [_numbers(table) for table in tables]
    mean, std = numbers[0].mean(axis=0), numbers[0].std(axis=0)
    arrays = {"vocabularies": np.array([len(vocabulary) + 1 for vocabulary in vocabularies])}
    for file, table, number in zip(files, tables, numbers, strict=True):
        ids = [_ids(table[name], vocabulary) for name, vocabulary in zip(VOCABULARIES, vocabularies, strict=True)]
        arrays[f"{file}.numeric"] = ((number - mean) / std).astype(np.float32)
        arrays[f"{file}.categorical"] = np.stack(ids, axis=1)
        for task, (column, value) in TASKS.items():
            arrays[f"{file}.{task}"] = _ids(table[column], {value: 1}).astype(np.float32)
    return arrays


def _table(path: Path, name: str) -> Any:
    """The file as a pyarrow.Table: numbers as float64, everything else as dictionaries of strings."""
    import pyarrow as pa
    from pyarrow import csv

    strings = pa.dictionary(pa.int32(), pa.string())
    types = {column: pa.float64() if column in NUMERIC else strings for column in COLUMNS}
    del types["instance_weight"]  # used by no one, and nearly every row has a value of its own
    table = csv.read_csv(
        pa.BufferReader(_text(path, name)),
        read_options=csv.ReadOptions(column_names=list(COLUMNS)),
        convert_options=csv.ConvertOptions(column_types=types, include_columns=list(types)),
    )
    return table.unify_dictionaries().combine_chunks()


def _values(column: Any) -> list[str]:
    """The dictionary of a column of strings. The blank after each comma is no part of a value."""
    return [value.strip() for value in column.chunk(0).dictionary.to_pylist()]


def _ids(column: Any, vocabulary: dict[str, int]) -> np.ndarray:
    """Each row's id; 0 for a value that is not in the vocabulary."""
    ids = np.array([vocabulary.get(value, 0) for value in _values(column)], dtype=np.int32)
    return np.take(ids, column.chunk(0).indices.to_numpy())


def _numbers(table: Any) -> np.ndarray:
    """The numeric columns, amounts of money as log(1 + x): float64 (N, 7)."""
    columns = {name: table[name].to_numpy() for name in NUMERIC}
    return np.stack([np.log1p(x) if COLUMNS[name] == "money" else x for name, x in columns.items()], axis=1)
