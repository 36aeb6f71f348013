"""What tensors that share memory have as their ``base``: a root the `Memory`, the others an `Alias` or a `View`.

A view has a value and a history of its own, like every result, so that one through which nobody writes costs nothing.
Besides, it knows its root and the ``steps``: the recorded movements that make it of the root. A write to the root
counts in the root's ``version``; a view that has seen another version is made again when it is next read. A write to a
view places its elements in the root, by the gradient of the movements. References to roots are weak until something is
written: a view keeps no root that nobody else can see, and so the tape does not compute it.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from typing import Any, cast

import numpy as np

from ranvier.data.memory import same_bits
from ranvier.graph.dtypes import array_dtype, as_array
from ranvier.graph.extents import Extent
from ranvier.tensor import tape, trace
from ranvier.tensor.function import detach, record
from ranvier.tensor.movements import Steps, Strides, moved_array, overlaps, strides_after, write_moved
from ranvier.tensor.tensor import Tensor
from ranvier.tensor.writing import constant, holds_value, place, put_whole, recorded, written_by


class _Base:
    """What a tensor that shares memory has as its ``base``. A copy of the tensor has memory of its own, and none."""

    __slots__ = ()
    snapshot: Tensor | None = None  # of a root that NumPy may write into: what programs read
    silent = False  # it comes from `.data`: gradients are not told of writes, see `unnoticed`

    def __reduce__(self) -> Any:
        return type(None), ()

    def sync(self, tensor: Tensor) -> None:
        """Bring the tensor up to date with writes to what it shares."""

    def written_whole(self, tensor: Tensor) -> None:
        """A program has written into the tensor's own array."""

    def array(self, tensor: Tensor) -> Any:
        """The array that shows writes, and through which others may write."""
        return tensor.compute()


class Memory(_Base):
    """The base of a root: the tensors that share its memory."""

    owner = None
    # Attributes of the class as long as they have these values: a loop makes one of these for each batch.
    limit = 8  # of members, before the dead ones are dropped
    written = False  # since then views keep the root: what they have yet to read is in it
    data: weakref.ref[Tensor] | None = None  # what `.data` gives, as long as it is in use
    given = False  # the array is the user's
    window: weakref.ref[_Window] | None = None

    def __init__(self, root: Tensor) -> None:
        self.root: Callable[[], Tensor | None] = weakref.ref(root)
        self.spec = root.spec
        self.members: list[weakref.ref[Tensor]] = []

    def living(self) -> list[Tensor]:
        """The tensors that share the memory, but the root."""
        there = [t for member in self.members if (t := member()) is not None]
        return [t for t in there if isinstance(t.base, (Alias, View)) and t.base.memory is self]

    def add(self, tensor: Tensor) -> None:
        if len(self.members) >= self.limit:
            self.members = [weakref.ref(t) for t in self.living()]
            self.limit = 2 * len(self.members) + 8
        self.members.append(weakref.ref(tensor))

    def move(self, root: Tensor) -> None:
        """Let another leaf be the root, which has the array of the one before."""
        self.root = weakref.ref(root)
        for tensor in self.living():
            if isinstance(tensor.base, Alias):
                tensor.base.owner = root
            elif tensor.base.kept is not None:
                tensor.base.kept = root

    def lead(self, old: Tensor, new: Tensor, silent: bool = False) -> None:
        """Let another leaf be the root and have the array of the one before, which becomes its alias."""
        tape.flush_readers(old)
        if tape.is_leaf(old):
            tape.replace_leaf(old, old.copy_leaf())
        others = [t for t in self.living() if t is not new]
        for tensor in others:
            if isinstance(tensor.base, View):
                tensor.base.grad = 0
        self.members = [weakref.ref(t) for t in others]
        new._value, new.spec, new.base = old._value, old.spec, self
        old.base = Alias(self, new, silent)
        new.version, old.version = max(new.version, old.version) + 1, old.version + 1
        self.move(new)
        self.add(old)

    def wrote(self, root: Tensor) -> None:
        """After the first write to the root: views keep it from here on."""
        if not self.written:
            self.written = True
            for tensor in self.living():
                if isinstance(tensor.base, View):
                    tensor.base.kept = root

    def rebuilt(self) -> Tensor:
        """A root in place of one that is gone, of the elements that living views show: nobody sees the others."""
        views = [t for t in self.living() if isinstance(t.base, View)]
        root = Tensor.wrap(np.zeros(cast("Any", self.spec.shape), array_dtype(self.spec.dtype)))
        for view in views:
            place(root, view.base.steps, view, not view.base.grad)
        root.base, self.root = self, weakref.ref(root)
        for view in views:
            view.base.seen = root.version
        self.wrote(root)
        return root

    def _is_seen(self, root: Tensor) -> bool:
        """Whether an array of NumPy's shares the memory."""
        window = None if self.window is None else self.window()
        if window is not None and window.array is root._value:
            return True
        return self.given and (root._value.base is not None or sys.getrefcount(root._value) > UNSEEN)

    def sync(self, root: Tensor) -> None:
        """Keep what programs read apart from an array that NumPy may write into before they run."""
        if self.window is None and not self.given:
            return
        if root._requires_grad or not holds_value(root) or not self._is_seen(root):
            self.snapshot = None
        elif self.snapshot is None or not same_bits(self.snapshot._value, root._value):
            self.snapshot = root.copy_leaf()

    def array(self, root: Tensor) -> Any:
        array = root.compute()
        tape.flush_readers(root)
        window = None if self.window is None else self.window()
        if window is None or window.array is not array:
            window = _Window(array)
            self.window = weakref.ref(window)
        return np.asarray(window)

    def _settle(self, root: Tensor) -> None:
        """Make an assignment that waits, where NumPy sees the array."""
        self.wrote(root)
        if self.window is not None or self.given:
            root.compute()

    def forgotten(self, root: Tensor) -> None:
        """Let the other tensors go on without the root, with copies of what it holds."""
        for tensor in self.living():
            if isinstance(tensor.base, Alias):
                tensor.base.separate(tensor)
            tensor.base.sync(tensor)
            tensor.base.kept = None
        self.root, self.written, root.base = _gone, False, None

    def assign(self, root: Tensor, value: Any) -> None:
        root.overwrite(value)
        self._settle(root)

    def put(self, root: Tensor, result: Tensor) -> None:
        put_whole(root, result, False)
        self._settle(root)


