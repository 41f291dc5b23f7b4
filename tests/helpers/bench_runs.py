"""Runs of the bench, with figures made by hand."""

from bench.results import Row, Run
from spec.machine import Machine


def row(execution="epoch", microseconds=(30.0, 50.0, 40.0), **fields):
    defaults = {
        "process": "jax",
        "backend": "jax",
        "execution": execution,
        "device": "cpu",
        "batch_size": 32,
        "flops": 800_000,
        "build_seconds": 0.5,
        "first_call_seconds": 1.5,
        "steps": 32,
        "checked": 8,
        "loss": 2.0,
        "step_microseconds": list(microseconds),
    }
    return Row(**(defaults | fields))


EAGER = row("eager", [1040.0], build_seconds=0.0, first_call_seconds=32 * 1040e-6)
LOOP = row("tutorial's loop", [1000.0], backend="torch")


def run(*rows, **fields):
    machine = Machine(system="Linux", processor="a processor", cores=2, memory_bytes=None, versions={"jax": "0.10"})
    defaults = {
        "command": "python -m bench",
        "started": "2026-01-01T00:00:00+00:00",
        "case": "tutorial",
        "rows_from": "random rows",
        "threads": 1,
        "caches": "cold",
        "machine": machine,
        "rows": list(rows),
    }
    return Run(**(defaults | fields))
