"""The state of a module: its tensors by name, given, taken and converted to another dtype."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Self

from ranvier.graph.dtypes import ELEMENT_TYPES, FLOATING
from ranvier.graph.node import Type
from ranvier.module.members import ModuleBase
from ranvier.module.properties import part_of_module
from ranvier.ops.tensor_methods import DEVICES, get_data, no_device, set_data
from ranvier.tensor.tape import flush_readers
from ranvier.tensor.tensor import Tensor, numbers_of, to_array

EXTRA = "_extra_state"  # the name of what a module's `get_extra_state` gives
DESCRIBED = ("_record", "_graph")  # symbolic calls of a module, and those within it


class IncompatibleKeys(NamedTuple):
    """What ``load_state_dict(strict=False)`` skipped: names without values, and values without names."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not any(self):
            return "<All keys matched successfully>"
        return f"IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


class StateError(ValueError, RuntimeError):
    """A state that does not fit a network: in PyTorch's programs a RuntimeError."""


def state_problems(
    own: Mapping[str, Any], given: Mapping[str, Any], missing: Iterable[str] = (), unexpected: Iterable[str] = ()
) -> list[str]:
    """All that is wrong with a state, in words: names, and the shapes by name here and in the state."""
    problems = [f"missing: {name} {own.get(name, '')}".rstrip() for name in missing]
    problems += [f"unexpected: {name}" for name in unexpected]
    return problems + [
        f"wrong shape: {name} is {own[name]} here and {shape} in the state"
        for name, shape in given.items()
        if shape != own[name]
    ]


