"""Keras's ways to train: ``compile``, ``fit``, ``evaluate``, ``predict``, ``save`` and their kin, and ``plot``.

Rows of the face say which functions of higher rooms they call.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ranvier.module.keras_api import KerasAPI
from ranvier.module.properties import part_of_module
from ranvier.support import rows
from ranvier.support.errors import refuse_unknown

__all__ = ["TrainingAPI"]


def _method(model: Any, name: str, options: Mapping[str, Any]) -> Any:
    """The function that a method calls. Raises TypeError for options that it does not have."""
    if not isinstance(model, TrainingAPI):
        raise TypeError(
            f"{name} was called on the class, with a {type(model).__name__} in the model's place. Write "
            f"model = rv.Sequential([...]) and then model.{name}(...) instead."
        )
    function = rows.look_up("method", name)
    if options:
        refuse_unknown(function, options, f"{type(model).__name__}.{name}")
    return function


@part_of_module
class TrainingAPI(KerasAPI):
    """What `ranvier.Module` has from Keras to train; training itself is in `ranvier.training`."""

    def compile(
        self, optimizer: Any = "rmsprop", loss: Any = None, metrics: Any = None, **options: Any
    ) -> None:
        """Choose how ``fit`` trains: see `ranvier.training.compile`."""
        _method(self, "compile", options)(self, optimizer=optimizer, loss=loss, metrics=metrics, **options)

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: str | int = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Any = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        **options: Any,
    ) -> Any:
        """Train, and return the history: see `ranvier.training.loop.fit`. The arguments are those of Keras 3."""
        return _method(self, "fit", options)(
            self, x, y, batch_size=batch_size, epochs=epochs, verbose=verbose, callbacks=callbacks,
            validation_split=validation_split, validation_data=validation_data, shuffle=shuffle,
            class_weight=class_weight, sample_weight=sample_weight, initial_epoch=initial_epoch,
            steps_per_epoch=steps_per_epoch, **options,
        )  # fmt: skip

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        sample_weight: Any = None,
        **options: Any,
    ) -> Any:
        """The loss and metrics on data: see `ranvier.training.evaluate`."""
        return _method(self, "evaluate", options)(
            self,
            x,
            y,
            batch_size=batch_size,
            verbose=verbose,
            sample_weight=sample_weight,
            **options,
        )

    def check(self, x: Any = None, y: Any = None, **options: Any) -> Any:
        """A report of what looks like a mistake in the model or these data: see `ranvier.training.check`."""
        return _method(self, "check", options)(self, x, y, **options)

    def predict(
        self, x: Any = None, batch_size: int | None = None, verbose: str | int = "auto", **options: Any
    ) -> Any:
        """The outputs for ``x`` as a NumPy array: see `ranvier.training.loop.predict`."""
        return _method(self, "predict", options)(self, x, batch_size=batch_size, verbose=verbose, **options)

    def train_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, **options: Any) -> Any:
        """One step of training: see `ranvier.training.train_on_batch`."""
        return _method(self, "train_on_batch", options)(self, x, y, sample_weight=sample_weight, **options)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """The loss and metrics on one batch: see `ranvier.training.evaluate`."""
        return self.evaluate(x, y, verbose=0, sample_weight=sample_weight, return_dict=return_dict)

    def predict_on_batch(self, x: Any) -> Any:
        """The outputs for one batch: see `ranvier.training.loop.predict`."""
        return self.predict(x, verbose=0)

    def save_weights(self, filepath: Any, **options: Any) -> None:
        """Write the weights alone into a file: see `ranvier.training.save_weights`."""
        _method(self, "save_weights", options)(self, filepath, **options)

    def load_weights(self, filepath: Any) -> None:
        """Overwrite the weights with those in a file: see `ranvier.training.load_weights`."""
        rows.look_up("method", "load_weights")(self, filepath)

    def save(self, filepath: Any, **options: Any) -> None:
        """Write architecture, weights and training state into one file: see `ranvier.training.save`."""
        _method(self, "save", options)(self, filepath, **options)

    def plot(self, path: Any = None, *, title: str | None = None) -> Any:
        """Draw the network, and write it to ``path`` if given: see `ranvier.pictures.network`. Returns the figure."""
        return rows.look_up("method", "plot")(self, path, title=title)

    def _repr_html_(self) -> str:
        text: str = rows.look_up("method", "_repr_html_")(self)
        return text
