"""The canonical text of a value, by which categorical values, classes and missing values are compared.

The same value has many spellings, which depend on the program that wrote it and on the type of its column: a whole
number that was a float for a while is 3.0 or 1e+16, a date that was a timestamp is 2024-01-05T00:00:00. Each of them
has one canonical text, so that a value keeps its id from the training rows to the rows that are predicted.
"""

import functools
import hashlib
import re
import zlib
from decimal import Context, Decimal

from spec.random import MASK, mix

SPELLINGS = {"True": "true", "TRUE": "true", "False": "false", "FALSE": "false", "-0": "0"}
"""Canonical texts by other spellings."""

FLOAT = re.compile(r"-?(0|[1-9]\d*)(\.\d+([eE][+-]?\d{1,3})?|[eE][+-]\d{1,3})", re.ASCII)
"""A number as programs write floats: with a decimal point, or with an exponent that has a sign. Texts such as 007, 1e5
and +5 are no floats, since identifiers look like that."""

FIRST = frozenset("-0123456789")
"""How floats and times begin."""

ZONE = r" ?(?:[Zz]|UTC|[+-]\d\d(?::?\d\d)?)?"
"""The time zone behind a time, or nothing, as a pattern."""

DATE_TIME = re.compile(rf"(\d{{4}}-\d\d-\d\d)[Tt ](\d\d:\d\d)(?::(\d\d)(?:\.(\d+))?)?{ZONE}", re.ASCII)
"""A date and a time in ISO 8601, with or without a time zone."""

EXACT_WHOLE = 2**53
"""Up to here, a float64 holds every whole number."""

WRITTEN_OUT = 10**16
"""Up to here, programs write a float64 with all its digits. A multiple of ten up to here has at most 15 significant
digits, and a float64 holds every number of 15 digits."""


def canonical(value: str) -> str:
    """The text by which a value is compared.

    3.0, 3e+00 and "3" are one value, and so are 1.50 and 1.5, true and "True", 2024-01-05T00:00:00 and 2024-01-05.
    A time is what is written, without its time zone.
    """
    value = value.strip()
    # What has neither point nor sign, or begins with neither a digit nor a minus, is no float and no time.
    if value.isalnum() or value[:1] not in FIRST or value in SPELLINGS:
        return SPELLINGS.get(value, value)
    return _canonical_spelling(value)


def loses_digits(whole: int) -> bool:
    """Whether a whole number that was read from a float64 may have been another one, which a float64 cannot hold."""
    return abs(whole) > EXACT_WHOLE and (whole % 10 != 0 or abs(whole) > WRITTEN_OUT)


def bucket(value: str, buckets: int) -> int:
    """The id of a value in a hashed column with `buckets` buckets, in [1, buckets].

    It is the CRC-32 of the value in UTF-8, mixed by `spec.random.mix`, so it is the same on every machine and in every
    version of Python.
    """
    return mix(zlib.crc32(value.encode()) & MASK) % buckets + 1


def group_number(value: str) -> int:
    """The number of a group by its value, in [0, 2^63): 63 bits of the BLAKE2b hash of the value in UTF-8.

    So rows of many groups take 8 bytes each, and no table of all values is kept. That any two of a million groups have
    the same number has a probability of 5e-8.
    """
    return int.from_bytes(hashlib.blake2b(value.encode(), digest_size=8).digest()) >> 1


@functools.lru_cache(maxsize=2**16)
def _canonical_spelling(value: str) -> str:
    if FLOAT.fullmatch(value):
        return _canonical_number(value)
    if time := DATE_TIME.fullmatch(value):
        return _canonical_time(*time.groups(default=""))
    return value


def _canonical_number(value: str) -> str:
    exact = Decimal(value)
    if exact == int(exact):
        return str(int(exact))
    shortest = repr(float(value))  # as Python writes it, unless the text has more digits than a float64 holds
    return shortest if Decimal(shortest) == exact else str(exact.normalize(Context(prec=len(value))))


def _canonical_time(date: str, minute: str, second: str, fraction: str) -> str:
    second, fraction = second or "00", fraction.rstrip("0")
    if f"{minute}:{second}{fraction}" == "00:00:00":
        return date
    return f"{date}T{minute}:{second}" + (f".{fraction}" if fraction else "")
