"""What a backend changes in the process holds for the time of a call: matrix products in full float32."""

import contextlib

import pytest

from backends.settings import WhileComputing
from spec import initial_params, load_backend
from tests.helpers.runs import training


def test_the_first_to_enter_makes_the_change_and_the_last_to_leave_undoes_it():
    said = []

    def change():
        said.append("changed")
        return lambda: said.append("undone")

    setting = WhileComputing(change)
    for _ in range(2):
        with setting:
            with contextlib.suppress(KeyError), setting:
                raise KeyError
            assert said == ["changed"]
        assert said == ["changed", "undone"]
        said.clear()


USERS = {
    "nothing": lambda torch: None,
    "highest": lambda torch: torch.set_float32_matmul_precision("highest"),
    "high": lambda torch: torch.set_float32_matmul_precision("high"),
    "medium": lambda torch: torch.set_float32_matmul_precision("medium"),
    "allow_tf32": lambda torch: setattr(torch.backends.cuda.matmul, "allow_tf32", True),
    "all backends": lambda torch: setattr(torch.backends, "fp32_precision", "tf32"),
    "a GPU's products": lambda torch: setattr(torch.backends.cuda.matmul, "fp32_precision", "tf32"),
    "a CPU's products": lambda torch: setattr(torch.backends.mkldnn.matmul, "fp32_precision", "bf16"),
}
"""Each way in which a user of PyTorch can ask for less."""


@pytest.fixture
def torch():
    """PyTorch with the settings that a new process has, before the test and after it."""
    torch = pytest.importorskip("torch")

    def reset():
        torch.set_float32_matmul_precision("highest")
        for setting in (torch.backends, torch.backends.cuda.matmul, torch.backends.mkldnn.matmul):
            setting.fp32_precision = "none"

    reset()
    yield torch
    reset()


def precision(torch):
    """All settings; a setting that PyTorch refuses to read, because another one contradicts it, is its message."""
    backends = torch.backends
    settings = (backends, backends.cudnn, backends.cuda.matmul, backends.mkldnn, backends.mkldnn.matmul)
    read = [setting.fp32_precision for setting in settings]
    for of_all in (torch.get_float32_matmul_precision, lambda: backends.cuda.matmul.allow_tf32):
        try:
            read.append(of_all())
        except RuntimeError as error:
            read.append(str(error))
    return read


def calls(backend, model, data):
    params = initial_params(model)
    return {
        "fit": lambda: backend.fit(model, training(backend), data),
        "predict": lambda: backend.predict(model, params, data),
        "gradients": lambda: backend.gradients(model, params, data),
    }


@pytest.mark.parametrize("users", USERS)
@pytest.mark.parametrize("call", ["fit", "predict", "gradients"])
def test_torch_multiplies_in_full_float32_while_it_computes(torch, model, data, call, users):
    USERS[users](torch)
    before, inside = precision(torch), []

    def hook(module, inputs):
        inside.append(precision(torch))

    handle = torch.nn.modules.module.register_module_forward_pre_hook(hook)
    try:
        calls(load_backend("torch"), model, data)[call]()
    finally:
        handle.remove()
    assert inside
    for settings in inside:
        assert settings[2::2] == ["ieee", "ieee", False]
        assert settings[5] == "highest"
    assert precision(torch) == before
    if users in ("nothing", "all backends"):  # where a library's setting followed that of all, it does so again
        torch.backends.fp32_precision = "tf32"
        assert precision(torch)[:5] == ["tf32"] * 5
        torch.backends.fp32_precision = "none"
        assert precision(torch)[:5] == ["none"] * 5


@pytest.mark.parametrize("call", ["fit", "predict", "gradients"])
def test_torch_has_the_users_precision_again_after_an_error(torch, model, data, call):
    torch.set_float32_matmul_precision("medium")
    before = precision(torch)

    def hook(module, inputs):
        raise ZeroDivisionError

    handle = torch.nn.modules.module.register_module_forward_pre_hook(hook)
    try:
        with pytest.raises(ZeroDivisionError):
            calls(load_backend("torch"), model, data)[call]()
    finally:
        handle.remove()
    assert precision(torch) == before
