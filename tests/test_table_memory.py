"""A file ten times as large as the memory that reading is granted goes through it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv, parquet

ROOT = Path(__file__).parent.parent
LIMIT, SIZE = 8, 80
"""MiB that reading is granted, and that the file takes."""
RESERVE = 16
"""MiB that the allocators may hold on to besides."""

PROGRAM = f"""
import sys
from pathlib import Path
import shared_bottom.tables.encoding, shared_bottom.tables.files, shared_bottom.tables.fitting
from shared_bottom.tables.rows import fit_columns, stream_rows
from spec import CategoricalColumn
from tests.helpers.table_files import simple, with_data

def peak():
    # Not getrusage: what the parent process took before it started this one counts there.
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024

folder, name = Path(sys.argv[1]), sys.argv[2]
spec = simple((name,), categorical=(CategoricalColumn(name="c"),), memory_mb={LIMIT})
fit_columns(with_data(spec, train=("small" + name,)), folder)  # brings in the libraries' code
before = peak()
columns = fit_columns(spec, folder)
print(peak() - before, columns.numeric["x"].mean, sum(part.rows for part in stream_rows(columns, folder, [name])))
print(peak() - before)
"""


def write(path, piece, times):
    """Write `piece` so many times: in Parquet as one row group, without compression of any kind."""
    if path.suffix == ".parquet":
        with parquet.ParquetWriter(path, piece.schema, compression="none", use_dictionary=False) as file:
            file.write_table(pa.concat_tables([piece] * times), row_group_size=2**30)
        return times
    sink = pa.BufferOutputStream()
    csv.write_csv(piece, sink)
    header, _, body = sink.getvalue().to_pybytes().partition(b"\n")
    with path.open("wb") as file:
        file.write(header + b"\n")
        for _ in range(times):
            file.write(body)
    return times


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of a process's memory from /proc")
@pytest.mark.parametrize("name", ["train.csv", "train.parquet"])
def test_a_file_of_ten_times_the_memory_is_fitted_and_streamed(tmp_path, name):
    draw, rows = np.random.default_rng(0), 20_000
    texts = np.array([f"{'a long text ' * 12}{i}" for i in range(1000)])
    columns = {"x": draw.normal(size=rows), "c": draw.choice(texts, rows), "y": draw.integers(0, 2, rows)}
    piece = pa.table(columns)
    write(tmp_path / f"small{name}", piece, 1)
    times = write(tmp_path / name, piece, SIZE * 2**20 // piece.nbytes)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path), name], capture_output=True, text=True, cwd=ROOT, timeout=120
    )
    assert done.returncode == 0, done.stderr
    fitting, mean, seen, streaming = map(float, done.stdout.split())
    assert seen == rows * times
    assert mean == pytest.approx(piece["x"].to_numpy().mean(), rel=1e-9)
    assert max(fitting, streaming) < LIMIT + RESERVE


WIDE = """
import sys
from pathlib import Path
import shared_bottom.tables.encoding, shared_bottom.tables.files, shared_bottom.tables.fitting
from shared_bottom.tables.files import read_blocks
from tests.helpers.table_files import simple

def peak():
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024

folder, before, rows = Path(sys.argv[1]), None, 0
data = simple(memory_mb=64).data
for name in ("small.parquet", "wide.parquet"):
    before = peak()
    for block in read_blocks(data, folder / name, ["c"]):
        rows += len(block.columns["c"].dictionary_decode())
print(rows, peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of a process's memory from /proc")
def test_texts_that_many_rows_have_in_common_are_counted_for_each_row(tmp_path):
    texts = [str(i).rjust(20_000) for i in range(50)]
    rows = 65_536
    parquet.write_table(pa.table({"c": ["a"] * 10}), tmp_path / "small.parquet")
    wide = pa.DictionaryArray.from_arrays(pa.array(np.arange(rows) % 50, pa.int32()), texts)
    parquet.write_table(pa.table({"c": wide}), tmp_path / "wide.parquet")
    done = subprocess.run(
        [sys.executable, "-c", WIDE, str(tmp_path)], capture_output=True, text=True, cwd=ROOT, timeout=120
    )
    assert done.returncode == 0, done.stderr
    seen, used = map(float, done.stdout.split())
    assert seen == rows + 10
    assert used < 64 + RESERVE
