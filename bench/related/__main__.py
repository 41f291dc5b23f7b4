"""Two tasks that are related more or less closely, learned by Shared-Bottom and by MMoE.

    python -m bench.related --backend jax --correlations 0,0.5,1 --seeds 20 --json related.json --plot related.png

This is the synthetic experiment of Ma et al., KDD 2018, section 3.3 and figure 4: see
`spec.presets.related_tasks_data`. Both networks see the same rows in the same order, and each row once, so that the
loss of a step is one on rows that were never seen.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from bench.options import limit_threads, parse
from shared_bottom.cli.printing import standard_streams
from shared_bottom.cli.program import fail
from spec import backend_names, load_backend


@dataclass(frozen=True, kw_only=True)
class Options:
    """Train Shared-Bottom and MMoE on two tasks of each correlation, and compare their final losses."""

    backend: Annotated[str, tyro.conf.arg(help=f"One of {', '.join(backend_names())}.")] = "jax"
    correlations: str = "0,0.5,1"
    """The cosines of both tasks' weights, from -1 to 1, separated by commas."""
    seeds: int = 20
    """Seeds, from 0 upwards: each has tasks, rows and initial parameters of its own."""
    steps: int = 8000
    """Steps of 64 rows."""
    learning_rate: float = 1e-3
    """Adam's, for both networks."""
    threads: int = 1
    """Processor cores to use."""
    json: Path | None = None
    """Write all of it, the curve of each seed included, to this file: the schema is in bench/related/runs.py."""
    plot: Path | None = None
    """Draw loss against step to this file: .png or .svg."""


def check(options: Options) -> None:
    """Raises a ValueError that names the option, before anything is trained."""
    # Imported here, so that `--help` does not wait for them.
    from shared_bottom.disk import check_output
    from spec.machine import check_threads

    if options.backend not in backend_names():
        raise ValueError(f"--backend: expected one of {', '.join(backend_names())}, got {options.backend!r}")
    numbers(options.correlations)
    for option, number in (("--seeds", options.seeds), ("--steps", options.steps)):
        if number < 1:
            raise ValueError(f"{option}: expected 1 or more, got {number}")
    if not 0 < options.learning_rate < math.inf:
        raise ValueError(f"--learning-rate: expected a finite number above 0, got {options.learning_rate}")
    check_threads(options.threads, "--threads")
    check_output("--json", options.json)
    check_output("--plot", options.plot)
    if options.plot and options.plot.suffix not in (".png", ".svg"):
        raise ValueError(f"--plot: expected a .png or .svg, got {str(options.plot)!r}")


def numbers(text: str) -> list[float]:
    """The correlations. Raises ValueError."""
    try:
        correlations = [float(word) for word in text.split(",")]
    except ValueError:
        correlations = [math.nan]
    if not all(-1 <= number <= 1 for number in correlations) or len(set(correlations)) < len(correlations):
        expected = "different numbers from -1 to 1, separated by commas"
        raise ValueError(f"--correlations: expected {expected}, got {text!r}")
    return correlations


@standard_streams()
def main() -> None:
    """Parse the arguments, check everything, then train and compare."""
    options = parse(Options, "python -m bench.related")
    try:
        check(options)
        limit_threads(options.threads)
        from bench.related.report import plot_related, print_related
        from bench.related.runs import study, to_json
        from shared_bottom.disk import write_whole

        run = study(
            load_backend(options.backend),
            numbers(options.correlations),
            seeds=options.seeds,
            steps=options.steps,
            learning_rate=options.learning_rate,
            threads=options.threads,
        )
        print_related(run)
        if options.json:
            write_whole(options.json, to_json(run))
        if options.plot:
            write_whole(options.plot, plot_related(run, options.plot.suffix[1:]))
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except (ValueError, ImportError, OSError, ArithmeticError) as error:
        fail(error)


if __name__ == "__main__":
    main()
