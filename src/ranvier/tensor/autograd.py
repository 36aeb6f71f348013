"""Gradients of recorded computations, which are recorded too: `backward` and `gradients`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from ranvier.graph.dtypes import FLOATING, array_dtype, widened
from ranvier.graph.grad import gradient
from ranvier.graph.node import Node, apply
from ranvier.tensor import tape
from ranvier.tensor.changed import changed_values, reading
from ranvier.tensor.context import no_grad
from ranvier.tensor.cuts import Reached
from ranvier.tensor.cuts import derivatives as derivatives_through_cuts
from ranvier.tensor.function import add, converted
from ranvier.tensor.hooks import hooked, leaf_hooks
from ranvier.tensor.saved import check_saved
from ranvier.tensor.segment import TapeSegment
from ranvier.tensor.tensor import Tensor, leaves_of
from ranvier.tensor.trace import Function, TraceNode, intern, state


def _gradients(output: Node, *nodes: Node, seeded: bool, changed: int = 0) -> list[Node]:
    """Derivatives by nodes. A seed follows them, then values of the output's graph that were ``changed`` through
    `.data`, and their new values, which the derivatives read: PyTorch keeps no copies of what it needs.
    """
    if changed:
        old, new = nodes[-2 * changed : -changed], nodes[-changed:]
        found = _gradients(output, *nodes[: -2 * changed], seeded=seeded)
        return reading(found, [output], dict(zip(old, new, strict=True)))
    if seeded:
        return gradient(output, nodes[:-1], nodes[-1])
    return gradient(output if output.shape == () else apply("reshape", output, shape=()), nodes)


_gradients_function = Function("gradients", _gradients)
_gradients_function.is_local = False


def gradients(output: Tensor, wrt: Sequence[Tensor], seed: Tensor | None = None) -> list[Tensor]:
    """The derivatives of ``output`` with respect to each tensor of ``wrt``, which can be differentiated again.

    Raises RuntimeError where the history of an operand of ``output`` has ended.
    """
    if output.trace_node is None and not any(output is w for w in wrt):
        raise RuntimeError("the output was not computed from any of these tensors")
    seeds = _seeds(output, seed)
    segment = tape.segment_of([output, *wrt, *seeds])
    if segment.node_of(output).cuts:
        parts = joint_gradients([output], wrt, [seed])
        return [Tensor.wrap(np.zeros(w.shape, w.dtype)) if p is None else p for p, w in zip(parts, wrt, strict=True)]
    return _derivatives(output, segment, [_node_read(segment, t) for t in wrt], seeds)


def _node_read(segment: TapeSegment, tensor: Tensor) -> TraceNode:
    """The node of a tensor as it was read, where a later assignment waits."""
    if (
        tensor.trace_node is None
        and tensor.segment is segment
        and (ordinal := segment.ordinals.get(id(tensor), -1)) >= 0
    ):
        return segment.leaf_nodes[ordinal]
    return segment.node_of(tensor)


def check_operands(outputs: Sequence[Tensor], wrt: Sequence[Tensor]) -> None:
    """Raise RuntimeError where derivatives of the outputs need values that have been overwritten since."""
    segment = tape.segment_of([*outputs, *wrt])
    if segment.overwritten or segment.assigns:
        check_saved(segment, [segment.node_of(t) for t in outputs], [_node_read(segment, t) for t in wrt])


def joint_gradients(outputs: Sequence[Tensor], wrt: Sequence[Tensor], seeds: Sequence[Any]) -> list[Tensor | None]:
    """The derivatives of several outputs together, through hooks and functions with gradients of the user's own.

    They are None for a tensor that no gradient arrives at. Raises RuntimeError as `gradients` does.
    """
    for output in outputs:
        check_history(output)
    given = [(_seeds(o, s) or [_one(o)])[0] for o, s in zip(outputs, seeds, strict=True)]
    tape.segment_of([*outputs, *wrt, *given])
    parts = derivatives_through_cuts(outputs, given, lambda segment: [segment.node_of(t) for t in wrt])
    return [hooked(tensor, part) for part, tensor in zip(parts, wrt, strict=True)]


def _one(output: Tensor) -> Tensor:
    """The seed of an output of one element."""
    return Tensor.wrap(np.ones(output.shape, array_dtype(output.dtype)), type_=output.spec)


def meets_rules(tensors: Sequence[Tensor], wrt: Sequence[Tensor]) -> bool:
    """Whether gradients of the tensors meet a hook, or a function with a gradient of the user's own."""
    return any(t.trace_node is not None and t.trace_node.cuts for t in tensors) or (
        bool(leaf_hooks) and any(id(t) in leaf_hooks for t in wrt)
    )


