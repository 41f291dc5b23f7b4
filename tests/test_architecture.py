"""What docs/architecture.md claims of the code, counted: mirror images, and how many files an addition touches."""

import ast
from typing import get_args

import pytest

from spec.losses import Loss
from spec.model import Activation
from spec.optimizers import Optimizer
from spec.sharing import WAYS
from spec.tasks import TASK_KINDS
from spec.training import TrainSpec
from tests.test_imports import ROOT, modules

ONLY_TORCH = {
    "__init__": ["Backend.missing"],
    "gradients": ["TaskLosses", "TaskLosses.__init__", "TaskLosses.forward", "is_functional"],
    "lazy": ["scan_few_steps", "few_steps", "steps_of_scan", "distinct_rows", "take", "put"],
    "settings": [
        "inference_scope",
        "no_autocast",
        "set_thread_count",
        "use_full_precision",
        "open_compile_cache",
        "missing_compiler",
        "is_default",
        "default_folder",
    ],
    "state": ["with_room"],
    "steps": ["in_place", "compiled"],
}
"""By file: what only PyTorch needs."""
ONLY_JAX = {
    "layers": ["Frozen", "product", "product_derivative", "transposed"],
    "__init__": ["Backend.check_threads"],
    "optimizers": ["transformation", "AdamState", "AdagradState"],
    "processes": ["mesh_of", "over_devices", "place", "everywhere"],
    "settings": ["start", "has_started"],
    "steps": ["make_forward"],
    "training": ["as_arguments"],
}
"""By file: what only JAX needs."""


def public_names(path):
    """The functions, the classes and their methods that a file defines, in order; a call is a forward pass."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node.name
        if isinstance(node, ast.ClassDef):
            methods = [method.name for method in node.body if isinstance(method, ast.FunctionDef)]
            yield from (f"{node.name}.{'forward' if name == '__call__' else name}" for name in methods)


def test_both_folders_have_the_same_files():
    torch, jax = (sorted(path.name for path in (ROOT / "backends" / name).glob("*.py")) for name in ("torch", "jax"))
    assert torch == jax


@pytest.mark.parametrize("file", sorted(path.stem for path in (ROOT / "backends" / "torch").glob("*.py")))
def test_both_files_define_the_same_in_the_same_order(file):
    torch, jax = (list(public_names(ROOT / "backends" / name / f"{file}.py")) for name in ("torch", "jax"))
    assert [name for name in torch if name not in jax] == ONLY_TORCH.get(file, [])
    assert [name for name in jax if name not in torch] == ONLY_JAX.get(file, [])
    assert [name for name in torch if name in jax] == [name for name in jax if name in torch]


def words(path):
    """Every name that a file defines or uses, and every text in it that is a single word; no comments or docstrings."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Name(id=word) | ast.Attribute(attr=word) | ast.alias(name=word) | ast.Constant(value=str(word)):
                yield word
            case ast.FunctionDef(name=word) | ast.ClassDef(name=word) | ast.keyword(arg=str(word)):
                yield word


def files_that_name(*names):
    return [module for module, path in modules() if set(names) & set(words(path))]


# The default losses are named by metrics, by what reads their options and by comparisons besides.
@pytest.mark.parametrize(
    "loss", [cls for cls in get_args(Loss) if cls not in {type(traits.losses[0]) for traits in TASK_KINDS.values()}]
)
def test_a_loss_is_named_in_five_files_and_in_others_for_its_link_or_its_mean(loss):
    backends = {f"backends.{name}.losses" for name in ("torch", "jax")}
    links = {"backends.links", "backends.torch.export", "backends.jax.export", "shared_bottom.export.links"}
    of_link = links if loss().kind == loss.link else set()
    of_metric = {"shared_bottom.run.metrics.loss_formulas"} if loss().metric == "loss" else set()
    names = {loss.__name__, loss().kind} - {"absolute", "quantile"}  # words that files and columns have a use for
    named = set(files_that_name(*names)) - {"shared_bottom.tables.columns"}  # whose Quantile transforms a column
    assert named == {"spec", "spec.losses", "spec.tasks", *backends, *of_link, *of_metric}


# The default way is that of a network that names none, and a word of titles and comparisons besides.
@pytest.mark.parametrize("way", WAYS[1:])
def test_a_way_of_sharing_is_named_in_two_files_and_those_that_compare(way):
    named = set(files_that_name(way.__name__, way().kind))
    assert {"spec", "spec.sharing"} <= named <= {"spec", "spec.sharing", "spec.presets"}


# The default optimizer is named by presets and comparisons besides.
@pytest.mark.parametrize("optimizer", [cls for cls in get_args(Optimizer) if cls is not type(TrainSpec().optimizer)])
def test_an_optimizer_is_named_in_four_files_at_most(optimizer):
    backends = {f"backends.{name}.optimizers" for name in ("torch", "jax")}
    assert set(files_that_name(optimizer.__name__, optimizer().kind)) == {"spec", "spec.optimizers", *backends}


@pytest.mark.parametrize("activation", get_args(Activation))
def test_an_activation_is_named_in_four_files(activation):
    backends = {f"backends.{name}.layers" for name in ("torch", "jax")}
    assert set(files_that_name(activation)) == {"spec.model", *backends, "shared_bottom.export.layers"}


def test_no_file_compares_a_task_with_the_name_of_a_kind():
    compared = [
        f"{module}:{node.lineno}"
        for module, path in modules()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Compare | ast.Dict | ast.Subscript | ast.match_case)
        for constant in _constants(node)
        if constant in TASK_KINDS and module != "spec.tasks"
    ]
    assert compared == []


def _constants(node):
    match node:
        case ast.Compare(left=left, comparators=others):
            candidates = [left, *others]
        case ast.Dict(keys=keys):
            candidates = keys
        case ast.Subscript(slice=index):
            candidates = [index]
        case ast.match_case(pattern=pattern):
            candidates = [part.value for part in ast.walk(pattern) if isinstance(part, ast.MatchValue)]
    for candidate in candidates:
        for part in ast.walk(candidate) if candidate is not None else ():
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                yield part.value
