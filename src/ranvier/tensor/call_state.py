"""The call of a module in progress in each thread, and the contexts in which modules are called."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from ranvier.tensor import trace
from ranvier.tensor.segment import TapeSegment, local
from ranvier.tensor.tensor import Tensor

ForwardHook = Callable[[Any, tuple[Any, ...], Any], None]  # of the module, its arguments and its result


class TensorOwner(Protocol):
    """A module, as far as its tensors go."""

    def parameters(self) -> Iterable[Tensor]: ...

    def buffers(self) -> Iterable[Tensor]: ...


class CallState(threading.local):
    """The outermost call of a module that is in progress in this thread."""

    root: Any = None  # its module
    results: list[tuple[Any, Any]] | None = None  # (module, type of its result) within it, in order of completion
    hook: ForwardHook | None = None  # see `forward_hook`

    def __init__(self) -> None:
        # By module, what it added to the loss since the last outermost call of a module above it began.
        self.added_losses: weakref.WeakKeyDictionary[Any, list[Tensor]] = weakref.WeakKeyDictionary()


call_state = CallState()


@contextlib.contextmanager
def isolated_tape(module: TensorOwner | None = None, step: trace.StepTrace | None = None) -> Iterator[None]:
    """Record on a separate tape segment, which is never run, so that tracing a model leaves pending results alone.

    Pending assignments to tensors of ``module`` are made first. Assignments to them within the context stay in the
    segment. ``step`` is the step that is traced, None if it is a model alone.
    """
    own = [] if module is None else [*module.parameters(), *module.buffers()]
    for tensor in own:
        if tensor.segment is not None:
            tensor.compute()
    before, added_losses, tracing = local.segment, call_state.added_losses, trace.state.tracing
    born = trace.state.born
    trace.first_version[0] += trace.VERSIONS
    segment = local.segment = TapeSegment()
    segment.traced, segment.owned = True, frozenset(map(id, own))
    call_state.added_losses, trace.state.tracing = weakref.WeakKeyDictionary(), step or True
    trace.state.born = trace.first_version[0]
    try:
        yield
    finally:
        local.segment, call_state.added_losses, trace.state.tracing = before, added_losses, tracing
        trace.state.born = born
        local.segments.discard(segment)
        for tensor in own:
            tensor.segment = None
        for o in segment.assigns:  # tensors of layers that were built within
            segment.leaves[o].segment = None


@contextlib.contextmanager
def forward_hook(hook: ForwardHook) -> Iterator[None]:
    """Within this context ``hook(module, arguments, result)`` follows each call of a module, inner calls first.

    ``arguments`` are the leaves of the arguments, those of keywords last.
    """
    before, call_state.hook = call_state.hook, hook
    try:
        yield
    finally:
        call_state.hook = before
