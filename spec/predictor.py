"""The contract of a predictor: a network that a backend has built once, and that predicts as often as it is asked."""

import abc

from spec.data import Dataset
from spec.params import Params


class Predictor(abc.ABC):
    """A network with its parameters on its device: see `Backend.predictor`.

    Each method raises ValueError as `Dataset.check` does if the rows do not fit the network; labels are not needed. Any
    number of rows may come. Several threads may ask at once.
    """

    @abc.abstractmethod
    def predict(self, data: Dataset) -> Params:
        """By task: binary (N,) probability, regression (N, outputs), multiclass (N, outputs) probabilities.

        For a regression task with quantiles (N, levels); with loss poisson or zero_inflated_lognormal, the mean. A task
        that is given another has the probability of both, and that of itself given the other beside it, under
        <task>_given_<other>; zero_inflated_lognormal has <task>_probability, <task>_location and <task>_scale beside
        the mean: the p, μ and σ of its docstring, (N,) each.
        """

    @abc.abstractmethod
    def gates(self, data: Dataset) -> Params:
        """The weights that each gate gives to its experts: (N, experts), by the name of its kernel without .kernel.

        Those of a row add up to 1. Empty if the way of sharing has no gates.
        """

    @abc.abstractmethod
    def trunk_outputs(self, data: Dataset) -> Params:
        """What the head of each task takes: (N, width), by task.

        It is the output of the trunk, the same for all tasks where they share one, or the task's mixture of experts.
        """
