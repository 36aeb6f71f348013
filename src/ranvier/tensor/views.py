"""Views and aliases: making them, and writing to tensors that share memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ranvier.graph.dtypes import FLOATS, INDICES, as_array
from ranvier.graph.extents import Extent
from ranvier.tensor import saved, tape, trace
from ranvier.tensor.function import detach
from ranvier.tensor.movements import Steps, Strides, moved_array, row_major, write_moved
from ranvier.tensor.sharing import Alias, Memory, View, memory_of, sharers
from ranvier.tensor.tensor import Tensor
from ranvier.tensor.trace import DATA
from ranvier.tensor.writing import holds_value, put_whole, recorded, unnoticed, written_by


def become_view(view: Tensor, source: Tensor, steps: Steps, grad: bool = True) -> bool:
    """Let a tensor that was made of ``source`` by these steps share its memory. False where that takes a copy."""
    memory, before, goes_on, root = memory_of(source)
    recorded_by = trace.state.grad_enabled if goes_on and grad else 0
    silent = source.base is not None and source.base.silent
    base = View(memory, before + steps if before else steps, recorded_by, root, silent)
    if before and steps and base.strides() is None and not any(isinstance(n, Extent) for n in memory.spec.shape):
        return False
    view.base, view.inference = base, source.inference
    memory.add(view)
    for target, _, _ in steps:
        target.makes_views = True
    return True


def viewed(source: Tensor, make: Callable[..., Any], args: Any, kwargs: Any) -> tuple[Any, bool]:
    """What ``make`` records of a source by movements, sharing its memory; False with it where one is a copy."""
    if source.base is not None:
        source.base.sync(source)
    state = trace.state
    before, state.moving = state.moving, True
    try:
        result = make(*args, **kwargs)
    finally:
        state.moving = before
    at_once = source.spec.dtype in INDICES and tape.ready_arrays((source,)) is not None
    if type(result) is Tensor:
        return result, result is source or _note(source, result, at_once)
    all_views = True
    for part in result if isinstance(result, tuple) else (result,):
        if part is not source and isinstance(part, Tensor) and not _note(source, part, at_once):
            all_views = False
    return result, all_views


def _note(source: Tensor, part: Tensor, at_once: bool) -> bool:
    if isinstance(part.base, View):  # by an index
        return True
    steps = _recorded_steps(source, part)
    if steps is None:
        return False
    if at_once:  # labels and indices are known where they are used
        tape.release(part, np.array(moved_array(steps, source.compute()), order="C"))
    return become_view(part, source, steps)


def _recorded_steps(source: Tensor, part: Tensor) -> Steps | None:
    """The recorded calls that make ``part`` of ``source``; None where others made it."""
    node, segment = part.trace_node, part.segment
    if node is not None and segment is not None and source.base is None and node.inputs:
        below = node.inputs[0]
        if below is source.trace_node or (below.function is None and segment.leaves[below.ordinal] is source):
            return (node.step,)  # the usual case, kept fast
    held, steps = source.trace_node, []
    if held is None and segment is not None and segment.assigns:  # what was written to a leaf, and waits
        held = segment.assigns.get(segment.ordinals.get(id(_owner(source)), -1))
    while node is not None and node is not held and node.function is not None:
        if node.function is not DATA:
            steps.append(node.step)
        node = node.inputs[0]
    if node is None or segment is None:
        return None
    if node is held:
        return tuple(reversed(steps))
    leaf, owner = segment.leaves[node.ordinal], _owner(source)
    is_read = leaf is owner or (owner.base is not None and leaf is owner.base.snapshot)
    return tuple(reversed(steps)) if is_read else None


def _owner(tensor: Tensor) -> Tensor:
    """The tensor whose array holds the value."""
    return tensor if (owner := tensor.owner) is None else owner


def alias_of(tensor: Tensor, silent: bool = False) -> Tensor:
    """A tensor of the same memory that gradients take as constant. They are not told of writes to a silent one."""
    owner = _owner(tensor)
    if owner.base is not None:
        owner.base.sync(owner)
    if owner.trace_node is None and owner._value is not None and not isinstance(owner.base, View):
        memory = memory_of(owner)[0]
        alias = Tensor.wrap(owner._value, type_=owner.spec)
        alias.base = Alias(memory, owner, silent or (tensor.base is not None and tensor.base.silent))
        alias.inference = owner.inference
        memory.add(alias)
        return alias
    view: Tensor = recorded(False, detach, owner)
    become_view(view, owner, (), False)
    view.base.silent |= silent
    return view


def join(leaf: Tensor, tensor: Tensor) -> bool:
    """Let a new leaf have the array of a tensor, which becomes its alias; False where the tensor shares another's."""
    if isinstance(tensor.base, (Alias, View)) or not holds_value(tensor) or tensor._requires_grad:
        return False
    tensor.compute()
    leaf._init_leaf(False)
    memory_of(tensor)[0].lead(tensor, leaf)
    return True


def leave_memory(leaf: Tensor) -> None:
    """Let a leaf share its memory with nobody from here on."""
    if isinstance(leaf.base, Memory):
        leaf.base.forgotten(leaf)
    elif leaf.base is not None:
        leaf._value, leaf.base = leaf.compute().copy(order="K"), None


