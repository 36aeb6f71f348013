"""Hooks of modules, as in PyTorch: functions that are called before or after a module, or with its gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ranvier.module.versions import changed, changed_everywhere
from ranvier.tensor import trace
from ranvier.tensor.cuts import PlacedCut, cut
from ranvier.tensor.hooks import RemovableHandle, replaced
from ranvier.tensor.tensor import Tensor

Hook = Callable[..., Any]


class ModuleHooks:
    """The hooks of a module, by number."""

    def __init__(self) -> None:
        self.before: dict[int, Hook] = {}
        self.after: dict[int, Hook] = {}
        self.takes_all: dict[int, bool] = {}  # those of both that take the keyword arguments
        self.always: dict[int, bool] = {}  # those of ``after`` that are called after an error too
        self.gradients: dict[int, Hook] = {}
        self.output_gradients: dict[int, Hook] = {}

    def call(self, module: HookMethods, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The result of the module's ``forward``, and of its hooks."""
        for number, hook in self._all("before"):
            takes_all = number in self.takes_all
            found = hook(module, args, kwargs) if takes_all else hook(module, args)
            if found is None:
                continue
            if not takes_all:
                args = found if isinstance(found, tuple) else (found,)
            elif isinstance(found, tuple) and len(found) == 2:
                args, kwargs = found
            else:
                raise RuntimeError(
                    "a forward pre-hook with with_kwargs=True must return None or (args, kwargs), and this one "
                    f"returned {type(found).__name__}."
                )
        has_gradients = self.gradients or self.output_gradients or EVERY.gradients or EVERY.output_gradients
        watch = _CallGradients(self, module) if has_gradients else None
        args = args if watch is None else watch.at_inputs(args)
        try:
            result = module.forward(*args, **kwargs)
        except Exception:  # of any kind: it goes on after the hooks that are always called
            for number, hook in self._all("after"):
                if number in self.always or number in EVERY.always:
                    self._after(number, hook, module, args, kwargs, None)
            raise
        for number, hook in self._all("after"):
            found = self._after(number, hook, module, args, kwargs, result)
            result = result if found is None else found
        return result if watch is None else watch.at_outputs(result)

    def _all(self, kind: str) -> list[tuple[int, Hook]]:
        """The hooks of a kind, by number: those of every module come first."""
        own, every = getattr(self, kind), getattr(EVERY, kind)
        return list(own.items()) if self is EVERY or not every else [*every.items(), *own.items()]

    def _after(self, number: int, hook: Hook, module: HookMethods, args: Any, kwargs: Any, result: Any) -> Any:
        takes_all = number in self.takes_all or number in EVERY.takes_all
        return hook(module, args, kwargs, result) if takes_all else hook(module, args, result)


EVERY = ModuleHooks()  # those of every module


def _fitting(found: Any, given: Sequence[Any], what: str) -> list[Any]:
    """The gradients that a hook returned in place of those given. Raises RuntimeError for another number of them."""
    several = list(found) if isinstance(found, (tuple, list)) else [found]
    if len(several) != len(given):
        raise RuntimeError(f"{what} returned {len(several)} gradients in place of {len(given)}. Write as many.")
    return [
        new if new is None or old is None else replaced(old, new, what) for new, old in zip(several, given, strict=True)
    ]


class _CallGradients:
    """The gradients of one call of a module with backward hooks: of its inputs and of its outputs."""

    def __init__(self, hooks: ModuleHooks, module: HookMethods) -> None:
        self.hooks, self.module = hooks, module
        self.inputs, self.input_places = 0, list[int]()
        self.outputs, self.output_places = 0, list[int]()
        self.received: tuple[Any, ...] = ()  # by the outputs, until the inputs' gradients are there

    def at_inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        self.inputs = len(args)
        given, self.input_places = self._cut(list(args), self._at_input_gradients)
        return tuple(given)

    def at_outputs(self, result: Any) -> Any:
        several = isinstance(result, (tuple, list))
        given, self.output_places = self._cut(list(result) if several else [result], self._at_output_gradients)
        self.outputs = len(given)
        if not several:
            return given[0]
        return type(result)(*given) if hasattr(result, "_fields") else type(result)(given)

    @staticmethod
    def _cut(values: list[Any], rule: Callable[..., Any]) -> tuple[list[Any], list[int]]:
        """The values, with a cut at those that gradients reach; and their places."""
        if not trace.state.grad_enabled:
            return values, []
        places = [i for i, v in enumerate(values) if isinstance(v, Tensor) and v.requires_grad]
        if places:
            for i, made in zip(places, cut(rule, [values[i] for i in places]), strict=True):
                values[i] = made
        return values, places

    @staticmethod
    def _spread(gradients: Sequence[Any], places: Sequence[int], count: int) -> list[Any]:
        full: list[Any] = [None] * count
        for i, gradient in zip(places, gradients, strict=True):
            full[i] = gradient
        return full

    def _at_output_gradients(self, gradients: list[Any], place: PlacedCut) -> list[Any]:
        full = self._spread(gradients, self.output_places, self.outputs)
        for _, hook in self.hooks._all("output_gradients"):
            found = hook(self.module, tuple(full))
            full = full if found is None else _fitting(found, full, "a full backward pre-hook")
        self.received = tuple(full)
        if not self.input_places:
            for _, hook in self.hooks._all("gradients"):
                found = hook(self.module, (None,) * self.inputs, self.received)
                if found is not None and any(g is not None for g in _fitting(found, [None] * self.inputs, "a hook")):
                    raise RuntimeError(
                        "a full backward hook returned gradients for inputs that require none. Return None instead."
                    )
            self.received = ()
        return [full[i] for i in self.output_places]

    def _at_input_gradients(self, gradients: list[Any], place: PlacedCut) -> list[Any]:
        full, received, self.received = self._spread(gradients, self.input_places, self.inputs), self.received, ()
        for _, hook in self.hooks._all("gradients"):
            found = hook(self.module, tuple(full), received)
            full = full if found is None else _fitting(found, full, "a full backward hook")
        return [full[i] for i in self.input_places]


