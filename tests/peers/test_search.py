"""Splitters and parameter grids of scikit-learn, distributions of scipy.stats, frames of pandas: taken as they are."""

import numpy as np
import pytest

import ranvier as rv
from ranvier.search.folds import folds_of
from ranvier.search.interval import student_t
from tests.test_docs import DOCUMENTS, verify

pd = pytest.importorskip("pandas")
stats = pytest.importorskip("scipy.stats")
selection = pytest.importorskip("sklearn.model_selection")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4)).astype(np.float32)
Y = X[:, :3].argmax(1)
GROUPS = np.repeat(np.arange(12), 5)


def build(units=4, learning_rate=0.01):
    model = rv.Sequential(
        [rv.layers.Dense(units, activation="tanh", input_shape=(4,)), rv.layers.Dense(3, activation="softmax")]
    )
    model.compile(rv.optimizers.Adam(learning_rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


SPLITTERS = {
    "KFold": (lambda: selection.KFold(4), None),
    "StratifiedKFold": (lambda: selection.StratifiedKFold(4, shuffle=True, random_state=0), None),
    "GroupKFold": (lambda: selection.GroupKFold(4), GROUPS),
    "TimeSeriesSplit": (lambda: selection.TimeSeriesSplit(3), None),
    "RepeatedKFold": (lambda: selection.RepeatedKFold(n_splits=3, n_repeats=2, random_state=0), None),
    "ShuffleSplit": (lambda: selection.ShuffleSplit(3, test_size=0.3, random_state=0), None),
}


@pytest.mark.parametrize("name", SPLITTERS)
def test_splitters(name):
    make, groups = SPLITTERS[name]
    expected = list(make().split(X, Y, groups))
    found = folds_of(make(), len(X), Y, groups)
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert np.array_equal(one[0], other[0])
        assert np.array_equal(one[1], other[1])
    results = rv.fit_many(build, X, Y, folds=make(), groups=groups, epochs=1, verbose=0)
    assert len(results) == len(expected)


def test_our_splitters_in_scikit_learn():
    linear = pytest.importorskip("sklearn.linear_model").LogisticRegression()
    for splitter in (rv.search.KFold(3), rv.search.StratifiedKFold(3)):
        pairs = splitter.split(X, Y)
        expected = [linear.fit(X[a], Y[a]).score(X[b], Y[b]) for a, b in pairs]
        np.testing.assert_allclose(selection.cross_val_score(linear, X, Y, cv=splitter), expected)


def test_grids_and_samplers():
    grid = selection.ParameterGrid({"units": [3, 4], "learning_rate": [0.1]})
    assert len(rv.fit_many(build, X, Y, grid, epochs=1, verbose=0)) == 2
    space = {"units": stats.randint(3, 6), "learning_rate": stats.loguniform(1e-3, 1e-1)}
    results = rv.search.random_search(build, X, Y, space=space, n=3, folds=2, epochs=1, verbose=0)
    settings = [setting.settings for setting in results.settings()]
    assert all(s["units"] in (3, 4, 5) and 1e-3 <= s["learning_rate"] <= 1e-1 for s in settings)
    again = rv.search.random_search(build, X, Y, space=space, n=3, folds=2, epochs=1, verbose=0)
    assert again.to_dict()["learning_rate"] == results.to_dict()["learning_rate"]


def test_frames():
    frame = pd.DataFrame(X, columns=list("abcd")).astype(float)
    results = rv.fit_many(build, frame, pd.Series(Y), folds=3, seeds=2, epochs=2, verbose=0)
    plain = rv.fit_many(build, X, Y, folds=3, seeds=2, epochs=2, verbose=0)
    assert [row.metrics for row in results] == [row.metrics for row in plain]
    with pytest.raises(ValueError, match="columns"):
        results[5].model.predict(frame[["b", "a", "c", "d"]])
    table = pd.DataFrame(results.to_dict())
    assert len(table) == 6
    assert table.groupby("fold")["val_accuracy"].mean().shape == (3,)


@pytest.mark.parametrize("df", [1, 2, 3, 8, 29, 500])
@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.999])
def test_quantiles_of_student(df, confidence):
    assert student_t(confidence, df) == pytest.approx(stats.t.ppf((1 + confidence) / 2, df), rel=1e-9)


def test_the_document(tmp_path):
    verify(next(path for path in DOCUMENTS if path.name == "search.md"), tmp_path, forked=False)
