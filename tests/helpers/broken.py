"""Random damage to what a user hands to the command line: TOML files, tables, flags, a trained model's files.

Each takes a `random.Random`, which alone decides what comes. Much of it is still right, as far as it goes.
"""

import copy
import datetime
import decimal
import io
import json

import pyarrow as pa
import tomli_w
from pyarrow import csv, parquet

NAMES = ["x", "y", "seen", "colour", "tags", "when", "click", "low", "high", "region", "weight", "id", "none", ""]
ODD_TEXTS = [
    "",
    " ",
    "x",
    "ä€😀",
    "a\nb",
    "\x00",
    "\x1b[31m",
    "[red]",
    "'\"",
    "a/b",
    "../..",
    "class",
    "x" * 300,
    "\u202e",
]
ODD_NUMBERS = [-1, 0, 0.0, 0.5, 1, 1.5, 10**15, 2**63, 10**400, -(10**30), 1e308, -1e-320]
ODD_NUMBERS += [float(text) for text in ("nan", "inf", "-inf")]
ODD_VALUES = [*ODD_TEXTS, *ODD_NUMBERS, *NAMES, True, False, [], {}, [[]], [1, "a"], [{}], datetime.date(2020, 1, 1)]
KINDS = ["binary", "regression", "multiclass", "sgd", "adam", "fixed", "uncertainty", "gradnorm", "cosine", "mxnet"]
KINDS += ["separate", "mmoe", "ple", "log_loss", "huber", "poisson", "quantile", "zero_inflated_lognormal"]


def damaged(draw, content):
    """Bytes with some flipped, lost, doubled or put in; cut short; or others altogether."""
    content = bytearray(content)
    for _ in range(draw.choice([1, 1, 2, 8])):
        at, size = draw.randrange(len(content) + 1), draw.choice([1, 1, 2, 16, 200])
        match draw.randrange(6):
            case 0 if at < len(content):
                content[at] ^= 1 << draw.randrange(8)
            case 1:
                del content[at : at + size]
            case 2:
                content[at:at] = content[at : at + size]
            case 3:
                content[at:at] = draw.choice([b"\x00", b"\xff", b"\n", b'"', b"]", b"=", b"\xef\xbb\xbf", b"\xc3\xa4"])
            case 4 if draw.random() < 0.3:
                del content[at:]
            case 5 if draw.random() < 0.1:
                content[:] = draw.choice(
                    [b"", b"\n", b"\xff\xfe\x00", b"\xef\xbb\xbf", b"[" * 5000, draw.randbytes(50)]
                )
    return bytes(content)


def places(value):
    """Each container within a TOML's or a JSON's content, with each of its keys or indices."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield value, key
        yield from places(item)


def misfilled(draw, content):
    """The content with fields of other values, other names, gone, or doubled. Changes `content`."""
    for _ in range(draw.choice([1, 1, 1, 2, 4])):
        found = list(places(content))
        if not found:
            return content
        holder, key = draw.choice(found)
        match draw.randrange(7):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[draw.choice([*NAMES, *ODD_TEXTS, "kind", "buckets", "classes", "positive"])] = holder.pop(key)
            case 1 | 2 if isinstance(holder, list):
                holder.insert(key, holder[key])
            case 3:
                holder[key] = draw.choice(KINDS)
            case 4:
                holder[key] = copy.deepcopy(draw.choice([other[at] for other, at in found]))
            case 5:
                holder[key] = draw.choice(NAMES)
            case _:
                holder[key] = copy.deepcopy(draw.choice(ODD_VALUES))
    return content


def broken_toml(draw, content):
    """The bytes of a TOML file, of content or of text that is not right. Changes `content`."""
    if draw.random() < 0.7:
        content = misfilled(draw, content)
    try:
        text = tomli_w.dumps(content).encode()
    except (TypeError, ValueError, RecursionError):  # what TOML cannot say
        text = repr(content).encode(errors="replace")
    return damaged(draw, text) if draw.random() < 0.3 else text


def broken_json(draw, text):
    """The same of JSON text."""
    if draw.random() < 0.2:
        return damaged(draw, text)
    return json.dumps(misfilled(draw, json.loads(text)), default=str).encode()


def odd_column(draw, rows):
    """A column of some type and values, of so many rows."""
    kind, size, text = draw.randrange(18), pa.decimal128(20, 3), draw.choice(ODD_TEXTS)
    if kind < 5:
        values = [[None], [1, 1.0], [0], [1e308, -1e308], [float("nan"), float("inf")]][kind]
        return pa.array((values * rows)[:rows], pa.float64())
    if kind < 9:
        values = [["1", text], [text], ["true", "0", "maybe"], ["1e999", "1_0", "0x1", "١"]][kind - 5]
        return pa.array((values * rows)[:rows], pa.string())
    values, of = [
        ([2**62, -(2**62)], pa.int64()),
        ([2**64 - 1], pa.uint64()),
        ([True, None], pa.bool_()),
        ([decimal.Decimal("1.5")], size),
        ([datetime.date(2020, 1, 1)], pa.date32()),
        ([datetime.datetime(2020, 1, 1)], pa.timestamp("ns", "UTC")),
        ([b"\xff\xfe", b"1"], pa.binary()),
        ([[1], None, []], pa.list_(pa.int64())),
        ([{"a": 1}, None], pa.struct([("a", pa.int64())])),
    ][kind - 9]
    column = pa.array((values * rows)[:rows], of)
    return column.dictionary_encode() if of == pa.bool_() and draw.random() < 0.5 else column


def broken_table(draw, table):
    """What a table's file may be: the suffix of its name, and its bytes."""
    if draw.random() < 0.3:
        table = table.slice(draw.randrange(table.num_rows), draw.choice([0, 1, 2, 9]))
    names = [draw.choice(table.column_names) for _ in range(draw.choice([0, 1, 1, 2]))]
    for name in names:
        place = table.column_names.index(name)
        match draw.randrange(5):
            case 0:
                table = table.drop_columns([name]) if table.column_names.count(name) == 1 else table
            case 1:
                names = [draw.choice(NAMES + ODD_TEXTS) if i == place else n for i, n in enumerate(table.column_names)]
                table = table.rename_columns(names)
            case 2:
                table = table.append_column(name, table.column(place))
                break  # a name that is there twice is asked for no more
            case _:
                table = table.set_column(place, name, odd_column(draw, table.num_rows))
        if name not in table.column_names:
            break
    content = io.BytesIO()
    if draw.random() < 0.5:
        parquet.write_table(table, content, compression=draw.choice(["none", "snappy"]))
        found, suffix = content.getvalue(), ".parquet"
    else:
        found, suffix = csv_bytes(draw, table), ".csv"
    if draw.random() < 0.35:
        found = damaged(draw, found)
    return draw.choice([suffix] * 30 + [".parquet", ".csv", ".csv.gz", ".txt"]), found


