"""Rows in a file ten times as large as what is gathered at once are trained on and evaluated in bounded memory."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from backends.batches import MAX_CALL_BYTES

ROOT = Path(__file__).parent.parent
WIDTH = 256
ROWS = MAX_CALL_BYTES // (4 * WIDTH)
"""As many as are gathered at once, or hardly more."""
RESERVE = 48
"""MiB that the allocators may hold on to besides."""

PROGRAM = f"""
import sys
from pathlib import Path
import numpy as np
from spec import Dataset, EarlyStopping, ModelSpec, TaskSpec, TrainSpec, load_backend

name, folder = sys.argv[1], Path(sys.argv[2])
tasks = (TaskSpec(name="click", kind="binary"), TaskSpec(name="span", kind="regression", outputs=2))
model = ModelSpec(numeric={WIDTH}, trunk=(4,), tasks=tasks)
data = Dataset(
    numeric=np.load(folder / "numeric.npy", mmap_mode="r"),
    labels={{task.name: np.load(folder / f"{{task.name}}.npy", mmap_mode="r") for task in tasks}},
    sample_weight=np.load(folder / "weight.npy", mmap_mode="r"),
)
stopping = EarlyStopping(monitor="loss", patience=9)
execution = "epoch" if name == "jax" else "eager"
train = TrainSpec(batch_size=8192, epochs=1, execution=execution, device="cpu", early_stopping=stopping)
fitted = load_backend(name).fit(model, train, data, data)
load_backend(name).predict(model, fitted.params, data, device="cpu")
print(len(fitted.history.step_loss), next(
    int(line.split()[1]) / 1024 for line in open("/proc/self/status") if line.startswith("VmHWM")
))
"""


def peak(backend, folder, rows):
    """MiB that a process has resident at most, which trains on so many rows in files."""
    folder.mkdir()
    for name, width, ones in (("numeric", (WIDTH,), 1000), ("click", (), 3), ("span", (2,), 3), ("weight", (), 2)):
        array = np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.float32, (rows, *width))
        array[::ones] = 1  # zeros are a hole in the file
        array.flush()
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", PROGRAM, backend, str(folder)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    steps, used = map(float, done.stdout.split())
    assert steps == rows // 8192
    return used


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of a process's memory from /proc")
def test_memory_does_not_grow_with_the_rows_in_the_files(backend, tmp_path):
    few, many = (peak(backend.name, tmp_path / str(rows), rows) for rows in (ROWS, 10 * ROWS))
    predicted_and_kept = 10 * ROWS * (8 + 4 * 3 + 80) / 2**20
    assert many - few < predicted_and_kept + RESERVE
    assert many < 1000
