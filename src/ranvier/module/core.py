"""Module: parameters, submodules and buffers by attribute, with the faces of both vocabularies.

From PyTorch: ``parameters()``, ``state_dict()``, ``train()``, ``forward``. From Keras: ``weights``, ``get_weights()``,
``summary()``, ``compile``/``fit``/``evaluate``/``predict``. One class, so every network has all of it.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np

from ranvier.graph.node import BATCH, FLOATS, GraphError, Type
from ranvier.module.calls import calls, input_type, isolated, mode
from ranvier.module.changes import QUIET, changed
from ranvier.module.face import Face
from ranvier.module.lines import outside
from ranvier.module.parameter import Parameter
from ranvier.module.symbolic import describe, given
from ranvier.tape import settle
from ranvier.tensor import Tensor, get_dtype

__all__ = ["Module"]

DESCRIBED = ("_record", "_graph")  # the calls of a module in networks that were described, and within it
UNCOPIED = (*DESCRIBED, "_predictors", "_plans")  # what copies do without; the others are compiled programs


_counters: dict[str, int] = {}


def automatic_name(kind: str) -> str:
    """Keras's names: ``dense``, ``dense_1``, ``conv2d``, ... counted over the process."""
    base = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", kind).lower()
    count = _counters[base] = _counters.get(base, -1) + 1
    return f"{base}_{count}" if count else base


