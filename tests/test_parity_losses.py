"""Every loss gives what another library's does, and is finite and the same in both backends far from 0."""

import math
from decimal import Decimal, localcontext

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from scipy.special import expit
from sklearn.metrics import mean_pinball_loss

from backends import links
from backends.jax import losses as jax_losses
from backends.jax.settings import scope
from backends.layout import layout_of
from backends.torch import losses as torch_losses
from spec import (
    Absolute,
    CrossEntropy,
    Huber,
    LogLoss,
    ModelSpec,
    Poisson,
    Quantile,
    Squared,
    TaskSpec,
    ZeroInflatedLognormal,
    load_backend,
)
from tests.helpers.plain_losses import LOSSES, of_rows

ROWS = 40
DRAW = np.random.default_rng(0)
Z, Z2, Z3 = DRAW.normal(0, 3, (ROWS, 1)), DRAW.normal(0, 3, (ROWS, 2)), DRAW.normal(0, 2, (ROWS, 3))
TRUTH, CLASS = DRAW.integers(0, 2, ROWS).astype(float), DRAW.integers(0, 3, ROWS)
NUMBER, NUMBERS = DRAW.normal(0, 2, (ROWS, 1)), DRAW.normal(0, 2, (ROWS, 2))
AMOUNT = np.where(DRAW.random((ROWS, 1)) < 0.4, 0.0, DRAW.lognormal(1, 2, (ROWS, 1)))
COUNT = DRAW.poisson(2.0, (ROWS, 2)).astype(float)


def tensor(x):
    return torch.from_numpy(np.asarray(x))


def weighted_log_loss(loss, z, y):
    """PyTorch's own, with the labels moved first."""
    y = y * (1 - loss.label_smoothing) + loss.label_smoothing / 2
    weight = torch.tensor(loss.positive_weight, dtype=torch.float64)
    return F.binary_cross_entropy_with_logits(tensor(z[:, 0]), tensor(y), pos_weight=weight, reduction="none").numpy()


def focal(loss, z, y):
    """(1 - p_t)^γ times PyTorch's, p_t being the probability of what was."""
    of_truth = expit(np.where(y == 1, z[:, 0], -z[:, 0]))
    return (1 - of_truth) ** loss.focal_gamma * weighted_log_loss(LogLoss(), z, y)


def torch_cross_entropy(loss, z, y):
    weight = tensor(np.array(loss.class_weights)) if loss.class_weights else None
    own = F.cross_entropy(tensor(z), tensor(y), weight=weight, label_smoothing=loss.label_smoothing, reduction="none")
    return own.numpy()


def torch_poisson(loss, z, y):
    return F.poisson_nll_loss(tensor(z), tensor(y), log_input=True, full=False, reduction="none").numpy().mean(axis=1)


def pinball(loss, z, y):
    """scikit-learn's, of each row and level."""
    rows = [
        [mean_pinball_loss(label, [q], alpha=level) for level, q in zip(loss.levels, own, strict=True)]
        for label, own in zip(y, z, strict=True)
    ]
    return np.mean(rows, axis=1)


def lognormal(loss, z, y):
    """The negative log of SciPy's density; of an amount of 0, that of its probability."""
    above, sigma = expit(z[:, 0]), np.maximum(np.log1p(np.exp(z[:, 2])), 1e-3)
    density = stats.lognorm.logpdf(y[:, 0], s=sigma, scale=np.exp(z[:, 1]))
    return np.where(y[:, 0] > 0, -np.log(above) - density, -np.log1p(-above))


def torch_huber(loss, z, y):
    return F.huber_loss(tensor(z), tensor(y), delta=loss.delta, reduction="none").numpy().mean(axis=1)


