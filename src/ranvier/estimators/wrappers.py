"""Keras's ``wrappers``: networks that you compiled, as estimators of scikit-learn, which is optional."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from ranvier.estimators.needs import needs_sklearn
from ranvier.module import Module
from ranvier.saving import clone_model
from ranvier.support.errors import missing

__all__ = ["SKLearnClassifier", "SKLearnRegressor", "SKLearnTransformer"]  # noqa: F822 - made when they are first used

_DOC = """A network as {what} of scikit-learn, with Keras's arguments and attributes.

    ``model`` is a compiled network, which each `fit` copies with fresh weights, or a function of ``X`` and ``y``, and
    of ``model_kwargs``, that returns a compiled one. {targets} ``fit_kwargs``, and the keywords of `fit`, go to the
    network's ``fit``. ``model_`` is the trained network, ``history_`` its history{more}. ``warm_start`` has no effect,
    as in Keras. `rv.estimators` has estimators with the settings and checks of scikit-learn's own.

    Raises RuntimeError for a network that is not compiled, ValueError for targets of another kind. Source: Keras.
    """


class _Wrapper:
    """What the wrappers have in common; the public classes add scikit-learn's bases."""

    def __init__(self, model: Any, warm_start: bool = False, model_kwargs: Any = None, fit_kwargs: Any = None) -> None:
        self.model, self.warm_start = model, warm_start
        self.model_kwargs, self.fit_kwargs = model_kwargs, fit_kwargs

    def __sklearn_clone__(self) -> Any:
        return type(self)(self.model, self.warm_start, self.model_kwargs, self.fit_kwargs)

    def fit(self, X: Any, y: Any, **kwargs: Any) -> Any:  # scikit-learn's name
        """Train a new network, and return the estimator."""
        from sklearn.utils.validation import validate_data

        X, y = validate_data(self, X, y, multi_output=True)
        y = self._targets(y)
        model = self._network(X, y)
        if "_compiled" not in vars(model):
            raise RuntimeError("the network is not compiled. Write model.compile(optimizer, loss) before instead.")
        self.history_ = model.fit(X, y, **{**(self.fit_kwargs or {}), **kwargs})
        self.model_ = model
        return self

    def _network(self, X: Any, y: Any) -> Any:
        if not isinstance(self.model, Module):
            return self.model(X=X, y=y, **(self.model_kwargs or {}))
        model = clone_model(self.model)
        if "_compiled" in vars(self.model):
            settings = vars(self.model)["_compiled"].settings()
            model.compile(**copy.deepcopy(settings))
        return model

    def _targets(self, y: Any) -> Any:
        self._is_vector = y.ndim == 1
        return y.reshape(-1, 1) if y.ndim == 1 else y

    def _outputs(self, X: Any) -> Any:
        from sklearn.utils.validation import check_is_fitted, validate_data

        check_is_fitted(self, "model_")
        return self.model_.predict(validate_data(self, X, reset=False))


class _Classifier(_Wrapper):
    def _targets(self, y: Any) -> Any:
        from sklearn.utils.multiclass import type_of_target

        kind = type_of_target(y, raise_unknown=True)
        if kind not in ("binary", "multiclass"):
            raise ValueError(f"the targets are {kind}. Write one class for each sample instead.")
        self.classes_ = np.unique(y)
        if len(self.classes_) == 1:
            raise ValueError("the targets have one class only. Write targets of two classes or more.")
        super()._targets(y)
        return (np.reshape(y, (-1, 1)) == self.classes_).astype(float)

    def decision_function(self, X: Any) -> Any:
        """The network's outputs (samples, classes)."""
        return self._outputs(X)

    def predict(self, X: Any) -> Any:
        """The class of the largest output for each sample."""
        found = self.classes_[np.argmax(self._outputs(X), -1)]
        return found if self._is_vector else found[:, None]


class _Regressor(_Wrapper):
    def predict(self, X: Any) -> Any:
        """The network's outputs, (samples,) if the targets were."""
        found = self._outputs(X)
        return found[:, 0] if self._is_vector and found.ndim == 2 else found


class _Transformer(_Wrapper):
    def transform(self, X: Any) -> Any:
        """The network's outputs."""
        return self._outputs(X)


_KINDS: dict[str, tuple[type, str, str, str, str]] = {
    "SKLearnClassifier": (
        _Classifier, "ClassifierMixin", "a classifier",
        "The targets are one-hot vectors of classes: its loss is a categorical cross entropy.",
        ", ``classes_`` the classes",
    ),
    "SKLearnRegressor": (
        _Regressor, "RegressorMixin", "a regressor", "The targets are numbers, (samples, outputs).", "",
    ),
    "SKLearnTransformer": (
        _Transformer, "TransformerMixin", "a transformer", "The next step is given the network's outputs.", "",
    ),
}  # fmt: skip


def _made(name: str) -> Any:
    with needs_sklearn(name):
        from sklearn import base

    own, mixin, what, targets, more = _KINDS[name]
    doc = _DOC.format(what=what, targets=targets, more=more)
    return type(name, (getattr(base, mixin), own, base.BaseEstimator), {"__doc__": doc, "__module__": __name__})


__getattr__, __dir__ = missing("ranvier.wrappers", __all__, made=_made)
