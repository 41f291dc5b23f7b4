"""A program that reads exported files with NumPy and one library, and without the project, which it cannot import.

Its argument is the library. Each line that it reads names, divided by tabs, a file, the .npz file of its inputs, and
the .npz file to write its outputs into.
"""

import sys
from pathlib import Path

import numpy as np

for package in ("spec", "backends", "shared_bottom", "bench", "tests"):
    sys.modules[package] = None  # to import it is then an ImportError


def onnxruntime(path):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(names, inputs), strict=True))


def torch(path):
    import torch

    module = torch.export.load(path).module()
    return lambda inputs: module(**{name: torch.from_numpy(array) for name, array in inputs.items()})


def jax(path):
    import jax

    jax.config.update("jax_enable_x64", True)
    program = jax.export.deserialize(bytearray(Path(path).read_bytes()))
    return lambda inputs: program.call(**inputs)


def arrays_in(path):
    with np.load(path) as file:
        return {str(name): file[f"arr_{place}"] for place, name in enumerate(file["names"])}


def main(library):
    for line in sys.stdin:
        path, inputs, outputs = line.rstrip("\n").split("\t")
        computed = {name: np.asarray(array) for name, array in library(path)(arrays_in(inputs)).items()}
        texts = {name: array.astype(str) if array.dtype == object else array for name, array in computed.items()}
        np.savez(outputs, *texts.values(), names=np.array(list(texts)))
        print("done", flush=True)


if __name__ == "__main__":
    main({"onnxruntime": onnxruntime, "torch": torch, "jax": jax}[sys.argv[1]])
