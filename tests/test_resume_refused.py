"""A run is not resumed as another one: what differs is listed, and nothing is touched."""

import hashlib
import re
from dataclasses import replace

import numpy as np
import pytest

from shared_bottom.checkpoint.folder import load_checkpoint
from spec import Adam, EarlyStopping, Schedule
from tests.helpers.checkpoints import DATA, MODEL, VALIDATION, short, steps_saved

STOPPING = EarlyStopping(monitor="price")


@pytest.fixture
def base(backend):
    return short(backend, optimizer=Adam(learning_rate=0.01), epochs=1, early_stopping=STOPPING)


@pytest.fixture
def saved(backend, base, tmp_path):
    backend.fit(MODEL, base, DATA, VALIDATION, checkpoint=tmp_path)
    return tmp_path


def other_labels():
    price = DATA.labels["price"].copy()
    price[3, 1] += 1e-15
    return replace(DATA, labels=DATA.labels | {"price": price})


OTHERS = {
    "a width": ({"model": replace(MODEL, trunk=(5,))}, [r"model\.trunk: \[4\] saved, \[5\] now"]),
    "a task's weight": (
        {"model": replace(MODEL, tasks=(replace(MODEL.tasks[0], weight=2.0), MODEL.tasks[1]))},
        ["model.tasks.0.weight: 1.0 saved, 2.0 now"],
    ),
    "the rate": ({"optimizer": Adam(learning_rate=0.02)}, ["train.optimizer.learning_rate: 0.01 saved, 0.02 now"]),
    "two at once": (
        {"seed": 2, "clip_norm": 1.0},
        ["train.clip_norm: None saved, 1.0 now", "train.seed: 1 saved, 2 now"],
    ),
    "the schedule": (
        {"schedule": Schedule(kind="linear"), "epochs": 2},
        ["train.schedule.kind: constant saved, linear now", "train.epochs: 1 saved, 2 now"],
    ),
    "the embedding updates": ({"embedding_updates": "lazy"}, ["train.embedding_updates: dense saved, lazy now"]),
    "the batch": ({"batch_size": 9}, ["train.batch_size: 8 saved, 9 now"]),
    "the precision": ({"precision": "float64"}, ["train.precision: float32 saved, float64 now"]),
    "the monitor": (
        {"early_stopping": replace(STOPPING, metric="mae")},
        ["train.early_stopping.metric: None saved, mae now"],
    ),
    "one label's last bits": ({"data": other_labels()}, [r"data.labels.price.sha256: \w{64} saved, \w{64} now"]),
    "a type": (
        {"data": replace(DATA, numeric=DATA.numeric.astype(np.float32))},
        ["data.numeric.dtype: <f8 saved, <f4 now", r"data.numeric.sha256: \w+ saved, \w+ now"],
    ),
    "the rows": (
        {"data": DATA.take(slice(35))},
        [r"data.numeric.shape: \[36, 3\] saved, \[35, 3\] now", r"data.labels.click.shape: \[36\] saved, \[35\] now"],
    ),
    "weights": (
        {"data": replace(DATA, sample_weight=np.ones(36))},
        ["data.sample_weight.dtype: nothing saved, <f8 now", "data.sample_weight.shape"],
    ),
    "weights of a task": (
        {"data": replace(DATA, task_weight={"price": np.ones(36)})},
        ["data.task_weight.price.dtype: nothing saved, <f8 now", "data.task_weight.price.shape"],
    ),
    "a masked label": (
        {
            "data": replace(
                DATA, labels=DATA.labels | {"click": np.ma.array(DATA.labels["click"], mask=np.arange(36) == 1)}
            )
        },
        ["data.labels.click.mask.shape: nothing saved"],
    ),
    "the validation rows": ({"validation": DATA}, [r"validation.numeric.shape: \[20, 3\] saved, \[36, 3\] now"]),
}


@pytest.mark.parametrize(("changes", "listed"), OTHERS.values(), ids=OTHERS)
def test_another_run_is_refused_and_each_field_that_differs_listed(backend, base, saved, changes, listed):
    fields = dict(changes)
    arguments = [fields.pop("model", MODEL), fields.pop("data", DATA), fields.pop("validation", VALIDATION)]
    model, data, validation = arguments
    before = {path: path.read_bytes() for path in saved.rglob("*.*") if path.is_file()}
    with pytest.raises(ValueError, match=r"^resume: expected the run of .*step-00000005, got another: ") as caught:
        backend.fit(model, replace(base, **fields), data, validation, checkpoint=saved, resume=True)
    message = str(caught.value)
    assert "\n" not in message
    assert [line for line in listed if not re.search(line, message)] == []
    unexpected = {"device", "execution", "patience", "on_divergence"}
    assert not {part.split(": ")[0].rpartition(".")[2] for part in message.split("; ")} & unexpected
    assert {path: path.read_bytes() for path in saved.rglob("*.*") if path.is_file()} == before


