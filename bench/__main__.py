"""The command line of the bench."""

import os
import signal
import tempfile
from pathlib import Path

import tyro

from bench.options import Options, check, fail, limit_threads


def main() -> None:
    """Parse, check everything, then measure."""
    options = tyro.cli(Options, prog="python -m bench")
    try:
        with tempfile.TemporaryDirectory() as folder:
            measure(options, Path(folder))
    except KeyboardInterrupt:  # before there was anything to show
        raise SystemExit(130) from None


def measure(options: Options, folder: Path) -> None:
    """The whole command. folder: for caches that are not to stay."""
    from bench.results import read_run, to_json

    try:
        check(options)
        old = read_run("--compare", options.compare) if options.compare else None
        if old and (old.case, old.threads) != (options.case, options.threads):
            expected = f"a run of case {options.case} with threads {options.threads}"
            raise ValueError(f"--compare: expected {expected}, got one of {old.case} with {old.threads}")
        caches = choose_caches(options.cold, folder)
        limit_threads(options.threads)
        from bench.run import prepare, run_each, run_one

        plan, *others = prepare(options)
    except (ValueError, ImportError, OSError) as error:
        fail(error)
    run = run_each(options, caches) if others else run_one(options, plan, caches)

    from bench.plots import plot_run
    from bench.report import compare, print_run
    from shared_bottom.disk import write_whole

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    print_run(run)
    try:
        if options.json:
            write_whole(options.json, to_json(run))
        if options.plot and any(row.step_microseconds for row in run.rows):
            write_whole(options.plot, plot_run(run))
    except OSError as error:
        fail(error)
    slower = compare(run, old, options.tolerance) if old else False
    if run.interrupted:
        raise SystemExit(130)
    raise SystemExit(1 if slower or run.disagreeing() else 0)


def choose_caches(cold: bool, folder: Path) -> str:
    """Where compiled code is kept on disk; before a framework is imported, which looks once."""
    variables = {"TORCHINDUCTOR_CACHE_DIR": str(folder / "torch"), "JAX_COMPILATION_CACHE_DIR": str(folder / "jax")}
    if cold:
        os.environ |= variables
        return "cold"
    from spec.files import cache_folder

    return " and ".join(os.environ[name] for name in variables if name in os.environ) or str(cache_folder())


if __name__ == "__main__":
    main()
