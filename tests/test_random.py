"""The hash behind dropout: the same bits from every kind of integer, and nothing to see in them."""

import math
import zlib

import numpy as np
import pytest

from spec.random import dropout_mask, keep, layer_key, mix, projection_order, step_key

EDGES = [0, 1, 2, 2**16 - 1, 2**16, 2**30 - 1, 2**30, 2**31 - 2, 2**31 - 1]
SAMPLE = np.concatenate([EDGES, np.random.default_rng(0).integers(0, 2**31, 10_000)])
SHAPE = (1000, 1000)


def plain_mix(x):
    """The hash in Python's unbounded integers."""
    x ^= x >> 16
    x = x * 0x21F0AAAD % 2**31
    x ^= x >> 15
    x = x * 0x735A2D97 % 2**31
    return x ^ x >> 15


def plain_unmix(x):
    """Its inverse, step by step from the end."""
    x ^= x >> 15 ^ x >> 30
    x = x * pow(0x735A2D97, -1, 2**31) % 2**31
    x ^= x >> 15 ^ x >> 30
    x = x * pow(0x21F0AAAD, -1, 2**31) % 2**31
    return x ^ x >> 16


def plain_keep(seed, step, layer, element, rate):
    key = plain_mix(plain_mix(seed) ^ step) ^ zlib.crc32(layer.encode()) % 2**31
    return plain_mix(plain_mix(element) ^ plain_mix(key)) < round((1 - rate) * 2**31)


def correlation(one, other):
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


@pytest.mark.parametrize("dtype", [np.uint32, np.int64])
def test_arrays_and_python_ints_give_the_same_bits(dtype):
    mixed = mix(SAMPLE.astype(dtype))
    assert mixed.dtype == dtype
    assert mixed.tolist() == [mix(x) for x in SAMPLE.tolist()] == [plain_mix(x) for x in SAMPLE.tolist()]


def test_mix_is_a_bijection():
    assert [plain_unmix(mix(x)) for x in SAMPLE.tolist()] == SAMPLE.tolist()
    # A random function would collide over a hundred times here.
    assert len(np.unique(mix(np.arange(1_000_000)))) == 1_000_000


def test_every_input_bit_flips_every_output_bit_about_half_of_the_time():
    mixed = mix(SAMPLE)
    for bit in range(31):
        flipped = mixed ^ mix(SAMPLE ^ (1 << bit))
        shares = (flipped[:, None] >> np.arange(31) & 1).mean(axis=0)
        assert shares.min() > 0.4, bit
        assert shares.max() < 0.6, bit


@pytest.mark.parametrize(
    ("seed", "step", "layer", "rate"),
    [(0, 0, "trunk.0", 0.5), (2**32 - 1, 123_456, "tasks.a.0", 0.1), (7, 1, "tasks.größe.1", 0.9)],
)
def test_a_mask_is_the_hash_of_seed_step_layer_and_element(seed, step, layer, rate):
    mask = dropout_mask(seed, step, layer, (20, 10), rate)
    assert mask.dtype == bool
    assert mask.ravel().tolist() == [plain_keep(seed, step, layer, element, rate) for element in range(200)]


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [np.uint32, np.int64])
def test_keep_gives_the_same_mask_in_every_integer_type(dtype, rate):
    step, layer = (np.array([key], dtype) for key in (step_key(3, 5), layer_key("trunk.1")))
    kept = keep(step, layer, np.arange(1000, dtype=dtype), rate)
    np.testing.assert_array_equal(kept.reshape(100, 10), dropout_mask(3, 5, "trunk.1", (100, 10), rate))


def test_no_dropout_keeps_everything():
    assert dropout_mask(0, 0, "trunk.0", SHAPE, 0.0).all()


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("seed", [0, 42])
def test_the_kept_share_is_one_minus_the_rate(seed, rate):
    mask = dropout_mask(seed, 17, "trunk.0", SHAPE, rate)
    sigma = math.sqrt(rate * (1 - rate))
    assert abs(mask.mean() - (1 - rate)) < 5 * sigma / math.sqrt(mask.size)
    for axis in (0, 1):
        assert np.abs(mask.mean(axis=axis) - (1 - rate)).max() < 5 * sigma / math.sqrt(mask.shape[axis])


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("lag", [1, 2, 16, SHAPE[1]])
def test_neighbours_do_not_correlate(lag, rate):
    mask = dropout_mask(1, 2, "trunk.0", SHAPE, rate).ravel()
    assert abs(correlation(mask[:-lag], mask[lag:])) < 5 / math.sqrt(mask.size - lag)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
@pytest.mark.parametrize(
    "other",
    [(0, 0, "trunk.1"), (0, 0, "tasks.a.0"), (0, 1, "trunk.0"), (0, 2**30, "trunk.0"), (1, 0, "trunk.0"), (1, 1, "b")],
    ids=str,
)
def test_layers_steps_and_seeds_do_not_correlate(other, rate):
    one, two = (dropout_mask(*key, SHAPE, rate) for key in ((0, 0, "trunk.0"), other))
    assert abs(correlation(one, two)) < 5 / math.sqrt(one.size)


def test_keys_are_31_bit_and_apart():
    steps = [step_key(seed, step) for seed in range(20) for step in range(1000)]
    assert all(0 <= key < 2**31 for key in steps)
    assert len(set(steps)) > 0.999 * len(steps)
    assert len({layer_key(f"tasks.{task}.{i}") for task in "abcdefgh" for i in range(10)}) == 80


def test_projections_meet_every_other_task_in_an_order_of_their_own():
    names = ["click", "span", "region", "buy"]
    order = projection_order(3, np.arange(500), names)
    assert (order.shape, order.dtype) == ((500, 4, 3), np.int32)
    for task in range(4):
        assert (np.sort(order[:, task]) == [other for other in range(4) if other != task]).all()
        firsts = np.bincount(order[:, task, 0], minlength=4)
        assert firsts.min() == 0  # never itself
        assert np.abs(firsts[firsts > 0] - 500 / 3).max() < 5 * math.sqrt(500 * 2 / 9)
    assert (projection_order(3, np.arange(7, 9), names) == order[7:9]).all()
    # Another order of the names, and one task less, leave the others' turns alone.
    mirrored = projection_order(3, np.arange(500), names[::-1])
    assert (3 - mirrored[:, ::-1] == order).all()
    fewer = projection_order(3, np.arange(500), names[:3])
    assert (fewer[:, 0] == order[:, 0][order[:, 0] != 3].reshape(500, 2)).all()