def test_a_numpy_that_shuffles_otherwise_is_told(backend, base, saved, monkeypatch):
    """The seed and the rows are the same, and yet the order is another: then NumPy is, too."""
    before = np.arange(36)[::-1]
    monkeypatch.setattr("shared_bottom.checkpoint.identity.row_order", lambda seed, epoch, rows: before)
    now = hashlib.sha256(before.astype("<i8").tobytes()).hexdigest()
    said = (
        rf"got another: order: \w{{64}} saved, {now} now: of the same seed, this version of NumPy makes another order"
    )
    with pytest.raises(ValueError, match=said):
        backend.fit(MODEL, replace(base, epochs=2), DATA, VALIDATION, checkpoint=saved, resume=True)
    with pytest.raises(ValueError, match=r"got another: train\.seed: 1 saved, 2 now$"):
        backend.fit(MODEL, replace(base, seed=2), DATA, VALIDATION, checkpoint=saved, resume=True)


def test_rows_that_are_not_shuffled_have_no_order_to_compare(backend, base, tmp_path, monkeypatch):
    train = replace(base, shuffle=False)
    backend.fit(MODEL, train, DATA, VALIDATION, checkpoint=tmp_path)
    monkeypatch.setattr("shared_bottom.checkpoint.identity.row_order", None)
    resumed = backend.fit(MODEL, replace(train, epochs=2), DATA, VALIDATION, checkpoint=tmp_path, resume=True)
    assert load_checkpoint(tmp_path).run.order is None
    assert len(resumed.history.epochs) == 2


def test_what_no_step_depends_on_may_differ(backend, base, saved):
    other = replace(
        base,
        device="auto",
        execution="auto",
        on_divergence="continue",
        early_stopping=replace(STOPPING, patience=7),
        epochs=2,
    )
    resumed = backend.fit(MODEL, other, DATA, VALIDATION, checkpoint=saved, resume=True)
    assert len(resumed.history.step_loss) == 10


def test_a_folder_with_a_run_in_it_is_not_overwritten(backend, base, saved):
    with pytest.raises(ValueError, match=r"checkpoint: expected a folder without checkpoints, or resume=True, got '"):
        backend.fit(MODEL, base, DATA, VALIDATION, checkpoint=saved)
    assert steps_saved(saved) == [5]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"save_every": 3}, "save_every: expected the folder checkpoint with it, got none"),
        ({"resume": True}, "resume: expected the folder checkpoint with it, got none"),
        *(
            ({"checkpoint": "run", "save_every": value}, rf"save_every: expected an integer.* got {value!r}")
            for value in (0, -1, 2.0, True, "3")
        ),
        *(({"checkpoint": "run", "keep": v}, rf"keep: expected an integer.* got {v!r}") for v in (0, None, 1.5)),
        ({"checkpoint": "run", "resume": "yes"}, "resume: expected True or False, got 'yes'"),
        *(
            ({"timeout": value}, f"timeout: expected a number of seconds above 0, got {value!r}")
            for value in (0, -1.0, float("nan"), float("inf"), True, "3", None)
        ),
        ({"checkpoint": 3}, "checkpoint: expected the path of a folder, got 3"),
        ({"checkpoint": __file__}, "checkpoint: expected a folder to write in, got '.*refused.py': File exists"),
    ],
)
def test_options_that_make_no_sense(backend, monkeypatch, tmp_path, options, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(backend, "trainer", None)  # no work is done
    with pytest.raises(ValueError, match=message):
        backend.fit(MODEL, short(backend), DATA, **options)
    assert list(tmp_path.iterdir()) == []


SAME_RATES = {
    "a decay to where it began": Schedule(kind="linear", final=1.0),
    "a warm-up that goes on": Schedule(kind="cosine", warmup_steps=1000),
}


@pytest.mark.parametrize("schedule", SAME_RATES.values(), ids=SAME_RATES)
def test_epochs_may_differ_where_no_step_that_is_done_has_another_rate(backend, base, tmp_path, schedule):
    base = replace(base, schedule=schedule)
    whole = backend.fit(MODEL, replace(base, epochs=2), DATA, VALIDATION)
    backend.fit(MODEL, base, DATA, VALIDATION, checkpoint=tmp_path)
    resumed = backend.fit(MODEL, replace(base, epochs=2), DATA, VALIDATION, checkpoint=tmp_path, resume=True)
    np.testing.assert_array_equal(resumed.history.step_loss, whole.history.step_loss)
    with pytest.raises(ValueError, match=r"^train.epochs: expected no fewer steps than the 10 that are done, got 5$"):
        backend.fit(MODEL, base, DATA, VALIDATION, checkpoint=tmp_path, resume=True)
