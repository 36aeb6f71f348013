"""What a functional model has, as Keras's ``Model(inputs, outputs)``: recorded calls, and their symbolic values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from ranvier.module.masks import parts_of
from ranvier.module.members import ModuleBase
from ranvier.module.properties import overridable_property, part_of_module
from ranvier.module.recorded_calls import RecordedCalls, Ref, from_config, parts, record, replayed
from ranvier.module.serialization import (
    all_arguments,
    architecture_of,
    arguments_of,
    from_architecture,
    from_plain,
    plain,
)
from ranvier.module.symbolic import Call, Operators, only_call
from ranvier.module.training_api import TrainingAPI
from ranvier.support.tree import map_structure
from ranvier.tensor.arguments import find_handler
from ranvier.tensor.masks import set_mask
from ranvier.tensor.tensor import Tensor


@part_of_module
class FunctionalAPI(TrainingAPI):
    """What `ranvier.Module` has to hold recorded calls and to run them; and its configuration, which they are part of.

    A layer that was called several times is one layer with one set of weights. Layers and weights have the order that
    they have in Keras. Outputs are named, for losses and logs, by the keys of a dict, or by the layers that give them.
    """

    _recorded: RecordedCalls | None = None
    _own_arguments = False  # of a model with recorded calls: whether its constructor makes the inputs and outputs
    input_names: list[str]
    output_names: list[str]

    def _record(self, inputs: Any, outputs: Any) -> None:
        """Hold the calls that lead from inputs to outputs."""
        args, kwargs = self._arguments
        registered = vars(type(self)).get("_registered", "Functional") != "Functional"
        self._own_arguments = registered and find_handler((*args, *kwargs.values())) is None
        if not self._own_arguments:
            self.__dict__["_arguments"] = ((), {})  # `config` has all of it
        self.training = False
        network = record(inputs, outputs)
        for i, layer in enumerate(network.layers):
            self.add_module(str(i), layer)
        self._recorded = network.calls
        self.__dict__["_graph"] = network.graph
        self.input_names, self.output_names = network.input_names, network.output_names
        types = tuple(call.values[0].free for call in network.graph[: len(self.input_names)])
        self._input_type, self._input_types = types[0], types if len(types) > 1 else ()

    # --- symbolic values ------------------------------------------------------------------------------------------

    def _recorded_layers(self) -> list[ModuleBase]:
        """The layers that calls know by number: all, but for what a subclass has besides."""
        assert self._recorded is not None
        return [cast("ModuleBase", self._modules[str(i)]) for i in range(self._recorded.layers)]

    def _symbolic_calls(self) -> list[Call]:
        """The recorded calls; those of a copy are recorded when they are first asked for."""
        if "_graph" not in self.__dict__:
            assert self._recorded is not None
            self.__dict__["_graph"] = replayed(self._recorded_layers(), self._recorded.steps)
        return cast("list[Call]", self.__dict__["_graph"])

    def _symbols(self, tree: Any) -> Any:
        graph = self._symbolic_calls()
        return map_structure(tree, Ref, lambda ref: graph[ref.step].values[ref.place])

    @overridable_property
    def input(self) -> Any:
        """What a layer was called on; the inputs of a functional model, in the container that they were given in.

        Raises ValueError for a layer that was not called exactly once.
        """
        if self._recorded is not None:
            return self._symbols(self._recorded.inputs)
        call = only_call(self, "input")
        if not call.parents:
            return call.result
        return call.arguments[0] if len(call.arguments) == 1 else list(call.arguments)

    @overridable_property
    def output(self) -> Any:
        """What a layer returned; the outputs of a functional model, in the container that they were given in.

        Raises ValueError for a layer that was not called exactly once.
        """
        return only_call(self, "output").result if self._recorded is None else self._symbols(self._recorded.outputs)

    @overridable_property
    def inputs(self) -> Any:
        """The symbolic inputs of a functional model, in the order of ``input_names``."""
        self._refuse_unrecorded("inputs")
        return [call.values[0] for call in self._symbolic_calls()[: len(self.input_names)]]

    @overridable_property
    def outputs(self) -> Any:
        """The symbolic outputs of a functional model, in the order of ``output_names``."""
        self._refuse_unrecorded("outputs")
        return list(parts(self.output, "outputs").values())

    def _refuse_unrecorded(self, name: str) -> None:
        if self._recorded is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)

    def get_layer(self, name: str | None = None, index: int | None = None) -> Any:
        if self._recorded is not None:
            self._symbolic_calls()  # so that the layer knows its output
        return super().get_layer(name, index)

    @overridable_property
    def input_shape(self) -> Any:
        """The shape of each input, None for the batch, in the container that they were given in."""
        return shapes(self.input)

    @overridable_property
    def output_shape(self) -> Any:
        """The shape of each output, None for the batch, in the container that they were given in."""
        return shapes(self.output)

    # --- calls ----------------------------------------------------------------------------------------------------

    def _inputs_in(self, values: Any) -> tuple[Any, ...]:
        """The arguments of a call on a container, which may hold the inputs, or be the one input."""
        while len(self.input_names) > 1 and len(values) == 1 and isinstance(values, (list, tuple)):
            if not isinstance(values[0], (list, tuple, Mapping)):
                break
            values = values[0]  # what a train_step is given of batches ``((a, b),)``
        several = len(self.input_names) > 1 or isinstance(values, Mapping)
        if not several and not (len(values) == 1 and self._is_whole_input(values[0])):
            return (values,)
        if isinstance(values, Mapping):
            if set(values) != set(self.input_names):
                raise TypeError(
                    f"{self.name!r} was given the inputs {sorted(map(str, values))}. Write "
                    f"{{{', '.join(f'{n!r}: ...' for n in self.input_names)}}} instead."
                )
            return tuple(values[name] for name in self.input_names)
        return tuple(values)

    def _is_whole_input(self, part: Any) -> bool:
        """Whether what is alone in a list is the whole input, and not a sample."""
        return isinstance(part, (Tensor, Operators)) or (
            isinstance(part, np.ndarray) and self._input_type is not None and part.ndim == len(self._input_type.shape)
        )

    def _text_layers(self) -> tuple[Any, ...]:
        """For each input the layer that maps its texts to numbers before a program runs; None for an input of numbers.

        Empty where all inputs are numbers. Raises ValueError where an input of texts goes to several layers.
        """
        if self._recorded is None:
            return ()
        layers = self._recorded_layers()
        found: list[Any] = []
        for name, takers in zip(self.input_names, self._recorded.takers, strict=True):
            maps = [(*layers[number]._text_layers(), *[None] * (place + 1))[place] for number, place in takers]
            if len(set(map(id, maps))) > 1:
                labels = ", ".join(repr(layers[number].name) for number, _ in takers)
                raise ValueError(
                    f"the Input {name!r} goes to {labels}, and an Input of texts goes to one layer. Write an Input for "
                    "each of them, and give both the same array, instead."
                )
            found += maps[:1] or [None]
        return () if all(part is None for part in found) else tuple(found)

    def _run_recorded(self, *inputs: Any, mask: Any = None) -> Any:
        """The computation of a functional model; ``mask`` is that of the input, or has one for each."""
        assert self._recorded is not None
        names = self.input_names
        if len(inputs) != len(names):
            raise TypeError(
                f"{self.name!r} takes {len(names)} input(s) and was given {len(inputs)}. Write "
                f"model([{', '.join(names)}]) instead."
            )
        for value, own in zip(inputs, parts_of(mask), strict=False):
            if own is not None:
                set_mask(value, own)
        return self._recorded.run(self._recorded_layers(), inputs)

    # --- configuration --------------------------------------------------------------------------------------------

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, by name; of a functional model its layers and their calls.

        Of a subclass whose constructor makes the inputs and outputs itself, that constructor's arguments.
        """
        if self._recorded is None or self._own_arguments:
            return arguments_of(self)
        return self._recorded.config(self._recorded_layers())

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments and defaults as plain values, with the name and whether it trains, for
        ``from_config``.

        What is a function of the user's, or an object of a class of theirs, stays what it is. Of a functional model the
        whole architecture.
        """
        if self._recorded is None or self._own_arguments:
            return {"name": self.name, "trainable": self._trainable, **plain(all_arguments(self))}
        return self.architecture()

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Any:
        """A fresh module from what ``config()`` or ``get_config()`` returned.

        ``custom_objects`` are classes that a whole architecture holds, by name, where they are not registered.
        """
        if set(config) == {"layers", "calls", "inputs", "outputs"}:
            model = cls(*from_config(config))
            if len(model.layers) != len(config["layers"]):
                raise ValueError("this is not the description of a functional model: layers that lead to no output.")
            return model
        if {"class", "config"} <= set(config):
            return from_architecture(config, custom_objects)
        options = from_plain(dict(config), custom_objects)
        return cls(*options.pop("*", ()), **options)

    def architecture(self) -> dict[str, Any]:
        """A description of plain JSON values from which ``from_architecture`` makes the same network, without weights.

        A class that is not registered goes by its own name. Raises TypeError naming the first module whose arguments
        are no plain values.
        """
        return architecture_of(self)

    def to_json(self, **options: Any) -> str:
        """The architecture as text, for `ranvier.saving.model_from_json`; ``options`` are those of ``json.dumps``."""
        import json

        return json.dumps(self.architecture(), **options)


def shapes(values: Any) -> Any:
    """The shape of each symbolic value, in the containers that they are in; of one alone in a list, its own."""
    if isinstance(values, (list, tuple)) and len(values) == 1:
        values = values[0]
    return map_structure(values, Operators, lambda value: value.shape)
