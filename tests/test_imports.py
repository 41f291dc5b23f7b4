"""Who imports whom: a spec needs no framework, and the user of one framework need not have the other."""

import ast
import re
import subprocess
import sys
import textwrap
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from spec import backend_names, load_backend

ROOT = Path(__file__).parents[1]

BLOCK = """
import sys

class Blocked:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.split(".")[0] in {blocked}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocked)
"""

FIT = """
from dataclasses import replace
import numpy as np
from spec import SGD, load_backend, presets

train = replace(presets.tutorial_training(), optimizer=SGD(), epochs=1, device="cpu", execution="eager")
model, data = presets.tutorial_model(), presets.tutorial_data()
fitted = load_backend({name!r}).fit(model, train, data)
assert fitted.history.step_loss.shape == (32,)
assert np.isfinite(fitted.history.step_loss).all()
assert load_backend({name!r}).predict(model, fitted.params, data)["task_a"].shape == (1000, 3)
print("fitted", sorted({others} & sys.modules.keys()))
"""


def run(code, *, blocked=()):
    """What `code` prints in a fresh interpreter in which the packages `blocked` cannot be imported."""
    code = BLOCK.format(blocked=sorted(blocked)) + textwrap.dedent(code)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def imported(path):
    """The top-level packages that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


def needs(name):
    """The packages that a backend's folder imports and that are not installed with the project itself."""
    requirements = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    installed = {re.split(r"[<>=~!;\[ ]", requirement)[0].replace("-", "_") for requirement in requirements}
    packages = {package for path in (ROOT / "backends" / name).glob("*.py") for package in imported(path)}
    return packages - installed - sys.stdlib_module_names - {"spec", "backends"}


FOLDERS = sorted(path.parent.name for path in (ROOT / "backends").glob("*/__init__.py"))
NEEDS = {name: needs(name) for name in FOLDERS}
FRAMEWORKS = {"torch", "jax"}.union(*NEEDS.values())


def test_what_the_backends_need():
    assert NEEDS["torch"] == {"torch"}
    assert NEEDS["jax"] == {"jax", "flax", "optax"}


def test_importing_spec_brings_no_heavy_package():
    heavy = FRAMEWORKS | {"sklearn", "scipy", "pyarrow", "matplotlib", "backends", "shared_bottom", "bench"}
    assert run(f"import spec; print(sorted({heavy} & sys.modules.keys()))") == "[]"


def test_a_tables_toml_is_read_without_pyarrow():
    code = """
    from pathlib import Path
    from shared_bottom.tables.rows import read_table_experiment
    print(read_table_experiment(Path("examples/clicks.toml")).data.test)
    """
    assert run(code, blocked=FRAMEWORKS | {"pyarrow"}) == "('clicks_test.parquet',)"


def test_a_table_in_memory_needs_neither_pandas_nor_polars():
    code = """
    import numpy as np
    import pyarrow as pa
    from shared_bottom import fit_columns, read_rows
    from tests.helpers.table_files import COLUMNS, experiment
    for rows in (COLUMNS, pa.table(COLUMNS), COLUMNS | {"age": np.arange(6.0)}):
        print(read_rows(fit_columns(experiment(), rows), rows).rows)
    """
    assert run(code, blocked=FRAMEWORKS | {"pandas", "polars"}).split() == ["6"] * 3


def test_one_import_gives_the_public_names_and_brings_no_heavy_package():
    heavy = FRAMEWORKS | {"sklearn", "scipy", "pyarrow", "matplotlib"}
    code = f"""
    import shared_bottom
    print(sorted({heavy} & sys.modules.keys()))
    print([name for name in shared_bottom.__all__ if getattr(shared_bottom, name) is None])
    print(sorted({FRAMEWORKS} & sys.modules.keys()))
    """
    assert run(code).splitlines() == ["[]"] * 3


def test_the_block_blocks():
    assert run("try:\n  import torch\nexcept ImportError as error:\n  print(error.name)", blocked={"torch"}) == "torch"