def _seeds(output: Tensor, seed: Any) -> list[Tensor]:
    """The seed of reverse differentiation, in the output's dtype; none for one element without a seed.

    Raises RuntimeError for another shape and for a dtype that is no float. Later, the error would meet everything that
    is pending with the gradients.
    """
    if seed is None:
        if any(extent != 1 for extent in output.spec.shape):
            raise RuntimeError(
                f"the gradient of a tensor of shape {output.shape} needs a seed; reduce it with mean() or sum()."
            )
        return []
    given = seed if isinstance(seed, Tensor) else Tensor(seed)
    if given.shape != output.shape or given.dtype not in FLOATING:
        raise RuntimeError(
            f"the seed of a gradient is {given.spec}, and what is differentiated is {output.spec}. Write a seed of "
            f"{output.dtype} and of shape {output.shape}, or reduce with mean() or sum() and leave it out, instead."
        )
    return [given if given.dtype == output.dtype else converted(given, output.dtype)]


def reaches(output: Tensor, tensor: Tensor) -> bool:
    """Whether the gradient of ``output`` reaches a tensor: itself, a leaf, or a result that it was computed from."""
    node, segment = output.trace_node, output.segment
    if output is tensor or node is None or segment is None:
        return output is tensor
    if tensor.trace_node is None or tensor.trace_node.function is None:
        return segment.ordinals.get(id(tensor)) in node.grad_leaves
    if tensor.segment is not segment:
        return False
    stack, seen = [node], {node}
    while stack:
        if stack[-1] is tensor.trace_node:
            return True
        new = {c for c in stack.pop().inputs if c.requires_grad} - seen
        stack += new
        seen |= new
    return False


def _derivatives(
    output: Tensor, segment: TapeSegment, wrt: Sequence[TraceNode], seeds: Sequence[Tensor]
) -> list[Tensor]:
    """The derivatives with respect to nodes of the segment, pending in it."""
    root, *seed_nodes = [segment.node_of(t) for t in (output, *seeds)]
    if any(segment.leaves[o].history_ended for o in root.grad_leaves):
        raise _history_ended()
    options: tuple[tuple[str, Any], ...] = (("seeded", bool(seeds)),)
    inputs = (root, *wrt, *seed_nodes)
    if segment.changed:
        old, new = changed_values(segment, [root])
        inputs += (*old, *new)
        options += (("changed", len(old)),)
    nodes = intern(_gradients_function, inputs, options, state.grad_enabled)
    return [Tensor.pending(node, segment) for node in nodes]


