"""A whole run: what is measured in this process, and how the processes of several backends are put together."""

import dataclasses
import importlib.util
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from rich.console import Console

from backends.base import SharedBackend
from backends.capabilities import UnsupportedError
from bench import processes
from bench.case import Case
from bench.cases import load_cases
from bench.options import Options, process_counts
from bench.report import RUN_LENGTHS
from bench.results import REFERENCES, Run, merge, read_run
from bench.timing import BackendRunner, Contestant, backend_contestant, measure
from shared_bottom.run.metrics import evaluate
from spec import Dataset, ModelSpec, TaskSpec, backend_names, load_backend
from spec.machine import describe
from spec.training import Device, Part

KERAS = {"tensorflow": (1, 16, 128), "jax": (1, 16, 128), "torch": (1,)}
"""By the frameworks that Keras trains on, in its own words: how many steps it makes between two visits of Python. The
best one counts; on PyTorch it takes no other than 1. A backend of another name is not compared with Keras."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a process measures."""

    backend: SharedBackend
    device: Device
    cases: list[Case]
    executions: tuple[str, ...]
    left_out: list[str]
    """What is not measured, and why."""


def prepare(options: Options) -> list[Plan]:
    """One plan a backend. Raises OSError, ValueError or ImportError, before anything is built.

    Of all backends, those that have no code for the case are left out, and each says why.
    """
    names = backend_names() if options.backend == "all" else [options.backend]
    backends = [cast(SharedBackend, load_backend(name)) for name in names]
    cases = load_cases(options.case, options.data_dir, options.steps)
    plans, missing = [], []
    for backend in backends:
        try:
            plans.append(plan_for(backend, options, cases))
        except UnsupportedError as error:
            missing.append(str(error))
    if not plans:
        raise UnsupportedError("; ".join(missing))
    for reason in missing:
        say(f"left out: {reason}")
    return plans


def say(text: str) -> None:
    """Show what is going on, on standard error."""
    Console(stderr=True).print(text, style="dim", highlight=False, soft_wrap=True)


def plan_for(backend: SharedBackend, options: Options, cases: list[Case]) -> Plan:
    """What a backend's process measures. Raises UnsupportedError for what the backend does not have."""
    left_out = list(dict.fromkeys(case.left_out for case in cases if case.left_out))
    device, counts = backend.resolve_device(options.device), process_counts(options.processes)
    part = Part(of=max(counts)) if counts else backend.part(device)
    if options.execution == "all":
        costs = {execution: backend.costs[execution] for execution in backend.executions(part)}
        executions = tuple(cases[0].executions(costs))
        others = [execution for execution in backend.costs if execution not in executions]
        left_out += [f"{backend.name} {execution}, unless --execution asks for it" for execution in others]
    else:
        executions = (options.execution,)
    for case in cases:
        for execution in executions:
            backend.check_training(case.train, execution, part)
    return Plan(backend, device, cases, executions, left_out)


def run_each(options: Options, plans: list[Plan], caches: str) -> Run:
    """Each backend in a process of its own: threads and allocators do not mix.

    Ctrl-C, and an error in a later process, leave what was measured before.
    """
    runs: list[Run] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in (plan.backend.name for plan in plans):
            path = Path(folder) / f"{name}.json"
            child = dataclasses.replace(options, backend=name, json=path, plot=None, compare=None, cold=False)
            # In a session of its own, so that Ctrl-C reaches it once: through this process.
            process = subprocess.Popen(
                [sys.executable, "-m", "bench", *arguments(child)], stdout=subprocess.DEVNULL, start_new_session=True
            )
            code = _wait(process)
            if path.exists():
                runs.append(read_run("--json", path))
            elif runs:  # it has said why
                runs[-1].interrupted = True
            else:
                raise SystemExit(130 if code == -signal.SIGINT else code)
            if runs[-1].interrupted:
                break
    return dataclasses.replace(merge(runs), command=command(options), caches=caches)


def _wait(process: subprocess.Popen[bytes]) -> int:
    """The exit code. Ctrl-C is the child's: it ends with what it has measured."""
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)


def arguments(options: Options) -> list[str]:
    """The options as a command line."""
    words = []
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if value is True:
            words.append(f"--{field.name}")
        elif value is not None and value is not False:
            words += [f"--{field.name.replace('_', '-')}", str(value)]
    return words


def command(options: Options) -> str:
    """How to repeat the run."""
    return shlex.join(["python", "-m", "bench", *arguments(options)])


def run_one(options: Options, plan: Plan, caches: str) -> Run:
    """Measure one backend, and beside it what it is compared with. Ctrl-C ends it early."""
    backend, device, cases, executions = plan.backend, plan.device, plan.cases, plan.executions
    run = Run(
        command=command(options),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        case=options.case,
        rows_from=cases[0].rows_from,
        threads=options.threads,
        caches=caches,
        machine=describe(backend.libraries),
        left_out=plan.left_out,
    )
    try:
        if options.processes:
            processes.measure(run, dataclasses.replace(options, backend=backend.name), executions, device, say)
            return run
        if len(cases) > 1:  # so that the family's first member does not pay for the framework's own start
            say(f"{backend.name}: warming up")
            warm_up(backend, executions, device)
        contestants = [contestant for case in cases for contestant in _contestants(backend, case, executions, device)]
        measure(run, backend, device, contestants, options.repetitions, say)
        if len(cases) == 1 and 1 < len(executions) == len(backend.costs):
            steps = {length: backend.best_execution(cases[0].model, cases[0].train, length) for length in RUN_LENGTHS}
            run.auto[backend.name] = steps
        if cases[0].test is not None:
            say(f"{backend.name}: the whole training, for its test metrics")
            run.metrics[backend.name] = _metrics(backend, cases[0], device, options.threads)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # what was measured is shown, however impatient the user
        run.interrupted = True
    return run


def warm_up(backend: SharedBackend, executions: tuple[str, ...], device: Device) -> None:
    """Train the smallest network once by each execution: the first compiling of a process also starts the compiler."""
    (case,) = load_cases("tutorial", None)
    data = case.read()
    model = ModelSpec(numeric=10, trunk=(1,), tasks=(TaskSpec(name="task_a", kind="regression", outputs=3),))
    small = Dataset(numeric=data.numeric, labels={"task_a": data.labels["task_a"]})
    case = dataclasses.replace(case, model=model, read=lambda: small)
    for execution in executions:
        BackendRunner(backend, case, execution, device).run(1)


def _contestants(backend: SharedBackend, case: Case, executions: tuple[str, ...], device: Device) -> list[Contestant]:
    """The backend's own first, so that their first calls are those of a process that has compiled nothing else."""
    contestants = [backend_contestant(backend, case, execution, device) for execution in executions]
    if importlib.util.find_spec("torch"):
        from bench import references

        contestants += references.contestants(case, device)
    if case.reference == REFERENCES[0] and backend.name in KERAS and importlib.util.find_spec("keras"):
        os.environ["KERAS_BACKEND"] = backend.name
        from bench import peers

        contestants += peers.contestants(case, backend.name, device, KERAS[backend.name])
    return contestants


def _metrics(backend: SharedBackend, case: Case, device: Device, threads: int) -> dict[str, dict[str, float]]:
    assert case.test is not None
    train = dataclasses.replace(case.train, device=device)
    fitted = backend.fit(case.model, train, case.read(), threads=threads)
    predictions = backend.predict(case.model, fitted.params, case.test, device=device, threads=threads)
    return evaluate(case.model, predictions, case.test)
