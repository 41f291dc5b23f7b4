"""What evaluate and predict say of values that the trained model does not know, and when these are too many."""

from shared_bottom.cli.printing import print_table, shortened
from shared_bottom.tables.columns import FittedColumns
from shared_bottom.tables.tally import Tally


def check_max_unknown(most: float | None) -> None:
    """Raise ValueError if the option is given and no share, a number from 0 to 1."""
    if most is not None and not 0 <= most <= 1:
        raise ValueError(f"--max-unknown: expected a share from 0 to 1, got {most:g}")


def check_unknown(tally: Tally, most: float | None) -> None:
    """Raise ValueError if more than the share `most` of any column's values is unknown; None: never."""
    for column, values in tally.values.items():
        if most is not None and tally.share(column) > most:
            raise ValueError(
                f"--max-unknown: expected at most {most:g} of each column's values to be unknown, got "
                f"{tally.share(column):.4g} in column {column!r} ({tally.unknown[column]:,} of {values:,})"
            )


def print_unknown(tally: Tally, columns: FittedColumns) -> None:
    """Print how many values of each column are unknown, the largest shares first, if any value is.

    tally: what was counted in the rows.
    columns: what was learnt from the training rows.
    """
    rows = []
    for name in sorted(tally.values, key=tally.share, reverse=True):
        if tally.unknown[name]:
            usual, of_rows = tally.usual(name, columns)
            unknown = [f"{tally.unknown[name]:,}", f"{tally.share(name):.2%}", f"{usual:.2%} of the {of_rows} rows'"]
            rows.append([name, f"{tally.values[name]:,}", *unknown])
    if rows:
        print_table("", ["column", "values", "unknown", "share", "usual share"], shortened(rows))
