"""scikit-learn's MLPClassifier and MLPRegressor: `partial_fit` or a warm `fit`, one or two BLAS threads, by trial."""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.neural_network import MLPClassifier, MLPRegressor
from threadpoolctl import threadpool_limits

from benchmarks.contestants import Job
from benchmarks.contestants.fits import fits
from benchmarks.datasets import batches, initial_weights, reference_predict
from benchmarks.workloads import FOLDS, RATES, UNITS, Workload

Array = NDArray[Any]
warnings.filterwarnings("ignore", category=ConvergenceWarning)  # disables its stopping rule


def build(workload: Workload, x: Array, y: Array) -> Any:
    """The network with its initial weights and an optimizer before its first step."""
    kind = MLPRegressor if workload.loss == "mean_squared_error" else MLPClassifier
    model = kind(
        hidden_layer_sizes=workload.layers[1:-1],
        activation=workload.hidden,
        solver=workload.optimizer,
        alpha=0.0,
        batch_size=min(workload.batch, len(x)),
        learning_rate_init=workload.learning_rate,
        momentum=0.0,
        nesterovs_momentum=False,
        shuffle=workload.batch < len(x),
        max_iter=1,
        tol=0.0,
        n_iter_no_change=10**9,
        warm_start=True,
        epsilon=1e-7,
    )
    few = np.unique(y, return_index=True)[1] if kind is MLPClassifier else np.arange(2)  # every class must be seen
    model.set_params(batch_size=len(few)).fit(x[few], y[few]).set_params(batch_size=min(workload.batch, len(x)))
    weights = initial_weights(workload)
    model.coefs_, model.intercepts_ = weights[0::2], weights[1::2]
    del model._optimizer
    return model


def train(workload: Workload, x: Array, y: Array) -> Job:
    y = y.ravel() if workload.layers[-1] == 1 else y
    # Its squared loss is half the mean square.
    scale = 2.0 if workload.loss == "mean_squared_error" else 1.0

    def steps(model: Any, partial: bool, count: int) -> tuple[float, float]:
        begin = time.perf_counter()
        if partial:
            for _ in range(count):
                model.partial_fit(x, y)
        else:
            model.set_params(max_iter=count).fit(x, y)
        return time.perf_counter() - begin, scale * float(model.loss_)

    times = {}
    for threads in (1, 2):
        for partial in (True, False):
            with threadpool_limits(threads):
                times[threads, partial] = steps(build(workload, x, y), partial, 2)[0]
    threads, partial = min(times, key=times.__getitem__)
    model = build(workload, x, y)

    def epochs(count: int) -> tuple[float, float]:
        with threadpool_limits(threads):
            return steps(model, partial, count)

    note = f"{'partial_fit' if partial else 'warm fit'}, {threads} BLAS thread{'s' * (threads > 1)}"
    return Job(lambda n: epochs(n)[1], lambda n: epochs(n)[0], note)


def search(workload: Workload, x: Array, y: Array) -> Job:
    """`GridSearchCV` on two processes, which it reuses, each with one BLAS thread."""
    model = MLPClassifier(
        activation=workload.hidden,
        alpha=0.0,
        batch_size=workload.batch,
        max_iter=workload.loss_at,
        tol=0.0,
        n_iter_no_change=10**9,
        epsilon=1e-7,
        random_state=0,
    )
    grid = {"hidden_layer_sizes": [(units, units) for units in UNITS], "learning_rate_init": RATES}
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)

    def once() -> float:
        found = GridSearchCV(model, grid, cv=folds, n_jobs=2, refit=False).fit(x, y)
        return float(found.cv_results_["mean_test_score"].mean())

    def run(count: int) -> float:
        begin = time.perf_counter()
        for _ in range(count):
            once()
        return time.perf_counter() - begin

    return Job(lambda _: once(), run, "GridSearchCV, n_jobs=2")


def fit(workload: Workload, x: Array, y: Array) -> Job:
    """`MLPClassifier` with its defaults and the fastest number of BLAS threads, in the dtype of the data."""
    x = x.astype(np.float64) if workload.float64 else x

    def make(seed: int, epochs: int = workload.loss_at) -> Any:
        return MLPClassifier(
            workload.layers[1:-1], max_iter=epochs, early_stopping=workload.early_stopping, random_state=seed
        )

    times = {}
    for threads in (1, 2):
        with threadpool_limits(threads):
            begin = time.perf_counter()
            make(0, 3).fit(x, y)
            times[threads] = time.perf_counter() - begin
    best = min(times, key=times.__getitem__)
    note = f"MLPClassifier, {best} BLAS thread{'s' * (best > 1)}"
    return fits(make, x, y, lambda: threadpool_limits(best), note)


def predict(workload: Workload, x: Array, y: Array) -> Job:
    model = build(workload, x, np.arange(len(x)) % workload.layers[-1])
    samples = batches(workload, x)
    expected = reference_predict(workload, x)

    def begin(_: int) -> float:
        answers = np.concatenate([model.predict_proba(s) for s in samples])
        return float(np.abs(answers - expected).max())

    def run(calls: int) -> float:
        start = time.perf_counter()
        with threadpool_limits(1):
            for i in range(calls):
                model.predict_proba(samples[i % len(samples)])
        return time.perf_counter() - start

    return Job(begin, run, "1 BLAS thread")
