"""Models of PyTorch that ``torch.export`` gave, as modules that predict, train on, and are saved without PyTorch."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ranvier.graph.dtypes import array_dtype
from ranvier.graph.node import BATCH, GraphError, Type
from ranvier.graph.open_extents import opened
from ranvier.interop.foreign import ForeignModel
from ranvier.interop.torch.steps import Code
from ranvier.module import Parameter, register_module
from ranvier.module.parameter import Buffer
from ranvier.support.tree import flatten
from ranvier.tensor.tensor import Tensor


class Exported:
    """What a model is besides its weights."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.inputs: list[dict[str, Any]] = data["inputs"]
        self.weights: list[dict[str, Any]] = data["weights"]
        self.read: dict[str, str] = data["read"]  # by the name of a value in the steps, that of the weight that it is
        self.places: dict[str, str] = {}  # by the name of a weight, its path here
        modes = [mode for mode in ("eval", "train") if mode in data]
        self.code = {mode: Code(data[mode]) for mode in modes}
        self.kept = kept = {key: _constant(words) for key, words in data["constants"].items()}
        self.constants = {mode: {n: kept[key] for n, key in data[mode]["constants"].items()} for mode in modes}


@register_module(name="exported.Model")
class TorchModel(ForeignModel):
    """A model that came from a module of PyTorch: its operators on its weights, which have the names of its state.

    ``graph`` is the model without its weights, as JSON: the steps of evaluation and of training. It is called as the
    module was, and returns what that returned.
    """

    def __init__(self, graph: str, name: str | None = None) -> None:
        super().__init__(name=name)
        self.__dict__["_exported"] = exported = Exported(json.loads(graph))
        made = dict[str, Tensor]()
        for weight in exported.weights:
            array = np.zeros(weight["shape"], array_dtype(weight["dtype"]))
            own: Tensor
            if weight["kind"] == "parameter":
                own = Parameter.over(array, name=weight["name"].rpartition(".")[2], requires_grad=weight["trained"])
            else:
                own = Buffer.over(array)
            tensor = made.setdefault(weight.get("same", weight["name"]), own)
            exported.places[weight["name"]] = self.hold(weight["name"].split("."), tensor)
        self.input_names = [given["name"] for given in exported.inputs]
        types = [_input_type(given) for given in exported.inputs]
        if types:
            self._input_type = types[0]
        if len(types) > 1:
            self._input_types = tuple(types)

    @property
    def graph(self) -> str:
        """The model without its weights, as JSON."""
        return str(self.config()["graph"])

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module returns for its arguments: tensors and arrays, in the containers that it takes them in."""
        exported, state = self.__dict__["_exported"], dict(self._state(remove_duplicate=False))
        held = {name: state[exported.places[weight]] for name, weight in exported.read.items()}
        held |= dict(zip(self.input_names, self._given(args, kwargs), strict=True))
        mode = "train" if self.training and "train" in exported.code else "eval"
        return exported.code[mode].run(held | exported.constants[mode])

    def _given(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Tensor]:
        """The tensors of a call, in the order of the inputs. Raises TypeError and GraphError for others."""
        wanted = self.input_names
        by_name = args[0] if len(args) == 1 and isinstance(args[0], Mapping) else {}
        by_name = {**by_name, **kwargs}
        if set(wanted) <= set(by_name):
            found = list(_tensors([by_name[name] for name in wanted]))
        else:
            found = [*_tensors(args), *_tensors(kwargs)]
        if len(found) != len(wanted):
            raise TypeError(
                f"{self.name!r} takes {len(wanted)} inputs ({', '.join(wanted)}), and here are {len(found)}. Write one "
                "tensor for each."
            )
        for tensor, given in zip(found, self.__dict__["_exported"].inputs, strict=True):
            fixed = [n is None or n == had for n, had in zip(given["shape"], tensor.shape, strict=False)]
            if tensor.ndim != len(given["shape"]) or not all(fixed):
                raise GraphError(_shape_fault(given, tensor))
        return found


def _shape_fault(given: Mapping[str, Any], tensor: Tensor) -> str:
    """What is wrong with an input of another shape."""
    name, shape = given["name"], given["shape"]
    sizes = ", ".join("any" if n is None else str(n) for n in shape)
    text = f"its input {name!r} is of the shape ({sizes}), as it was exported"
    if BATCH in tensor.shape[:1] and shape[:1] != [None] and None in shape:
        at = shape.index(None)
        return (
            f"{text}: its rows are in dimension {at}, and fit and predict have them first. Export a module whose "
            f"forward calls yours on {name}.transpose(0, {at}) instead"
        )
    return text


def _tensors(tree: Any) -> Iterator[Tensor]:
    for value in flatten(tree):
        if isinstance(value, Tensor):
            yield value
        elif hasattr(value, "__array__"):
            yield Tensor(np.asarray(value))


def _constant(words: Mapping[str, Any]) -> Tensor:
    """A tensor of the graph itself."""
    dtype = array_dtype(words["dtype"])
    array = np.frombuffer(zlib.decompress(base64.b64decode(words["data"])), dtype).reshape(words["shape"])
    return Tensor(array.copy(), dtype=words["dtype"])


def _input_type(given: Mapping[str, Any]) -> Type:
    """The type of an input, whose first dimension is the batch's: None is an extent that may be any."""
    shape = given["shape"]
    return Type((BATCH, *map(opened, shape[1:])) if shape else (), given["dtype"])
