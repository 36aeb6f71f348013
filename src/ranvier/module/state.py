"""The state of a module: its tensors by name, given, taken and converted to another dtype."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np

from ranvier.graph.node import FLOATS, Type
from ranvier.module.parts import Parts
from ranvier.tape import settle
from ranvier.tensor import Tensor

__all__ = ["DESCRIBED", "State"]

DESCRIBED = ("_record", "_graph")  # the calls of a module in networks that were described, and within it


class State(Parts):
    """What `ranvier.Module` has of PyTorch's ways to save, load and convert all tensors of a network."""

    def _state(self) -> Iterator[tuple[str, Tensor]]:
        for path, module in self.named_modules():
            start = f"{path}." if path else ""
            yield from ((start + n, p) for n, p in module._parameters.items() if p is not None)
            kept = ((n, b) for n, b in module._buffers.items() if n not in module._transient)
            yield from ((start + n, b) for n, b in kept if b is not None)

    def state_dict(self) -> OrderedDict[str, Tensor]:
        """Parameters and persistent buffers under dotted names: the tensors themselves, not copies."""
        return OrderedDict(self._state())

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> None:
        """Overwrite parameters and buffers from tensors or arrays under the same names.

        Nothing is written unless all of it fits. Raises ValueError listing every missing and unexpected name (unless
        not ``strict``) and every wrong shape.
        """
        own = self.state_dict()
        values = {name: np.asarray(value) for name, value in state.items() if name in own}
        problems = []
        if strict:
            problems += [f"missing: {name} {tuple(t.shape)}" for name, t in own.items() if name not in state]
            problems += [f"unexpected: {name}" for name in state if name not in own]
        problems += [
            f"wrong shape: {name} is {own[name].shape} here and {v.shape} in the state"
            for name, v in values.items()
            if v.shape != own[name].shape
        ]
        if problems:
            raise ValueError(
                f"the state does not fit {type(self).__name__} {self.name!r}:\n  " + "\n  ".join(problems)
                + "\nBuild the network the state came from; strict=False skips missing and unexpected names."
            )  # fmt: skip
        for name, value in values.items():
            own[name].assign(value)

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Convert the floating parameters to a dtype. The only device there is, "cpu", changes nothing."""
        for value in (*args, *kwargs.values()):
            name = str(getattr(value, "name", value)).removeprefix("torch.")
            if name in FLOATS:
                self._cast(name)
            elif name.split(":")[0] != "cpu":
                raise ValueError(f"cannot move a module to {name!r}. Write 'cpu', 'float32' or 'float64'.")
        return self

    def _cast(self, dtype: str) -> None:
        for tensor in (*self.parameters(), *self.buffers()):
            if tensor.dtype in FLOATS and tensor.dtype != dtype:
                settle(tensor)
                tensor.value = tensor.compute().astype(dtype, order="K")
                tensor.spec, tensor.grad = Type(tensor.shape, dtype), None
                tensor.version += 1

        def cast(type_: Type) -> Type:
            return Type(type_.shape, dtype) if type_.dtype in FLOATS else type_

        for module in self.modules():
            if module._input_type is not None:
                module._input_type = cast(module._input_type)
                module._input_types = tuple(map(cast, module._input_types))
            for name in DESCRIBED:  # of values of the former dtype
                module.__dict__.pop(name, None)

    def cpu(self) -> Self:
        return self

    def float(self) -> Self:
        return self.to("float32")

    def double(self) -> Self:
        return self.to("float64")
