"""What is installed: four packages and one command, which harm no other package of the environment.

Hugging Face's `datasets` stands for the others, because a package of that name was once among ours.
"""

import os
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copytree, ignore_patterns
from zipfile import ZipFile

import pytest

from tests.helpers.cli import write_experiment
from tests.helpers.runs import quickest

ROOT = Path(__file__).parents[1]
PACKAGES = ("spec", "backends", "shared_bottom", "bench")
WHEELS = Path(sys.prefix) / "wheels"
"""Where `make setup` puts the wheel of `datasets`, so that the test needs no network."""


def run(*command: object, cwd: Path) -> str:
    """What a command prints. It must not find the project by any way but its installation."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, cwd=cwd, env=environment, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Environment:
    """A fresh virtual environment without pip: this interpreter's pip installs into it."""

    def __init__(self, folder: Path) -> None:
        run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
        paths = sysconfig.get_paths("venv", vars={"base": str(folder), "platbase": str(folder)})
        self.folder, self.scripts, self.packages = folder, Path(paths["scripts"]), Path(paths["purelib"])
        self.python = self.scripts / "python"

    def pip(self, *arguments: object) -> None:
        run(sys.executable, "-m", "pip", "--python", self.python, *arguments, cwd=self.folder)

    def install(self, *arguments: object) -> None:
        self.pip("install", "--no-index", "--no-deps", *arguments)

    @contextmanager
    def dependencies(self) -> Iterator[None]:
        """Lends this interpreter's packages, NumPy and the frameworks, which would take minutes to install.

        They come after the environment's own packages, and `.pth` files among them count for nothing: an editable
        installation of the project is not seen. pip must not see them either, so they are there for a time only.
        """
        lent = self.packages / "dependencies.pth"
        lent.write_text("".join(f"{sysconfig.get_path(name)}\n" for name in ("purelib", "platlib")))
        try:
            yield
        finally:
            lent.unlink()

    def files(self) -> dict[str, bytes]:
        """The content of every file of the environment."""
        files = (path for path in self.folder.rglob("*") if path.is_file() and not path.is_symlink())
        return {path.relative_to(self.folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy to build from: setuptools writes into the tree, and packs what an earlier build has left there."""
    copy = tmp_path_factory.mktemp("source") / "project"
    no_source = (".*", "__pycache__", "*.egg-info", "*.parquet", "build", "dist", "runs")
    copytree(ROOT, copy, ignore=ignore_patterns(*no_source))
    return copy


@pytest.fixture(scope="module")
def sdist(project: Path) -> Path:
    run(sys.executable, "-c", "from setuptools import build_meta; build_meta.build_sdist('dist')", cwd=project)
    (archive,) = (project / "dist").iterdir()
    return archive


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the source distribution, as whoever has only that would."""
    folder = tmp_path_factory.mktemp("wheel")
    options = ("--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", folder)
    run(sys.executable, "-m", "pip", "wheel", *options, sdist, cwd=folder)
    (path,) = folder.iterdir()
    return path


def test_the_source_distribution_is_the_project(project: Path, sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        packed = {Path(*Path(member.name).parts[1:]).as_posix() for member in archive if member.isfile()}
    files = {path.relative_to(project).as_posix() for path in project.rglob("*") if path.is_file()}
    written = {name for name in files | packed if name.startswith("dist/") or ".egg-info/" in name}
    assert packed - written == files - written | {"PKG-INFO", "setup.cfg"}


def test_the_wheel_holds_the_four_packages_and_nothing_else(project: Path, wheel: Path) -> None:
    packed = set(ZipFile(wheel).namelist())
    described = {name for name in packed if ".dist-info/" in name}
    sources = {path.relative_to(project) for name in PACKAGES for path in (project / name).rglob("*") if path.is_file()}
    assert {name.split("/")[0] for name in packed - described} == set(PACKAGES)
    assert packed - described == {path.as_posix() for path in sources}
    assert {"shared_bottom/reports/report.html.j2", *(f"{name}/py.typed" for name in PACKAGES)} <= packed


@pytest.mark.skipif(not list(WHEELS.glob("datasets-*.whl")), reason=f"no wheel of datasets in {WHEELS}: make setup")
def test_it_is_installed_runs_and_goes_and_leaves_all_else_as_it_was(wheel: Path, tmp_path: Path) -> None:
    pytest.importorskip("flax")
    environment = Environment(tmp_path / "environment")
    environment.install("--find-links", WHEELS, "--constraint", ROOT / "constraints.txt", "datasets")
    before = environment.files()
    assert any(name.endswith("/datasets/__init__.py") for name in before)

    environment.install(wheel)
    file, elsewhere = write_experiment(tmp_path / "data"), tmp_path / "elsewhere"
    elsewhere.mkdir()
    program, python = environment.scripts / "shared-bottom", environment.python
    with environment.dependencies():
        code = f"import {', '.join(PACKAGES)}\nfor p in ({', '.join(PACKAGES)}): print(p.__file__)"
        expected = [str(environment.packages / name / "__init__.py") for name in PACKAGES]
        assert run(python, "-c", code, cwd=elsewhere).splitlines() == expected

        described = run(program, "describe", file, cwd=elsewhere)
        assert "click" in described
        for alias in ("shared_bottom", "backends"):
            assert run(python, "-m", alias, "describe", file, cwd=elsewhere) == described
        options = ("--backend", "jax", "--train.execution", quickest("jax"), "--quiet")
        run(program, "fit", file, "--out", "run", *options, cwd=elsewhere)
        run(program, "predict", "run", file.parent / "test.parquet", "--out", "predictions.parquet", cwd=elsewhere)
    assert (elsewhere / "run" / "report.html").is_file()
    assert (elsewhere / "predictions.parquet").is_file()
    after = environment.files()
    assert {name: after[name] for name in before} == before

    environment.pip("uninstall", "--yes", "shared-bottom")
    assert environment.files() == before