CASES = {
    "log loss": (LogLoss(), Z, TRUTH, weighted_log_loss),
    "log loss, positives weighted": (LogLoss(positive_weight=3.5), Z, TRUTH, weighted_log_loss),
    "log loss, smoothed": (LogLoss(label_smoothing=0.2), Z, TRUTH, weighted_log_loss),
    "log loss, weighted and smoothed": (LogLoss(positive_weight=0.3, label_smoothing=0.4), Z, TRUTH, weighted_log_loss),
    "log loss, focal": (LogLoss(focal_gamma=2.0), Z, TRUTH, focal),
    "cross-entropy": (CrossEntropy(), Z3, CLASS, torch_cross_entropy),
    "cross-entropy, weighted": (CrossEntropy(class_weights=(0.5, 2.0, 0.0)), Z3, CLASS, torch_cross_entropy),
    "cross-entropy, smoothed": (CrossEntropy(label_smoothing=0.3), Z3, CLASS, torch_cross_entropy),
    "cross-entropy, weighted and smoothed": (
        CrossEntropy(class_weights=(0.5, 2.0, 1.0), label_smoothing=0.3),
        Z3,
        CLASS,
        torch_cross_entropy,
    ),
    "squared": (Squared(), Z2, NUMBERS, lambda loss, z, y: F.mse_loss(tensor(z), tensor(y), reduction="none").mean(1)),
    "absolute": (Absolute(), Z2, NUMBERS, lambda loss, z, y: F.l1_loss(tensor(z), tensor(y), reduction="none").mean(1)),
    "huber": (Huber(), Z2, NUMBERS, torch_huber),
    "huber, delta 0.3": (Huber(delta=0.3), Z2, NUMBERS, torch_huber),
    "huber, delta 50": (Huber(delta=50.0), Z2, NUMBERS, torch_huber),
    "poisson": (Poisson(), Z2, COUNT, torch_poisson),
    "quantile": (Quantile(), Z3, NUMBER, pinball),
    "quantile, one level": (Quantile(levels=(0.8,)), Z, NUMBER, pinball),
    "zero-inflated lognormal": (ZeroInflatedLognormal(), Z3, AMOUNT, lognormal),
}
"""By name: a loss, a head's outputs, labels, and what another library gives for them."""


def of_torch(loss, z, y, dtype="float64"):
    """ℓ of each row, and the slope of their sum along each output."""
    outputs = torch.tensor(z.astype(dtype), requires_grad=True)
    labels = tensor(y if y.dtype.kind == "i" else y.astype(dtype))
    rows = torch_losses.LOSSES[loss.kind](loss, outputs, labels)
    rows.sum().backward()
    return rows.numpy(force=True), outputs.grad.numpy()


def of_jax(loss, z, y, dtype="float64"):
    with scope(np.dtype(dtype), load_backend("jax").native_device("cpu")):
        labels = jnp.asarray(y if y.dtype.kind == "i" else y.astype(dtype))
        of_rows = jax.jit(lambda outputs: jax_losses.LOSSES[loss.kind](loss, outputs, labels))
        rows, back = jax.vjp(of_rows, jnp.asarray(z.astype(dtype)))
        return np.asarray(rows), np.asarray(back(jnp.ones_like(rows))[0])


BACKENDS = {"torch": of_torch, "jax": of_jax}
cases = pytest.mark.parametrize("case", CASES)


def judged(loss, z, y):
    """What `plain_losses` gives, of a task on its own."""
    kind = {LogLoss: "binary", CrossEntropy: "multiclass"}.get(type(loss), "regression")
    outputs = 3 if kind == "multiclass" else y.shape[1] if kind == "regression" else 1
    task = TaskSpec(name="a", kind=kind, outputs=outputs, loss=loss)
    return of_rows({"a": task}, task, {"a": z}, y)


