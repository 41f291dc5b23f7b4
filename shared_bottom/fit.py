"""What `Backend.fit` does, for every backend: plan the run, open the folder that it is saved in, train."""

from contextlib import ExitStack
from pathlib import Path

from backends.base import SharedBackend
from shared_bottom.checkpoint.folder import CheckpointFolder
from shared_bottom.checkpoint.saver import CheckpointSaver, check_options
from shared_bottom.run.loop import run_loop
from shared_bottom.run.plan import make_plan
from shared_bottom.run.saver import Saver
from spec.backend import FitRequest
from spec.results import Fitted


def fit(backend: SharedBackend, request: FitRequest) -> Fitted:
    """Train as `request` asks: see `spec.Backend.fit`, where every argument is explained."""
    check_options(request.checkpoint, request.save_every, request.keep, request.resume)
    plan = make_plan(backend, request)
    with ExitStack() as stack:
        saver = Saver()
        if request.checkpoint is not None:
            folder = stack.enter_context(CheckpointFolder(Path(request.checkpoint), request.keep))
            saver = CheckpointSaver(folder, plan)
        return run_loop(plan, saver)