def backward(
    output: Tensor,
    gradient: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Add the derivative of this tensor with respect to each leaf that requires a gradient, or to ``inputs``, to the
    leaf's ``grad``. With ``create_graph=True`` the gradients can be differentiated again.

    The recorded computation is kept in any case: ``retain_graph`` changes nothing. Raises RuntimeError where the tensor
    depends on no such leaf, and where its history has ended because an operand has been overwritten since (by
    ``optimizer.step()``, for example).
    """
    with nullcontext() if create_graph else no_grad():
        check_history(output)
        seeds = _seeds(output, gradient)
        segment = tape.segment_of([output, *seeds])
        # With respect to the leaf as it was read: a later assignment that waits is another value.
        root = segment.node_of(output)
        reached = sorted(root.grad_leaves)
        if inputs is not None:
            wanted = _leaf_ids(inputs)
            reached = [o for o in reached if id(segment.leaves[o]) in wanted]
        nodes, leaves = [segment.leaf_nodes[o] for o in reached], leaves_of(segment)
        if segment.overwritten or segment.assigns:
            check_saved(segment, [root], nodes)
        leaves = [leaves[o] for o in reached]
        parts: Sequence[Tensor | None]
        if root.cuts:
            parts = derivatives_through_cuts([output], seeds or [_one(output)], lambda _: nodes)
        else:
            parts = _derivatives(output, segment, nodes, seeds)
        if leaf_hooks or root.cuts or state.refuses_nan:
            if state.refuses_nan and not state.tracing:
                _check_nan(output, parts, seeds)
            _accumulate_with_hooks(leaves, parts)
            return
        for leaf, part in zip(leaves, parts, strict=True):
            leaf._grad = part if leaf._grad is None else add(leaf._grad, part)


def _accumulate_with_hooks(leaves: Sequence[Tensor], parts: Sequence[Tensor | None]) -> None:
    """Add the derivatives to the leaves' gradients, and call the leaves' hooks before and after."""
    for leaf, part in zip(leaves, parts, strict=True):
        if part is None:
            continue
        hooks = leaf_hooks.get(id(leaf))
        part = part if hooks is None else hooks.applied(part)
        leaf._grad = part if leaf._grad is None else add(leaf._grad, part)
        for hook in () if hooks is None else list(hooks.after.values()):
            hook(leaf)


def _check_nan(output: Tensor, parts: Sequence[Tensor | None], seeds: Sequence[Tensor]) -> None:
    """Raise RuntimeError where a derivative is NaN, with the function whose gradient is the first one that is."""

    def is_nan(part: Tensor) -> bool:
        return bool(np.isnan(widened(part.compute())).any())

    if not any(part is not None and is_nan(part) for part in parts):
        return
    segment = tape.segment_of([output, *seeds])
    order, where = Reached([segment.node_of(output)]).order, "a function"
    if not order[-1].cuts:
        wrong = dict(zip(order, map(is_nan, _derivatives(output, segment, order, seeds)), strict=True))
        for node in reversed(order):
            if node.function is not None and not wrong[node] and any(wrong.get(c, False) for c in node.inputs):
                where = f"{node.function.name}, whose result has shape {node.type.shape},"
                break
    raise RuntimeError(
        f"the gradient of {where} is NaN: the derivative of a square root at 0, of a logarithm at 0 times 0, or of an "
        "infinite value. Write torch.where, clamp or + 1e-8 before it."
    )


def _leaf_ids(inputs: Any) -> set[int]:
    """The ids of the leaves whose gradients are asked for. Raises RuntimeError for a result."""
    wanted = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    for tensor in wanted:
        if not tensor.is_leaf:
            raise RuntimeError(
                f"the gradient of a result (of shape {tensor.shape}) is not kept. Write "
                "torch.autograd.grad(loss, x), which gives it, instead."
            )
    return set(map(id, wanted))


def check_history(output: Tensor) -> None:
    """Raise RuntimeError where no gradient reaches any leaf from here."""
    node, segment = output.trace_node, output.segment
    if output.history_ended or (node is not None and segment is not None and segment.is_stale(node)):
        raise _history_ended()
    if not output.requires_grad:
        raise RuntimeError("this tensor depends on no tensor that requires a gradient. Was it computed under no_grad?")


def _history_ended() -> RuntimeError:
    return RuntimeError(
        "this tensor's history ended: a tensor it was computed from has been overwritten since. "
        "Call backward() before optimizer.step(), or compute the loss again."
    )
