"""The parameter table: every parameter's name and shape, in network order, and its initial value.

This table is what enters and leaves a backend, a checkpoint and a test. Kernels are stored (in, out). Inside a backend
the parameters lie in another way, which nobody outside of it sees: see `backends.layout`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase

import numpy as np

from spec.model import ModelSpec
from spec.network import Layer, layers, own_layers, shared_layers
from spec.training import Precision
from spec.validation import did_you_mean

Params = dict[str, np.ndarray]
EMBEDDING_STD = 0.05
PIECE = 2**16
"""Numbers that are drawn together: they stay in the processor's cache until they are rounded."""
Draw = Callable[[int], np.ndarray]
"""Gives that many of the numbers of a parameter, as float64, and the next ones when called again."""


def layer_shapes(layer: Layer, model: ModelSpec) -> dict[str, tuple[int, ...]]:
    """Shape of each parameter of a layer, by the last part of its name."""
    shapes: dict[str, tuple[int, ...]] = {"kernel": (layer.inputs, layer.outputs)}
    if layer.bias:
        shapes["bias"] = (layer.outputs,)
    if layer.hidden and model.normalization == "layer":
        shapes |= {"norm.scale": (layer.outputs,), "norm.bias": (layer.outputs,)}
    return shapes


def parameter_shapes(model: ModelSpec) -> dict[str, tuple[int, ...]]:
    """Shape of every parameter by its name, in network order."""
    shapes: dict[str, tuple[int, ...]] = {}
    for feature in model.categorical:
        shapes[feature.parameter] = (feature.vocabulary, feature.dimension)
    for layer in layers(model):
        shapes |= {f"{layer.name}.{part}": shape for part, shape in layer_shapes(layer, model).items()}
    return shapes


