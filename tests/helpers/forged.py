"""Checkpoints changed by hand, with their checksums made anew."""

import hashlib
import json

from safetensors.numpy import load, save


def sums(folder):
    """Makes the checksums right again, as one who forges a checkpoint would."""
    text = json.loads((folder / "checkpoint.json").read_text())
    text["tensors_sha256"] = hashlib.sha256((folder / "tensors.safetensors").read_bytes()).hexdigest()
    write_json(folder, json.dumps(text))


def write_json(folder, text):
    """Writes the text as the JSON file, with its checksum."""
    (folder / "checkpoint.json").write_text(text)
    digest = hashlib.sha256((folder / "checkpoint.json").read_bytes()).hexdigest()
    (folder / "checkpoint.sha256").write_text(f"{digest}  checkpoint.json\n")


def edited(**fields):
    """Other values of fields of the JSON file."""

    def damage(folder):
        text = json.loads((folder / "checkpoint.json").read_text())
        write_json(folder, json.dumps(text | fields))

    return damage


def other_json(change):
    """The JSON file's content as `change` leaves it."""

    def damage(folder):
        text = json.loads((folder / "checkpoint.json").read_text())
        change(text)
        write_json(folder, json.dumps(text))

    return damage


def other_tensors(change):
    """The arrays, by name, as `change` leaves them."""

    def damage(folder):
        tensors = {name: array.copy() for name, array in load((folder / "tensors.safetensors").read_bytes()).items()}
        change(tensors)
        (folder / "tensors.safetensors").write_bytes(save(tensors))
        sums(folder)

    return damage
