"""How the tasks' losses are weighed against each other while the network trains.

In all of them L_t is the loss of task t before any weight, w_t its weight in the spec, and a task without a label in a
step has no part in that step. The history says by which factor each task's loss counted at each step.
"""

from typing import ClassVar, Literal

from spec.classes import spec_class
from spec.validation import Finite, NonNegative, Positive

GRADNORM_FLOOR = 1e-3
"""Least factor of a task by GradNorm, before the scaling: the descent may step below 0, which the paper leaves open."""


@spec_class
class Fixed:
    """The total loss is Σ_t w_t·L_t."""

    kind: Literal["fixed"] = "fixed"
    changes_weights: ClassVar = False
    """Whether the factors change from step to step."""
    learned: ClassVar[tuple[str, ...]] = ()
    """Numbers, one a task, that the optimizer trains like parameters."""
    state: ClassVar[tuple[str, ...]] = ()
    """Numbers, one a task, that are kept from step to step besides."""


@spec_class
class UncertaintyWeighting:
    """Each task's noise σ_t is learned with the network  (Kendall, Gal & Cipolla, CVPR 2018, eq. 7 and 10).

    With s_t = log σ_t², the log-variance that they advise to learn, the total loss is
    Σ_t w_t·(c_t·exp(-s_t)·L_t + s_t/2), where c_t is 1/2 for the squared error, whose likelihood is Gaussian (eq. 7),
    and 1 for every other loss, taken as the energy of a Boltzmann distribution as they take a softmax's (eq. 10). The
    s_t are parameters like others: the optimizer's slots, clipping, weight decay and schedule are theirs too.

    It is made for losses of 0 or more. Where one falls below 0, as `poisson` and `zero_inflated_lognormal` do once they
    predict well, exp(-s_t)·L_t has no lower bound and outgrows the others: balance these in another way.
    """

    kind: Literal["uncertainty"] = "uncertainty"
    initial_log_variance: Finite = 0.0
    """Of every task; 0 is σ = 1."""
    changes_weights: ClassVar = True
    learned: ClassVar[tuple[str, ...]] = ("log_variance",)
    state: ClassVar[tuple[str, ...]] = ()


@spec_class
class DynamicWeightAverage:
    """A task whose loss falls more slowly counts for more  (Liu, Johns & Davison, CVPR 2019, eq. 7).

    In epoch e the factor is w_t·K·softmax_t(r_t / temperature), with K tasks and r_t the ratio of the task's mean loss
    in epoch e-1 to that in e-2, steps without a label of the task counting as 0, as in the history; r_t is 1 in the
    first two epochs, and where the older loss is not above 0, as that of `poisson` need not be.
    """

    kind: Literal["dwa"] = "dwa"
    temperature: Positive = 2.0
    """Higher makes the factors more alike."""
    changes_weights: ClassVar = True
    learned: ClassVar[tuple[str, ...]] = ()
    state: ClassVar[tuple[str, ...]] = ("sum", "last", "older")


@spec_class
class GradNorm:
    """Gradients of like size, larger for tasks that lag behind  (Chen et al., ICML 2018, eq. 1 and 2, algorithm 1).

    G_t = ‖∇_W v_t·w_t·L_t‖ is the norm on W, the kernel of the last shared layer that training moves: see
    `spec.sharing`. Each step moves the factors v_t, from 1, down the slope of Σ_t |G_t - mean(G)·r_t^alpha|, the target
    held constant, and scales them to a sum of K tasks. r_t is the task's L_t / L_t(first step with a label and a loss
    above 0), or 1 while L_t is below 0, as `poisson` and the negative log of a density may be; divided by the mean over
    the tasks. The total loss is Σ_t v_t·w_t·L_t. The step is one of plain gradient descent, and before the scaling no
    v_t is below GRADNORM_FLOOR.
    Takes a backward pass for each task.
    """

    kind: Literal["gradnorm"] = "gradnorm"
    alpha: NonNegative = 1.5
    """How strongly the tasks are pulled to one rate of training."""
    learning_rate: Positive = 0.025
    """Of the factors."""
    changes_weights: ClassVar = True
    learned: ClassVar[tuple[str, ...]] = ()
    state: ClassVar[tuple[str, ...]] = ("factor", "first_loss")


@spec_class
class PCGrad:
    """Conflicting gradients are projected onto each other's normal plane  (Yu et al., NeurIPS 2020, algorithm 1).

    On all that training moves and more than one task's loss depends on (`spec.params.shared_parameters`),
    g_t = ∇ w_t·L_t, and for each other task u in random order, where g_t·g_u < 0 with g_u as it was,
    g_t -= (g_t·g_u / ‖g_u‖²)·g_u. The update is Σ_t g_t; the gradient of what serves one task alone, as its head does,
    is that task's. The order comes from `spec.random.projection_order`. Takes a backward pass for each task.
    """

    kind: Literal["pcgrad"] = "pcgrad"
    changes_weights: ClassVar = False
    learned: ClassVar[tuple[str, ...]] = ()
    state: ClassVar[tuple[str, ...]] = ()


Balancing = Fixed | UncertaintyWeighting | DynamicWeightAverage | GradNorm | PCGrad
