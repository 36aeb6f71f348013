"""Where a loss became NaN or infinite: the step, the operation and the layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from ranvier.data.convert import Array
from ranvier.graph.extents import Extent
from ranvier.graph.node import BATCH, Node, topological
from ranvier.training.step.runner import Runner
from ranvier.training.step.sized import step_of


class NonFiniteLoss(FloatingPointError):  # noqa: N818  # it reads as what happened
    """The loss became NaN or infinite; the model has the last finite weights.

    The place is ``step`` (from 0, in its epoch), ``op`` (the first primitive whose result is not finite; "input" for
    data or weights that were not finite before the step), ``layer`` (the last parameter before it) and ``phase``
    ("forward", "backward" or "update").
    """

    def __init__(
        self, message: str, *, epoch: int, step: int, op: str | None, layer: str | None, phase: str | None
    ) -> None:
        super().__init__(message)
        self.epoch, self.step, self.op, self.layer, self.phase = epoch, step, op, layer, phase

    def __reduce__(self) -> Any:
        where = {name: getattr(self, name) for name in ("epoch", "step", "op", "layer", "phase")}
        return partial(type(self), **where), self.args


def find(runner: Runner, rate: Callable[[], float], cause: Callable[[], str | None] = lambda: None) -> NonFiniteLoss:
    """Run the steps since the last copy of the state again, up to the first that is not finite, and find its cause.

    The arrays are left as they were before that step. ``rate`` then gives the learning rate of that step, ``cause`` the
    likely cause in the network.
    """
    step = 0
    for span in runner.replays():
        copies = [(array, array.copy()) for array in runner.copy.arrays]
        found = False
        for step in range(span.start, span.stop):
            for array, copy in copies:
                np.copyto(copy, array)
            runner.run(step, step + 1)
            if not runner.is_finite():
                for array, copy in copies:
                    np.copyto(array, copy)
                found = True
                break
        if found:
            break
    epoch = runner.epoch
    compiled = bool(runner.step.graph.inputs)
    op, layer, phase = culprit(runner, step) if compiled else (None, None, None)
    near = f", after parameter {layer!r}" if layer else ""
    fix = f"Write a smaller learning rate (it is {rate():g}), clipnorm=1.0, or scaled inputs, instead."
    if not compiled:
        where = "The step runs eagerly, so print and a debugger show where"
    elif op is None:
        where = "Its values are finite on the reference engine"
    elif op == "input":
        where = f"Parameter {layer!r} was" if layer else "The data of that step are"
        where += " not finite before the step"
        fix = "Write np.nan_to_num of it, or scaled numbers where they are too large for the dtype, instead."
    else:
        place = f"the {phase} pass" if phase in ("forward", "backward") else "the update"
        where = f"The first value that is not finite is in {place}, in {op!r}{near}"
        known = None if phase == "update" else cause()
        fix = fix if known is None else f"The likely cause: {known}"
    return NonFiniteLoss(
        f"the loss stopped being finite in epoch {epoch + 1}, step {step + 1}. {where}. The model keeps the "
        f"weights from before that step. {fix}",
        epoch=epoch, step=step, op=op, layer=layer, phase=phase,
    )  # fmt: skip


def culprit(runner: Runner, step: int) -> tuple[str | None, str | None, str | None]:
    """The first node that is not finite although its operands are, the last parameter before it, and its phase."""
    low, high = step * runner.step.batch, min((step + 1) * runner.step.batch, runner.total)
    sized = step_of(runner.step, high - low)
    graph, loss, named = sized.graph, sized.loss, sized.named
    extents = {BATCH.name: high - low}
    values: dict[Node, Any] = {}
    for node, array in zip(graph.inputs, runner.arrays, strict=True):
        values[node] = array[low:high] if node.attrs["windowed"] else array
        extents |= {d.name: n for d, n in zip(node.shape, values[node].shape, strict=True) if isinstance(d, Extent)}
    before_loss = topological([loss]) if loss is not None else []
    forward = set(before_loss)
    updated = {value for target, value in graph.updates if target in named}
    with np.errstate(all="ignore"):
        for node in [*before_loss, *graph.nodes()]:
            if node in values:
                if node in named and bad(values[node]):
                    return "input", named[node], "forward"
                continue
            values[node] = node.op.value([values[i] for i in node.inputs], node.attrs, extents)
            if node.op.name == "gather" and node.inputs[0].op.name == "input" and bad(values[node]):
                return "input", None, "forward"
            if bad(values[node]) and node.inputs and not any(bad(values[i]) for i in node.inputs):
                update = any(node in near(target) for target in updated)
                phase = "forward" if node in forward else "update" if update else "backward"
                return node.op.name, nearest(node, named), phase
    return None, None, None


def bad(value: Array | tuple[Array, ...]) -> bool:
    """Whether a value, or one of several, is not finite."""
    return (
        any(map(bad, value))
        if isinstance(value, tuple)
        else value.dtype.kind == "f" and not bool(np.isfinite(value).all())
    )


def near(target: Node) -> set[Node]:
    """A new weight, and the nodes that only elementwise operations are between."""
    found, pending = {target}, [target]
    while pending:
        node = pending.pop()
        if node.op.kind == "elementwise":
            pending += [i for i in node.inputs if i not in found]
            found.update(i for i in node.inputs if i.op.kind == "elementwise")
    return found


def nearest(node: Node, named: dict[Node, str]) -> str | None:
    """The last parameter among the nodes that a node depends on."""
    order: Sequence[Node] = topological([node])
    names = [named[n] for n in order if n in named]
    return names[-1] if names else None
