"""Keras's own tests of losses and metrics, from its installed wheel, run against ours under its names."""

import importlib
import unittest
import warnings
from typing import Any

import numpy as np
import pytest

from ranvier import losses, metrics
from ranvier.tensor.tensor import Tensor

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]


def tensor(x: Any) -> Any:
    if x is None or isinstance(x, (int, float)):
        return x
    array = np.asarray(x)
    return Tensor(array.astype(np.float32) if array.dtype == np.float64 else array)


class Loss:
    """One of our losses, which takes and gives arrays."""

    def __init__(self, kind: Any, *args: Any, dtype: Any = None, **options: Any) -> None:
        self.loss = kind(*args, **options)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        return self.loss(tensor(y_true), tensor(y_pred), tensor(sample_weight)).numpy()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loss, name)


class Metric:
    """One of our metrics."""

    def __init__(self, kind: Any, *args: Any, dtype: Any = None, **options: Any) -> None:
        self.metric = kind(*args, **options)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        return self.metric(y_true, y_pred, sample_weight)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.metric, name)


class Names:
    """Stands where a module of Keras stood."""

    def __init__(self, ours: Any, wrap: Any) -> None:
        for name in ours.__all__:
            found = getattr(ours, name)
            if isinstance(found, type):
                setattr(self, name, lambda *args, kind=found, **options: wrap(kind, *args, **options))
            else:
                setattr(self, name, lambda *args, f=found, **options: f(*map(tensor, args), **options).numpy())


SUITES = {
    "losses.losses_test": ("losses", Names(losses, Loss)),
    "metrics.accuracy_metrics_test": ("accuracy_metrics", Names(metrics, Metric)),
    "metrics.confusion_metrics_test": ("metrics", Names(metrics, Metric)),
    "metrics.f_score_metrics_test": ("f_score_metrics", Names(metrics, Metric)),
    "metrics.hinge_metrics_test": ("hinge_metrics", Names(metrics, Metric)),
    "metrics.probabilistic_metrics_test": ("metrics", Names(metrics, Metric)),
    "metrics.regression_metrics_test": ("metrics", Names(metrics, Metric)),
}


ELSEWHERE = {  # parts of names of tests, and why what they test is otherwise here
    "test_config": "files are written in another form",
    "_dtype_arg": "a program has one dtype",
    "CircleTest": "not there", "DiceTest": "not there", "TverskyTest": "not there",
    "GeneralizedCrossEntropy": "not there", "prgain": "not there", "top_k": "not there", "from_sorted_ids": "not there",
    "different_axis": "classes are last", "on_user_axis": "classes are last", "ignore_class": "of losses, not of metrics",
    "raises_value_error": "errors in our words", "_invalid_": "errors in our words", "R2ScoreTest.test_errors": "errors in our words",
    "shape_mismatch": "errors in our words", "should_throw_error": "errors in our words",
    "HingeTest.test_unweighted": "errors in our words",
    "threshold_limit": "thresholds of logits lie beyond 0 and 1",
    "manual_thresholds": "compares attributes", "reset_state": "compares attributes",
    "class_id_multiclass": "compares attributes", "nd_broadcast_weights": "weights are never broadcast",
    "weighted_nd_weights": "an accuracy takes one weight a sample",
    "TrueNegativesTest.test_weighted_with_thresholds": "weights are never broadcast", "negative_weights": "those are refused",
    "test_reshape_matches": "labels are never reshaped to other places",
    **{f"tfa_comparison{i}": "its adjusted R squared counts outputs as samples" for i in (1, 2, 4, 5, 7, 8)},
    "test_end_to_end": "our metric in a model of Keras's", "handles_sas_metrics": "our metric in a model of Keras's",
}  # fmt: skip


def tests() -> list[Any]:
    pytest.importorskip("keras")
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in SUITES:
            module = importlib.import_module(f"keras.src.{name}")
            for suite in unittest.defaultTestLoader.loadTestsFromModule(module):
                named = [(case.id().removeprefix("keras.src."), case) for case in suite]
                found += [
                    pytest.param(name, case, id=title)
                    for title, case in named
                    if not any(part in title for part in ELSEWHERE)
                ]
    return found


@pytest.mark.parametrize(("name", "case"), tests())
def test_keras(name, case, monkeypatch):
    attribute, ours = SUITES[name]
    monkeypatch.setattr(importlib.import_module(f"keras.src.{name}"), attribute, ours)
    case.debug()
