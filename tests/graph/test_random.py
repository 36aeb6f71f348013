"""Random bits against the known answers published with Random123, and against JAX where it is installed; shuffles."""

import importlib.util

import numpy as np
import pytest

import ranvier as rv
from ranvier import engines
from ranvier.graph.random import threefry, threefry_block
from ranvier.tensor.rng import shuffled
from tests.strategies import ENGINES

KNOWN = [  # Random123's kat_vectors: counter words, key words, output words of threefry2x32 with 20 rounds
    ((0x00000000, 0x00000000), (0x00000000, 0x00000000), (0x6B200159, 0x99BA4EFE)),
    ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
    ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_known_answers(counter, key, expected):
    block = np.uint64(counter[0] | counter[1] << 32)
    for shape in [(), (1,), (2, 3), (0,)]:
        counters = np.full(shape, block, np.uint64)
        words = threefry_block(key[0], key[1], counters)
        for word, value in zip(words, expected, strict=True):
            assert word.dtype == np.uint32
            assert word.shape == shape
            assert (word == value).all()
        assert np.array_equal(threefry(key[0], key[1], counters), words[0])


def test_each_element_is_independent():
    whole = threefry(7, 9, np.arange(1000, dtype=np.uint64))
    part = threefry(7, 9, np.arange(400, 500, dtype=np.uint64))
    assert np.array_equal(whole[400:500], part)


def test_key_is_taken_modulo_two_to_the_32():
    counters = np.arange(10, dtype=np.uint64)
    assert np.array_equal(threefry(-1, 1 << 32, counters), threefry(0xFFFFFFFF, 0, counters))


def test_streams_and_seeds_differ_and_bits_are_balanced():
    counters = np.arange(1 << 16, dtype=np.uint64)
    bits = [threefry(seed, stream, counters) for seed in range(3) for stream in range(3)]
    assert len({array.tobytes() for array in bits}) == 9
    for array in bits:
        ones = np.unpackbits(array.view(np.uint8)).reshape(-1, 32).mean(0)
        assert np.abs(ones - 0.5).max() < 0.5 / np.sqrt(counters.size) * 5


if importlib.util.find_spec("jax"):

    def test_against_jax():
        from jax.extend.random import threefry_2x32

        high = np.array([0, 1, 77, 0xFFFFFFFF], np.uint32)
        low = np.array([5, 0xFFFFFFFF, 0, 123], np.uint32)
        key = np.array([0x12345678, 0x9ABCDEF0], np.uint32)
        words = np.asarray(threefry_2x32(key, np.concatenate([low, high]))).reshape(2, 4)
        counters = low.astype(np.uint64) | high.astype(np.uint64) << np.uint64(32)
        assert np.array_equal(np.stack(threefry_block(int(key[0]), int(key[1]), counters)), words)


# --- rows in random order ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1, 12345678901234567, 2**64 - 1])
@pytest.mark.parametrize(
    "n", [0, 1, 2, 3, 8, 9, 16, 17, 100, 1000, 70_000]
)  # swaps that have an element in common, or not
def test_engines_shuffle_alike(n, seed):
    rows = np.arange(n, dtype=np.int32)
    begun = [engines.shuffled(rows, seed, engine) for engine in ENGINES]
    native, reference = (order() for order in begun)
    assert np.array_equal(native, reference)
    assert np.array_equal(np.sort(native), np.arange(n))
    assert begun[0]() is native
    assert np.array_equal(rows, np.arange(n))


def test_the_published_random_numbers_shuffle():
    """The first number that SplitMix64 gives for the state 1234567, as its authors' program prints it."""
    drawn, n = 6457827717110365317, 1 << 20
    rows = engines.shuffled(np.arange(n, dtype=np.int32), 1234567)()
    assert rows[-1] == drawn * n >> 64


def test_every_order_is_as_likely():
    count = np.zeros((5, 5))
    for seed in range(20_000):
        rows = engines.shuffled(np.arange(5, dtype=np.int32), seed)()
        count[np.arange(5), rows] += 1
    assert np.abs(count / 20_000 - 0.2).max() < 0.012  # four standard deviations


def test_a_generator_shuffles_a_copy():
    rows = np.array([5, 7, 9, 11], np.int32)
    orders = {tuple(shuffled(rows, np.random.default_rng(seed))) for seed in range(400)}
    assert len(orders) == 24
    assert rows.tolist() == [5, 7, 9, 11]
    same = [shuffled(rows, np.random.default_rng(3)) for _ in range(2)]
    assert np.array_equal(*same)


# --- Keras's names ------------------------------------------------------------------------------------------------


def test_numbers_under_the_names_of_keras():
    draw = rv.random
    rv.set_seed(3)
    u, z, k = (draw.uniform((400, 50), -1.0, 3.0), draw.normal((400, 50), 2.0, 0.5), draw.randint((400, 50), -2, 3))
    assert (u.dtype, z.dtype, k.dtype) == ("float32", "float32", "int32")
    u, z, k = u.numpy(), z.numpy(), k.numpy()
    assert (u.min() >= -1, u.max() < 3, u.mean() == pytest.approx(1, abs=0.03)) == (True, True, True)
    assert (z.mean(), z.std()) == (pytest.approx(2, abs=0.02), pytest.approx(0.5, rel=0.02))
    np.testing.assert_allclose(np.bincount(k.ravel() + 2) / k.size, 0.2, atol=0.015)
    kept = draw.dropout(np.ones((100, 100)), 0.25, noise_shape=(None, 1)).numpy()
    assert set(np.unique(kept)) <= {0.0, np.float32(4 / 3)}
    assert (kept == kept[:, :1]).all()


def test_a_number_gives_the_same_and_a_generator_goes_on():
    fixed = [rv.random.normal((3,), seed=7).numpy() for _ in range(2)]
    np.testing.assert_array_equal(*fixed)
    own = rv.random.SeedGenerator(7)
    going = [rv.random.normal((3,), seed=own).numpy() for _ in range(2)]
    assert (going[0] != going[1]).all()
    rv.set_seed(1)
    first = rv.random.uniform((3,)).numpy()
    rv.set_seed(1)
    np.testing.assert_array_equal(rv.random.uniform((3,)).numpy(), first)


class Noise(rv.Layer):
    def __init__(self, **options):
        super().__init__(**options)
        self.generator = rv.random.SeedGenerator(4)

    def call(self, x, training=False):
        if not training:
            return x
        return x + rv.random.normal(rv.ops.shape(x), stddev=10.0, seed=self.generator)


def test_a_layer_draws_other_numbers_in_each_step():
    losses = []
    model = rv.Sequential([rv.Input((2,)), Noise()])
    model.add(rv.layers.Dense(1, kernel_initializer="ones"))
    model.compile(rv.optimizers.SGD(0.0), "mse")
    seen = rv.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: losses.append(logs["loss"]))
    model.fit(np.zeros((64, 2)), np.zeros((64, 1)), epochs=4, verbose=0, ignore="RV", callbacks=[seen])
    assert len(set(losses)) == 4
    assert np.mean(losses) == pytest.approx(200, rel=0.4)
    assert model.evaluate(np.zeros((64, 2)), np.zeros((64, 1)), verbose=0) == 0


