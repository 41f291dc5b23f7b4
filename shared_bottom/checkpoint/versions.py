"""The versions of the format of a checkpoint: which is written, and how an older one is read as if it were that.

1   the first
2   has epochs[].step, and run.order, which stays unknown of a checkpoint of version 1
"""

import math
from typing import Any

FORMAT = 2
"""The version that is written."""


def from_version_1(fields: dict[str, Any]) -> dict[str, Any]:
    """The content of a checkpoint.json of version 1 as version 2 has it. Raises ValueError for what is no such content.

    An epoch's last step follows from the number of rows, which the fingerprints know, and the batch size.
    """
    try:
        rows = next(iter(fields["run"]["data"].values()))["shape"][0]
        length = math.ceil(rows / fields["run"]["train"]["batch_size"])
        epochs = [entry | {"step": entry["epoch"] * length} for entry in fields["epochs"]]
    except (KeyError, TypeError, AttributeError, IndexError, StopIteration, ArithmeticError) as error:
        raise ValueError(f"expected the fields of format version 1, got {error!r}") from error
    return fields | {"epochs": epochs}
