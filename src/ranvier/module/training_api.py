"""Keras's ways to train: ``compile``, ``fit``, ``evaluate``, ``predict``, ``save`` and their kin, and ``plot``."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import MethodType
from typing import Any

from ranvier.module.keras_api import KerasAPI
from ranvier.module.properties import part_of_module
from ranvier.support import rows
from ranvier.support.errors import argument_error


class RowMethod:
    """A method whose function is in a higher room: a row of the face says where. The first use puts it in its place."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, model: Any, owner: Any = None) -> Any:
        method = self.load()
        setattr(TrainingAPI, self.name, method)
        return method if model is None else MethodType(method, model)

    def load(self) -> Callable[..., Any]:
        """The function, with an error that says what to write where its arguments do not fit."""
        name, function = self.name, rows.look_up("method", self.name)

        @functools.wraps(function)
        def method(model: Any, /, *args: Any, **options: Any) -> Any:
            try:
                return function(model, *args, **options)
            except (AttributeError, TypeError):  # only a call that failed is looked into
                if not isinstance(model, TrainingAPI):
                    raise TypeError(
                        f"{name} was called on the class, with a {type(model).__name__} in the model's place. Write "
                        f"model = rv.Sequential([...]) and then model.{name}(...) instead."
                    ) from None
                signature = inspect.signature(function)
                taken = signature.replace(parameters=list(signature.parameters.values())[1:])
                wrong = argument_error(f"{type(model).__name__}.{name}", taken, args, options)
                if wrong is None:
                    raise
                raise wrong from None

        method.__qualname__ = f"Module.{name}"
        return method


@part_of_module
class TrainingAPI(KerasAPI):
    """What `ranvier.Module` has from Keras to train; training itself is in `ranvier.training`."""

    check = RowMethod()
    compile = RowMethod()
    compute_loss = RowMethod()
    compute_metrics = RowMethod()
    evaluate = RowMethod()
    explain_step = RowMethod()
    export = RowMethod()
    fit = RowMethod()
    get_metrics_result = RowMethod()
    load_weights = RowMethod()
    plot = RowMethod()
    predict = RowMethod()
    predict_step = RowMethod()
    report = RowMethod()
    save = RowMethod()
    save_weights = RowMethod()
    test_step = RowMethod()
    to_keras = RowMethod()
    to_torch = RowMethod()
    train_on_batch = RowMethod()
    train_step = RowMethod()
    _repr_html_ = RowMethod()

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """The loss and metrics on one batch: see `evaluate`."""
        return self.evaluate(x, y, verbose=0, sample_weight=sample_weight, return_dict=return_dict)

    def predict_on_batch(self, x: Any) -> Any:
        """The outputs for one batch: see `predict`."""
        return self.predict(x, verbose=0)
