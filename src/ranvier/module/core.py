"""Module: parameters, submodules and buffers by attribute, with the methods of both vocabularies.

From PyTorch: ``parameters()``, ``state_dict()``, ``train()``, ``forward``. From Keras: ``weights``, ``get_weights()``,
``summary()``, ``compile``/``fit``/``evaluate``/``predict``. One class, so every network has all of it.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from ranvier.data.arrays import check_column_names
from ranvier.graph.node import BATCH, GraphError, Type
from ranvier.graph.open_extents import opened
from ranvier.module import arguments, batch_extent
from ranvier.module.call_or_forward import by_call, by_either_name, defines_call
from ranvier.module.calls import float_dtype_of, known_shape, mode, shape_of
from ranvier.module.functional import FunctionalAPI
from ranvier.module.masks import masked_call, placeholders
from ranvier.module.properties import overridable_property
from ranvier.module.serialization import register_module
from ranvier.module.shape_errors import explain
from ranvier.module.state import DESCRIBED
from ranvier.module.symbolic import Operators, record_call
from ranvier.support.errors import argument_error, named_parameters, snake_case
from ranvier.support.source_lines import line_of, user_frame, warn
from ranvier.support.tree import flatten
from ranvier.tensor.arguments import find_handler
from ranvier.tensor.call_state import call_state
from ranvier.tensor.context import dtype_scope, get_dtype
from ranvier.tensor.masks import mask_state
from ranvier.tensor.tensor import Tensor
from ranvier.tensor.trace import state

UNCOPIED = (*DESCRIBED, "_within", "_reported_nan", "_predictors", "_plans", "_token_steps")  # not copied


_counters: dict[str, int] = {}


def restart_names() -> None:
    """Count automatic names from the beginning again."""
    _counters.clear()


def automatic_name(kind: str) -> str:
    """Keras's names: ``dense``, ``dense_1``, ``conv2d``, ... counted over the process."""
    base = snake_case(kind)
    count = _counters[base] = _counters.get(base, -1) + 1
    return f"{base}_{count}" if count else base


def recording_build(build: Callable[..., Any]) -> Callable[..., Any]:
    """A ``build`` of a subclass that records the shapes of its call, whoever calls it.

    Keras's ``build`` returns nothing. In PyTorch's networks it is a method of the user's, which may return layers.
    """

    @functools.wraps(build)
    def recorded(self: Module, *args: Any, **kwargs: Any) -> Any:
        with dtype_scope(self._floats or get_dtype()):
            result = build(self, *args, **kwargs)
        given = [*args, *kwargs.values()]
        several = type(self)._shapes > 1
        self.__dict__.update(built=True, _built_shape=known_shape(given if several else next(iter(given), ())))
        return result

    return recorded


