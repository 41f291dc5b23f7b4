"""Made-up visits of a shop, as the Parquet files that clicks.toml names: numbers, categories, gaps, and two labels.

python examples/clicks.py --out examples
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import tyro
from pyarrow import parquet

from shared_bottom.disk import whole_file

DEVICES = np.array(["phone", "tablet", "desktop"])
COUNTRIES = np.array(["DE", "FR", "IT", "ES", "PL", "NL", "AT", "CH", "LI", "MC"])
FILES = {"clicks.parquet": 20_000, "clicks_test.parquet": 5_000}
"""By file, its rows."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Write clicks.parquet and clicks_test.parquet."""

    out: Path = Path(__file__).parent
    """The folder: that of the TOML file."""


def visits(rows: int, *, seed: int) -> pa.Table:
    """Whether a visit led to a click, and what was spent then: by age, basket, device, country and campaign.

    The shop is the same whatever the seed; the visits are drawn from it.
    """
    draw, shop = np.random.default_rng(seed), np.random.default_rng(0)
    campaigns, of_country, of_campaign = 200, shop.normal(0, 0.5, len(COUNTRIES)), shop.normal(0, 0.8, 200)
    age, basket = draw.normal(42, 14, rows).clip(16, 95).round(), draw.lognormal(3, 1.2, rows).round(2)
    pages = draw.geometric(0.2, rows)
    device = draw.choice(len(DEVICES), rows, p=[0.6, 0.1, 0.3])
    share = 0.6 ** np.arange(len(COUNTRIES))
    country, campaign = draw.choice(len(COUNTRIES), rows, p=share / share.sum()), draw.integers(0, campaigns, rows)

    score = 0.7 * (np.log(basket + 1) - 3) + 0.5 * (np.log(pages) - 1) - ((age - 38) / 20) ** 2 - 0.6
    score += np.array([0.0, -0.4, 0.7])[device] + of_country[country] + of_campaign[campaign]
    click = draw.logistic(size=rows) < 1.5 * score
    spend = np.exp(1.5 + 0.6 * np.log(basket + 1) + 0.4 * score + draw.normal(0, 0.3, rows)).round(2)

    def gaps(values: np.ndarray, at: np.ndarray) -> pa.Array:
        return pa.array(values, mask=at)

    return pa.table(
        {
            "age": gaps(age, draw.random(rows) < 0.1),
            "basket": basket,
            "pages": pages,
            "device": DEVICES[device],
            "country": gaps(COUNTRIES[country], draw.random(rows) < 0.05),
            "campaign": campaign,
            "click": click.astype(np.int8),
            "spend": gaps(spend, ~click),
        }
    )


def main(options: Options) -> None:
    """Write both files, each whole or not at all."""
    options.out.mkdir(parents=True, exist_ok=True)
    for seed, (name, rows) in enumerate(FILES.items(), start=1):
        path, table = options.out / name, visits(rows, seed=seed)
        with whole_file(path) as partial:
            parquet.write_table(table, partial)
        clicks = np.mean(table["click"].to_numpy())
        print(f"{path}: {rows} visits, {clicks:.1%} with a click, {', '.join(table.column_names)}")


if __name__ == "__main__":
    try:
        main(tyro.cli(Options))
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