def _gone() -> None:
    """A reference to a root that is gone."""


UNSEEN = 2  # references to an array that its tensor alone holds, while they are counted


class _Window:
    """What NumPy sees an array through: it lives as long as an array that shares the memory."""

    __slots__ = ("__array_interface__", "__weakref__", "array")

    def __init__(self, array: Any) -> None:
        self.array, self.__array_interface__ = array, array.__array_interface__


class Alias(_Base):
    """The base of a tensor that shares all of a leaf's array, as ``x.data`` does. It is read as that leaf's data."""

    __slots__ = ("memory", "owner", "silent")
    owner: Tensor

    def __init__(self, memory: Memory, owner: Tensor, silent: bool = False) -> None:
        self.memory, self.owner, self.silent = memory, owner, silent

    def sync(self, tensor: Tensor) -> None:
        self.memory.sync(self.owner)

    def array(self, tensor: Tensor) -> Any:
        return self.memory.array(self.owner)

    def lead(self, alias: Tensor) -> None:
        """Let an alias ask for a gradient of its own: as the root, where that asks for none."""
        if self.owner._requires_grad or not holds_value(self.owner):
            self.separate(alias)
        else:
            self.owner.compute()
            self.memory.lead(self.owner, alias, self.silent)

    def separate(self, alias: Tensor) -> None:
        """Make a view of an alias, which can have a history and a gradient of its own."""
        memory, steps, _, root = memory_of(self.owner)
        alias._value = alias.compute().copy(order="K")
        alias.base = View(memory, steps, False, root, self.silent)
        tape.shared.has_leaf_views = True

    def assign(self, tensor: Tensor, value: Any) -> None:
        written_by(self, self.owner, lambda: self.owner.assign(value))
        tensor.version += 1

    def put(self, tensor: Tensor, result: Tensor) -> None:
        if result.requires_grad:  # it gets a history, which its owner does not
            self.separate(tensor)
            tensor.base.put(tensor, result)
        else:
            self.assign(tensor, result)


