"""What the gates of a network do on many rows."""

import math

import numpy as np

from backends.predictor import PREDICT_ROWS
from spec.backend import Backend
from spec.data import Dataset
from spec.model import ModelSpec
from spec.network import levels
from spec.params import Params
from spec.training import Device

WEIGHTS = 2**20
"""Numbers that are computed before they are added up."""


def mean_gates(
    backend: Backend, model: ModelSpec, params: Params, data: Dataset, device: Device, threads: int | None
) -> Params:
    """The mean weight that each gate gives to its experts, over the rows: float64 (experts,), by the gate's name.

    Empty if the way of sharing has no gates. Each row counts once, whatever its weight. The rows are taken a piece at a
    time, and the pieces are about equally long, because a backend may compile for each number of rows that it meets.
    """
    sums: Params = {}
    gates = [gate for level in levels(model) for gate in level.gates]
    if gates:
        most = max(PREDICT_ROWS, WEIGHTS // sum(len(gate.experts) for gate in gates))
        predictor = backend.predictor(model, params, device=device, threads=threads)
        for rows in data.pieces(math.ceil(data.rows / math.ceil(data.rows / most))):
            for gate, weights in predictor.gates(rows).items():
                sums[gate] = sums.get(gate, 0.0) + weights.sum(axis=0, dtype=np.float64)
    return {gate: total / data.rows for gate, total in sums.items()}