class HookMethods:
    """PyTorch's methods that add hooks to a module. Each returns a handle, whose ``remove()`` removes the hook.

    Hooks are called whenever the module is. While `fit`, `evaluate`, `predict` or `summary` traces a network, they are
    called once, on tensors that have no value, and what they compute becomes part of the program.
    """

    forward: Callable[..., Any]
    _call_hooks: ModuleHooks | None = None  # of the class while `EVERY` has some

    # What programs that look into PyTorch's modules find there: the hooks by number.
    _forward_pre_hooks = property(lambda self: self._own_hooks().before)
    _forward_hooks = property(lambda self: self._own_hooks().after)
    _backward_hooks = property(lambda self: self._own_hooks().gradients)
    _backward_pre_hooks = property(lambda self: self._own_hooks().output_gradients)

    def _own_hooks(self) -> ModuleHooks:
        own: ModuleHooks = self.__dict__.get("_call_hooks") or ModuleHooks()
        return own

    def _add_hook(self, kind: str, hook: Hook, prepend: bool, **flags: bool) -> RemovableHandle:
        hooks = self.__dict__["_call_hooks"] = self._own_hooks()
        changed(self)
        return _added(hooks, kind, hook, prepend, lambda: changed(self), flags)

    def register_forward_pre_hook(
        self, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, args)`` before ``forward``; what it returns replaces the arguments.

        With ``with_kwargs=True`` it is ``hook(module, args, kwargs)``, and returns both.
        """
        return self._add_hook("before", hook, prepend, takes_all=with_kwargs)

    def register_forward_hook(
        self, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, args, output)`` after ``forward``; what it returns replaces the output.

        With ``with_kwargs=True`` it is ``hook(module, args, kwargs, output)``. With ``always_call=True`` it is called
        after an error too, with None as the output.
        """
        return self._add_hook("after", hook, prepend, takes_all=with_kwargs, always=always_call)

    def register_full_backward_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(module, grad_input, grad_output)`` with the gradients of the arguments and of the outputs.

        Both are tuples, with None where there is no gradient. What it returns replaces ``grad_input``.
        """
        return self._add_hook("gradients", hook, prepend)

    register_backward_hook = register_full_backward_hook  # PyTorch's older name

    def register_full_backward_pre_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(module, grad_output)`` with the gradients of the outputs; what it returns replaces them."""
        return self._add_hook("output_gradients", hook, prepend)


def _added(
    hooks: ModuleHooks, kind: str, hook: Hook, prepend: bool, then: Callable[[], None], flags: dict[str, bool]
) -> RemovableHandle:
    places = [getattr(hooks, name) for name in (kind, *flags)]
    handle = RemovableHandle(*places, first=prepend, then=then).put(hook)
    for name, is_set in flags.items():
        if is_set:
            getattr(hooks, name)[handle.id] = True
    return handle


def add_to_every(kind: str, hook: Hook, **flags: bool) -> RemovableHandle:
    """Add a hook that is called with every module. Without such hooks modules look for none."""

    def then() -> None:
        changed_everywhere()
        in_use = EVERY.before or EVERY.after or EVERY.gradients or EVERY.output_gradients
        HookMethods._call_hooks = EVERY if in_use else None

    handle = _added(EVERY, kind, hook, False, then, flags)
    then()
    return handle
