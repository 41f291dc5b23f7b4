"""Writes the Parquet files of clicks.toml: made-up visits to a shop, with columns of every kind, gaps and two labels.

python examples/clicks.py --out examples
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from shared_bottom.cli.program import run
from shared_bottom.disk import whole_file

DEVICES = np.array(["phone", "tablet", "desktop"])
COUNTRIES = np.array(["DE", "FR", "IT", "ES", "PL", "NL", "AT", "CH", "LI", "MC"])
CATEGORIES = np.array(
    ["shoes", "coats", "hats", "bags", "rings", "lamps", "rugs", "mugs", "books", "toys", "bikes", "tents"]
)
REMEMBERED = 5
"""How many of the pages before the last one have an effect."""
FILES = {"clicks.parquet": 20_000, "clicks_test.parquet": 5_000}
"""The number of rows of each file."""


def visits(rows: int, *, seed: int) -> pa.Table:
    """Visits: who came, when, from where, what they looked at, whether that led to a click, and what was spent.

    The effects of countries, campaigns and categories are the same for every seed. Only the visits depend on it.
    """
    draw, shop = np.random.default_rng(seed), np.random.default_rng(0)
    campaigns = 200
    country_effect, campaign_effect = shop.normal(0, 0.5, len(COUNTRIES)), shop.normal(0, 0.8, campaigns)
    age, basket = draw.normal(42, 14, rows).clip(16, 95).round(), draw.lognormal(3, 1.2, rows).round(2)
    pages = draw.geometric(0.2, rows)
    device = draw.choice(len(DEVICES), rows, p=[0.6, 0.1, 0.3])
    share = 0.6 ** np.arange(len(COUNTRIES))
    country, campaign = draw.choice(len(COUNTRIES), rows, p=share / share.sum()), draw.integers(0, campaigns, rows)
    visited = np.datetime64("2024-01-01T00:00:00") + draw.integers(0, 366 * 24 * 3600, rows)
    weekday, hour = (visited.astype("M8[D]").astype(int) + 3) % 7, visited.astype("M8[h]").astype(int) % 24
    viewed, last = draw.integers(0, len(CATEGORIES), pages.sum()), np.cumsum(pages) - 1  # of all visits, page by page
    category, before, ends = viewed[last], np.delete(viewed, last), np.cumsum(pages - 1)
    category_effect = shop.normal(0, 1, len(CATEGORIES))
    effect_so_far = np.cumsum([0, *category_effect[before]])
    remembered = np.minimum(pages - 1, REMEMBERED)
    interest = (effect_so_far[ends] - effect_so_far[ends - remembered]) / np.maximum(remembered, 1)

    score = 0.7 * (np.log(basket + 1) - 3) + 0.5 * (np.log(pages) - 1) - ((age - 38) / 20) ** 2 - 0.6
    score += np.array([0.0, -0.4, 0.7])[device] + country_effect[country] + campaign_effect[campaign]
    score += 0.5 * category_effect[category] + 0.8 * interest
    score += 0.5 * np.cos((hour - 20) / 12 * np.pi) + 0.5 * (weekday > 4)  # more in the evening and at the weekend
    click = draw.logistic(size=rows) < 1.5 * score
    spend = np.exp(1.5 + 0.6 * np.log(basket + 1) + 0.4 * score + draw.normal(0, 0.3, rows)).round(2)

    def with_gaps(values: np.ndarray, missing: np.ndarray) -> pa.Array:
        return pa.array(values, mask=missing)

    return pa.table(
        {
            "age": with_gaps(age, draw.random(rows) < 0.1),
            "basket": basket,
            "pages": pages,
            "device": DEVICES[device],
            "country": with_gaps(COUNTRIES[country], draw.random(rows) < 0.05),
            "campaign": campaign,
            "visited": visited,
            "category": CATEGORIES[category],
            "categories_before": pa.ListArray.from_arrays([0, *ends], CATEGORIES[before]),
            "click": click.astype(np.int8),
            "spend": with_gaps(spend, ~click),
        }
    )


def main(*, out: Path = Path(__file__).parent) -> None:
    """Write clicks.parquet and clicks_test.parquet into a folder; the TOML file expects them beside itself."""
    out.mkdir(parents=True, exist_ok=True)
    for seed, (name, rows) in enumerate(FILES.items(), start=1):
        path, table = out / name, visits(rows, seed=seed)
        with whole_file(path) as file:
            parquet.write_table(table, file)
        clicks = np.mean(table["click"].to_numpy())
        print(f"{path}: {rows} visits, {clicks:.1%} with a click, {', '.join(table.column_names)}")


if __name__ == "__main__":
    run(main)
