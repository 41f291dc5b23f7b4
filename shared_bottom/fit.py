"""What `Backend.fit` does, for every backend: plan the run, open the folder that it is saved in, train."""

from contextlib import ExitStack
from pathlib import Path

from backends.base import SharedBackend
from shared_bottom.checkpoint.checkpoint import versions_of
from shared_bottom.checkpoint.folder import CheckpointFolder
from shared_bottom.checkpoint.identity import identify
from shared_bottom.checkpoint.saver import CheckpointSaver, check_options
from shared_bottom.run.alike import check_alike
from shared_bottom.run.errors import check_timeout
from shared_bottom.run.join import joined
from shared_bottom.run.loop import run_loop
from shared_bottom.run.plan import make_plan
from shared_bottom.run.saver import Saver
from shared_bottom.run.watcher import Watcher
from spec.backend import FitRequest
from spec.files import dotted
from spec.machine import describe
from spec.results import Fitted


def fit(backend: SharedBackend, request: FitRequest, watcher: Watcher | None = None) -> Fitted:
    """Train as `request` asks: see `spec.Backend.fit`, where every argument is explained.

    watcher: told in process 0 how far the run is.
    """
    check_timeout(request.timeout)
    with ExitStack() as stack:
        processes = stack.enter_context(joined(backend, request.timeout, request.threads))
        check_options(request.checkpoint, request.save_every, request.keep, request.resume)
        plan = make_plan(backend, request, processes)
        watcher = watcher if watcher and processes.is_first else Watcher()
        folder = None
        if request.checkpoint is not None and processes.is_first:
            folder = stack.enter_context(CheckpointFolder(Path(request.checkpoint), request.keep))
        if request.checkpoint is None and processes.size == 1:
            return run_loop(plan, Saver(), watcher)
        run = identify(plan.model, plan.train, plan.data, plan.validation, plan.initial)
        besides = {
            "backend": backend.name,
            "device": plan.device,
            "checkpoint": "none" if request.checkpoint is None else "a folder",
            "save_every": request.save_every,
            "resume": request.resume,
            "shared-bottom": describe(["shared-bottom"]).versions.get("shared-bottom", "not installed"),
            **versions_of(backend.libraries),
        }
        check_alike(processes, lambda: dotted(run) | besides, "at the beginning", code=2)
        return run_loop(plan, Saver() if request.checkpoint is None else CheckpointSaver(folder, plan, run), watcher)
