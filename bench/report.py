"""The table that a run prints, and its JSON."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from bench.timing import Row


def print_table(title: str, rows: list[Row]) -> None:
    """A line a row, with the speed-up over the tutorial's loop where that ran."""
    reference = next((row for row in rows if row.execution == "tutorial's loop"), None)
    table = Table(title=title, title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD, collapse_padding=True)
    table.add_column("backend")
    table.add_column("execution", no_wrap=True)
    table.add_column("device")
    for name in ("threads", "first\ncall s", "µs/step", "rows/s", "first\nloss", "last\nloss"):
        table.add_column(name, justify="right")
    if reference:
        table.add_column("speed-up", justify="right")
    aucs = list(dict.fromkeys(task for row in rows for task, metrics in row.metrics.items() if "auc" in metrics))
    for task in aucs:
        table.add_column(f"{task.replace('_', ' ')}\nAUC", justify="right")
    for row in rows:
        cells = [row.backend, row.execution, row.device, str(row.threads), f"{row.first_call_seconds:.2f}"]
        cells += [f"{row.median:,.0f}", f"{row.rows_per_second:,.0f}", f"{row.first_loss:.4f}"]
        cells.append(f"{row.last_loss:.4f}")
        if reference:
            speed_up = reference.median / row.median
            cells.append(f"{speed_up:.1f}" if speed_up >= 0.1 else f"{speed_up:.3f}")
        cells += [f"{row.metrics[task]['auc']:.4f}" if row.metrics else "–" for task in aucs]
        table.add_row(*cells)
    few = [
        f"{row.backend} {row.execution}: {row.steps} steps only"
        for row in rows
        if row.steps < max(row.steps for row in rows)
    ]
    table.caption = "; ".join(few) or None
    Console(width=max(Console().width, 100)).print(table)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Whole or not at all: written beside the target, then renamed."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
        try:
            json.dump(content, file, indent=2)
        except BaseException:
            Path(file.name).unlink()
            raise
    Path(file.name).replace(path)


def check_output(option: str, path: Path | None) -> None:
    """Raises ValueError, naming the option, if the file cannot be written."""
    if path is not None and (path.is_dir() or not path.parent.is_dir() or not os.access(path.parent, os.W_OK)):
        raise ValueError(f"{option}: expected a file in a folder that can be written, got {str(path)!r}")


def read_rows(path: Path) -> list[Row]:
    """The rows of a run's JSON."""
    fields = Row.__dataclass_fields__
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    return [Row(**{name: row[name] for name in fields}) for row in rows]