class Module(FunctionalAPI):
    """A part of a network. Subclasses make parameters and submodules in ``__init__`` and compute in ``forward``.

    Subclasses in the style of Keras name their computation ``call`` and may make their weights in
    ``build(input_shape)``, which runs before the first call. Assigning a `Parameter` or a `Module` to an attribute
    registers it; ``register_buffer`` adds a tensor that is saved and not trained.

    ``Module(inputs, outputs)`` is a functional model, as Keras's ``Model``: it holds the calls of layers that lead from
    ``inputs`` (an `Input`, or several in a list, tuple or dict) to ``outputs``, and runs them. Subclasses may give both
    to ``super().__init__``. Raises TypeError for what is no symbolic value, ValueError for an output that depends on an
    input that is not listed and for two layers of one name.
    """

    _input_container: arguments.Container = None  # that holds several inputs
    _starts_training = True  # Keras's layers and models are in evaluation mode until train() or fit()
    _shapes = 1  # how many of them `build` takes
    _has_call = False  # whether ``call`` and ``forward`` name the same computation
    _shown = ""  # the text between the brackets of ``repr``, with names of attributes in braces

    if TYPE_CHECKING:  # the files below this one know a module by its base

        def named_children(self) -> Iterator[tuple[str, Module]]: ...

        def children(self) -> Iterator[Module]: ...

        def named_modules(
            self, memo: set[Any] | None = None, prefix: str = "", remove_duplicate: bool = True
        ) -> Iterator[tuple[str, Module]]: ...

        def modules(self) -> Iterator[Module]: ...

        def get_submodule(self, target: str) -> Module: ...

        def get_layer(self, name: str | None = None, index: int | None = None) -> Module: ...

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if inspect.isfunction(cls.__dict__.get("name")):
            raise TypeError(
                f"{cls.__name__}.name is a method, and the name of a layer is a text in both vocabularies. Write "
                "another name for the method, such as get_name, instead."
            )
        # A property or static method of that name is the user's and makes no weights.
        build = inspect.getattr_static(cls, "build")
        cls._builds = inspect.isfunction(build) and build is not Module.build
        if cls._builds and "build" in cls.__dict__:
            _, *taken = inspect.signature(build).parameters.values()
            cls._shapes = sum(p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD for p in taken)
            cls.build = recording_build(build)  # type: ignore[method-assign]  # every subclass
        if cls._has_call:
            by_either_name(cls, Module.forward)
        cls._tracks = cls._tracks or defines_call(cls)
        call = cls.__dict__.get("call")
        if inspect.isfunction(call) and not hasattr(
            call, "forward"
        ):  # as Keras: what `training` is where it is left out
            default = inspect.signature(call).parameters.get("training")
            cls._starts_training = default is not None and default.default is True

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        # In __new__, so that a subclass need not call super().__init__() first, and so that the recorded arguments
        # (the configuration) and source line are those of the outermost class.
        functional = cls is Module and bool(args or "inputs" in kwargs or "outputs" in kwargs)
        kind: Any = Functional if functional else cls
        self: Self = super().__new__(kind, *args, **kwargs)
        self._begin(args, kwargs)
        return self

    @classmethod
    def _blank(cls) -> Self:
        self = super()._blank()
        self._begin((), {})
        return self

    def _begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Set the attributes that every module has before its constructor runs with these arguments."""
        cls = type(self)
        made = line_of(user_frame(sys._getframe(1)))
        self.__dict__.update(
            _parameters={}, _buffers={}, _modules={}, _non_persistent=set(), training=cls._starts_training,
            name=automatic_name(cls.__name__), _trainable=True, _arguments=(args, kwargs),
            _made=made, _input_type=None, _input_types=(), _built_shape=(),
            _compiled=None, _changes=0, _frame_columns={}, _containers={}, _contained={},
        )  # fmt: skip
        if cls._builds:
            self.__dict__["built"] = False

    def __init__(
        self, inputs: Any = None, outputs: Any = None, *, name: str | None = None, trainable: bool = True
    ) -> None:
        if name is not None:
            self.name = name
        if inputs is not None or outputs is not None or type(self) is Functional:
            if type(self).forward is not Module.forward or defines_call(type(self)):
                said = "call" if self._by_call() else "forward"
                raise TypeError(
                    f"{type(self).__name__} says in its {said} what it computes, and takes no inputs and outputs. "
                    f"Write super().__init__() and a {said}, or super().__init__(inputs, outputs) and no {said}, "
                    "instead."
                )
            self._record(inputs, outputs)
        if not trainable:
            self.trainable = False

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in UNCOPIED}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    @overridable_property
    def built(self) -> bool:
        """Whether all weights are made."""
        return all(module.__dict__["built"] for module in self.modules() if type(module)._builds)

    # --- calling --------------------------------------------------------------------------------------------------

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The computation; subclasses write it (or ``call``, in the style of Keras)."""
        if self._recorded is not None:
            return self._run_recorded(*args, **kwargs)
        call = getattr(self, "call", None)
        if call is None:
            raise NotImplementedError(
                f"{type(self).__name__} does not say what it computes. Write: def forward(self, x): ..."
            )
        if "training" not in kwargs and "training" in inspect.signature(call).parameters:
            kwargs["training"] = self.training
        return call(*args, **kwargs)

    @overridable_property
    def call(self) -> Any:
        """Keras's name for ``forward``. A layer that defines ``forward`` alone has a ``call`` made of it."""
        self._refuse_unrecorded("call")
        return functools.partial(by_call(Module.forward), self)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not args and "inputs" in kwargs and "inputs" not in arguments.input_parameters(self)[0][1:]:
            args = (kwargs.pop("inputs"),)  # Keras's name of the first argument, whatever the method calls it
        recorded = self._recorded
        if recorded is not None and len(args) == 1 and isinstance(args[0], (list, tuple, Mapping)):
            args = self._inputs_in(args[0])
        if find_handler(args) is not None or (kwargs and find_handler(kwargs.values()) is not None):
            result = record_call(self, args, kwargs).result
            alone = recorded is not None and recorded.returns_one_of_a_list and isinstance(result, Operators)
            return type(recorded.outputs)([result]) if recorded is not None and alone else result
        if "training" in kwargs and "training" not in inspect.signature(self.forward).parameters:
            training = kwargs.pop("training")
            if training is not None:
                with mode(self, bool(training)):
                    return self(*args, **kwargs)
        trace = call_state.results
        outermost = trace is None
        if trace is None:
            if args and not isinstance(args[0], Tensor):
                floats = float_dtype_of(self)
                if floats != get_dtype():
                    with dtype_scope(floats):
                        return self(*args, **kwargs)
                if texts := self._text_layers():
                    args = tuple(a if t is None else t.encode(a) for a, t in zip(args, texts, strict=False))
                has_call = self._has_call or recorded is not None
                if isinstance(args[0], (int, float, str)) and has_call and not self._by_call():
                    raise arguments.no_tensor(args[0], repr(self.name))
                for i, a in enumerate(args if self._frame_columns else ()):
                    check_column_names(a, self._frame_columns.get(str(i)), name="the frame")
                lists = self._takes_lists()
                args = tuple(arguments.as_tensors(a, lists) for a in args)
            trace = call_state.results = []
            call_state.root = self
            if call_state.added_losses:
                for module in self.modules():
                    call_state.added_losses.pop(module, None)
            if args:
                trace.append((None, getattr(args[0], "spec", None)))
                if self._input_type is None or (len(args) > 1 and not self._input_types):
                    self._record_inputs(args)
        try:
            if self._builds and not self.__dict__["built"]:
                self._build_for(args, kwargs)
            if self._tracks and (mask_state.in_use or self._makes_masks or "mask" in kwargs):
                result = masked_call(self, args, kwargs)
            else:
                hooks = self._call_hooks
                result = self.forward(*args, **kwargs) if hooks is None else hooks.call(self, args, kwargs)
            if result is None and outermost and not state.tracing:
                warn(f"{self.name!r} returns None. Write return and the result at the end of its forward instead.")
            trace.append((self, getattr(result, "spec", None)))
            if call_state.hook is not None:
                call_state.hook(self, tuple(flatten((args, kwargs))), result)
            return result
        except GraphError as error:
            raise explain(self, tuple(flatten(args)), trace, error, call_state.root) from None
        except TypeError:
            taken = inspect.signature(self.forward)
            known = [*named_parameters(taken.parameters.values()), "training"]
            wrong = argument_error(type(self).__name__, taken, args, kwargs, known)
            if wrong is None:  # an error of what the forward calls
                raise
            raise wrong from None
        except RecursionError as error:
            if not outermost:
                raise
            raise RecursionError(
                f"the layers of {self.name!r} are nested deeper than Python's limit of "
                f"{sys.getrecursionlimit():,} calls. Write one Sequential of all layers, or "
                "sys.setrecursionlimit(10_000) before, instead."
            ) from error
        finally:
            if outermost:
                call_state.results = None

    def _by_call(self) -> bool:
        """Whether ``call`` defines its computation."""
        return type(self).forward is Module.forward and self._recorded is None

    def _takes_lists(self) -> bool:
        """Whether a list of arrays in a call holds inputs, and not samples."""
        return self._by_call()

    def _record_inputs(self, args: tuple[Any, ...]) -> None:
        """Record the types of the first inputs, with which the model is traced from then on."""
        types, form = arguments.types_of(args, self)
        several = len(args) > 1 or form is not None
        if self._input_type is None:
            self._input_type = types[0] if types else arguments.computed_type(args[0], self)
        self._input_types, self._input_container = (types, form) if several else ((), None)

    def _build_for(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Make the weights for the arguments of a call.

        A ``build`` of several shapes is given ``key_shape`` for the argument ``key`` where all are named so, else one
        for each argument in order. Shapes that it need not take are those of arguments that the call has.
        """
        given = [a for a in (*args, *kwargs.values()) if hasattr(a, "shape") or isinstance(a, (list, tuple, Mapping))]
        if not given:
            raise arguments.no_tensor(next(iter(args), None), repr(self.name))
        if self._shapes > 1:
            called = {**dict(zip(arguments.input_parameters(self)[0], args, strict=False)), **kwargs}
            taken = [name.removesuffix("_shape") for name in inspect.signature(self.build).parameters]
            named = list(itertools.takewhile(lambda a: a is not None, map(called.get, taken)))
            given = named if len(named) >= self._shapes else given[: self._shapes]
        self._build_of([shape_of(a) for a in given] if self._shapes > 1 else shape_of(given[0]))

    def _build_of(self, shape: Any) -> None:
        """Call `build` with the shape, or with each of the shapes."""
        self.build(*(shape if self._shapes > 1 else [shape]))

    def add_loss(self, loss: Any) -> None:
        """Add a tensor (or several) to the loss of this call: see ``losses``.

        Call it in ``forward``. Tensors that are no scalars are summed up, as Keras does.
        """
        given = loss if isinstance(loss, (list, tuple)) else [loss]
        known = call_state.added_losses.setdefault(self, [])
        known += [x if isinstance(x, Tensor) else Tensor(x) for x in given]

    def build(self, input_shape: Any) -> None:
        """Make the weights of all layers for inputs of this shape: None for the batch, and for sizes that may be any.

        A model of several inputs is given a list of shapes, or a dict where its ``call`` takes one. Layers with weights
        of their own override this and are given the shape at their first call: a list or a dict of shapes where they
        are called on a list or a dict, and of several arguments as many as ``build`` takes.
        Raises ValueError with the trace of shapes when the layers do not fit each other.
        """
        if type(self)._builds:  # super().build(input_shape), in the style of Keras
            return
        by_name = isinstance(input_shape, Mapping)
        several = by_name or (bool(input_shape) and isinstance(input_shape[0], Sequence))
        shapes = list(input_shape.values() if by_name else input_shape if several else [input_shape])
        types = tuple(Type((BATCH, *map(opened, tuple(s)[1:])), get_dtype()) for s in shapes)
        form = arguments.container_type(input_shape) if several and arguments.takes_container(self) else None
        self._input_type, self._input_types, self._input_container = types[0], types if several else (), form
        self._trace()

    def trace(self, type_: Type | None = None) -> Any:
        """What calling the module on a placeholder returns, in evaluation mode; its ``type`` is the output's."""
        return self._trace(type_)

    def _trace(self, type_: Type | None = None, mask: Type | None = None) -> Any:
        """`trace` under a name that networks do not use for attributes of their own; with a mask of the input."""
        own = self._input_types or (self._input_type,), self._input_container
        wanted, form = own if type_ is None else ((type_,), None)
        if wanted[0] is None:
            raise ValueError(
                f"the shape of the inputs of {self.name!r} is not known yet. Write model.build((None, features)), give "
                "the first layer input_shape=(features,), or call the model once."
            )
        given = functools.partial(placeholders, wanted, mask)
        return batch_extent.for_any_batch(self, lambda rows: self(*arguments.pack_inputs(given(rows), form)))

    def shape_error(self, given: Type) -> tuple[str, str] | None:
        """Why a call on this type fails, and what to write instead. None where the layer cannot tell."""
        return None

    def extra_repr(self) -> str:
        """The text between the brackets of ``repr``."""
        return self._shown.format_map(vars(self))

    def __repr__(self) -> str:
        below = []
        for name, module in self.named_children():
            text = repr(module).replace("\n", "\n  ")
            below.append(f"({name}): {text}")
        extra = self.extra_repr()
        if not below:
            return f"{type(self).__name__}({extra})"
        return f"{type(self).__name__}(\n  " + "\n  ".join([*([extra] if extra else []), *below]) + "\n)"


@register_module
class Functional(Module):
    """The class of ``rv.Model(inputs, outputs)``; see `Module`."""

    _starts_training = False
    _has_call = True
    _public = "Model"  # what users write
