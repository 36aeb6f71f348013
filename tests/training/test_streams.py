"""Runs in several threads: each draws from streams of its own, so that it ends in the bits of a run alone."""

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import ranvier as rv

X = np.random.default_rng(0).normal(size=(64, 5)).astype(np.float32)
Y = X[:, :3].argmax(1)
D = rv.layers.Dense


@pytest.fixture(autouse=True)
def interleaved():
    """Threads that take turns as often as they can."""
    rv.set_engine("reference")
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)
    rv.set_engine(None)


def model():
    made = rv.Sequential([D(8, "relu", input_shape=(5,)), rv.layers.Dropout(0.3), D(3, "softmax")])
    made.compile("adam", "sparse_categorical_crossentropy")
    return made


def trained(made):
    made.fit(X, Y, epochs=3, batch_size=16, verbose=0, ignore="RV")
    made.train_on_batch(X, Y)
    return [w.tobytes() for w in made.get_weights()]


def seeded(seed):
    rv.set_seed(seed)
    return trained(model())


def in_threads(work, given):
    with ThreadPoolExecutor(3) as pool:
        return list(pool.map(work, given))


def test_runs_with_seeds_of_their_own():
    alone = [seeded(seed) for seed in range(3)]
    rv.set_seed(7)
    before = rv.tensor.rng.get_streams()
    for _ in range(3):
        assert in_threads(seeded, range(3)) == alone
    assert rv.tensor.rng.get_streams() == before  # a thread's seed is its own


@pytest.mark.parametrize("late", [False, True])
def test_runs_of_models_that_the_main_thread_made(late):
    """Those of one seed, set before the models are compiled or after."""

    def models(number):
        rv.set_seed(0)
        made = [model() for _ in range(3)][:number]
        if late:
            rv.set_seed(1)
        return made

    alone = [trained(models(i + 1)[i]) for i in range(3)]
    assert in_threads(trained, models(3)) == alone
    assert in_threads(trained, models(3)[::-1]) == alone[::-1]


def test_a_second_run_in_a_thread_continues():
    rv.set_seed(0)
    made = model()
    alone = [trained(made), trained(made)]
    rv.set_seed(0)
    made = model()
    assert [in_threads(trained, [made])[0] for _ in range(2)] == alone
