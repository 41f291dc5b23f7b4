"""A training run, once for every backend: the plan, the loop, and the record of what it did."""