class Module(Face):
    """A part of a network. Subclasses make parameters and submodules in ``__init__`` and compute in ``forward``.

    Subclasses in the style of Keras name their computation ``call`` and may make their weights in
    ``build(input_shape)``, which runs before the first call. Assigning a `Parameter` or a `Module` to an attribute
    registers it; ``register_buffer`` adds a tensor that is saved and not trained.
    """

    training: bool
    built: bool
    name: str
    _registered: str | None = None  # the name a file knows the class by
    _arguments: tuple[tuple[Any, ...], dict[str, Any]]
    _made: tuple[str, int]
    _input_type: Type | None
    _input_types: tuple[Type, ...]  # of a model that takes several
    _changes: int
    _built_shape: tuple[Any, ...]
    _trainable: bool
    _transient: set[str]
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]
    _starts_training = True  # layers in the style of Keras are in evaluation mode until told or fitted
    _builds = False

    if TYPE_CHECKING:  # parameters, buffers and modules are attributes that no class names

        def __getattr__(self, name: str) -> Any: ...

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._builds = cls.build is not Module.build

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        # Here and not in __init__, so that no subclass has to call super().__init__() for it, and so that the
        # constructor's arguments (its configuration) and the line that wrote them are those of the outermost class.
        if cls is Module and (
            args or "inputs" in kwargs or "outputs" in kwargs
        ):  # Keras's Model(inputs, outputs)
            from ranvier.module.functional import Functional

            return cast("Self", Functional.__new__(Functional, *args, **kwargs))
        self = super().__new__(cls)
        frame = outside(sys._getframe(1))
        self.__dict__.update(
            _parameters={}, _buffers={}, _modules={}, _transient=set(), training=cls._starts_training,
            built=not cls._builds, name=automatic_name(cls.__name__), _trainable=True, _arguments=(args, kwargs),
            _made=(frame.f_code.co_filename, frame.f_lineno), _input_type=None, _input_types=(), _built_shape=(),
            _compiled=None, _changes=0,
        )  # fmt: skip
        return self

    def __init__(
        self, inputs: Any = None, outputs: Any = None, *, name: str | None = None, trainable: bool = True
    ) -> None:
        if inputs is not None or outputs is not None:
            raise TypeError(
                f"{type(self).__name__} says in its forward what it computes, and takes no inputs and outputs. Write "
                "super().__init__() and a forward, or rv.Model(inputs, outputs) without a subclass, instead."
            )
        if name is not None:
            self.name = name
        if not trainable:
            self.trainable = False

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in UNCOPIED}

    # --- attributes -----------------------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Parameter):
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            self.add_module(name, value)
        elif name in self._buffers and (value is None or isinstance(value, Tensor)):
            self.register_buffer(name, value, persistent=name not in self._transient)
        elif value is None and name in self._parameters:
            self.register_parameter(name, None)
        else:
            if name in self._parameters or name in self._modules or name in self._buffers:
                self._forget(name)
            if name not in QUIET and calls.trace is None and self.__dict__.get(name, QUIET) is not value:
                changed(self)
            object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        self._forget(name)
        changed(self)
        object.__delattr__(self, name)

    def _forget(self, name: str) -> None:
        for registry in (self._parameters, self._modules, self._buffers):
            if name in registry:
                del registry[name]
                changed(self)

    def _register(self, registry: dict[str, Any], name: str, value: Any) -> None:
        if "." in name or not name:
            raise KeyError(f"{name!r} cannot name a part of a module. Write a name without dots.")
        if name not in registry:
            self._forget(name)
        if registry.get(name) is not value:
            changed(self)
        registry[name] = value
        # Registered by name and readable as a plain attribute: reading one costs no __getattr__.
        self.__dict__[name] = value

    def register_parameter(self, name: str, parameter: Parameter | None) -> None:
        self._register(self._parameters, name, parameter)
        if parameter is not None:
            parameter.name = parameter.name or name
            if not self._trainable:
                parameter.requires_grad = False

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is part of the module's state (unless not ``persistent``) and is not trained."""
        self._register(self._buffers, name, tensor)
        (self._transient.discard if persistent else self._transient.add)(name)

    def add_module(self, name: str, module: Module | None) -> None:
        self._register(self._modules, name, module)

    register_module = add_module

    def add_weight(
        self,
        shape: Sequence[int] = (),
        initializer: Any = "glorot_uniform",
        dtype: str | None = None,
        trainable: bool = True,
        name: str = "weight",
        regularizer: Any = None,
        constraint: Any = None,
    ) -> Parameter:
        """Make and register a parameter (Keras). Raises ValueError or MemoryError for one too large, by its name.

        ``regularizer`` and ``constraint`` are names, objects or functions: see `Parameter`.
        """
        from ranvier import initializers
        from ranvier.data.memory import check_memory

        dtype = dtype or get_dtype()
        shape = tuple(int(n) for n in shape)
        check_memory(shape, dtype, f"the {name} of layer {self.name!r}")
        values = np.ascontiguousarray(initializers.get(initializer)(shape, dtype=dtype), dtype)
        parameter = Parameter.over(values, name=name, requires_grad=trainable)
        parameter.regularizer, parameter.constraint = regularizer, constraint
        self.register_parameter(name, parameter)
        return parameter

    # --- walking --------------------------------------------------------------------------------------------------

    def named_children(self) -> Iterator[tuple[str, Module]]:
        return ((name, m) for name, m in self._modules.items() if m is not None)

    def children(self) -> Iterator[Module]:
        return (m for _, m in self.named_children())

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module and all below it, each once, under dotted names."""
        seen: set[int] = set()
        stack: list[tuple[str, Module]] = [(prefix, self)]
        while stack:
            path, module = stack.pop()
            if id(module) in seen:
                continue
            seen.add(id(module))
            yield path, module
            below = [(f"{path}.{name}" if path else name, m) for name, m in module.named_children()]
            stack.extend(reversed(below))

    def modules(self) -> Iterator[Module]:
        return (m for _, m in self.named_modules())

    def _named(self, registry: str, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        for path, module in self.named_modules(prefix) if recurse else [(prefix, self)]:
            for name, tensor in getattr(module, registry).items():
                if tensor is not None and id(tensor) not in seen:
                    seen.add(id(tensor))
                    yield (f"{path}.{name}" if path else name), tensor

    def named_parameters(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Parameter]]:
        """The parameters under dotted names, each once, in the order in which they were registered."""
        return self._named("_parameters", prefix, recurse)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        return (p for _, p in self.named_parameters(recurse=recurse))

    def named_buffers(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Tensor]]:
        return self._named("_buffers", prefix, recurse)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        return (b for _, b in self.named_buffers(recurse=recurse))

    def apply(self, function: Callable[[Module], Any]) -> Self:
        for module in list(self.modules())[::-1]:
            function(module)
        return self

    def train(self, mode: bool = True) -> Self:
        """Training mode (dropout drops) for this module and all below it; ``train(False)`` is ``eval()``."""
        for module in self.modules():
            module.training = bool(mode)
        return self

    def eval(self) -> Self:
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or with ``set_to_none=False`` fill them with zeros."""
        for parameter in self.parameters():
            parameter.grad = None if set_to_none else Tensor(np.zeros(parameter.shape, parameter.dtype))

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
                tensor.type, tensor.grad = Type(tensor.shape, dtype), None
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

    # --- state ----------------------------------------------------------------------------------------------------

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

    # --- calling --------------------------------------------------------------------------------------------------

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The computation; subclasses write it (or ``call``, in the style of Keras)."""
        call: Any = getattr(self, "call", None)
        if call is None:
            raise NotImplementedError(
                f"{type(self).__name__} does not say what it computes. Write: def forward(self, x): ..."
            )
        if "training" not in kwargs and "training" in inspect.signature(call).parameters:
            kwargs["training"] = self.training
        return call(*args, **kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if given(args) or (kwargs and given(kwargs.values())):
            return describe(self, args, kwargs).result
        if "training" in kwargs and "training" not in inspect.signature(self.forward).parameters:
            training = kwargs.pop("training")
            if training is not None:
                with mode(self, bool(training)):
                    return self(*args, **kwargs)
        trace = calls.trace
        outermost = trace is None
        if trace is None:
            trace = calls.trace = []
            calls.root = self
            if calls.added:
                for module in self.modules():
                    calls.added.pop(module, None)
            if args:
                if not isinstance(args[0], Tensor):
                    args = tuple(Tensor(a) if isinstance(a, (np.ndarray, list)) else a for a in args)
                trace.append((None, getattr(args[0], "type", None)))
                if self._input_type is None:
                    self._input_type = input_type(args[0])
                if len(args) > 1 and not self._input_types:
                    types = [t for t in map(input_type, args) if t is not None]
                    self._input_types = tuple(types) if len(types) == len(args) else ()
        try:
            if not self.built:
                self.build_once(args[0].shape)
            result = self.forward(*args, **kwargs)
            trace.append((self, getattr(result, "type", None)))
            if calls.watch is not None:
                calls.watch(self, args, result)
            return result
        except GraphError as error:
            from ranvier.module.explain import explain

            raise explain(self, args, trace, error, calls.root) from None
        finally:
            if outermost:
                calls.trace = None

    def add_loss(self, loss: Any) -> None:
        """Add a tensor (or several) to the loss that this call is trained toward: see ``losses``.

        Call it in ``forward``. Tensors that are no scalars are summed up, as Keras does.
        """
        given = loss if isinstance(loss, (list, tuple)) else [loss]
        known = calls.added.setdefault(self, [])
        known += [x if isinstance(x, Tensor) else Tensor(x) for x in given]

    def _losses(self) -> list[Tensor]:
        penalties = [p.regularizer(p) for p in self.parameters() if p.regularizer and p.requires_grad]
        return penalties + [x for m in self.modules() for x in calls.added.get(m, ())]

    def build(self, input_shape: Sequence[Any]) -> None:
        """Make the weights of all layers for inputs of this shape, whose first dimension is the batch's (None).

        A model of several inputs is given a list of shapes. Layers with weights of their own override this and are
        given the shape at their first call. Raises ValueError with the trace of shapes when the layers do not fit each
        other.
        """
        if type(self)._builds:  # super().build(input_shape), in the style of Keras
            return
        several = bool(input_shape) and isinstance(input_shape[0], Sequence)
        shapes = list(input_shape) if several else [input_shape]
        types = tuple(Type((BATCH, *(int(n) for n in tuple(s)[1:])), get_dtype()) for s in shapes)
        self._input_type, self._input_types = types[0], types if several else ()
        self.trace()

    def build_once(self, input_shape: Sequence[Any]) -> None:
        """Run ``build`` of a layer that has one, the first time that its input's shape is known."""
        self.build(tuple(input_shape))
        self.built, self._built_shape = True, tuple(input_shape)

    def trace(self, type_: Type | None = None) -> Any:
        """What calling the module on a placeholder returns, in evaluation mode; its ``type`` is the output's."""
        wanted = (type_,) if type_ is not None else self._input_types or (self._input_type,)
        if wanted[0] is None:
            raise ValueError(
                f"the shape of the inputs of {self.name!r} is not known yet. Write model.build((None, features)), "
                "give the first layer input_shape=(features,), or call the model once."
            )
        with mode(self, False), isolated(self):
            return self(*(Tensor.placeholder(t) for t in wanted if t is not None))

    def misfit(self, given: Type) -> tuple[str, str] | None:
        """Why a call on this type fails and what to write instead, where the layer knows; for errors of shape."""
        return None

    def extra_repr(self) -> str:
        """What the printed form says between the brackets."""
        return ""

    def __repr__(self) -> str:
        below = []
        for name, module in self.named_children():
            text = repr(module).replace("\n", "\n  ")
            below.append(f"({name}): {text}")
        extra = self.extra_repr()
        if not below:
            return f"{type(self).__name__}({extra})"
        return f"{type(self).__name__}(\n  " + "\n  ".join([*([extra] if extra else []), *below]) + "\n)"
