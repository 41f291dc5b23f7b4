"""What several test files share: the backends, and a small problem that has every kind of task and of missing data."""

import gzip
import importlib.util
import os
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from backends.capabilities import UnsupportedError
from shared_bottom.tables import census_files
from spec import CategoricalFeature, Dataset, ModelSpec, TaskSpec, backend_names, presets
from tests.helpers.backends import installed
from tests.helpers.census_files import TEST, TRAIN, Install, table
from tests.helpers.slow import SLOW

if importlib.util.find_spec("torch"):
    import torch

    torch.set_num_threads(1)  # two are far slower than one where the network is this small


def pytest_configure(config):
    # PyTorch's own module torch.utils.mkldnn, which its first compilation imports.
    config.addinivalue_line("filterwarnings", "ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")


def pytest_collection_modifyitems(items):
    """The slow files come first, so that of two processes none is left with one of them at the end."""
    items.sort(key=lambda item: SLOW.index(item.path.stem) if item.path.stem in SLOW else len(SLOW))
    for item in items:
        if item.path.stem in SLOW:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True, scope="session")
def no_waiting_for_the_disk():
    """A flush takes milliseconds, thousands of times. No test cuts the power; those of flushing see that it is asked
    for, and programs that tests start flush as they do elsewhere.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(autouse=True)
def no_compilation_by_torch(request, monkeypatch):
    """It takes ten seconds, so a test that asks for it is marked slow, and `make quick` stays quick."""
    if "torch" in sys.modules and not request.node.get_closest_marker("slow"):

        def refused(*_, **__):
            pytest.fail("torch.compile takes ten seconds: mark this test with pytest.mark.slow")

        monkeypatch.setattr("torch.compile", refused)


@contextmanager
def skip_what_a_backend_has_no_code_for():
    """A backend that has less than the others says so itself: what it is not asked for, it need not show."""
    try:
        yield
    except UnsupportedError as error:
        pytest.skip(str(error))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    with skip_what_a_backend_has_no_code_for():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    with skip_what_a_backend_has_no_code_for():
        return (yield)


EACH_BACKEND = [pytest.param(name, marks=pytest.mark.slow) if name == "jax" else name for name in backend_names()]
"""JAX compiles all that it runs, without jit too, which takes a second or more for each test. In the quick tier the
parity tests show that it does what the other backends do."""


@pytest.fixture(params=EACH_BACKEND)
def backend(request):
    return installed(request.param)


@pytest.fixture(scope="session")
def file(tmp_path_factory):
    """The TOML of a small experiment, beside its tables."""
    from tests.helpers.cli import write_experiment

    return write_experiment(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session", params=EACH_BACKEND)
def trained(request, tmp_path_factory):
    """The folder that `fit` wrote, by backend."""
    from tests.helpers.cli import EXPERIMENT, fit, without_plots, write_experiment

    installed(request.param).check_training(EXPERIMENT.train, EXPERIMENT.train.execution)
    folder = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch:
        without_plots(patch)
        patch.setenv("SHARED_BOTTOM_CACHE", str(folder / "cache"))
        return fit(write_experiment(folder), folder / "run", request.param, "--quiet")


@pytest.fixture
def model():
    """Every kind of task, two tasks tied in one head, two tables in one gather; smooth, so differences converge."""
    return ModelSpec(
        numeric=3,
        categorical=(
            CategoricalFeature(name="colour", vocabulary=3, dimension=2),
            CategoricalFeature(name="shape", vocabulary=4, dimension=3),
            CategoricalFeature(name="size", vocabulary=5, dimension=2),
        ),
        trunk=(6, 5),
        tasks=(
            TaskSpec(name="click", kind="binary", hidden=(4,)),
            TaskSpec(name="price", kind="regression", hidden=(4,), outputs=2, weight=0.5),
            TaskSpec(name="buy", kind="binary", hidden=(4,), weight=2.0),
            TaskSpec(name="region", kind="multiclass", outputs=4),
            TaskSpec(name="span", kind="regression"),
        ),
        activation="tanh",
    )


@pytest.fixture
def data(model):
    """Twenty rows of uneven weights (one is 0) with some labels missing; the labels of span are a flat array."""
    rows = presets.random_data(model, 20, seed=3)
    labels = {name: np.array(label, float) for name, label in rows.labels.items()}
    labels["click"][[1, 5, 19]] = np.nan
    labels["price"][2, 1] = np.nan
    labels["span"] = np.where(np.arange(20) == 7, np.nan, labels["span"][:, 0])
    labels["region"] = rows.labels["region"].copy()
    labels["region"][[0, 8, 9]] = -1
    weight = np.random.default_rng(4).uniform(0.2, 3.0, 20)
    weight[11] = 0.0
    return Dataset(numeric=rows.numeric, categorical=rows.categorical, labels=labels, sample_weight=weight)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("SHARED_BOTTOM_CACHE", str(folder))
    return folder


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Writes the two texts as files, and makes them the official ones."""

    def write(train: str | None = None, test: str | None = None, *, zipped: bool = True) -> Path:
        folder = tmp_path / "files"
        folder.mkdir(exist_ok=True)
        for name, text in {TRAIN: train or table(6), TEST: test or table(9)}.items():
            content = text.encode()
            monkeypatch.setitem(census_files.OFFICIAL, name, census_files.fingerprint(content))
            path = folder / (f"{name}.gz" if zipped else name)
            path.write_bytes(gzip.compress(content, mtime=0) if zipped else content)
        return folder

    return write


@pytest.fixture
def predictions(model, data):
    from tests.helpers.histories import predictions_of

    return predictions_of(model, data.rows)


@pytest.fixture
def history(model, data, predictions):
    """A history made up, with the metrics of the predictions."""
    from shared_bottom.run.metrics import evaluate
    from tests.helpers.histories import history_of

    return history_of(model, metrics=evaluate(model, predictions, data), best_epoch=1)


@pytest.fixture(scope="session")
def onnxruntime(tmp_path_factory):
    """A process that reads ONNX files, and has nothing of the project."""
    from tests.helpers.exported import Reader

    reader = Reader("onnxruntime", tmp_path_factory.mktemp("reader"))
    yield reader
    reader.close()