@part_of_module
class ModuleState(ModuleBase):
    """What `ranvier.Module` has of PyTorch's ways to save, load and convert all tensors of a network."""

    def _state(self, remove_duplicate: bool = True) -> Iterator[tuple[str, Tensor]]:
        for path, module in self.named_modules(remove_duplicate=remove_duplicate):
            yield from module._own_state(f"{path}." if path else "")

    def _own_state(self, start: str) -> Iterator[tuple[str, Tensor]]:
        """What a module itself holds, by name."""
        yield from ((start + n, p) for n, p in self._parameters.items() if p is not None)
        kept = ((n, b) for n, b in self._buffers.items() if n not in self._non_persistent)
        yield from ((start + n, b) for n, b in kept if b is not None)

    def get_extra_state(self) -> Any:
        """What ``state_dict`` has of this module besides its tensors: write it together with `set_extra_state`."""
        raise RuntimeError(f"{type(self).__name__} has no extra state. Write: def get_extra_state(self): return ...")

    def set_extra_state(self, state: Any) -> None:
        """Take from ``load_state_dict`` what `get_extra_state` has given."""
        raise RuntimeError(f"{type(self).__name__} takes no extra state. Write: def set_extra_state(self, state): ...")

    def _with_extra_state(self) -> dict[str, Any]:
        """By name in the state, the modules that have more of it than tensors."""
        own = ModuleState.get_extra_state
        found: Iterator[tuple[str, Any]] = self.named_modules(remove_duplicate=False)
        return {f"{p}.{EXTRA}" if p else EXTRA: m for p, m in found if type(m).get_extra_state is not own}

    def state_dict(
        self, *, destination: dict[str, Any] | None = None, prefix: str = "", keep_vars: bool = False
    ) -> Any:
        """Parameters and persistent buffers under dotted names, as their ``.data``: without gradients, and not
        copied, so that writing into one writes into the network. A module that stands twice is there under both names.

        The names begin with ``prefix``. They are added to ``destination``, by default a new OrderedDict. With
        ``keep_vars`` the values are the parameters and buffers themselves.
        """
        found = OrderedDict[str, Any]() if destination is None else destination
        extra = self._with_extra_state()
        for path, module in self.named_modules(remove_duplicate=False):
            start = f"{path}." if path else ""
            for name, tensor in module._own_state(start):
                found[prefix + name] = tensor if keep_vars else get_data(tensor)
            if start + EXTRA in extra:
                found[prefix + start + EXTRA] = extra[start + EXTRA].get_extra_state()
        return found

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Overwrite parameters and buffers from tensors or arrays under the same names; returns the names left out.

        Nothing is written unless all of it fits. Raises an error that is a ValueError and a RuntimeError, listing
        every missing and unexpected name (unless not ``strict``) and every wrong shape. Of a tensor with several names
        one is enough. With ``assign`` parameters and buffers go on in the memory and in the dtype of the given tensors.
        """
        extra = self._with_extra_state()
        own = dict(self._state(remove_duplicate=False))
        given = {name: value for name, value in state_dict.items() if name in own}
        values = {name: numbers_of(value) for name, value in given.items()}
        known = {id(own[name]) for name in given}
        left_out = IncompatibleKeys(
            [n for n, tensor in own.items() if id(tensor) not in known] + [n for n in extra if n not in state_dict],
            [n for n in state_dict if n not in own and n not in extra],
        )
        shapes = {name: tuple(tensor.shape) for name, tensor in own.items()}
        lacking, extraneous = (left_out.missing_keys, left_out.unexpected_keys) if strict else ([], [])
        problems = state_problems(shapes, {name: v.shape for name, v in values.items()}, lacking, extraneous)
        if problems:
            lazy = any(own[name].shape == (0,) != value.shape for name, value in values.items())
            first = (
                "Call the network once on a batch before, which makes its weights"
                if lazy
                else ("Build the network the state came from; strict=False skips missing and unexpected names")
            )
            raise StateError(
                f"the state does not fit {type(self).__name__} {self.name!r}:\n  " + "\n  ".join(problems)
                + f"\n{first}."
            )  # fmt: skip
        for name, value in values.items():
            if assign and isinstance(given[name], Tensor):
                set_data(own[name], given[name])
            else:
                own[name].assign(value)
        for name, module in extra.items():
            if name in state_dict:
                module.set_extra_state(state_dict[name])
        return left_out

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Convert the floating parameters to a dtype, or to that of a tensor. The only device there is, "cpu", changes
        nothing; nor does how it would be moved (``non_blocking``, ``memory_format``).

        Raises TypeError for a dtype that is not floating.
        """
        for value in (*args, *map(kwargs.get, ("dtype", "device", "tensor"))):
            if value is None or isinstance(value, bool):
                continue
            dtype = value.dtype if isinstance(value, Tensor) else value
            name = str(getattr(dtype, "name", dtype)).removeprefix("torch.")
            if name in FLOATING:
                self._cast(name)
            elif name.split(":")[0] in DEVICES:
                raise no_device(name)
            elif name in ELEMENT_TYPES:
                raise TypeError(f"parameters cannot become {name}. Write one of {', '.join(FLOATING)} instead.")
            elif name.split(":")[0] != "cpu":
                raise ValueError(f"cannot move a module to {name!r}. Write 'cpu' or one of {', '.join(FLOATING)}.")
        return self

    def _cast(self, dtype: str) -> None:
        for tensor in (*self.parameters(), *self.buffers()):
            if tensor.dtype in FLOATING and tensor.dtype != dtype:
                flush_readers(tensor)
                tensor._value = to_array(tensor.compute(), dtype)
                tensor.spec, tensor.grad = Type(tensor.shape, dtype), None
                tensor.version += 1

        def cast(type_: Type) -> Type:
            return Type(type_.shape, dtype) if type_.dtype in FLOATING else type_

        for module in self.modules():
            if module._input_type is not None:
                module._input_type = cast(module._input_type)
                module._input_types = tuple(map(cast, module._input_types))
            for name in DESCRIBED:  # of values of the former dtype
                module.__dict__.pop(name, None)

    def cpu(self) -> Self:
        return self

    def cuda(self, device: Any = None) -> Self:
        """Raises RuntimeError: there is no such device."""
        raise no_device("cuda" if device is None else device)

    def float(self) -> Self:
        return self.to("float32")

    def double(self) -> Self:
        return self.to("float64")

    def half(self) -> Self:
        return self.to("float16")

    def bfloat16(self) -> Self:
        return self.to("bfloat16")
