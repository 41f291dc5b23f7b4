"""Where two backends differ, and by how much: both train in lock step, and every step is compared.

    python -m bench.parity --case tutorial

Differences are relative to the larger of the two sides: of a loss, to the loss; of a gradient or a parameter, to the
largest element of its array, since an element that is all but zero carries the rounding of its neighbours.
"""

import dataclasses
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal, cast

import tyro

from backends.base import SharedBackend
from bench.case import Case
from bench.cases import load_cases
from bench.options import parse
from bench.parity.compare import compare_backends
from bench.parity.report import plot_report, print_report
from shared_bottom.cli.printing import standard_streams
from shared_bottom.cli.program import fail
from shared_bottom.disk import check_output, write_whole
from spec import backend_names, load_backend

TOLERANCES = {"float64": 1e-9, "float32": 1e-5}


@dataclass(frozen=True, kw_only=True)
class Options:
    """Train one network in two backends, step by step, and report where they differ. Exit code 1 beyond tolerance."""

    backend: Annotated[
        str | None, tyro.conf.arg(help=f"One of {', '.join(backend_names())}; if not given, the first of them.")
    ] = None
    against: Annotated[
        str | None, tyro.conf.arg(help="The backend to compare it with; if not given, the first of the others.")
    ] = None
    case: str = "tutorial"
    """tutorial, census, wide, or a FILE.toml with [model] and [train], trained on the first rows of its [data], or on
    random rows if it has none."""
    precision: Literal["float64", "float32"] = "float64"
    """float32 rounding is amplified by training, so that long float32 runs part without a fault."""
    steps: int = 320
    """Training steps to compare, counted from 0. More than the case has add epochs, over which a schedule stretches."""
    tolerance: float | None = None
    """Largest relative difference allowed: 1e-9 in float64, 1e-5 in float32 if not given."""
    data_dir: Path | None = None
    """Folder with the Census-Income files."""
    json: Path | None = None
    """Write the report to this file."""
    plot: Path | None = None
    """Write both loss curves and their difference to this PNG."""


@standard_streams()
def main() -> None:
    """Parse, check everything, then train and compare."""
    options = parse(Options, "python -m bench.parity")
    try:
        backends, case = prepare(options)
    except (ValueError, ImportError, OSError) as error:
        fail(error)
    tolerance = TOLERANCES[options.precision] if options.tolerance is None else options.tolerance
    report = compare_backends(case, backends, options.steps, tolerance)
    names = " against ".join(report.backends)
    print_report(f"{case.name}, {options.steps} steps in {options.precision}, {names}", report)
    try:
        if options.json:
            content = {"case": case.name, "steps": options.steps, **asdict(report)}
            write_whole(options.json, json.dumps(content, indent=2).encode())
        if options.plot:
            write_whole(options.plot, plot_report(report))
    except OSError as error:
        fail(error)
    raise SystemExit(1 if report.beyond else 0)


def prepare(options: Options) -> tuple[list[SharedBackend], Case]:
    """The two backends and what they train. Raises ValueError, ImportError or OSError, before anything is trained."""
    if options.steps < 1:
        raise ValueError(f"--steps: expected 1 or more, got {options.steps}")
    if options.tolerance is not None and not 0 < options.tolerance < float("inf"):
        raise ValueError(f"--tolerance: expected a finite number above 0, got {options.tolerance}")
    check_output("--json", options.json, [Path(options.case)])
    check_output("--plot", options.plot, [Path(options.case)])
    names = choose(backend_names(), options.backend, options.against)
    backends = [cast(SharedBackend, load_backend(name)) for name in names]
    case, *family = load_cases(options.case, options.data_dir)
    if family:
        raise ValueError(f"--case: expected one network, got {options.case}, a family of {1 + len(family)}")
    case = dataclasses.replace(case, train=dataclasses.replace(case.train, precision=options.precision))
    for backend in backends:
        backend.check_training(case.train, backend.lock_step)
    return backends, case


def choose(names: list[str], backend: str | None, against: str | None) -> tuple[str, str]:
    """The two of `names` to compare. Raises ValueError for unknown ones, and where there are no two."""
    for option, name in (("--backend", backend), ("--against", against)):
        if name is not None and name not in names:
            raise ValueError(f"{option}: expected one of {', '.join(names)}, got {name!r}")
    if len(names) < 2:
        raise ValueError(f"--against: expected two backends to compare, got {', '.join(names) or 'none'} alone")
    first = backend or next(name for name in names if name != against)
    second = against or next(name for name in names if name != first)
    if first == second:
        raise ValueError(f"--against: expected another backend than --backend, got {second!r} for both")
    return first, second


if __name__ == "__main__":
    main()
