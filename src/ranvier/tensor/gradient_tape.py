"""GradientTape: derivatives of what is computed within its context, as in TensorFlow.

Each tape that records has a bit in the number that calls are recorded with (`trace._State.grad_enabled`), so a node
shows the tapes on which it is. Derivatives follow nodes on the tape alone: all others are constants.
"""

from __future__ import annotations

import contextlib
import math
import threading
import weakref
from collections.abc import Iterator, Sequence
from typing import Any, Self

import numpy as np

from ranvier.graph.dtypes import array_dtype
from ranvier.graph.grad import gradient
from ranvier.graph.node import FLOATS, Node, apply, constant, extents, like
from ranvier.support.constructors import CheckedConstructor
from ranvier.support.tree import flatten, map_structure
from ranvier.tensor import tape
from ranvier.tensor.autograd import check_history
from ranvier.tensor.cuts import derivatives
from ranvier.tensor.function import add
from ranvier.tensor.hooks import hooked, leaf_hooks
from ranvier.tensor.segment import TapeSegment, local
from ranvier.tensor.tensor import Tensor
from ranvier.tensor.trace import WATCH, Function, TraceNode, intern, state

MOST = 16  # numbers of tapes: nodes of further tapes reuse the oldest number, so that loops compile few programs

ON_ALL = -1  # the bits of all tapes


class _Tapes(threading.local):
    """The tapes of a thread that are alive, and the number that was given last."""

    def __init__(self) -> None:
        self.alive: weakref.WeakSet[GradientTape] = weakref.WeakSet()
        self.last = -1


_tapes = _Tapes()


def _free_bit() -> int:
    """A bit that no living tape and no living result of this thread has; where all are taken, no tape at least.

    The same loop gets the same bits again, and so finds its programs.
    """
    tapes = sum({other._bit for other in _tapes.alive})
    used = tapes
    for segment in list(local.segments):
        for reference in segment.live:
            result = reference()
            if result is not None and result.trace_node is not None:
                used |= result.trace_node.grad
    order = [*range(_tapes.last + 1, MOST), *range(_tapes.last + 1)]
    _tapes.last = next(
        (n for n in range(MOST) if not used & (2 << n)), next((n for n in order if not tapes & (2 << n)), order[0])
    )
    return 2 << _tapes.last


def _derivatives(output: Node, *nodes: Node, seeded: bool) -> list[Node]:
    """Those of the sum of ``output``, or of its product with a seed, which is the last node."""
    if seeded:
        return gradient(output, nodes[:-1], nodes[-1])
    return gradient(output, nodes, like(output, 1.0))


def _jacobians(output: Node, *nodes: Node) -> list[Node]:
    """The derivatives of each element of ``output``, by each of the nodes: (*output.shape, *node.shape)."""
    seeds = np.eye(math.prod(extents(output)), dtype=output.dtype).reshape(-1, *extents(output))
    rows = zip(*(gradient(output, nodes, constant(seed, output.dtype)) for seed in seeds), strict=True)
    together = (apply("concatenate", *(apply("reshape", r, shape=(1, *r.shape)) for r in row), axis=0) for row in rows)
    return [apply("reshape", j, shape=(*output.shape, *j.shape[1:])) for j in together]


_DERIVATIVES = Function("derivatives", _derivatives)
_JACOBIANS = Function("jacobians", _jacobians)
_DERIVATIVES.is_local = _JACOBIANS.is_local = False