MOMENTS = {  # of each of Keras's distributions a draw, and the mean and standard deviation that there are
    "truncated_normal": (lambda r, n: r.truncated_normal((n,), mean=1.0, stddev=2.0, seed=5), 1, 2 * 0.8796),
    "gamma": (lambda r, n: r.gamma((n,), alpha=4.0, seed=5), 4, 2),
    "beta": (lambda r, n: r.beta((n,), alpha=2.0, beta=2.0, seed=5), 0.5, 0.2236),
    "binomial": (lambda r, n: r.binomial((n,), counts=10, probabilities=0.5, seed=5), 5, 1.5811),
    "categorical": (lambda r, n: r.categorical(np.log([[0.2, 0.0, 0.8]], where=[True, False, True], out=np.full((1, 3), -99.0)), n, seed=5)[0], 1.6, 0.8),
}  # fmt: skip


@pytest.mark.parametrize("name", MOMENTS)
def test_distributions_have_their_moments_and_are_those_of_their_seed(name):
    draw, mean, deviation = MOMENTS[name]
    values = draw(rv.random, 4000).numpy()
    assert np.isclose(values.mean(), mean, atol=4 * deviation / 4000**0.5)
    assert np.isclose(values.std(), deviation, rtol=0.06)
    np.testing.assert_array_equal(values, draw(rv.random, 4000).numpy())


def test_shuffled_slices_and_what_random_refuses():
    rows = np.arange(24).reshape(2, 12)
    moved = rv.random.shuffle(rows, axis=1, seed=1).numpy()
    np.testing.assert_array_equal(np.sort(moved, 1), rows)
    assert not (moved == rows).all()
    for call, words in (
        (lambda: rv.random.randint((2,), 0, 3, dtype="float32"), "Write 'int32'"),
        (lambda: rv.random.uniform((2,), dtype="int32"), "Write 'float32'"),
        (lambda: rv.random.categorical([0.0, 1.0], 2), r"Write \(batch, classes\)"),
    ):
        with pytest.raises(ValueError, match=words):
            call()
