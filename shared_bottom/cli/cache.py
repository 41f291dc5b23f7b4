"""The command cache: lists the tables whose encoded rows are kept, or removes them."""

from collections.abc import Sequence
from datetime import datetime

from shared_bottom.cli.options import Cache
from shared_bottom.cli.printing import print_table
from shared_bottom.tables.cache import Listed, clear, default_folder, entries, limit_bytes


def cache(options: Cache) -> None:
    """Print the entries of the cache, the last used first; or remove them, and print how many they were."""
    folder, limit = options.cache or default_folder(), limit_bytes()
    if options.cache is not None and not folder.is_dir():
        raise ValueError(f"--cache: expected a folder, got {str(folder)!r}")
    listed = clear(folder) if options.clear else entries(folder)
    size, where = gigabytes(sum(entry.size for entry in listed)), f"encoded tables in {folder}"
    if options.clear:
        print(f"{where}: removed {len(listed)}, {size}")
        return
    title = f"{where}: {len(listed)}, {size} of at most {gigabytes(limit)}"
    if listed:
        print_table(title, ["table", "training rows", "validation rows", "size", "last used"], map(cells, listed))
    else:
        print(title)


def cells(listed: Listed) -> Sequence[str]:
    """The row of an entry in the table."""
    used = f"{datetime.fromtimestamp(listed.used):%Y-%m-%d %H:%M}"
    if (entry := listed.entry) is None:
        return f"damaged or not readable: {listed.path.name}", "–", "–", gigabytes(listed.size), used
    more = f" and {len(entry.tables) - 1:,} more" if len(entry.tables) > 1 else ""
    rows = (f"{entry.rows('training'):,}", f"{entry.rows('validation'):,}")
    return f"{entry.tables[0]}{more}", *rows, gigabytes(listed.size), used


def gigabytes(size: int) -> str:
    """A number of bytes, for a reader."""
    return f"{size / 1e9:,.2f} GB" if size >= 1e9 else f"{size / 1e6:,.2f} MB"