class GradientTape(CheckedConstructor):
    """Records what is computed within its context, for derivatives by what it watches.

    It watches each trainable weight that is read, unless ``watch_accessed_variables`` is False, and each tensor that
    `watch` is given. `gradient` may be called once, or several times where the tape is ``persistent``. Tapes may be
    nested: a gradient that is computed within the context of another tape can be differentiated again. Within a
    ``train_step`` that `fit` traces, all of it becomes part of the compiled step.
    """

    def __init__(self, persistent: bool = False, watch_accessed_variables: bool = True) -> None:
        self._persistent, self._watches_all = bool(persistent), bool(watch_accessed_variables)
        self._bit, self._before, self._recording, self._used = 0, 0, False, False
        # By the tensor's id: the tensor, and what stands for it on this tape once its context has ended.
        self._watched: dict[int, list[Tensor]] = {}
        self._aside: list[tuple[Tensor, Tensor]] = []  # watched results, and what they were before

    def __enter__(self) -> Self:
        if self._recording:
            raise ValueError("this tape is recording already. Write a new rv.GradientTape() for an inner context.")
        if not self._bit:
            self._bit = _free_bit()
            _tapes.alive.add(self)
        self._before = state.grad_enabled
        state.grad_enabled = self._before | 1 | self._bit
        self._recording = True
        return self

    def __exit__(self, *error: object) -> None:
        if self._recording:
            self._stop()

    def _stop(self) -> None:
        """End the context: tensors that were watched are what they were before, so that nothing else follows them."""
        self._recording = False
        state.grad_enabled = self._before
        for tensor, before in self._aside:
            node, segment = tensor.trace_node, tensor.segment
            if node is None or segment is None or node.function is not WATCH:
                continue  # it was overwritten within the context
            stand_in = Tensor.pending(node, segment)
            stand_in._value = tensor._value
            tensor.trace_node, tensor.segment = before.trace_node, before.segment
            tensor._requires_grad = before._requires_grad
            if before.trace_node is not None and before.segment is not None:
                before.segment.live.append(weakref.ref(tensor))
            self._watched[id(tensor)] = [tensor, stand_in]
        self._aside = []

    def watch(self, tensor: Any) -> None:
        """Compute derivatives by this tensor too, or by each of a list or dict, from here on."""
        for one in flatten(tensor):
            if not isinstance(one, Tensor):
                raise TypeError(f"watch takes tensors, and here is a {type(one).__name__}. Write rv.Tensor(x) first.")
            if id(one) in self._watched or one.dtype not in FLOATS:
                continue
            self._watched[id(one)] = [one]
            if one.requires_grad and one.trace_node is None:
                continue  # a weight
            before = self._state_of(one)
            segment = tape.segment_of([one])
            recorded = state.grad_enabled | 1 | self._bit
            node = intern(WATCH, (segment.node_of(one),), (("tape", self._bit),), recorded)[0]
            one.trace_node, one.segment, one._requires_grad = node, segment, True
            segment.live.append(weakref.ref(one))
            self._aside.append((one, before))

    @staticmethod
    def _state_of(tensor: Tensor) -> Tensor:
        """A tensor with the same value and history."""
        if tensor.trace_node is None or tensor.segment is None:
            return Tensor.placeholder(tensor.spec, requires_grad=tensor.requires_grad)
        copy = Tensor.pending(tensor.trace_node, tensor.segment)
        copy._value = tensor._value
        return copy

    @contextlib.contextmanager
    def stop_recording(self) -> Iterator[None]:
        """Within this context nothing is recorded on this tape."""
        if not self._recording:
            raise ValueError("this tape is not recording. Write stop_recording() within its context.")
        before = state.grad_enabled
        state.grad_enabled = before & ~self._bit
        try:
            yield
        finally:
            state.grad_enabled = before

    def reset(self) -> None:
        """Forget what was recorded and watched."""
        recording = self._recording
        if recording:
            self._stop()
        _tapes.alive.discard(self)
        self._bit, self._used, self._watched = 0, False, {}
        if recording:
            self.__enter__()

    def watched_variables(self) -> tuple[Tensor, ...]:
        """The weights that `watch` was given."""
        return tuple(entry[0] for entry in self._watched.values() if type(entry[0]) is not Tensor)

    def gradient(
        self, target: Any, sources: Any, output_gradients: Any = None, unconnected_gradients: Any = "none"
    ) -> Any:
        """The derivatives of ``target`` by ``sources``, in the container that holds the sources.

        Of a target that is no scalar they are those of its sum, or of its product with ``output_gradients``; of several
        targets the sum. A source that no target depends on has None, or zeros with
        ``unconnected_gradients="zero"``.
        """
        self._begin()
        targets, wanted = list(flatten(target)), list(flatten(sources))
        seeds = [None] * len(targets) if output_gradients is None else list(flatten(output_gradients))
        results: list[Tensor | None] = [None] * len(wanted)
        with self._outside():
            for one, seed in zip(targets, seeds, strict=True):
                given = [] if seed is None else [seed if isinstance(seed, Tensor) else Tensor(seed, dtype=one.dtype)]
                found = self._of(one, wanted, _DERIVATIVES, (("seeded", bool(given)),), given)
                results = [
                    b if a is None else a if b is None else add(a, b) for a, b in zip(results, found, strict=True)
                ]
            if getattr(unconnected_gradients, "value", unconnected_gradients) == "zero":
                results = [r if r is not None else 0 * source for r, source in zip(results, wanted, strict=True)]
        rest = iter(results)
        return map_structure(sources, Tensor, lambda _: next(rest))

    def jacobian(self, target: Tensor, sources: Any) -> Any:
        """The derivative of each element of ``target`` by each source: of the target's shape, then the source's."""
        self._begin()
        with self._outside():
            results = iter(self._of(target, list(flatten(sources)), _JACOBIANS, (), []))
        return map_structure(sources, Tensor, lambda _: next(results))

    # --- derivatives ----------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Count a use of the tape. Raises RuntimeError for a second one of a tape that is not persistent."""
        if self._used and not self._persistent:
            raise RuntimeError(
                "this tape has computed its gradients. Write rv.GradientTape(persistent=True) to compute several."
            )
        if not self._bit:
            raise RuntimeError("this tape has recorded nothing. Write: with rv.GradientTape() as tape: ...")
        self._used = True
        if self._recording and not self._persistent:
            self._stop()

    @contextlib.contextmanager
    def _outside(self) -> Iterator[None]:
        """Record derivatives where a tape records, and as constants elsewhere."""
        before = state.grad_enabled
        state.grad_enabled = before if before > 1 else False
        try:
            yield
        finally:
            state.grad_enabled = before

    def _of(
        self, target: Any, sources: Sequence[Any], function: Function, options: Any, seeds: Sequence[Tensor]
    ) -> list[Tensor | None]:
        """The derivatives of one target, None by sources that it does not depend on."""
        if not isinstance(target, Tensor):
            raise TypeError(
                f"the target of a gradient is a {type(target).__name__}, and a tensor is needed. Compute it within the "
                "tape's context by tensor functions (x.mean(), rv.ops.abs(x)), and not by NumPy's or float()."
            )
        if target.trace_node is None and id(target) in self._watched:
            target = self._watched[id(target)][-1]
        if target.trace_node is None and not target.history_ended:
            return [None] * len(sources)
        if target.requires_grad:
            check_history(target)
        stand_ins = [self._watched.get(id(s), [s])[-1] for s in sources]
        segment = tape.segment_of([target, *stand_ins, *seeds])
        root = segment.node_of(target)
        reached = self._reached(root)
        nodes = [self._node(segment, s, reached) for s in stand_ins]
        wanted = [n for n in dict.fromkeys(nodes) if n is not None]
        if not wanted:
            return [None] * len(sources)
        if any(n.function is not None and n.requires_grad and not n.grad & self._bit for n in reached):
            root, by = self._rerooted(root, wanted)
        else:
            by = wanted
        if root.cuts or not leaf_hooks.keys().isdisjoint(map(id, sources)):
            found = self._by_rules(root, by, function, seeds, segment)
        else:
            parts = intern(function, (root, *by, *map(segment.node_of, seeds)), options, state.grad_enabled)
            found = [Tensor.pending(n, segment) for n in parts]
        results = dict(zip(wanted, found, strict=True))
        return [None if n is None else hooked(s, results[n]) for n, s in zip(nodes, sources, strict=True)]

    @staticmethod
    def _by_rules(
        root: TraceNode, by: Sequence[TraceNode], function: Function, seeds: Sequence[Tensor], segment: TapeSegment
    ) -> list[Tensor | None]:
        """The derivatives of a target whose gradient meets hooks, or functions with gradients of the user's own."""
        if function is _JACOBIANS:
            raise RuntimeError(
                "the gradient meets a hook or a torch.autograd.Function. Write torch.autograd.functional.jacobian in "
                "place of tape.jacobian."
            )
        target = Tensor.pending(root, segment)
        one = Tensor.wrap(np.ones(target.shape, array_dtype(target.dtype)), type_=target.spec)
        return derivatives([target], seeds or [one], lambda _: by)

    def _reached(self, root: TraceNode) -> dict[TraceNode, None]:
        """The nodes that derivatives of ``root`` reach, and the first ones on each way that are not on the tape."""
        found = {root: None} if root.requires_grad else {}
        waiting = list(found)
        while waiting:
            node = waiting.pop()
            if node.function is not None and node.grad & self._bit:
                new = [i for i in node.inputs if i.requires_grad and i not in found]
                found.update(dict.fromkeys(new))
                waiting += new
        return found

    def _node(self, segment: TapeSegment, source: Any, reached: dict[TraceNode, None]) -> TraceNode | None:
        """The node of a source, if it is watched and the target depends on it."""
        if not isinstance(source, Tensor):
            raise TypeError(f"a source of a gradient is a {type(source).__name__}. Write a tensor or a weight instead.")
        watched = any(entry[-1] is source for entry in self._watched.values())
        if source.trace_node is not None:
            node = source.trace_node
            return node if node in reached and (watched or node.grad & self._bit) else None
        if not watched and not self._watches_all:
            return None
        # A weight that a step of an optimizer changed is one leaf before it and another after it.
        own = [n for o, n in enumerate(segment.leaf_nodes) if segment.leaves[o] is source and n in reached]
        return own[-1] if own else None

    def _rerooted(self, root: TraceNode, wanted: Sequence[TraceNode]) -> tuple[TraceNode, list[TraceNode]]:
        """The same value, computed on the tape from nodes that stand for those wanted; and these nodes.

        What is not on the tape keeps the nodes themselves, so that no derivative follows it.
        """
        moved: dict[TraceNode, TraceNode] = {}
        sources = set(wanted)
        stack = [root]
        while stack:
            node = stack[-1]
            on_tape = node.function is not None and bool(node.grad & self._bit) and node.requires_grad
            missing = [i for i in node.inputs if i not in moved] if on_tape and node not in moved else []
            if missing:
                stack.extend(missing)
                continue
            stack.pop()
            if node in moved:
                continue
            new = node
            if on_tape and node.function is not None:
                inputs = tuple(moved[i] for i in node.inputs)
                new = intern(node.function, inputs, node.options, node.grad)[max(node.output_index, 0)]
            # Of this tape alone, and on all tapes: derivatives by other tapes follow it to the node itself.
            moved[node] = intern(WATCH, (new,), (("tape", self._bit),), ON_ALL)[0] if node in sources else new
        return moved[root], [moved[n] for n in wanted]
