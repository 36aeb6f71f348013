"""Many models on the workers of joblib's back ends: processes of loky, and real local clusters of Dask and Ray."""

import os
import signal
import threading
import warnings
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier.search import Interrupted, cluster, many, parcel
from ranvier.training.loop.progress import Progress
from tests.search.test_search import WEIGHTS, X, Y

joblib = pytest.importorskip("joblib")
# A thread of loky's may meet the end of the workers that it watches.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


@pytest.fixture(scope="module", params=["loky", "dask", "ray"])
def workers(request):
    """Two workers of a back end: the arguments of `joblib.parallel_config`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what clusters say of themselves
        if request.param == "dask":
            client = pytest.importorskip("dask.distributed").Client(
                n_workers=2, threads_per_worker=1, dashboard_address=None
            )
            yield {"backend": "dask"}
            client.cluster.close()
            client.close()
        elif request.param == "ray":
            os.environ |= {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
            ray = pytest.importorskip("ray")
            pytest.importorskip("ray.util.joblib").register_ray()
            ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=100 << 20)
            yield {"backend": "ray"}
            ray.shutdown()
        else:
            yield {"backend": "loky", "n_jobs": 2}


def made():
    """A function that builds models, and travels by value."""

    def build(units=4, rate=0.01):
        layers = [rv.layers.Dense(units, "tanh"), rv.layers.Dropout(0.2), rv.layers.Dense(3, "softmax")]
        model = rv.Sequential([rv.Input((X.shape[1],)), *layers])
        model.compile(rv.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    return build


def killing(path, once=True):
    """A callback that kills its process where the file ``path`` exists, the first one, or each."""

    class Killer(rv.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch != 1 or not path.exists():
                return
            if once:
                try:
                    path.unlink()
                except FileNotFoundError:  # the other worker was first
                    return
            os.kill(os.getpid(), signal.SIGKILL)

    path.write_text("")
    return Killer()


class Recorder(Progress):
    """What the progress was told: models so far."""

    def __init__(self, at=None):
        self.done, self.at = [], at

    def update(self, done, samples, logs):
        self.done.append(done)
        if done == self.at:
            signal.raise_signal(signal.SIGINT)


OPTIONS: dict[str, Any] = {
    "folds": 2,
    "seeds": 2,
    "grid": {"units": [4, 6]},
    "epochs": 2,
    "verbose": 0,
    "sample_weight": WEIGHTS,
}


def trained(**options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return rv.fit_many(made(), X, Y, **(OPTIONS | options))


def assert_equal(found, expected):
    assert len(found) == len(expected) == 8
    for one, other in zip(found, expected, strict=True):
        assert (one.variant, one.history, one.metrics) == (other.variant, other.history, other.metrics)
        assert all(map(np.array_equal, one.model.get_weights(), other.model.get_weights()))


def test_workers_train_the_same_bits_one_is_killed_and_results_come_as_they_are_ready(workers, tmp_path, monkeypatch):
    expected, show = trained(), Recorder()
    monkeypatch.setattr(many, "progress_of", lambda verbose: show)
    monkeypatch.setattr(cluster, "TRIES", 2)  # what was sent to the killed worker goes to new ones, and not there again
    with joblib.parallel_config(**workers):
        found = trained(callbacks=killing(tmp_path / "kill"))
    assert not (tmp_path / "kill").exists()
    assert_equal(found, expected)
    assert show.done == list(range(1, 9))
    one, other = found[3].model, expected[3].model  # a model like any other
    for model in (one, other):
        rv.set_seed(5)
        model.fit(X, Y, epochs=1, verbose=0)
    assert np.array_equal(one.predict(X, verbose=0), other.predict(X, verbose=0))


def test_an_error_in_a_worker_names_its_variant(workers):
    class Failing(rv.callbacks.Callback):
        def on_train_begin(self, logs=None):
            if self.model.layers[0].units == 6:
                raise OSError("no space left on device")

    with joblib.parallel_config(**workers), pytest.raises(OSError, match="no space left") as caught:
        trained(callbacks=Failing())
    assert "units=6, seed=" in "".join(caught.value.__notes__)


# --- once, with the processes of loky -------------------------------------------------------------------------------

LOKY = {"backend": "loky", "n_jobs": 2}


def test_ctrl_c_keeps_what_was_finished(monkeypatch):
    monkeypatch.setattr(many, "progress_of", lambda verbose: Recorder(at=2))
    with joblib.parallel_config(**LOKY), pytest.raises(Interrupted) as caught:
        trained()
    assert len(caught.value.results) >= 2


def test_a_variant_that_kills_its_workers_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "TRIES", 2)
    with (
        joblib.parallel_config(**LOKY),
        pytest.raises(RuntimeError, match=r"again and again.*variant units=4, seed=") as e,
    ):
        trained(callbacks=killing(tmp_path / "kill", once=False), seeds=1, folds=None, grid={"units": [4]})
    assert "smaller batch_size" in str(e.value)


def test_what_cannot_be_sent_is_named(tmp_path):
    build = made()
    with (tmp_path / "log.txt").open("w") as log:

        def noted(units=4):
            log.write("built\n")
            return build(units)

        class Keeping(rv.callbacks.Callback):
            def __init__(self):
                self.lines = [log]

        rows: dict[str, dict[str, Any]] = {
            r"'log' in build is a TextIOWrapper": {"build": noted},
            r"element 0 in 'lines' in callbacks is a TextIOWrapper": {"callbacks": Keeping()},
            r"units in 'settings' in variant is a lock": {"grid": {"units": [4, threading.Lock()]}, "folds": None},
        }
        for words, options in rows.items():
            given = {"build": build} | OPTIONS | options
            with joblib.parallel_config(**LOKY), pytest.raises(TypeError, match=words):
                rv.fit_many(given.pop("build"), X, Y, **given)


def test_a_worker_of_another_version_is_refused():
    with pytest.raises(RuntimeError, match=r"the worker on .* has ranvier .*, and the program 9\.0"):
        parcel.train_here({"ranvier": "9.0"}, "search", 0, b"", np.zeros(0, np.uint8))


def test_one_worker_is_this_process_and_threads_are_ours():
    expected = trained()
    for given in ({"backend": "loky", "n_jobs": 1}, {"backend": "threading", "n_jobs": 2}):
        with joblib.parallel_config(**given):
            assert_equal(trained(), expected)
    with joblib.parallel_config("multiprocessing"), pytest.raises(ValueError, match="Write parallel_config"):
        trained()
