"""The explicit loop: ``optimizer.step()`` records a step on the tape, as one tensor function."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ranvier.graph.node import Node
from ranvier.optimizers.arithmetic import Slots
from ranvier.optimizers.counts import Counts
from ranvier.optimizers.parameter_options import DecayExclusions, ParameterOptions
from ranvier.optimizers.slots import ParameterState
from ranvier.support.source_lines import warn
from ranvier.tensor import tape
from ranvier.tensor.segment import TapeSegment
from ranvier.tensor.tensor import Tensor, clear_gradients
from ranvier.tensor.trace import Function, StepTrace, intern, state

FUNCTIONS = 500  # the most that are cached: settings that keep changing must not fill the memory
_FUNCTIONS: dict[Any, Function] = {}


class ExplicitLoop(ParameterState):
    """The methods of an explicit loop: ``zero_grad``, ``step``, and Keras's ``apply``."""

    update: Callable[..., tuple[list[Node], list[Slots], list[Node]]]  # of `Optimizer`

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear the gradients of all parameters."""
        clear_gradients(self.parameters, set_to_none)

    def step(self) -> None:
        """Update every parameter that has a gradient. Pending operations and the update run as one program."""
        segment = self.record()
        if segment is None:
            warn_without_gradients(self)
            return
        if isinstance(state.tracing, StepTrace):
            state.tracing.note_update(self)
        else:
            tape.flush(segment)

    def apply(self, grads: Iterable[Any], trainable_variables: Iterable[Tensor] | None = None) -> None:
        """Update parameters by these gradients (Keras). A parameter whose gradient is None stays. ``grad`` stays.

        Without ``trainable_variables`` they are all parameters of the optimizer. An optimizer without parameters is
        attached to them. Raises ValueError for a parameter of another optimizer, and if the numbers of gradients and
        parameters differ.
        """
        variables = list(self.parameters if trainable_variables is None else trainable_variables)
        given = list(grads)
        if len(given) != len(variables):
            raise ValueError(
                f"apply got {len(given)} gradients for {len(variables)} parameters. Write one for each instead, None "
                "where there is none."
            )
        if not given:
            return  # of a network that is frozen, as in Keras
        if all(g is None for g in given):
            raise ValueError(
                "apply got no gradient for any parameter. Write loss.backward() before, and "
                "[v.grad for v in variables] as the gradients."
            )
        self.attach(self.parameters or variables)
        own = {id(p) for p in self.parameters}
        for p, g in zip(variables, given, strict=True):
            if id(p) not in own:
                raise ValueError(
                    f"apply got a parameter of shape {p.shape} that this {type(self).__name__} does not train. Write "
                    "a new optimizer for other parameters, or attach(model.parameters()) before the first step."
                )
            if g is not None and np.shape(g) != p.shape:
                raise ValueError(f"apply got a gradient of shape {np.shape(g)} for a parameter of shape {p.shape}.")
        before = [(p, p.grad) for p in self.parameters]
        try:
            for p, _ in before:
                p.grad = None
            for p, g in zip(variables, given, strict=True):
                p.grad = g if g is None or isinstance(g, Tensor) else Tensor(g)
            self.step()
        finally:
            for p, g in before:
                p.grad = g

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Tensor]]) -> None:
        """`apply` of pairs (gradient, parameter): ``zip(grads, model.trainable_weights)``."""
        pairs = list(grads_and_vars)
        self.apply([g for g, _ in pairs], [v for _, v in pairs])

    def record(self) -> TapeSegment | None:
        """Record the step without running it. Returns the segment of the tape, None if no parameter has a gradient."""
        if not self.parameters:
            raise RuntimeError(f"{type(self).__name__}.step() before attach(parameters): there is nothing to update.")
        chosen = [i for i, p in enumerate(self.parameters) if p._grad is not None]
        if not chosen:
            return None
        params = [self.parameters[i] for i in chosen]
        state = [slot for i in chosen for slot in self.slots[i].values()]
        counts, count_indices = self.advanced(chosen)
        targets = [*params, *state, self.iterations, *counts]
        operands: list[Any] = [*(p._grad for p in params), *targets, self.rate(), *self.inputs().values()]
        segment = tape.segment_of(operands)
        inputs = tuple([x.trace_node if x.trace_node is not None else segment.leaf_node(x) for x in operands])
        nodes = intern(self._function(self.parameter_options(params), chosen, count_indices), inputs, (), False)
        ordinals, assigns = segment.ordinals, segment.assigns
        for target, node in zip(targets, nodes, strict=True):  # `TapeSegment.assign` for known leaves
            if (ordinal := ordinals.get(id(target))) is None:  # NumPy sees it: see `tensor.sharing`
                segment.assign(target, node)
            else:
                assigns[ordinal] = node
                target.segment = segment
        return segment

    def advanced(self, chosen: Sequence[int]) -> tuple[list[Tensor], tuple[int, ...]]:
        """The counts besides the group's that a step of these parameters advances, with their indices."""
        return self.counts.of(chosen, len(self.parameters)) if self.counting else ([], ())

    def _function(
        self, options: tuple[ParameterOptions, ...], chosen: Sequence[int], count_indices: tuple[int, ...]
    ) -> Function:
        key = (
            type(self),
            len(chosen),
            options,
            count_indices,
            self.schedule,
            *self._varied,
            *[getattr(self, name) for name in self._settings],
        )
        known = _FUNCTIONS.get(key)
        if known is None:
            while len(_FUNCTIONS) >= FUNCTIONS:
                del _FUNCTIONS[next(iter(_FUNCTIONS))]  # the oldest
            copied: Any = copy.copy(self)
            names = [tuple(self.slots[i]) for i in chosen]
            known = _FUNCTIONS[key] = Function(type(self).__name__, RecordedStep(copied, names, options, count_indices))
        return known


def warn_without_gradients(optimizer: Any) -> None:
    """Warn of a step that changes nothing because no parameter has a gradient."""
    warn(
        f"{type(optimizer).__name__}.step() changes nothing: no parameter has a gradient. Write loss.backward() before "
        "it, and train with the same tensors that the optimizer was given, instead."
    )


class RecordedStep:
    """The body of the tensor function that a step records.

    ``names`` are those of the slots of each parameter, ``count_indices`` those of `Counts.of`.
    """

    def __init__(
        self,
        optimizer: ExplicitLoop,
        names: Sequence[tuple[str, ...]],
        options: tuple[ParameterOptions, ...],
        count_indices: tuple[int, ...],
    ) -> None:
        # A function outlives its optimizer, and must not keep the optimizer's tensors alive.
        optimizer.parameters, optimizer.slots, optimizer.sync = [], [], None
        optimizer.counts = Counts(optimizer.iterations)
        optimizer._excluded = DecayExclusions()  # the options say which parameters decay
        self.optimizer, self.names, self.options, self.count_indices = optimizer, names, options, count_indices

    def __call__(self, *nodes: Node) -> tuple[Node, ...]:
        n = len(self.names)
        grads, params, rest = nodes[:n], nodes[n : 2 * n], iter(nodes[2 * n :])
        slots = [dict(zip(names, itertools.islice(rest, len(names)), strict=True)) for names in self.names]
        counts = tuple(itertools.islice(rest, 1 + max(self.count_indices, default=0)))
        lr, *varied = rest
        settings = dict(zip(self.optimizer._varied, varied, strict=True))
        new, after, new_counts = self.optimizer.update(
            params, grads, slots, lr, counts, settings, self.options, self.count_indices
        )
        return (*new, *(s[name] for names, s in zip(self.names, after, strict=True) for name in names), *new_counts)
