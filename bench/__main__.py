"""The command line of the bench."""

import os
import signal
import tempfile
from pathlib import Path

from bench.options import Options, check, limit_threads, parse
from shared_bottom.cli.printing import standard_streams
from shared_bottom.cli.program import fail
from shared_bottom.run.errors import ProcessError


@standard_streams()
def main() -> None:
    """Parse the arguments, check everything, then measure."""
    options = parse(Options, "python -m bench")
    try:
        with tempfile.TemporaryDirectory() as folder:
            measure(options, Path(folder))
    except KeyboardInterrupt:  # there is no row to show yet
        raise SystemExit(130) from None


def measure(options: Options, folder: Path) -> None:
    """The whole command. folder: where caches are kept that are deleted at the end."""
    from bench.results import read_run, to_json

    try:
        check(options)
        earlier = read_run("--compare", options.compare) if options.compare else None
        if earlier and (earlier.case, earlier.threads) != (options.case, options.threads):
            expected = f"a run of case {options.case} with threads {options.threads}"
            raise ValueError(f"--compare: expected {expected}, got one of {earlier.case} with {earlier.threads}")
        caches = choose_caches(options.cold, folder)
        if options.processes is None:  # else each of them is limited, and this one computes nothing
            limit_threads(options.threads)
        from bench.run import prepare, run_each, run_one

        plans = prepare(options)
    except (ValueError, ImportError, OSError) as error:
        fail(error)
    try:
        run = run_each(options, plans, caches) if len(plans) > 1 else run_one(options, plans[0], caches)
    except (OSError, ProcessError) as error:  # the rows of a large case are written when they are needed
        fail(error)

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
    slower = compare(run, earlier, options.tolerance) if earlier else False
    if run.interrupted:
        raise SystemExit(130)
    raise SystemExit(1 if slower or run.disagreeing() else 0)


def choose_caches(cold: bool, folder: Path) -> str:
    """Chooses where compiled code is kept on disk, and returns what the report says of it.

    Must be called before a framework is imported, because each reads these variables only once.
    """
    variables = {"TORCHINDUCTOR_CACHE_DIR": str(folder / "torch"), "JAX_COMPILATION_CACHE_DIR": str(folder / "jax")}
    if cold:
        os.environ |= variables
        return "cold"
    from spec.files import cache_folder

    return " and ".join(os.environ[name] for name in variables if name in os.environ) or str(cache_folder())


if __name__ == "__main__":
    main()
