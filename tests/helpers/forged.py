"""Checkpoints changed by hand, with their checksums made anew."""

import hashlib
import json

from safetensors.numpy import load, save


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def sums(folder):
    """Makes the checksums right again, as one who forges a checkpoint would."""
    text = json.loads((folder / "checkpoint.json").read_text())
    text["tensors_sha256"] = digest(folder / "tensors.safetensors")
    text["segments"] = {file: digest(folder / file) for file in text["segments"]}
    write_json(folder, json.dumps(text))


def write_json(folder, text):
    """Writes the text as the JSON file, with its checksum."""
    (folder / "checkpoint.json").write_text(text)
    (folder / "checkpoint.sha256").write_text(f"{digest(folder / 'checkpoint.json')}  checkpoint.json\n")


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


def other_tensors(change, file="tensors.safetensors"):
    """The arrays of a file, by name, as `change` leaves them; other links to the file keep its content."""

    def damage(folder):
        tensors = {name: array.copy() for name, array in load((folder / file).read_bytes()).items()}
        change(tensors)
        (folder / file).unlink()
        (folder / file).write_bytes(save(tensors))
        sums(folder)

    return damage