class View(_Base):
    """The base of a view: its root's memory, and the steps from the root."""

    __slots__ = ("grad", "kept", "memory", "seen", "silent", "steps")
    owner = None

    def __init__(self, memory: Memory, steps: Steps, grad: int, root: Tensor | None, silent: bool = False) -> None:
        self.memory, self.steps, self.silent = memory, steps, silent
        self.grad = grad  # whether gradients go on to the root, as in `trace._State.grad_enabled`
        self.kept = root if memory.written else None
        self.seen = -1 if root is None else root.version

    def root(self) -> Tensor | None:
        """The root, while it lives."""
        return self.memory.root() if self.kept is None else self.kept

    def strides(self) -> Strides | None:
        """The steps in elements along each axis; None where they are not known, or where elements were copied."""
        shape = self.memory.spec.shape
        return None if any(isinstance(n, Extent) for n in shape) else strides_after(self.steps, shape)

    def sync(self, view: Tensor) -> None:
        """Make the view again, if its root has been written to since."""
        memory = self.memory
        root = memory.root() if self.kept is None else self.kept
        if root is None:
            return
        if memory.window is not None or memory.given:
            memory.sync(root)
        is_waiting = root.segment is not None and root.trace_node is None
        if root.version == self.seen and not is_waiting and memory.snapshot is None:
            return
        made = self._made(root)
        self.seen = root.version
        is_leaf = view._requires_grad and view.trace_node is None
        view.replace(made)
        if is_leaf:
            view._requires_grad = True

    def written_whole(self, view: Tensor) -> None:
        root, array = self.root(), view._value
        if root is not None and view.trace_node is None and holds_value(root):
            root.overwrite_part(lambda whole: write_moved(self.steps, whole, ..., array))
            self.seen = root.version
            self.memory.wrote(root)

    def array(self, view: Tensor) -> Any:
        root = self.root()
        if root is not None and holds_value(root):
            whole = self.memory.array(root)
            part = moved_array(self.steps, whole)
            if np.may_share_memory(part, whole):
                return part
        return view.compute()

    def _made(self, root: Tensor) -> Tensor:
        if holds_value(root) and not (self.grad and root._requires_grad):
            array = root.compute()
            return Tensor.wrap(np.array(moved_array(self.steps, array), order="C"))
        grad = self.grad and self.grad | trace.state.grad_enabled
        made = root if self.steps else recorded(grad, detach, root)
        for target, options, index in self.steps:
            results = recorded(grad, record, target, (made,), options)
            made = results[index] if index >= 0 else results
        return made

    def root_to_write(self, view: Tensor) -> Tensor | None:
        """The root; None where the view alone sees its memory. Raises RuntimeError where elements share a place."""
        if overlaps(view.shape, self.strides()):
            raise RuntimeError(
                "several elements of this tensor, made by expand or unfold, are one in memory, and cannot be written "
                "one by one. Write x = x.clone() before the change instead."
            )
        root = self.root()
        if root is None and len(self.memory.living()) > 1:
            root = self.memory.rebuilt()
        return root

    def assign(self, view: Tensor, value: Any) -> None:
        root = self.root_to_write(view)
        if root is None:
            view.overwrite(value)
            return
        given = value if isinstance(value, Tensor) else Tensor.wrap(np.array(as_array(value, view.dtype), order="C"))
        if given.shape != view.shape:
            raise ValueError(f"a tensor of shape {view.shape} cannot take values of shape {given.shape}.")
        self._write(root, view, constant(given))

    def put(self, view: Tensor, result: Tensor) -> None:
        root = self.root_to_write(view)
        if root is None:
            put_whole(view, result, False)
        else:
            self._write(root, view, result)

    def _write(self, root: Tensor, view: Tensor, result: Tensor) -> None:
        at_once = holds_value(root) and (not result.requires_grad or not self.grad)
        if self.grad:
            place(root, self.steps, result, False)
        else:
            written_by(self, root, lambda: place(root, self.steps, result, True))
        is_made_of_root = at_once or root.requires_grad
        if result.trace_node is not None and (result.requires_grad or not is_made_of_root):
            view.replace(result)
            self.seen = root.version
        self.memory.wrote(root)


def sharers(tensor: Tensor) -> list[Tensor]:
    """The tensors that share the memory of one, with itself."""
    memory = tensor.base if tensor.base is None or isinstance(tensor.base, Memory) else tensor.base.memory
    if memory is None:
        return [tensor]
    root = memory.root()
    return [*([] if root is None else [root]), *memory.living()]


def memory_of(tensor: Tensor) -> tuple[Memory, Steps, int, Tensor | None]:
    """The memory of a tensor, its steps from the root, whether gradients go there, and the root while it lives."""
    base = tensor.base
    if isinstance(base, View):
        return base.memory, base.steps, base.grad, base.root()
    if isinstance(base, Alias):
        memory, steps, _, root = memory_of(base.owner)
        return memory, steps, False, root
    if base is None:
        base = tensor.base = Memory(tensor)
    return base, (), True, tensor
