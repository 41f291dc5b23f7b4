"""What cannot be so in a checkpoint is named when it is opened, though all checksums are right.

It is set aside like any other damage: see tests/test_checkpoint_damage.py.
"""

import json
import shutil

import numpy as np
import pytest

from shared_bottom.checkpoint.folder import CheckpointWarning, load_checkpoint
from shared_bottom.checkpoint.format import CheckpointError
from spec import EarlyStopping, load_backend
from tests.helpers.checkpoints import DATA, MODEL, VALIDATION, assert_same_run, short, steps_saved
from tests.helpers.forged import edited, other_json, other_tensors, write_json
from tests.helpers.golden import FOLDERS

NEWEST = "step-00000015"
STOPPING = EarlyStopping(monitor="click", metric="auc", patience=3)


def fit(folder, **options):
    backend = load_backend("torch")
    train = short(backend, epochs=3, early_stopping=STOPPING)
    return backend.fit(MODEL, train, DATA, VALIDATION, checkpoint=folder, **options)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("alone")
    return folder, fit(folder)


@pytest.fixture
def folder(alone, tmp_path):
    return shutil.copytree(alone[0], tmp_path / "run")


def array(name, change):
    def apply(tensors):
        tensors[name] = change(tensors[name])

    return other_tensors(apply)


def number(name, value):
    """The array with `value` in the first place."""

    def change(numbers):
        numbers.flat[0] = value
        return numbers

    return array(name, change)


def in_run(name, **fields):
    return other_json(lambda text: text["run"][name].update(fields))


def without_best(folder):
    edited(best=None)(folder)
    other_tensors(lambda tensors: [tensors.pop(name) for name in list(tensors) if name.startswith("best.")])(folder)


def repeated(folder):
    text = json.loads((folder / "checkpoint.json").read_text())
    write_json(folder, json.dumps(text).replace('"epoch": 3,', '"epoch": 2, "epoch": 3,', 1))


ARRAY = {"dtype": "<f8", "shape": [7, 3], "sha256": ""}
JSON, TENSORS = r"checkpoint\.json: ", r"tensors\.safetensors: "
FORGED = {
    "a step less": (edited(step=14), rf"{JSON}epoch: expected 2, of 5 steps each, got 3"),
    "no step": (edited(step=0), rf"{JSON}step: "),
    "an epoch less": (edited(epoch=2), rf"{JSON}epoch: expected 3, of 5 steps each, got 2"),
    "no epoch": (edited(epoch=0), rf"{JSON}epoch: expected 3, "),
    "a negative epoch": (edited(epoch=-5), rf"{JSON}epoch: .*, got -5"),
    "fewer epochs than are done": (in_run("train", epochs=2), rf"{JSON}step: expected at most 10, .* got 15"),
    "another batch size": (in_run("train", batch_size=4), rf"{JSON}epoch: expected 1, of 9 steps each, got 3"),
    "no rows": (
        in_run("data", numeric=ARRAY | {"shape": []}),
        rf"{JSON}run\.data\.numeric\.shape: ",
    ),
    "rows of two numbers": (
        in_run("data", numeric=ARRAY),
        rf"{JSON}run: data: expected arrays of as many rows, got \[7, 36\]",
    ),
    "no data": (
        other_json(lambda text: text["run"].update(data={})),
        rf"{JSON}run: data: expected arrays",
    ),
    "an unknown execution": (edited(execution="fast"), rf"{JSON}execution: .*, got 'fast'"),
    "an unknown device": (edited(device="tpu"), rf"{JSON}device: .*, got 'tpu'"),
    "no best": (without_best, rf"{JSON}best: expected the epoch, the step and the value \(.*\), got None"),
    "another best epoch": (other_json(lambda text: text["best"].update(epoch=2**31 - 1)), rf"{JSON}best: expected"),
    "another best step": (other_json(lambda text: text["best"].update(step=1)), rf"{JSON}best: expected"),
    "another best value": (other_json(lambda text: text["best"].update(value=0.0)), rf"{JSON}best: expected"),
    "a best value that is NaN": (other_json(lambda text: text["best"].update(value="NaN")), rf"{JSON}best\.value: "),
    "a name twice": (repeated, rf"{JSON}expected JSON with a field format, got .* distinct names, got 'epoch' twice"),
    "an unknown task": (
        other_tensors(lambda t: t.update({"epochs.task_loss.buy": t["epochs.loss"]})),
        rf"{TENSORS}epochs\.task_loss\.buy: expected none, got \(\(3,\), 'float64'\)",
    ),
    "an unknown metric": (
        other_tensors(lambda t: t.update({"epochs.metrics.click.rmse": t["epochs.loss"]})),
        rf"{TENSORS}epochs\.metrics\.click\.rmse: expected none, ",
    ),
    "a metric less": (
        other_tensors(lambda t: t.pop("epochs.metrics.click.auc")),
        rf"{TENSORS}epochs\.metrics\.click\.auc: ",
    ),
    "shorter epochs": (array("epochs.loss", lambda a: a[:2]), rf"{TENSORS}epochs\.loss: expected \(\(3,\)"),
    "empty epochs": (array("epochs.seconds", lambda a: a[:0]), rf"{TENSORS}epochs\.seconds: expected \(\(3,\)"),
    **{
        f"{name} {value}": (number(name, value), rf"{TENSORS}{name}: expected .*, got {value}".replace("+", r"\+"))
        for name, values in {
            "epochs.seconds": (np.inf, np.nan, 1e300, -1.0),
            "epochs.loss": (np.nan, np.inf),
            "epochs.task_loss.price": (-np.inf,),
            "history.step_loss": (np.nan,),
            "history.task_loss.click": (np.inf,),
            "params.trunk.0.kernel": (np.nan,),
            "best.trunk.0.kernel": (np.inf,),
            "slots.mu.trunk.0.bias": (np.inf,),
            "slots.nu.trunk.0.bias": (np.inf, np.nan, -1.0),
        }.items()
        for value in values
    },
    "another value that was watched": (number("epochs.monitor", 0.0), rf"{JSON}best: expected"),
    "none that was watched": (array("epochs.monitor", lambda a: a * np.nan), rf"{JSON}best: expected .* None, got \("),
}


