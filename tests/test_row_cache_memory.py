"""Encoding into the cache takes the memory that reading is granted, and not that of the rows."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from shared_bottom.tables.cache import entries

ROOT = Path(__file__).parent.parent
LIMIT, RESERVE = 8, 16
"""MiB that reading is granted, and that the allocators may hold on to besides."""
COLUMNS, ROWS = 8, 2_600_000

PROGRAM = f"""
import sys
from pathlib import Path
from shared_bottom.tables.training import read_table
from spec import NumericColumn
from tests.helpers.table_files import simple

def peak():
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024

folder = Path(sys.argv[1])
numeric = tuple(NumericColumn(name=f"x{{i}}") for i in range({COLUMNS}))
spec = [simple((name,), numeric=numeric, memory_mb={LIMIT}) for name in ("small.parquet", "large.parquet")]
read_table(spec[0], folder, cache=folder / "kept")  # brings in the libraries' code
before = peak()
_, rows, _ = read_table(spec[1], folder, cache=folder / "kept")
first = peak() - before
_, again, _ = read_table(spec[1], folder, cache=folder / "kept")
print(rows.rows, again.rows, first, peak() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of a process's memory from /proc")
def test_a_table_of_many_times_the_memory_is_encoded_and_read_again(tmp_path):
    draw = np.random.default_rng(0)
    table = {f"x{i}": draw.normal(size=1000).astype(np.float32) for i in range(COLUMNS)} | {"y": np.arange(1000) % 2}
    piece = pa.table(table)
    parquet.write_table(piece, tmp_path / "small.parquet")
    with parquet.ParquetWriter(tmp_path / "large.parquet", piece.schema, use_dictionary=False) as file:
        for _ in range(20):
            file.write_table(pa.concat_tables([piece] * (ROWS // 1000 // 20)))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], capture_output=True, text=True, cwd=ROOT, timeout=300
    )
    assert done.returncode == 0, done.stderr
    *rows, first, second = map(float, done.stdout.split())
    assert rows == [ROWS, ROWS]
    assert max(entry.size for entry in entries(tmp_path / "kept")) > 10 * LIMIT * 2**20
    assert max(first, second) < LIMIT + RESERVE