def frozen_parameters(model: ModelSpec, patterns: Sequence[str] = ()) -> list[str]:
    """The names of the parameters that training does not move, in network order: the tables of features that are not
    trainable, and what the patterns of `TrainSpec.frozen` name.

    A pattern is one of the shell, in which * stands for any characters, ? for one and [abc] for one of these. It names
    the parameters that are called so, and those whose names go on with a dot: "trunk" names trunk.0.kernel.

    Raises ValueError for a pattern that names none, and if nothing is left to train.
    """
    names = list(parameter_shapes(model))
    frozen = {feature.parameter for feature in model.categorical if not feature.trainable}
    for pattern in patterns:
        named = [name for name in names if fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")]
        if not named:
            parts = dict.fromkeys(name.rsplit(".", i)[0] for name in names for i in range(name.count(".") + 1))
            near = did_you_mean(pattern, parts)
            raise ValueError(f"train.frozen: expected patterns of parameters' names, got {pattern!r}{near}")
        frozen.update(named)
    if len(frozen) == len(names):
        raise ValueError(f"train.frozen: expected patterns that leave a parameter to train, got {', '.join(patterns)}")
    return [name for name in names if name in frozen]


def frozen_zeros(model: ModelSpec, others: Mapping[str, np.ndarray]) -> Params:
    """What stands for the frozen parameters beside `others`, gradients or slots, and in their type: zeros, by name."""
    shapes, dtype = parameter_shapes(model), next(iter(others.values())).dtype
    return {name: np.zeros(shapes[name], dtype) for name in frozen_parameters(model)}


def shared_parameters(model: ModelSpec) -> list[str]:
    """The names of the parameters that the losses of more than one task depend on, in order: embeddings, and trunk or
    experts; besides, gates whose output reaches other tasks, and the head of a task that another is given.
    """
    own = own_layers(model)
    of_one = {
        f"{layer.name}.{part}" for layer in layers(model) if layer.name in own for part in layer_shapes(layer, model)
    }
    return [name for name in parameter_shapes(model) if name not in of_one]


def last_shared_parameters(model: ModelSpec, patterns: Sequence[str] = ()) -> list[str]:
    """Those on which GradNorm compares the tasks: of the last shared layer of which training moves a kernel, the
    kernels that it moves; else the embedding tables that it moves. See `spec.sharing`. Empty if there are none.

    patterns: see `frozen_parameters`.
    """
    frozen = frozen_parameters(model, patterns)
    kernels = ([f"{layer}.kernel" for layer in beside] for beside in shared_layers(model))
    tables = list(dict.fromkeys(feature.parameter for feature in model.categorical))
    moved = ([name for name in names if name not in frozen] for names in (*kernels, tables))
    return next(filter(None, moved), [])


def parameter_count(model: ModelSpec) -> int:
    """How many numbers the parameters are."""
    return sum(math.prod(shape) for shape in parameter_shapes(model).values())


def initial_params(model: ModelSpec, *, seed: int = 0, precision: Precision = "float32") -> Params:
    """Initial parameters, each drawn from (seed, name) alone, so that adding a task leaves the others' numbers alone.

    Kernels and biases by `model.initializer`, with fan_in and fan_out the kernel's two sizes:
      torch_default   kernel and bias U(±1/√fan_in), as torch.nn.Linear
      he_normal       kernel N(0, 2/fan_in), bias 0          (He et al., ICCV 2015, eq. 10)
      lecun_normal    kernel N(0, 1/fan_in), bias 0          (LeCun et al., "Efficient BackProp", 1998, eq. 16)
      glorot_uniform  kernel U(±√(6/(fan_in+fan_out))), bias 0  (Glorot & Bengio, AISTATS 2010, eq. 16)
    Embeddings are N(0, 0.05²), norm scales 1 and norm biases 0. Normal distributions are not truncated.
    Draws are made in float64 and rounded to `precision`, a piece at a time.
    """
    params: Params = {}
    shapes = parameter_shapes(model)
    for name, shape in shapes.items():
        draw = np.random.default_rng([seed, *name.encode()])
        if name.startswith("embeddings."):
            numbers = _normal(draw, EMBEDDING_STD)
        elif name.endswith(".norm.scale"):
            numbers = np.ones
        elif name.endswith(".norm.bias"):
            numbers = np.zeros
        else:
            layer, part = name.rsplit(".", 1)
            numbers = _linear(model, draw, part, *shapes[f"{layer}.kernel"])
        params[name] = np.empty(shape, precision)
        flat = params[name].reshape(-1)
        for start in range(0, flat.size, PIECE):  # consecutive draws give the numbers that one large draw would
            piece = flat[start : start + PIECE]
            piece[:] = numbers(piece.size)
    return params


def _linear(model: ModelSpec, draw: np.random.Generator, part: str, fan_in: int, fan_out: int) -> Draw:
    if model.initializer == "torch_default":
        bound = 1.0 / math.sqrt(fan_in)
        return lambda size: draw.uniform(-bound, bound, size)
    if part == "bias":
        return np.zeros
    if model.initializer == "glorot_uniform":
        bound = math.sqrt(6.0 / (fan_in + fan_out))
        return lambda size: draw.uniform(-bound, bound, size)
    variance = {"he_normal": 2.0, "lecun_normal": 1.0}[model.initializer] / fan_in
    return _normal(draw, math.sqrt(variance))


def _normal(draw: np.random.Generator, deviation: float) -> Draw:
    return lambda size: draw.normal(0.0, deviation, size)


def check_params(model: ModelSpec, params: Mapping[str, np.ndarray]) -> Precision:
    """The precision that all of `params` share. Raises ValueError for a missing, extra or misshapen entry."""
    shapes = parameter_shapes(model)
    for name in params:
        if name not in shapes:
            raise ValueError(f"params: expected no entry {name!r}, which this model does not have")
    precision = None
    for name, shape in shapes.items():
        if name not in params:
            raise ValueError(f"params: expected an entry {name!r} of shape {shape}, got none")
        value = np.asarray(params[name])
        if value.shape != shape:
            raise ValueError(f"params[{name!r}]: expected shape {shape}, got {value.shape}")
        dtype = str(value.dtype)
        precision = precision or dtype
        if dtype not in ("float32", "float64") or dtype != precision:
            raise ValueError(f"params[{name!r}]: expected all of dtype float32 or all of float64, got {dtype}")
    return "float32" if precision == "float32" else "float64"
