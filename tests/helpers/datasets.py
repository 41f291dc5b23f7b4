"""Four rows that fit a model, and the same with something changed."""

from dataclasses import replace

import numpy as np

from spec import CategoricalFeature, Dataset, ModelSpec, TaskSpec

NAN = np.nan
MODEL = ModelSpec(
    numeric=2,
    categorical=(
        CategoricalFeature(name="colour", vocabulary=3, dimension=2),
        CategoricalFeature(name="size", vocabulary=5, dimension=2),
    ),
    trunk=(4,),
    tasks=(
        TaskSpec(name="click", kind="binary"),
        TaskSpec(name="price", kind="regression"),
        TaskSpec(name="span", kind="regression", outputs=2),
        TaskSpec(name="region", kind="multiclass", outputs=4),
    ),
)
LISTS = replace(
    MODEL,
    categorical=(
        CategoricalFeature(name="tags", vocabulary=3, dimension=2, length=2),
        CategoricalFeature(name="size", vocabulary=5, dimension=2),
    ),
)
"""The same model with a feature of up to two ids."""


def fitting(*, labels=None, **arrays):
    """Four rows that fit, but for the arrays given; a label given as None is left out."""
    defaults = {
        "numeric": np.linspace(-1.0, 1.0, 8).reshape(4, 2),
        "categorical": np.array([[0, 0], [1, 4], [2, 2], [0, 3]]),
    }
    default_labels = {
        "click": np.array([0.0, 1.0, NAN, 1.0]),
        "price": np.array([1.5, -2.0, NAN, 0.0]),
        "span": np.array([[0.0, 1.0], [NAN, 2.0], [3.0, 4.0], [5.0, 6.0]]),
        "region": np.array([0, 3, -1, 2]),
    }
    merged = {name: label for name, label in (default_labels | (labels or {})).items() if label is not None}
    return Dataset(**(defaults | {"labels": merged} | arrays))


def changed(array, place, value):
    """A copy of the array with another value at a place."""
    array = np.array(array)
    array[place] = value
    return array
