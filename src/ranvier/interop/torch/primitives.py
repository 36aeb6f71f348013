"""Models whose operators are not PyTorch's as modules of it: the graph of their primitives, on its functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from ranvier.engines.tables import Interpreter, prepared
from ranvier.engines.torch_table import TABLE, adapted
from ranvier.graph.dtypes import widened
from ranvier.graph.extents import Extent
from ranvier.graph.graph import Graph
from ranvier.graph.node import BATCH, Type
from ranvier.interop.capturing import capture
from ranvier.module import Module
from ranvier.module.arguments import pack_inputs
from ranvier.tensor.tensor import Tensor

Shapes = tuple[tuple[Any, ...], ...]


class Source:
    """What graphs are traced of, which copies of a module share."""

    def __init__(self, model: Module, types: tuple[Type, ...]) -> None:
        self.model, self.types = model, types

    def __deepcopy__(self, memo: Any) -> Source:
        return self


class GraphModule(torch.nn.Module):  # type: ignore[misc]  # without types
    """A model as the graph of what it computes when it predicts: its weights have their names, and are trained on.

    Normalization keeps its statistics, and nothing drops. For inputs of another shape, but for the batch, the graph is
    traced once more.
    """

    def __init__(self, model: Module, types: tuple[Type, ...]) -> None:
        super().__init__()
        self.source = Source(model, types)
        self.graphs: dict[Shapes, Any] = {}
        for name, tensor in model._state():
            self._hold(name, tensor)
        self._graph(tuple(tuple(type_.shape[1:]) for type_ in types))  # what cannot be traced is refused here

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "graphs": {}}  # they are traced again

    def _hold(self, name: str, tensor: Any) -> None:
        *words, last = name.split(".")
        holder: torch.nn.Module = self
        for word in words:
            if word not in holder._modules:
                holder.add_module(word, torch.nn.Module())
            holder = holder.get_submodule(word)
        array = _array(tensor)
        if array.is_floating_point() and tensor.requires_grad:
            holder.register_parameter(last, torch.nn.Parameter(array))
        else:
            holder.register_buffer(last, array)

    def _graph(self, shapes: Shapes) -> Any:
        """The functions of the graph for inputs of these shapes, what they take besides, and the names of outputs."""
        if shapes not in self.graphs:
            model, known = self.source.model, self.source.types
            types = [Type((BATCH, *shape), type_.dtype) for shape, type_ in zip(shapes, known, strict=True)]

            def call(given: list[Tensor]) -> Any:
                return model(*pack_inputs(given, model._input_container))

            found = capture(model, types, call, lambda module: False, lambda call: False)
            graph, has_flag = prepared(Graph((*found.inputs, *found.tensors), tuple(found.outputs)))
            names = {id(tensor): name for name, tensor in model._state()}
            held = [names.get(id(tensor)) or _array(tensor) for tensor in found.tensors.values()]
            self.graphs[shapes] = Interpreter(graph, TABLE, adapted), held, has_flag, found.names
        return self.graphs[shapes]

    def forward(self, *inputs: Any) -> Any:
        pairs = zip(self.source.types, inputs, strict=True)
        rows = {first.name: len(x) for type_, x in pairs for first in type_.shape[:1] if isinstance(first, Extent)}
        interpret, held, has_flag, names = self._graph(tuple(tuple(x.shape[1:]) for x in inputs))
        state: Mapping[str, Any] = {**dict(self.named_parameters()), **dict(self.named_buffers())}
        given = [state[part] if isinstance(part, str) else part for part in held]
        results, _ = interpret([*inputs, *given], rows)
        if has_flag and results.pop() > 0:
            raise IndexError("a label or an index is out of range")
        if names[0] is not None:
            return dict(zip(names, results, strict=True))
        return results[0] if len(results) == 1 else tuple(results)


def _array(tensor: Any) -> Any:
    return torch.from_numpy(np.array(widened(tensor.compute()), order="C"))