@cases
@pytest.mark.parametrize("name", BACKENDS)
def test_values_and_slopes(name, case):
    """Values as another library's, slopes as an imaginary step's; and the NumPy judge is as good as that library."""
    loss, z, y, other = CASES[case]
    rows, slopes = BACKENDS[name](loss, z, y)
    np.testing.assert_allclose(rows, other(loss, z, y), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(judged(loss, z, y), rows, rtol=1e-12, atol=1e-14)
    for column in range(z.shape[1]):
        step = np.zeros(z.shape, complex)
        step[:, column] = 1e-30j
        expected = judged(loss, z + step, y).imag / 1e-30
        np.testing.assert_allclose(slopes[:, column], expected, rtol=1e-9, atol=1e-14)
        width = np.zeros(z.shape)
        width[:, column] = 1e-6
        around = (other(loss, z + width, y) - other(loss, z - width, y)) / 2e-6
        np.testing.assert_allclose(slopes[:, column], around, rtol=1e-5, atol=1e-7)


def test_every_loss_has_a_case_and_a_judge():
    assert {loss.kind for loss, *_ in CASES.values()} == set(LOSSES) == set(torch_losses.LOSSES)


FAR = np.array([-1e4, -800.0, -90.0, -1e-3, 0.0, 1e-30, 20.0, 22.0, 90.0, 800.0, 1e4])


def grid(columns):
    return np.stack([x.ravel() for x in np.meshgrid(*[FAR] * columns)], axis=1)


def far(loss, labels):
    """The outputs of a head far from 0, each with each of the labels."""
    columns = max(loss.width, 3 if loss.kind == "cross_entropy" else 1)
    z = grid(columns)
    if loss.kind == "poisson":
        z = z[z[:, 0] <= 80]  # beyond e^88, the loss itself is above the largest float32
    if loss.kind == "zero_inflated_lognormal":
        z = z[(np.abs(z[:, 1]) <= 1e3)]
    y = np.repeat(labels, len(z))
    z = np.tile(z, (len(labels), 1))
    return z, y if loss.kind in ("log_loss", "cross_entropy") else y[:, None]


LABELS = {
    "log_loss": np.array([0.0, 1.0]),
    "cross_entropy": np.array([0, 2]),
    "zero_inflated_lognormal": np.array([0.0, 1e-30, 1.0, 1e30]),
    "poisson": np.array([0.0, 1e-30, 1e20]),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@cases
def test_far_from_zero_all_is_finite_and_the_same(case, dtype):
    loss, *_ = CASES[case]
    z, y = far(loss, LABELS.get(loss.kind, np.array([-1e15, 0.0, 1e-30, 1e15])))
    (rows, slopes), (others, other_slopes) = (of(loss, z, y, dtype) for of in BACKENDS.values())
    if loss.kind == "squared":
        rows, others = rows[np.isfinite(rows)], others[np.isfinite(others)]
    for found in (rows, slopes, others, other_slopes):
        assert found.dtype == dtype
        assert np.isfinite(found).all()
    tolerance = {"float32": 2e-6, "float64": 1e-13}[dtype]
    np.testing.assert_allclose(rows, others, rtol=tolerance, atol=1e-35)
    # PyTorch finds the slope of a logsumexp by its value, which is rounded as a number of 1e4.
    rounded = 1e4 * np.finfo(dtype).eps if loss.kind == "cross_entropy" else tolerance
    np.testing.assert_allclose(slopes, other_slopes, rtol=tolerance * 5, atol=rounded)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_logit_of_the_wrong_side_is_the_loss_itself(dtype):
    """-log p of a p that rounds to 0: 1e4 and not infinite."""
    for of in BACKENDS.values():
        rows, slopes = of(LogLoss(positive_weight=2.0), np.array([[-1e4], [1e4]]), np.array([1.0, 0.0]), dtype)
        np.testing.assert_array_equal(rows, [2e4, 1e4])
        np.testing.assert_array_equal(slopes[:, 0], [-2.0, 1.0])


@pytest.mark.parametrize("loss", [Absolute(), Huber(), Quantile(levels=(0.3,))], ids=lambda loss: loss.kind)
def test_the_slope_where_the_prediction_is_the_label(loss):
    """0 of the absolute error and of Huber's; of the pinball loss that of a label below the prediction."""
    slopes = {name: of(loss, np.array([[2.0]]), np.array([[2.0]]))[1].item() for name, of in BACKENDS.items()}
    expected = 0.7 if loss.kind == "quantile" else 0.0
    assert slopes == dict.fromkeys(BACKENDS, pytest.approx(expected))


CHAIN = ModelSpec(
    numeric=1,
    trunk=(1,),
    tasks=(
        TaskSpec(name="c", kind="binary", given="b"),
        TaskSpec(name="a", kind="binary"),
        TaskSpec(name="b", kind="binary", given="a"),
    ),
)


def exact_logits(a, b):
    """log(pq / (1 - pq)) of two logits, to more digits than 1 - pq, about e^-800, has zeros behind the point."""
    with localcontext() as context:
        context.prec = 420
        p, q = (1 / (1 + (-Decimal(x)).exp()) for x in (a, b))
        return float((p * q / (1 - p * q)).ln())


PAIRS = [(a, b) for a in (-800.0, -40.0, -1.0, 0.0, 3.0, 40.0, 800.0) for b in (-800.0, -2.0, 0.0, 30.0, 800.0)]


def products(outputs):
    """The logits of the products in training, of each backend, and in prediction."""
    layout = layout_of(CHAIN)
    (head,) = layout.heads
    stacked = np.stack([outputs[task.name] for task in head.tasks])
    found = {"torch": torch_losses.unconditional(layout, [tensor(stacked)])[0].numpy()}
    with scope(stacked.dtype, load_backend("jax").native_device("cpu")):
        found["jax"] = np.asarray(jax_losses.unconditional(layout, [jnp.asarray(stacked)])[0])
    found = {name: {t.name: x for t, x in zip(head.tasks, own, strict=True)} for name, own in found.items()}
    return found | {"prediction": links.unconditional(CHAIN, outputs)}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_logit_of_a_product_is_the_exact_one(dtype):
    a, b = (np.array(column)[:, None] for column in zip(*PAIRS, strict=True))
    expected = np.array([exact_logits(*pair) for pair in PAIRS])[:, None]
    outputs = {"a": a.astype(dtype), "b": b.astype(dtype), "c": np.full(a.shape, 5.0, dtype)}
    of_three = np.array([exact_logits(pair, 5.0) for pair in expected[:, 0]])[:, None]
    for found in products(outputs).values():
        assert {x.dtype for x in found.values()} == {np.dtype(dtype)}
        np.testing.assert_array_equal(found["a"], outputs["a"])
        tolerance = {"float32": 1e-6, "float64": 1e-14}[dtype]
        np.testing.assert_allclose(found["b"], expected, rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(found["c"], of_three, rtol=tolerance, atol=tolerance)


def test_predictions_are_the_products_of_their_parts():
    logits = {name: DRAW.normal(0, 3, (ROWS, 1)) for name in "abc"}
    found = links.predictions(CHAIN, logits)
    assert list(found) == ["c", "c_given_b", "a", "b", "b_given_a"]
    np.testing.assert_allclose(found["a"], expit(logits["a"][:, 0]), rtol=1e-15)
    np.testing.assert_allclose(found["b"], found["a"] * found["b_given_a"], rtol=1e-13)
    np.testing.assert_allclose(found["c"], found["b"] * found["c_given_b"], rtol=1e-13)


def test_the_mean_of_a_zero_inflated_lognormal_is_scipys():
    task = TaskSpec(name="value", kind="regression", loss=ZeroInflatedLognormal())
    found = links.predictions(ModelSpec(numeric=1, trunk=(1,), tasks=(task,)), {"value": Z3})
    p, mu, sigma = (found[f"value_{part}"] for part in ("probability", "location", "scale"))
    np.testing.assert_allclose(p, expit(Z3[:, 0]), rtol=1e-15)
    np.testing.assert_allclose(sigma, np.log1p(np.exp(Z3[:, 2])), rtol=1e-13)
    np.testing.assert_allclose(found["value"][:, 0], p * stats.lognorm.mean(s=sigma, scale=np.exp(mu)), rtol=1e-12)
    assert math.isclose(links.lognormal_parts(np.array([[0.0, 0.0, -1e4]]))[2].item(), 1e-3)
