"""A counter-based hash: the one source of dropout masks, and of the orders that PCGrad projects in.

Each framework draws random numbers in another way, so no two of them drop the same elements. Here an element is kept
or dropped by an integer hash of (seed, step, layer, element): the same mask in NumPy, PyTorch and JAX, bit for bit,
eager and compiled, whatever the device. No state enters the training step, so it stays a pure function.

`mix` and `keep` are written with operators alone, hence one text serves all three. They work on 31 bits, in uint32
arrays (JAX, which has no int64 by default) or in int64 (PyTorch, which has few operations for uint32): a product of two
31-bit numbers fits int64, in uint32 it wraps and its lower bits stay right, and no constant exceeds an int32. The
multipliers and shifts are those of a 32-bit hash of little bias that C. Wellons' "hash prospector" lists.
"""

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

MASK = 0x7FFFFFFF

Integers = Any
"""A Python int, or an array of uint32 or int64 of any framework, with values in [0, 2³¹)."""


def mix(x: Integers) -> Integers:
    """A bijection of the 31-bit integers in which every input bit flips every output bit about half of the time."""
    x = x ^ (x >> 16)
    x = (x * 0x21F0AAAD) & MASK
    x = x ^ (x >> 15)
    x = (x * 0x735A2D97) & MASK
    return x ^ (x >> 15)


def step_key(seed: int, step: Integers) -> Integers:
    """The dropout key of each training step (from 0), in [0, 2³¹)."""
    return mix(mix(seed) ^ step)


def layer_key(name: str) -> int:
    """The dropout key of a layer, in [0, 2³¹), from its name alone: adding a task leaves others' masks alone."""
    return zlib.crc32(name.encode()) & MASK


def keep(step: Integers, layer: Integers, element: Integers, rate: float) -> Any:
    """True where dropout at `rate` keeps an element: the hash falls below (1 - rate)·2³¹.

    step, layer: keys as above; element: the index of each element within its layer's output (rows, width), row by row.
    """
    return mix(mix(element) ^ mix(step ^ layer)) < min(round((1.0 - rate) * 2**31), MASK)


def projection_order(seed: int, step: np.ndarray, tasks: Sequence[str]) -> np.ndarray:
    """In which order PCGrad projects each task's gradient on the others', as indices: int32 (steps, tasks, tasks-1).

    Task t meets the others in the order of a hash of (seed, step, name of t, name of the other).
    """
    keys = np.array([layer_key(f"tasks.{task}") for task in tasks])
    task_keys = mix(keys ^ step_key(seed, step)[:, None])  # (steps, tasks)
    order = np.argsort(mix(task_keys[:, :, None] ^ keys), axis=-1, kind="stable")
    return order[order != np.arange(len(tasks))[:, None]].reshape(*task_keys.shape, -1).astype(np.int32)


def dropout_mask(seed: int, step: int, layer: str, shape: tuple[int, int], rate: float) -> np.ndarray:
    """The mask of one layer at one step, in NumPy: bool `shape` (rows, width), True where the element is kept."""
    element = np.arange(shape[0] * shape[1], dtype=np.int64).reshape(shape)
    return keep(step_key(seed, step), layer_key(layer), element, rate)