def csv_bytes(draw, table):
    """The table as CSV, in one dialect or another, perhaps with a row too long, too short, or a quote left open."""
    content = io.BytesIO()
    try:
        options = csv.WriteOptions(delimiter=draw.choice(",,,,;\t"), quoting_style=draw.choice(["needed", "all_valid"]))
        csv.write_csv(table, content, options)
    except (pa.ArrowException, NotImplementedError):  # a type that CSV has not
        return ",".join(table.column_names).encode()
    lines = content.getvalue().split(b"\n")
    match draw.randrange(8):
        case 0:
            lines.insert(
                draw.randrange(len(lines)), draw.choice([b"1,2", b",", b'"', b"\x00", b"x," * 20, b"\xff\xfe,1"])
            )
        case 1:
            lines = lines[:1]
        case 2:
            lines = lines[1:]
    return draw.choice([b"", b"", b"", b"\xef\xbb\xbf"]) + draw.choice([b"\n", b"\r\n"]).join(lines)


FLAGS = [
    "--train.epochs", "--train.batch-size", "--train.optimizer.learning-rate", "--train.optimizer.eps", "--train.seed",
    "--train.clip-norm", "--train.schedule.kind", "--train.schedule.warmup-steps", "--train.device",
    "--train.precision",
    "--train.balancing.alpha", "--model.trunk", "--model.dropout", "--model.activation", "--model.tasks.0.kind",
    "--model.sharing.kind", "--model.sharing.experts", "--model.sharing.levels", "--model.tasks.0.given",
    "--model.tasks.0.loss.focal-gamma", "--model.tasks.1.loss.kind", "--model.tasks.1.loss.delta",
    "--model.tasks.1.loss.levels", "--model.tasks.2.loss.class-weights",
    "--model.tasks.0.name", "--model.tasks.1.outputs", "--model.tasks.1.weight", "--model.tasks.2.hidden",
    "--data.train", "--data.validation", "--data.validation-fraction", "--data.weight", "--data.delimiter",
    "--data.format", "--data.memory-mb", "--data.missing", "--data.numeric.0.name", "--data.categorical.0.dimension",
    "--data.categorical.0.encoding", "--data.categorical.1.length", "--data.categorical.1.separator",
    "--data.categorical.1.table", "--data.time.0.parts", "--data.numeric.0.transform", "--data.numeric.0.bins",
    "--data.labels.click.positive", "--data.labels.click.columns", "--data.labels.click.weight", "--save-every",
    "--backend", "--keep", "--json", "--unknown", "--train.no-shuffle", "--resume", "--tensorboard", "-x",
    "train.optimizer:sgd", "train.optimizer:none", "train.balancing:pc-grad", "train.early-stopping:early-stopping",
]  # fmt: skip
VALUES = ["-1", "0", "1", "2", "1.5", "nan", "inf", "-inf", "1e400", "1" + "0" * 30, "abc", "None", "float64", "gpu"]
VALUES += [*KINDS, *NAMES, *(text for text in ODD_TEXTS if "\0" not in text), "train.csv", ".", "/"]


def odd_flags(draw):
    """Flags that may be known, with values that may be theirs, and sometimes without or with too many."""
    flags = []
    for _ in range(draw.choice([0, 1, 1, 1, 2])):
        flags += [draw.choice(FLAGS), *(draw.choice(VALUES) for _ in range(draw.choice([0, 1, 1, 1, 2])))]
    return flags