def take_memory(leaf: Tensor, tensor: Tensor) -> None:
    """Let a leaf, which shares its memory with nobody, go on in that of a tensor, as ``p.data = q`` does."""
    if leaf.spec == tensor.spec:
        unnoticed(leaf, lambda: leaf.assign(tensor))
        if trace.state.tracing or (tensor.requires_grad and tensor.trace_node is not None):
            return  # a result with a history keeps its memory
    else:
        leaf.compute()
    owner = _owner(tensor)
    is_root = not isinstance(owner.base, View) and not owner._requires_grad
    if is_root and owner.trace_node is not None and leaf.spec == owner.spec:  # a result, which waits to be assigned
        memory = memory_of(leaf)[0]
        owner.trace_node, owner.segment, owner.base = None, None, Alias(memory, leaf)
        memory.add(owner)
    elif is_root:
        owner.compute()
        owner.trace_node = owner.segment = None
        leaf.compute()
        memory_of(owner)[0].lead(owner, leaf)
    elif leaf.spec == tensor.spec:
        leaf.compute()
        if become_view(leaf, tensor, (), False):
            root = leaf.base.root()
            leaf.base.memory.wrote(root)
            leaf.base.kept, tape.shared.has_leaf_views = root, True
    else:
        copy = Tensor.wrap(np.array(tensor.compute(), order="C"), type_=tensor.spec)
        memory_of(copy)[0].lead(copy, leaf)


# --- writing ------------------------------------------------------------------------------------------------------


def write(tensor: Tensor, result: Tensor) -> None:
    """Let a tensor, and all that share its memory, hold the values and the history of another from here on."""
    note_write(tensor, result)
    if tensor.base is None:
        put_whole(tensor, result, False)
    else:
        tensor.base.put(tensor, result)


def note_write(tensor: Tensor, result: Tensor | None = None) -> None:
    """Before a write to a tensor, tell gradients of it. See `tensor.saved`."""
    if tensor.base is None or not tensor.base.silent:
        saved.note_write(sharers(tensor), result)


MODERATE = 1e37  # a sum of two numbers below it does not overflow, in any float dtype


def add_number(tensor: Tensor, other: Any, by_numpy: Any) -> bool:
    """``total += loss`` of two known floats, almost as fast as that of Python's numbers; False for other operands."""
    if not isinstance(other, Tensor):
        return False
    spec, dtype = tensor.spec, other.spec.dtype
    if spec.shape or other.spec.shape or spec.dtype != dtype or dtype not in FLOATS or trace.state.tracing:
        return False
    for known in (tensor, other):
        if known.base is not None or known.segment is not None or known._value is None:
            return False
        if known._requires_grad and not known.history_ended:
            return False
        if not abs(known._value.item()) < MODERATE:
            return False
    if tape.is_leaf(tensor):
        return False
    tensor._value = np.asarray(by_numpy(tensor._value, other._value))
    tensor.version += 1
    if other._requires_grad and trace.state.grad_enabled:
        tensor._requires_grad = tensor.history_ended = True
    return True


def write_part(tensor: Tensor, index: Any, value: Any) -> bool:
    """Write plain values at an index into the leaf's array that holds a tensor; False where there is none."""
    base, steps = tensor.base, Steps()
    root: Tensor | None = tensor
    if isinstance(base, View):
        steps, root = base.steps, base.root_to_write(tensor)
        if root is None:
            steps, root = Steps(), tensor
    elif isinstance(base, Alias):
        root = base.owner
    if root is None or not holds_value(root):
        return False
    given = as_array(value.compute() if isinstance(value, Tensor) else value, tensor.dtype)
    note_write(tensor)
    leaf = root

    def change() -> None:
        leaf.overwrite_part(lambda whole: write_moved(steps, whole, index, given))

    if isinstance(base, (Alias, View)):
        written_by(base, root, change)
    else:
        change()
    if isinstance(root.base, Memory):
        root.base.wrote(root)
    return True


def root_of_gradients(tensor: Tensor) -> Tensor | None:
    """The root of a view that gradients go through; None for other tensors."""
    base = tensor.base
    return base.root() if isinstance(base, View) and base.grad else None


def shown_array(tensor: Tensor) -> Any:
    """The value as an array for NumPy, which shares the memory."""
    tensor.compute()
    if tensor.base is None:
        tensor.base = Memory(tensor)
    return tensor.base.array(tensor)


def over_array(array: Any) -> Tensor:
    """A tensor of the memory of an array that belongs to the user."""
    tensor = Tensor.wrap(array)
    tensor.base = Memory(tensor)
    tensor.base.given = True
    return tensor


def shares_memory(tensor: Tensor) -> bool:
    """Whether another tensor shares the memory of this one."""
    return isinstance(tensor.base, (Alias, View)) or (tensor.base is not None and bool(tensor.base.living()))


# --- layout ----------------------------------------------------------------------------------------------------


def strides_of(tensor: Tensor) -> Strides:
    """The steps in elements along each axis: of a view those in its root's memory, of other tensors row-major ones."""
    known = tensor.base.strides() if isinstance(tensor.base, View) else None
    return row_major(tensor.shape) if known is None else known


def is_row_major(tensor: Tensor) -> bool:
    """Whether the elements are in order in memory."""
    if not isinstance(tensor.base, View):
        return True
    own = row_major(tensor.shape)
    return (
        all(n == 1 or a == b for n, a, b in zip(tensor.shape, strides_of(tensor), own, strict=True))
        or 0 in tensor.shape
    )
