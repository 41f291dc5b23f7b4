"""The Shared-Bottom multi-task network, described once: no framework is imported here."""

from spec import presets
from spec.backend import Backend, backend_names, load_backend
from spec.balancing import DynamicWeightAverage, Fixed, GradNorm, PCGrad, UncertaintyWeighting
from spec.classes import SpecError
from spec.columns import CategoricalColumn, LabelColumn, NumericColumn, TimeColumn
from spec.data import Dataset
from spec.files import Experiment, from_json, from_toml, json_schema, read_experiment, to_json, to_toml
from spec.losses import (
    Absolute,
    CrossEntropy,
    Huber,
    LogLoss,
    Poisson,
    Quantile,
    Squared,
    ZeroInflatedLognormal,
)
from spec.model import CategoricalFeature, ModelSpec, NetworkSpec
from spec.optimizers import SGD, Adagrad, Adam, AdamW, RMSprop
from spec.params import initial_params, parameter_shapes
from spec.predictor import Predictor
from spec.results import DivergenceError, Epoch, Fitted, History
from spec.sharing import PLE, MMoE, Separate, SharedBottom
from spec.table import TableExperiment, TableSpec
from spec.tasks import TaskSpec
from spec.training import EarlyStopping, Schedule, TrainSpec, learning_rates

__all__ = [
    "PLE",
    "SGD",
    "Absolute",
    "Adagrad",
    "Adam",
    "AdamW",
    "Backend",
    "CategoricalColumn",
    "CategoricalFeature",
    "CrossEntropy",
    "Dataset",
    "DivergenceError",
    "DynamicWeightAverage",
    "EarlyStopping",
    "Epoch",
    "Experiment",
    "Fitted",
    "Fixed",
    "GradNorm",
    "History",
    "Huber",
    "LabelColumn",
    "LogLoss",
    "MMoE",
    "ModelSpec",
    "NetworkSpec",
    "NumericColumn",
    "PCGrad",
    "Poisson",
    "Predictor",
    "Quantile",
    "RMSprop",
    "Schedule",
    "Separate",
    "SharedBottom",
    "SpecError",
    "Squared",
    "TableExperiment",
    "TableSpec",
    "TaskSpec",
    "TimeColumn",
    "TrainSpec",
    "UncertaintyWeighting",
    "ZeroInflatedLognormal",
    "backend_names",
    "from_json",
    "from_toml",
    "initial_params",
    "json_schema",
    "learning_rates",
    "load_backend",
    "parameter_shapes",
    "presets",
    "read_experiment",
    "to_json",
    "to_toml",
]
