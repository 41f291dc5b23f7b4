"""What part of each batch a process has: its rows, and what fills them up where they cannot be divided."""

from dataclasses import replace

import numpy as np
import pytest

from backends.batches import BatchSource
from backends.layout import layout_of
from backends.parts import part_of, rows_axis
from shared_bottom.run.calls import epoch_calls
from spec import TrainSpec, UncertaintyWeighting, learning_rates
from spec.training import WHOLE, Part

ROW_ARRAYS = ("numeric", "categorical", "labels", "shares")
TRAIN = TrainSpec(batch_size=8, precision="float64", balancing=UncertaintyWeighting(), embedding_updates="lazy")


@pytest.fixture
def layout(model):
    return layout_of(replace(model, dropout=0.1), TRAIN.batch_size)


@pytest.fixture
def batches(layout, data):
    """Two batches of 8 rows and one of 4, with all that comes with them."""
    (call,) = epoch_calls(TRAIN, BatchSource(layout, data, 8, "float64"), 0, learning_rates(TRAIN, 3))
    return call


def joined(parts, layout, name):
    axis = rows_axis(layout, name)
    return np.concatenate([part[name] for part in parts], axis=axis + 1)


@pytest.mark.parametrize("processes", [1, 2, 3, 5, 8, 9, 20])
def test_the_parts_together_are_the_batch(layout, batches, processes):
    """Filled up with rows of the batch, of share 0, to a multiple of the parts."""
    parts = [part_of(layout, batches, Part(rank, 1, processes)) for rank in range(processes)]
    each = -(-8 // processes)
    for name, whole in batches.items():
        axis = rows_axis(layout, name)
        if axis is None:
            for part in parts:
                np.testing.assert_array_equal(part[name], whole)
            continue
        rows = joined(parts, layout, name)
        assert {part[name].shape[axis + 1] for part in parts} == {each}
        np.testing.assert_array_equal(rows.take(range(8), axis + 1), whole)
        fill = rows.take(range(8, each * processes), axis + 1)
        if name.startswith("shares."):
            assert not fill.any()
        else:
            last = whole.take([7], axis + 1)
            np.testing.assert_array_equal(fill, np.broadcast_to(last, fill.shape))


def test_a_process_has_the_rows_of_all_its_devices(layout, batches):
    """Of six parts, the first process has four, and the second has two."""
    whole = part_of(layout, batches, Part(0, 6, 6))
    parts = [part_of(layout, batches, Part(0, 4, 6)), part_of(layout, batches, Part(4, 2, 6))]
    for name in ("numeric", "categorical", "labels.0", "shares.0", "shares.1"):
        np.testing.assert_array_equal(joined(parts, layout, name), whole[name])
        assert [part[name].shape[rows_axis(layout, name) + 1] for part in parts] == [8, 4]


def test_presence_is_that_of_the_whole_batch(layout, model, data):
    """In the layout's order, though the rows of a part, or those of all parts, have no label of a task."""
    labels = {**data.labels, "span": np.full(data.rows, np.nan), "click": np.full(data.rows, np.nan)}
    labels["click"][2] = 1.0
    batches = BatchSource(layout, replace(data, labels=labels), 8, "float64").take(np.arange(16))
    tasks = [task.name for task in layout.tasks]
    for rank in range(2):
        present = part_of(layout, batches, Part(rank, 1, 2))["present"]
        assert (present.shape, present.dtype) == ((2, len(model.tasks)), np.float64)
        np.testing.assert_array_equal(present[:, tasks.index("span")], [0, 0])
        np.testing.assert_array_equal(present[:, tasks.index("click")], [1, 0])
        np.testing.assert_array_equal(present[:, tasks.index("price")], [1, 1])


def test_the_whole_is_left_as_it_is(layout, batches):
    assert part_of(layout, batches, WHOLE) is batches


def test_the_batches_themselves_are_not_written_to(layout, batches):
    """Those of uniform shares are kept for the next epoch."""
    before = {name: array.copy() for name, array in batches.items()}
    part_of(layout, batches, Part(2, 1, 3))
    for name, array in before.items():
        np.testing.assert_array_equal(batches[name], array)


def test_which_arrays_have_the_rows(layout, batches):
    """The rows of a head that is tied stand behind its tasks."""
    tied = {f"{kind}.{i}" for i, head in enumerate(layout.heads) if head.tied for kind in ("labels", "shares")}
    assert tied
    assert {name: rows_axis(layout, name) for name in batches} == {
        name: int(name in tied) if name.partition(".")[0] in ROW_ARRAYS else None for name in batches
    }
