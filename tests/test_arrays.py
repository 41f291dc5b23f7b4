"""Arrays as a safetensors file, without a second copy: too little memory is an error, and no end of the process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from shared_bottom import arrays
from tests.helpers.builders import rejection

ROOT = Path(__file__).parents[1]
VIEWS = {
    "größe": np.arange(12.0).reshape(3, 4)[:, ::2],
    "b": np.zeros((0, 2), np.float32),
    "c": np.array(3.0),
    "a": np.arange(5, dtype=">f4"),
}


def written(folder, content):
    (folder / "file").write_bytes(content)
    return folder / "file"


def test_they_come_back_as_they_were(tmp_path):
    back = arrays.read(written(tmp_path, b"".join(arrays.content(VIEWS))))
    assert back.keys() == VIEWS.keys()
    for name, array in back.items():
        np.testing.assert_array_equal(array, VIEWS[name].astype(array.dtype), strict=True)
        assert array.dtype == VIEWS[name].dtype.newbyteorder("=")
        assert array.flags.writeable


@pytest.mark.parametrize("names", [[], ["c"], list(VIEWS)])
def test_the_file_is_the_one_that_the_library_writes(names):
    chosen = {name: VIEWS[name] for name in names}
    plain = {name: np.asarray(array, array.dtype.newbyteorder("<"), order="C") for name, array in chosen.items()}
    assert b"".join(arrays.content(chosen)) == save(plain)


def header(kind):
    text = json.dumps({"a": {"dtype": kind, "shape": [2], "data_offsets": [0, 4]}}).encode()
    return len(text).to_bytes(8, "little") + text + bytes(4)


@pytest.mark.parametrize("content", [b"", b"12345678", bytes(99), header("F8"), header("F32")])
def test_other_content_is_refused_in_one_line(tmp_path, content):
    said = rejection(arrays.read, written(tmp_path, content))
    assert said.startswith("expected the safetensors format, got ")


def test_a_number_format_that_numpy_does_not_have_is_named(tmp_path):
    said = rejection(arrays.read, written(tmp_path, header("BF16")))
    assert said == "expected arrays of float32 or float64, got BF16"


def test_the_digest_of_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert rejection(arrays.digest, tmp_path / "pipe") == "expected a file, got a named pipe"
    with pytest.raises(IsADirectoryError):
        arrays.digest(tmp_path)


@pytest.mark.parametrize("place", [0, arrays.PIECE - 1, arrays.PIECE, 2 * arrays.PIECE + 1])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_number_that_is_not_finite_is_seen_wherever_it_is(place, value):
    numbers = np.ones((2 * arrays.PIECE + 2, 1), np.float32)
    assert arrays.all_finite(numbers, np.empty(0))
    numbers[place] = value
    assert not arrays.all_finite(np.ones(1), numbers)


SHORT = """
import resource, sys
from pathlib import Path
import numpy as np
from shared_bottom import arrays
from shared_bottom.disk import write_flushed

many, file = {f"x{i}": np.ones(500_000) for i in range(8)}, Path(sys.argv[3])
write_flushed(file, arrays.content(many))
used = int(next(line for line in open("/proc/self/status") if line.startswith("VmSize")).split()[1]) * 1024
resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[2]) * 2**20,) * 2)
try:
    write_flushed(file.with_name("again"), arrays.content(many)) if sys.argv[1] == "write" else arrays.read(file)
except MemoryError:
    print("MemoryError")
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits a process's memory so")
@pytest.mark.parametrize(
    ("way", "megabytes", "printed"),
    [("write", 2, ""), ("read", 60, ""), *(("read", little, "MemoryError\n") for little in (1, 20, 40))],
)
def test_writing_takes_no_memory_and_reading_the_arrays_own_and_too_little_is_an_error(
    tmp_path, way, megabytes, printed
):
    """The arrays take 32 MB."""
    command = [sys.executable, "-c", SHORT, way, str(megabytes), str(tmp_path / "file")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, printed, "")
