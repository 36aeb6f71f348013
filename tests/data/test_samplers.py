"""Samplers: every class as often in an epoch and in a batch, nothing but the generator decides, what is refused."""

import numpy as np
import pytest

from ranvier.data.samplers import BalancedSampler, WeightedSampler, checked_order, class_numbers, weighted_rows

COUNTS = (700, 250, 43, 6, 1)
LABELS = np.repeat(np.arange(5), COUNTS)[np.random.default_rng(0).permutation(1000)]


def generator(seed=0):
    return np.random.Generator(np.random.Philox(seed))


FORMS = [
    LABELS, LABELS[:, None], np.eye(5)[LABELS], LABELS.astype(np.float32), LABELS * 7 - 3, LABELS.astype(np.uint8),
]  # fmt: skip


@pytest.mark.parametrize("labels", FORMS)
def test_every_form_of_target_gives_one_order(labels):
    order = BalancedSampler().order(labels, generator())
    np.testing.assert_array_equal(order, BalancedSampler().order(LABELS, generator()))
    assert order.dtype == np.int32


@pytest.mark.parametrize("samples", [None, 50, 1001, 5000])
def test_classes_are_equally_frequent_in_the_epoch_and_in_every_batch(samples):
    order = BalancedSampler(samples).order(LABELS, generator(3))
    assert len(order) == (samples or 1000)
    taken = LABELS[order]
    counts = np.bincount(taken, minlength=5)
    assert counts.max() - counts.min() <= 1
    for start in range(0, len(order) - 31, 7):  # any stretch of 32: 6.4 of each, one in each of its stretches of five
        batch = np.bincount(taken[start : start + 32], minlength=5)
        assert batch.min() >= 4
        assert batch.max() <= 9


def test_rows_of_a_class_are_taken_equally_often():
    times = np.bincount(BalancedSampler().order(LABELS, generator(1)), minlength=1000)
    for k in range(5):
        own = times[k == LABELS]
        assert own.max() - own.min() <= 1
    assert times[LABELS == 0].max() == 1
    assert times[LABELS == 4].sum() == 200


def test_on_average_every_row_of_a_frequent_class_comes():
    some = generator(5)
    times = np.bincount(np.concatenate([BalancedSampler().order(LABELS, some) for _ in range(40)]))
    assert (times[LABELS == 0] > 0).all()


@pytest.mark.parametrize(
    ("strength", "expected"), [(0.0, COUNTS), (0.5, 1000 * np.sqrt(COUNTS) / np.sqrt(COUNTS).sum()), (1.0, [200] * 5)]
)
def test_strength(strength, expected):
    counts = np.bincount(LABELS[BalancedSampler(strength=strength).order(LABELS, generator())], minlength=5)
    assert (abs(counts - expected) <= 1).all()
    assert counts.sum() == 1000


def test_fewer_samples_than_classes():
    """Which classes an epoch has is drawn, each as often as the other in the long run."""
    some = generator(2)
    taken = np.concatenate([LABELS[BalancedSampler(2).order(LABELS, some)] for _ in range(500)])
    assert np.bincount(taken).min() > 150


def test_nothing_but_the_generator_decides():
    for sampler in (BalancedSampler(), WeightedSampler(np.arange(1000)), WeightedSampler(np.ones(1000), 300, False)):
        first = [sampler.order(LABELS, some) for some in [generator(4)] for _ in range(3)]
        again = [sampler.order(LABELS, some) for some in [generator(4)] for _ in range(3)]
        np.testing.assert_array_equal(first, again)
        assert not np.array_equal(first[0], first[1])


def test_weights_are_probabilities():
    weights = np.array([0.0, 1, 2, 5, 0])
    rows = weighted_rows(weights, 80_000, True, generator())
    np.testing.assert_allclose(np.bincount(rows, minlength=5) / 80_000, weights / 8, atol=0.01)
    first = [weighted_rows(weights, 3, False, some)[0] for some in [generator(1)] for _ in range(8000)]
    np.testing.assert_allclose(np.bincount(first, minlength=5) / 8000, weights / 8, atol=0.02)
    assert set(weighted_rows(weights, 3, False, generator()).tolist()) == {1, 2, 3}
    assert set(weighted_rows(np.array([0, 1e-310, 1]), 2, False, generator()).tolist()) == {1, 2}
    tiny = [weighted_rows(weights * 1e-310, 3, False, generator(seed)).tolist() for seed in range(9)]
    assert tiny == [weighted_rows(weights, 3, False, generator(seed)).tolist() for seed in range(9)]


REFUSED = [
    (lambda: BalancedSampler(0), "samples=0"),
    (lambda: BalancedSampler(strength=2), "from 0"),
    (lambda: BalancedSampler("a"), "samples='a': write a whole number"),
    (lambda: BalancedSampler(strength="a"), "strength='a': write a number from 0"),
    (lambda: BalancedSampler(output=-1), "output=-1: write the number of an output"),
    (lambda: BalancedSampler(output=3).order(([0, 1], [1, 0]), generator()), "targets of 2 outputs.*from 0 to 1"),
    (lambda: WeightedSampler([1, 1], "a"), "'a' samples"),
    (lambda: class_numbers([0.5, 1]), "0.5 are not classes.*WeightedSampler"),
    (lambda: class_numbers([[1, 1], [0, 1]]), "one class a row.*WeightedSampler"),
    (lambda: class_numbers([]), "not one class a row"),
    (lambda: WeightedSampler([1, -1]), "weight -1.0"),
    (lambda: WeightedSampler([0, 0]), "all 0"),
    (lambda: WeightedSampler([1, np.nan]), "weight nan"),
    (lambda: WeightedSampler([1, 1], 3, replacement=False), "3 samples without replacement of 2 rows"),
    (lambda: WeightedSampler([1, 1], 0), "0 samples"),
    (lambda: WeightedSampler([1, 1]).order([0, 1, 1], generator()), "2 weights and there are 3 rows to train on .without those of validation_split"),
    (lambda: checked_order([0, 5], 5, BalancedSampler()), "row 5 of 5 rows"),
    (lambda: checked_order([-1], 5, BalancedSampler()), "row -1"),
    (lambda: checked_order([0.0], 5, BalancedSampler()), "dtype float64"),
    (lambda: checked_order(np.zeros(0, int), 5, BalancedSampler()), "at least one"),
    (lambda: checked_order([0, 1], 5, BalancedSampler(), 3), "2 rows, and 3 in the epoch before"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "text"), REFUSED)
def test_refused(make, text):
    with pytest.raises(ValueError, match=text):
        make()


def test_the_text_of_a_sampler_gives_its_settings():
    assert repr(BalancedSampler(9, 0.5, 1)) == "BalancedSampler(samples=9, strength=0.5, output=1)"
    assert repr(WeightedSampler([1, 2])) == repr(WeightedSampler([1.0, 2.0])) != repr(WeightedSampler([2, 1]))
