"""The face that Keras shows: weights as lists, ``summary``, ``compile``/``fit``/``evaluate``/``predict``, ``save``."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ranvier.graph.node import BATCH, Type
from ranvier.module.calls import floats_of, mode
from ranvier.module.state import State
from ranvier.support import rows
from ranvier.support.errors import refuse_unknown
from ranvier.tensor.call_state import isolated_tape
from ranvier.tensor.context import get_dtype
from ranvier.tensor.tensor import Tensor

if TYPE_CHECKING:
    from ranvier.module.core import Module

__all__ = ["Face"]


def _method(model: Any, name: str, options: Mapping[str, Any]) -> Any:
    """The function of training that a method passes to. Raises TypeError for options that it does not have."""
    if not isinstance(model, Face):
        raise TypeError(
            f"{name} was called on the class, with a {type(model).__name__} in the model's place. Write "
            f"model = rv.Sequential([...]) and then model.{name}(...) instead."
        )
    function = rows.look_up("method", name)
    if options:
        refuse_unknown(function, options, f"{type(model).__name__}.{name}")
    return function


class reading:  # noqa: N801  # written as property is
    """A property that an attribute of the same name takes the place of: networks have ``self.layers`` of their own.

    So a type checker must take it for anything.
    """

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function, self.__doc__ = function, function.__doc__

    def __get__(self, module: Any, owner: Any = None) -> Any:
        return self if module is None else self.function(module)


def shapes(values: Any) -> Any:
    """The shape of each symbolic value, in the containers that they are in; of one alone in a list, its own."""
    from ranvier.module.symbolic import Operators
    from ranvier.support.tree import map_structure

    if isinstance(values, (list, tuple)) and len(values) == 1:
        values = values[0]
    return map_structure(values, Operators, lambda value: value.shape)


class Face(State):
    """The methods that `ranvier.Module` has from Keras; training itself lives in `ranvier.training`."""

    @property
    def trainable(self) -> bool:
        """Whether ``fit`` and optimizers change the weights; setting it sets it for everything below, except weights
        made with ``trainable=False``.
        """
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for module in self.modules():
            module.__dict__["_trainable"] = bool(value)
        for parameter in self.parameters():
            if parameter.for_training:
                parameter.requires_grad = bool(value)

    @reading
    def dtype(self) -> str:
        """The floats of the weights, which it computes in."""
        module = cast("Module", self)
        return module._floats or floats_of(module)

    compute_dtype = variable_dtype = dtype  # Keras's: there is one for both

    @reading
    def layers(self) -> list[Module]:
        return list(self.children())

    def get_layer(self, name: str | None = None, index: int | None = None) -> Module:
        """The layer of this name, or at this place of ``layers``. Raises ValueError naming what there is."""
        layers = list(self.layers)
        if (name is None) == (index is None):
            raise ValueError(
                "get_layer takes a name or an index. Write get_layer('dense') or get_layer(index=0)."
            )
        if index is not None:
            if not -len(layers) <= index < len(layers):
                raise ValueError(
                    f"{self.name!r} has {len(layers)} layers, and none at {index}. Write a smaller index."
                )
            return cast("Module", layers[index])
        for layer in layers:
            if layer.name == name:
                return cast("Module", layer)
        raise ValueError(
            f"{self.name!r} has no layer {name!r}. Write one of {', '.join(x.name for x in layers)}."
        )

    @reading
    def input(self) -> Any:
        """What a layer of a functional model was called on. Raises ValueError unless it was called exactly once."""
        from ranvier.module.symbolic import only_call

        call = only_call(cast("Module", self), "input")
        if not call.parents:
            return call.result
        return call.arguments[0] if len(call.arguments) == 1 else list(call.arguments)

    @reading
    def output(self) -> Any:
        """What a layer of a functional model returned. Raises ValueError unless it was called exactly once."""
        from ranvier.module.symbolic import only_call

        return only_call(cast("Module", self), "output").result

    def _tensors(self) -> list[Tensor]:
        """Keras's order: of each layer what was made to be trained, then the rest, then its layers."""
        seen: dict[int, Tensor] = {}
        for module in self.modules():
            own = [p for p in module._parameters.values() if p is not None]
            own.sort(key=lambda p: not p.for_training)
            kept = (b for n, b in module._buffers.items() if b is not None and n not in module._transient)
            for tensor in (*own, *kept):
                seen.setdefault(id(tensor), tensor)
        return list(seen.values())

    @reading
    def weights(self) -> list[Tensor]:
        """Parameters and persistent buffers, layer by layer, of each those that are trained first."""
        return self._tensors()

    @reading
    def trainable_weights(self) -> list[Tensor]:
        return [w for w in self._tensors() if w.requires_grad]

    @reading
    def non_trainable_weights(self) -> list[Tensor]:
        return [w for w in self._tensors() if not w.requires_grad]

    @reading
    def variables(self) -> list[Tensor]:
        """Keras's name for ``weights``."""
        return self._tensors()

    @reading
    def trainable_variables(self) -> list[Tensor]:
        """Keras's name for ``trainable_weights``."""
        return [w for w in self._tensors() if w.requires_grad]

    @reading
    def non_trainable_variables(self) -> list[Tensor]:
        """Keras's name for ``non_trainable_weights``."""
        return [w for w in self._tensors() if not w.requires_grad]

    @reading
    def input_shape(self) -> Any:
        """The shape of each input, None for the batch, in the container that they were given in."""
        return shapes(self.input)

    @reading
    def output_shape(self) -> Any:
        """The shape of each output, None for the batch, in the container that they were given in."""
        return shapes(self.output)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape that comes of inputs of this shape, whose first dimension is the batch's (None); of several inputs,
        a list of shapes. Weights are not made. Raises ValueError where the inputs do not fit.
        """
        from ranvier.support.tree import map_structure

        module = cast("Module", self)
        module = module if module.built else copy.deepcopy(module)
        several = bool(input_shape) and isinstance(input_shape[0], (tuple, list))
        given = [
            Tensor.placeholder(Type((BATCH, *(int(n) for n in shape[1:])), get_dtype()))
            for shape in (input_shape if several else [input_shape])
        ]
        with mode(module, False), isolated_tape(module):
            result = module(given if several else given[0])
        return map_structure(result, Tensor, lambda tensor: (None, *tensor.shape[1:]))

    @reading
    def losses(self) -> list[Tensor]:
        """What is added to the loss: the penalty of each trainable weight that has a regularizer, and what layers added
        in the last call (``add_loss``, activity regularizers). `fit` adds them; an explicit loop writes
        ``loss + sum(model.losses)``.
        """
        return cast("Module", self)._losses()

    def get_weights(self) -> list[Any]:
        """Copies of all weights as NumPy arrays, in the order of ``weights``: of a Dense, kernel (in, out) and bias."""
        return [w.numpy() for w in self._tensors()]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Overwrite all weights, in the order of ``get_weights()``. Raises ValueError listing every misfit."""
        own = self._tensors()
        arrays = [np.asarray(w) for w in weights]
        if len(arrays) != len(own):
            raise ValueError(f"{self.name!r} has {len(own)} weights and was given {len(arrays)}.")
        wrong = [
            f"weight {i} is {w.shape} and was given {a.shape}"
            for i, (w, a) in enumerate(zip(own, arrays, strict=True))
            if w.shape != a.shape
        ]
        if wrong:
            raise ValueError(f"the weights do not fit {self.name!r}: {'; '.join(wrong)}.")
        for weight, array in zip(own, arrays, strict=True):
            weight.assign(array)

    @reading
    def optimizer(self) -> Any:
        """The optimizer that `compile` was given; None before."""
        compiled = self.__dict__.get("_compiled")
        return None if compiled is None else compiled.optimizer

    @reading
    def loss(self) -> Any:
        """The loss that `compile` was given; None before."""
        compiled = self.__dict__.get("_compiled")
        return None if compiled is None else compiled.given["loss"]

    @reading
    def metrics_names(self) -> list[str]:
        """The names of what `evaluate` gives; empty before `compile`."""
        compiled = self.__dict__.get("_compiled")
        return [] if compiled is None else list(compiled.names)

    @reading
    def metrics(self) -> list[Any]:
        """The metrics that `compile` was given, in the order of the results; empty before."""
        compiled = self.__dict__.get("_compiled")
        return [] if compiled is None else [metric.given for metric in compiled.metrics]

    def reset_metrics(self) -> None:
        """Let the metrics forget what they collected. `fit`, `evaluate` and ``train_on_batch`` begin anew by
        themselves: what they return is of that epoch, of those data and of that batch alone.
        """
        for metric in self.metrics:
            metric.reset_state()

    def count_params(self) -> int:
        """The number of elements of all weights."""
        return sum(w.compute().size for w in self._tensors())

    def summary(
        self,
        line_length: int | None = None,
        *,
        print_fn: Callable[[str], Any] | None = None,
        expand_nested: bool = True,
        show_trainable: bool = False,
        **options: Any,
    ) -> None:
        """Print the layers with their output shapes, parameters and bytes; shapes come from tracing the model.

        Layers within layers have rows of their own unless ``expand_nested=False``; ``show_trainable`` adds a column
        that says which are trained. ``line_length`` is the width, ``print_fn`` takes the text in place of the terminal.
        """
        from ranvier.module.summary import summary

        if options:
            refuse_unknown(summary, options, f"{type(self).__name__}.summary")
        summary(
            cast("Module", self), print_fn=print_fn, line_length=line_length, expand_nested=expand_nested,
            show_trainable=show_trainable,
        )  # fmt: skip

    def plot(self, path: Any = None, *, title: str | None = None) -> Any:
        """Draw the network, and write it to ``path`` if given: see `ranvier.pictures.network`. Returns the figure."""
        return rows.look_up("method", "plot")(self, path, title=title)

    def _repr_html_(self) -> str:
        text: str = rows.look_up("method", "_repr_html_")(self)
        return text

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, by name."""
        from ranvier.module.serialization import arguments_of

        return arguments_of(cast("Module", self))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments as plain values, with the name and whether it trains, for ``from_config``.

        What is a function of the user's, or an object of a class of theirs, stays what it is.
        """
        from ranvier.module.serialization import plain

        return {"name": self.name, "trainable": self._trainable, **plain(self.config())}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Any:
        """A fresh module from what ``config()`` or ``get_config()`` returned.

        ``custom_objects`` are classes that a whole architecture holds, by name, where they are not registered.
        """
        if {"class", "config"} <= set(config):
            from ranvier.module.serialization import from_architecture

            return from_architecture(config, custom_objects)
        from ranvier.module.serialization import remade

        options = remade(dict(config), custom_objects)
        return cls(*options.pop("*", ()), **options)

    def architecture(self) -> dict[str, Any]:
        """A description of plain JSON values from which ``from_architecture`` makes the same network, without weights.

        A class that is not registered goes by its own name. Raises TypeError naming the first module whose arguments
        are no plain values.
        """
        from ranvier.module.serialization import describe

        return describe(cast("Module", self))

    def to_json(self, **options: Any) -> str:
        """The architecture as text, for `ranvier.saving.model_from_json`; ``options`` are those of ``json.dumps``."""
        import json

        return json.dumps(self.architecture(), **options)

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
