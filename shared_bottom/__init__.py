"""The Shared-Bottom network in PyTorch and JAX: every public name in one import, and no framework with it.

The names of `spec` are here, and those below, each imported from its own module when it is first asked for.
"""

import importlib
from typing import Any

import spec
from spec import *  # noqa: F403  the names of spec.__all__

_MODULES = {
    "Checkpoint": "shared_bottom.checkpoint.checkpoint",
    "CheckpointError": "shared_bottom.checkpoint.format",
    "CheckpointWarning": "shared_bottom.checkpoint.folder",
    "ColumnSummary": "shared_bottom.tables.summary",
    "DataWarning": "shared_bottom.tables.tally",
    "Embedding": "shared_bottom.tables.looked_up",
    "FittedColumns": "shared_bottom.tables.columns",
    "Importances": "shared_bottom.run.importance",
    "ProcessError": "shared_bottom.run.errors",
    "Tally": "shared_bottom.tables.tally",
    "Trained": "shared_bottom.trained",
    "evaluate": "shared_bottom.run.metrics",
    "ExportedModel": "shared_bottom.export.rows",
    "export_onnx": "shared_bottom.export",
    "fit_columns": "shared_bottom.tables.rows",
    "fit_table": "shared_bottom.table_training",
    "load": "shared_bottom.folder",
    "load_checkpoint": "shared_bottom.checkpoint.folder",
    "permutation_importance": "shared_bottom.importance",
    "read_rows": "shared_bottom.tables.rows",
    "read_table": "shared_bottom.tables.training",
    "read_table_experiment": "shared_bottom.tables.rows",
    "read_trained": "shared_bottom.folder",
    "starting_params": "shared_bottom.tables.embeddings",
    "take_over": "shared_bottom.start",
    "stream_rows": "shared_bottom.tables.rows",
    "write_report": "shared_bottom.reports.report",
    "write_trained": "shared_bottom.folder",
}

__all__ = [*spec.__all__, *_MODULES]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