@pytest.mark.parametrize(("forge", "words"), FORGED.values(), ids=FORGED)
def test_it_is_named_and_set_aside_and_the_one_before_is_used(alone, folder, forge, words):
    assert steps_saved(folder) == [5, 10, 15]
    forge(folder / NEWEST)
    with pytest.raises(CheckpointError, match=f"{NEWEST}: {words}") as caught:
        load_checkpoint(folder / NEWEST)
    assert "\n" not in str(caught.value)
    with pytest.warns(
        CheckpointWarning, match=rf"{NEWEST}: .* set aside as {NEWEST}\.damaged, .*step-00000010 is used"
    ):
        assert_same_run(fit(folder, resume=True), alone[1])


@pytest.fixture
def old(tmp_path):
    return shutil.copytree(FOLDERS[2] / "jax-adam" / "step-00000008", tmp_path / "step-00000008")


def record(**fields):
    return other_json(lambda text: text["epochs"][1].update(fields))


LOSSES = {"click": 0.1, "größe": 0.2, "region": 0.3}
FORGED_BEFORE = {
    "no records": (edited(epochs=[]), r"epochs: expected 2 entries, got 0"),
    "fewer records": (other_json(lambda text: text["epochs"].pop()), r"epochs: expected 2 entries, got 1"),
    "no list": (edited(epochs=None), r"epochs: "),
    "a record twice": (
        other_json(lambda text: text["epochs"].__setitem__(1, text["epochs"][0])),
        r"epochs\.1: expected epoch 2 and step 6, got 1 and 3",
    ),
    "another number": (record(epoch=-5), r"epochs\.1: expected epoch 2 and step 6, got -5 and 6"),
    "another step": (record(step=7), r"epochs\.1: expected epoch 2 and step 6, got 2 and 7"),
    "a field more": (record(colour=1.0), r"epochs\.1\.colour: unexpected field, got 1\.0"),
    "a field less": (
        other_json(lambda text: text["epochs"][1].pop("monitor")),
        r"epochs\.1\.monitor: expected a number",
    ),
    "a task more": (record(task_loss=LOSSES | {"buy": 0.4}), r"epochs\.1\.task_loss\.buy: expected none, got one"),
    "a task less": (record(task_loss={"click": 0.1}), r"epochs\.1\.task_loss\.größe: expected a number, got none"),
    "another metric": (record(metrics={"click": {"f1": 0.5}}), r"epochs\.1\.metrics\.click\.auc: expected a number"),
    "infinite seconds": (
        record(seconds="Infinity"),
        r"epochs\.seconds: expected finite numbers from 0 to 1e\+09, got inf",
    ),
    "endless seconds": (record(seconds=1e300), r"epochs\.seconds: expected .*, got 1e\+300"),
    "a loss that is NaN": (record(loss="NaN"), r"epochs\.loss: expected finite numbers, got nan"),
    "another best epoch": (other_json(lambda text: text["best"].update(epoch=2)), r"best: expected .*\(1, 3, 0\.8"),
}


@pytest.mark.parametrize(("forge", "words"), FORGED_BEFORE.values(), ids=FORGED_BEFORE)
def test_it_is_named_in_the_records_of_an_older_version_too(old, forge, words):
    forge(old)
    with pytest.raises(CheckpointError, match=rf"{JSON}{words}") as caught:
        load_checkpoint(old)
    assert "\n" not in str(caught.value)


def test_another_number_of_epochs_is_no_damage(alone, folder):
    """Who resumes may change it, where the learning rate does not decay."""
    in_run("train", epochs=6)(folder / NEWEST)
    assert_same_run(fit(folder, resume=True), alone[1])


def test_where_training_goes_on_after_divergence_numbers_may_be_anything(folder):
    in_run("train", on_divergence="continue")(folder / NEWEST)
    number("history.step_loss", np.nan)(folder / NEWEST)
    number("slots.nu.trunk.0.bias", np.inf)(folder / NEWEST)
    assert np.isnan(load_checkpoint(folder / NEWEST).history.step_loss[0])
