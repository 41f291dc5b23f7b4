"""Arrays as the bytes of a safetensors file: too little memory is an error, and no end of the process."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from shared_bottom import arrays
from tests.helpers.builders import rejection

ROOT = Path(__file__).parents[1]


def test_they_come_back_as_they_were():
    views = {"a": np.arange(12.0).reshape(3, 4)[:, ::2], "b": np.zeros((0, 2), np.float32), "c": np.array(3)}
    back = arrays.from_bytes(arrays.to_bytes(views))
    assert back.keys() == views.keys()
    for name, array in back.items():
        np.testing.assert_array_equal(array, views[name], strict=True)
        assert array.flags.writeable


def header(kind):
    text = json.dumps({"a": {"dtype": kind, "shape": [2], "data_offsets": [0, 4]}}).encode()
    return len(text).to_bytes(8, "little") + text + bytes(4)


@pytest.mark.parametrize("content", [b"", b"12345678", bytes(99), header("F8"), header("F32")])
def test_other_content_is_refused_in_one_line(content):
    assert rejection(arrays.from_bytes, content).startswith("expected the safetensors format, got ")


def test_a_number_format_that_numpy_does_not_have_is_named():
    assert rejection(arrays.from_bytes, header("BF16")) == "expected arrays of float32 or float64, got BF16"


SHORT = """
import resource, sys
import numpy as np
from shared_bottom import arrays

many = {f"x{i}": np.ones(500_000) for i in range(8)}
content = arrays.to_bytes(many)
used = int(next(line for line in open("/proc/self/status") if line.startswith("VmSize")).split()[1]) * 1024
resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[2]) * 2**20,) * 2)
try:
    arrays.to_bytes(many) if sys.argv[1] == "write" else arrays.from_bytes(content)
except MemoryError:
    print("MemoryError")
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits a process's memory so")
@pytest.mark.parametrize("megabytes", [1, 20, 40, 60, 75])
@pytest.mark.parametrize("way", ["write", "read"])
def test_too_little_memory_is_an_error(way, megabytes):
    """The arrays take 32 MB."""
    command = [sys.executable, "-c", SHORT, way, str(megabytes)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "MemoryError\n", "")
