"""Warnings: one for each cause, however many layers, columns, rows or batches have it, and at your line."""

import inspect
import re
import threading
import warnings

import numpy as np
import pytest

import ranvier as rv
from ranvier import layers
from ranvier.training import PreflightError, PreflightWarning

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 4)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int32)
DEEP = 58


def warned(call, *args):
    """The warnings of a call, each of which must be at a line of ``call``."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call(*args)
    lines, first = inspect.getsourcelines(call)
    for warning in caught:
        assert warning.filename == __file__, str(warning.message)
        assert first <= warning.lineno < first + len(lines)
    return caught


def searched(pattern, text):
    found = re.search(pattern, text)
    assert found, text
    return found


def compiled(*middle):
    rv.set_seed(0)
    model = rv.Sequential([*middle, layers.Dense(2, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def fitted(*middle, x=X, **options):
    return lambda: compiled(*middle).fit(x, Y, verbose=0, **options)


def dead(number):
    """Dense layers with dead units: all units of two in three layers, and most units of the others."""
    return [
        layers.Dense(
            16,
            activation="relu",
            name=f"relu_{i}",
            bias_initializer=rv.initializers.Constant(-1e3) if i % 3 else rv.initializers.RandomUniform(-2e3, 1e2),
        )
        for i in range(number)
    ]


ROWS = {  # layers, data and options; what the one warning says
    "dead units in many layers": (
        fitted(*dead(DEEP), ignore=("RV1", "RV501")),
        (
            r"RV505 dead units, \d+ layers\. The worst: 16 of the 16 relu units .* \(layer 'relu_\d+', made at .*:\d+\)\. "
            r"Write .* instead\. model\.check\(x, y\) lists all \d+\."
        ),
    ),
    "dead units in one layer": (
        fitted(*dead(2)[1:], ignore="RV1"),
        r"RV505 dead units: 16 of the 16 relu units of this layer are zero for each of 120 sampled rows",
    ),
    "no nonlinearity between many layers": (
        fitted(*(layers.Dense(4, name=f"linear_{i}") for i in range(5)), ignore="RV5"),
        r"RV106 no nonlinearity, 5 layers\. The first: there is no nonlinearity between 'linear_0' and 'linear_1'",
    ),
    "dropout of all in many layers": (
        fitted(
            *(part for r in (0.8, 0.95, 0.9) for part in (layers.Dense(2, activation="tanh"), layers.Dropout(r))),
            ignore="RV5",
        ),
        r"RV108 dropout of a whole layer, 3 layers\. The worst: dropout of 0\.95 on 2 units sets all units to zero in 90%",
    ),
    "equal units in many layers": (
        fitted(*(layers.Dense(n, "relu", kernel_initializer="zeros") for n in (3, 9, 5)), ignore="RV5"),
        r"RV111 equal units, 3 layers\. The worst: all 9 units start with the same weights",
    ),
    "large columns": (
        fitted(x=X * [1000, 900, 800, 1], ignore="RV5"),
        r"RV202 large features: 3 features of x are large \(the largest, feature 0: ",
    ),
    "constant columns": (
        fitted(x=np.hstack([X, np.tile(np.arange(3, 11, dtype=np.float32), (len(X), 1))])),
        r"RV204 .*: 8 of 12 features of x never vary: number 4 \(always 3\), .* and 3 more .* x\[:, np\.ptp\(x, axis=0\) > 0\]",
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_one_warning_for_each_cause(name):
    call, text = ROWS[name]
    found = warned(call)
    assert len(found) == 1, [str(w.message)[:100] for w in found]
    assert re.search(text, str(found[0].message)), str(found[0].message)
    assert found[0].category is PreflightWarning


def test_the_report_of_a_warning_holds_all_findings():
    found = warned(fitted(*dead(DEEP), ignore=("RV1", "RV501")))[0].message
    count = int(searched(r", (\d+) layers", str(found))[1])
    assert count > DEEP / 2
    assert found.report.codes == ["RV505"] * count
    assert len({finding.layer for finding in found.report}) == count


def test_an_error_of_several_outputs_is_one_text():
    class Two(rv.Module):
        def __init__(self):
            self.dense, self.output_names = layers.Dense(1), ["a", "b"]

        def forward(self, x):
            return {"a": self.dense(x), "b": self.dense(x)}

    model = Two()
    model.compile("sgd", "categorical_crossentropy")
    with pytest.raises(PreflightError, match=r"RV105 one output for several classes, 2 times\. The first: ") as error:
        model.fit(X, {"a": X[:, :1] * 0 + 1, "b": X[:, :1] * 0 + 1}, verbose=0, ignore="RV102")
    assert error.value.report.codes == ["RV105"] * 2


# --- batches ------------------------------------------------------------------------------------------------------

HUGE = X.astype(np.float64)
HUGE[::3, 1] = 1e300


def batches():
    for start in range(0, len(X), 20):
        yield HUGE[start : start + 20], Y[start : start + 20]


def model_of_huge():
    model = rv.Sequential([layers.Input((4,)), layers.Lambda(lambda x: x.clip(-1, 1)), layers.Dense(2)])
    model.compile("sgd", rv.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


OF_BATCHES = {
    "fit": lambda: model_of_huge().fit(batches(), verbose=0, ignore="RV"),
    "evaluate": lambda: model_of_huge().evaluate(batches(), verbose=0),
    "predict": lambda: model_of_huge().predict(x for x, _ in batches()),
}


@pytest.mark.parametrize("name", OF_BATCHES)
def test_values_that_overflow_in_every_batch_are_one_warning(name):
    found = warned(OF_BATCHES[name])
    assert len(found) == 1
    assert re.search("x has [0-9]+ finite float64 value.* that are infinite as float32", str(found[0].message))


# --- lines --------------------------------------------------------------------------------------------------------


def estimator(**options):
    return pytest.importorskip("ranvier.estimators").NeuralClassifier(max_iter=2, **options)


def crossed():
    selection = pytest.importorskip("sklearn.model_selection")
    selection.cross_val_score(estimator(), X * 1e4, Y, cv=2)


def gridded():
    selection = pytest.importorskip("sklearn.model_selection")
    selection.GridSearchCV(estimator(), {"hidden_layer_sizes": [(3,), (4,)]}, cv=2).fit(X * 1e4, Y)


def pooled():
    """In the threads of a pool no line is yours: the warning is at the line at which the main thread waits."""
    joblib = pytest.importorskip("joblib")
    selection = pytest.importorskip("sklearn.model_selection")
    with joblib.parallel_config("threading"):
        selection.cross_val_score(estimator(), X * 1e4, Y, cv=2, n_jobs=2)


def in_a_thread():
    def train():
        compiled().fit(X * 1e4, Y, verbose=0)

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()


def watching():
    callbacks = [rv.callbacks.EarlyStopping("no"), rv.callbacks.ReduceLROnPlateau("no")]
    compiled().fit(X, Y, callbacks=callbacks, epochs=3, verbose=0)


def saving(path):
    model = rv.Sequential([layers.Input((4,)), layers.Dense(1)])
    model.compile("sgd", lambda y, p: (y - p).square())
    model.save(path)


LINES = {  # a call, the categories of its warnings, and a word of each
    "cross_val_score": (crossed, "RV202|max_iter=2"),
    "GridSearchCV": (gridded, "RV202|max_iter=2"),
    "a pool of threads": (pooled, "RV202|max_iter=2"),
    "your own thread": (in_a_thread, "RV202|RV503"),
    "a result that is not there": (watching, "watches 'no'"),
}


@pytest.mark.parametrize("name", LINES)
def test_a_warning_is_at_the_users_line(name):
    call, words = LINES[name]
    found = warned(call)
    assert found
    for warning in found:
        assert re.search(words, str(warning.message)), str(warning.message)


def test_a_warning_of_saving_is_at_the_users_line(tmp_path):
    found = warned(saving, tmp_path / "model.ranvier")
    assert len(found) == 1


def test_a_layer_that_an_estimator_makes_is_named_with_the_users_line():
    found = warned(crossed)
    first = crossed.__code__.co_firstlineno
    made = searched(r"made at (.*?):(\d+)\)", next(str(w.message) for w in found if "RV202" in str(w.message)))
    assert made[1] == __file__
    assert first < int(made[2]) <= first + 2


def test_a_process_of_a_pool_has_no_line_of_yours(monkeypatch):
    """Its warnings are at no file, and so at none of the library, joblib or scikit-learn."""
    monkeypatch.setattr("ranvier.support.source_lines.is_users", lambda frame: False)
    with pytest.warns(PreflightWarning, match=r"made at <not in your code>:1\)") as found:
        compiled().fit(X * 1e4, Y, verbose=0, ignore="RV5")
    assert [w.filename for w in found] == ["<not in your code>"]
