"""Epochs computed ahead in one native call: the same bits, results, errors and interrupts as one call an epoch."""

import os
import signal
import threading
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier.training import Callback, NonFiniteLoss

RNG = np.random.default_rng(0)
N, F, K = 70, 5, 3
X = RNG.normal(size=(N, F)).astype(np.float32)
Y = X[:, :K].argmax(1)
WEIGHTS = RNG.integers(0, 3, N).astype(np.float32)


class Watching(Callback):
    """Sees every epoch, so that none is computed ahead."""

    def on_epoch_end(self, epoch, logs=None):
        pass


def classifier(optimizer="adam", dropout=0.0):
    rv.set_seed(3)
    model = rv.Sequential(
        [
            rv.layers.Dense(6, activation="tanh", input_shape=(F,)),
            rv.layers.Dropout(dropout),
            rv.layers.Dense(K, activation="softmax"),
        ]
    )
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.fixture
def calls(monkeypatch):
    """How many epochs each native call had that ran several."""
    from ranvier.engines.native.runtime.program import NativeProgram

    found, run = [], NativeProgram.run_each

    def counting(self, arrays, own, *args):
        found.append(len(next(iter(own.values()))))
        return run(self, arrays, own, *args)

    monkeypatch.setattr(NativeProgram, "run_each", counting)
    return found


OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "a batch that does not divide": {"batch_size": 16},
    "one batch": {"batch_size": 100},
    "in order": {"shuffle": False},
    "weights, some of them zero": {"sample_weight": WEIGHTS},
    "steps_per_epoch": {"steps_per_epoch": 2, "batch_size": 7},
    "steps_per_epoch, all": {"steps_per_epoch": 9},
    "balanced batches": {"sampler": rv.data.BalancedSampler()},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_the_same_bits_and_results_as_one_call_an_epoch(name, calls):
    options = {"epochs": 60, "verbose": 0, **OPTIONS[name]}
    ahead = classifier(dropout=0.3)
    history = [ahead.fit(X, Y, **options).history for _ in range(2)]
    assert sum(calls) > 60
    del calls[:]
    each = classifier(dropout=0.3)
    assert [each.fit(X, Y, callbacks=[Watching()], **options).history for _ in range(2)] == history
    assert not calls
    assert all(map(np.array_equal, ahead.get_weights(), each.get_weights()))


def test_a_schedule_goes_on_within_a_call(calls):
    def scheduled():
        return rv.optimizers.SGD(rv.optimizers.schedules.ExponentialDecay(0.5, 10, 0.9))

    ahead = classifier(scheduled())
    history = ahead.fit(X, Y, epochs=40, verbose=0)
    assert calls
    each = classifier(scheduled())
    expected = each.fit(X, Y, epochs=40, verbose=0, callbacks=[Watching()])
    assert {k: history.history[k] for k in ("loss", "accuracy")} == {
        k: expected.history[k] for k in ("loss", "accuracy")
    }
    assert all(map(np.array_equal, ahead.get_weights(), each.get_weights()))


WATCHED: dict[str, dict[str, Any]] = {
    "callbacks": {"callbacks": [Watching()]},
    "validation": {"validation_split": 0.2},
    "progress": {"verbose": 2},
    "one epoch": {"epochs": 1},
}


@pytest.mark.parametrize("name", WATCHED)
def test_nothing_is_ahead_of_those_who_watch(name, calls):
    classifier().fit(X, Y, **{"epochs": 20, "verbose": 0, **WATCHED[name]})
    assert not calls


def test_what_is_not_finite_is_found_in_its_own_epoch(calls):
    """Rows with huge values are alone in a batch in one epoch only; the error names the step and the epoch."""

    def failing(callbacks):
        rv.set_seed(1)
        model = rv.Sequential([rv.layers.Dense(1, input_shape=(1,))])
        model.compile(rv.optimizers.SGD(0.9), "mse")
        x = np.linspace(1, 2, 64, dtype=np.float32)[:, None]  # diverges after some epochs
        with pytest.raises(NonFiniteLoss) as caught:
            model.fit(x, x, epochs=400, verbose=0, callbacks=callbacks, batch_size=64, ignore="RV")
        error = caught.value
        return (error.epoch, error.step, error.op), model.history.history, model.get_weights()

    ahead = failing(None)
    assert calls
    each = failing([Watching()])
    assert ahead[0] == each[0]
    assert ahead[0][0] > 3
    assert ahead[1] == each[1]
    assert len(ahead[1]["loss"]) == ahead[0][0]
    assert all(np.isfinite(w).all() for w in ahead[2])


def test_ctrl_c_leaves_as_many_epochs_as_the_history_says(calls):
    model = classifier()
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, epochs=10**6, verbose=0)
    done = len(model.history.epoch)
    assert calls
    assert done == len(model.history.history["loss"]) > 10
    again = classifier()
    again.fit(X, Y, epochs=done, verbose=0)
    assert all(map(np.array_equal, model.get_weights(), again.get_weights()))


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_runs_in_one_call_are_runs_one_by_one(threads):
    from ranvier.engines import native
    from ranvier.engines.native.runtime.threads import threads_here
    from ranvier.graph.graph import Graph, input_node
    from ranvier.graph.node import BATCH, apply

    x, weight = input_node("x", (BATCH, 3), "float32", windowed=True), input_node("w", (3,), "float32")
    total = input_node("total", (3,), "float32")
    added = apply("reduce_sum", x, axes=(0,))
    graph = Graph((x, weight, total), (), ((total, total + added * weight), (weight, weight + added)))
    program: Any = native.compile(graph, batch=4)
    data = RNG.normal(size=(5, 10, 3)).astype(np.float32)

    def state():
        return np.ones(3, np.float32), np.zeros((5, 3), np.float32)

    (one, totals), (other, expected) = state(), state()
    with threads_here(threads):
        program.run_each([data[0], one, totals[0]], {0: data, 2: totals}, 3, 10)
    for rows, own in zip(data, expected, strict=True):
        program.run([rows, other, own], (), 0, 3, 10)
    assert np.array_equal(one, other)
    assert np.array_equal(totals, expected)
    assert len({own.tobytes() for own in totals}) == 5