LAYERS = [
    ["spec"],
    ["backends"],
    ["shared_bottom.disk", "shared_bottom.arrays"],
    ["shared_bottom.lock"],
    ["shared_bottom.run"],
    ["shared_bottom.checkpoint", "shared_bottom.tables", "shared_bottom.reports"],
    ["shared_bottom.predictions", "shared_bottom.start"],
    ["shared_bottom.trained"],
    ["shared_bottom.fit", "shared_bottom.folder", "shared_bottom.export", "shared_bottom.importance"],
    ["shared_bottom.table_training"],
    ["shared_bottom.cli"],
    ["shared_bottom"],
    ["bench"],
]
"""From the bottom to the top. A file may import what is in its own package or in a layer below, and nothing else."""


def modules():
    """Each module of the project by its dotted name."""
    for folder in ("spec", "backends", "shared_bottom", "bench"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imports(path):
    """The modules of the project that a file imports, wherever in it, for type checking too."""
    known = dict(modules())
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: expected absolute imports"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in known else node.module for name in names]
        else:
            continue
        yield from (name for name in names if name in known)


def package(module):
    """The layer's entry that a module belongs to: the longest that its name begins with."""
    fitting = [name for layer in LAYERS for name in layer if f"{module}.".startswith(f"{name}.")]
    return max(fitting, key=len)


def test_arrows_run_one_way():
    level = {name: i for i, layer in enumerate(LAYERS) for name in layer}
    wrong = [
        f"{module} imports {other}"
        for module, path in modules()
        for other in imports(path)
        if package(other) != package(module) and level[package(other)] >= level[package(module)]
    ]
    assert wrong == []


def test_no_module_imports_itself_through_others():
    graph = {module: set(imports(path)) - {module} for module, path in modules()}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


@pytest.mark.parametrize("name", NEEDS)
def test_a_framework_is_imported_only_in_its_own_folder(name):
    """And in the loops that the bench compares with."""
    free = {"bench.references", "bench.peers"}
    importers = {module for module, path in modules() if NEEDS[name] & set(imported(path))}
    assert {module for module in importers if package(module) != "bench"} <= {
        module for module, _ in modules() if module.startswith(f"backends.{name}")
    }
    assert {module for module in importers if package(module) == "bench"} <= free


def test_the_spec_imports_numpy_and_pydantic_and_the_standard_library():
    allowed = sys.stdlib_module_names | {"numpy", "pydantic", "typing_extensions", "spec"}
    lazily = {"tomli_w", "platformdirs"}  # by the functions that write TOML and that find the user's cache
    found = {name for module, path in modules() if package(module) == "spec" for name in imported(path)}
    assert found - allowed == lazily


def test_the_backends_are_the_folders():
    assert backend_names() == FOLDERS
    assert {"jax", "torch"} <= set(FOLDERS)


@pytest.mark.parametrize("name", ["tensorflow", "", "layout", "torch.model", "../torch"])
def test_an_unknown_backend_is_rejected_and_the_valid_ones_listed(name):
    with pytest.raises(ValueError, match=f"backend: expected one of {', '.join(FOLDERS)}, got") as caught:
        load_backend(name)
    assert str(caught.value).endswith(repr(name))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "missing"), [(name, package) for name in NEEDS for package in sorted(NEEDS[name])])
def test_a_missing_framework_is_named_with_the_command_that_installs_it(name, missing):
    code = f"""
    from spec import load_backend
    try:
        load_backend({name!r})
    except ImportError as error:
        print(error)
    """
    said = run(code, blocked={missing})
    assert said == f"backend '{name}' needs {missing}, which is not installed: pip install -e '.[{name}]'"


@pytest.mark.slow
@pytest.mark.parametrize("name", NEEDS)
def test_a_backend_trains_where_the_other_framework_is_missing(name):
    others = FRAMEWORKS - NEEDS[name]
    assert run(FIT.format(name=name, others=others), blocked=others) == "fitted []"


@pytest.mark.slow
def test_a_checkpoint_is_read_without_a_framework():
    code = """
    from shared_bottom.checkpoint.folder import load_checkpoint
    for name in ("jax-adam", "torch-sgd"):
        print(load_checkpoint(f"tests/golden/{name}").step)
    """
    assert run(code, blocked=FRAMEWORKS) == "8\n6"


@pytest.mark.slow
@pytest.mark.parametrize("name", NEEDS)
def test_a_loaded_backend_says_its_name_and_brings_no_other(name):
    others = FRAMEWORKS - NEEDS[name]
    code = f"from spec import load_backend; print(load_backend({name!r}).name, sorted({others} & sys.modules.keys()))"
    assert run(code) == f"{name} []"
