"""Operators of ONNX that run graphs: branches of known conditions, loops of known lengths."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier import ops as o
from ranvier.interop.foreign import refuse
from ranvier.interop.onnx.table import row
from ranvier.interop.onnx.values import Context, fixed, known, tensor
from ranvier.ops.arrays.promotion import axis_of

LONGEST = 100_000  # steps of a loop


def _truth(value: Any, what: str) -> bool:
    return bool(np.ravel(known(value, what))[0])


@row("If")
def branch(c: Context, condition: Any, then_branch: Any, else_branch: Any) -> Any:
    return tuple(c.run(then_branch if _truth(condition, "the condition") else else_branch, {}))


@row("Loop")
def loop(c: Context, count: Any, condition: Any, *states: Any, body: Any) -> Any:
    steps = LONGEST if count is None else int(np.ravel(known(count, "the number of steps"))[0])
    going = condition is None or _truth(condition, "the condition")
    held, collected = list(states), list[list[Any]]()
    i = 0
    while going and i < steps:
        if i == LONGEST:
            raise refuse(f"more than {LONGEST:,} steps")
        given = [np.array(i, np.int64), np.array(True), *held]
        found = c.run(body, dict(zip(body.inputs, given, strict=True)))
        going = _truth(found[0], "the condition")
        held, scanned = found[1 : 1 + len(held)], found[1 + len(held) :]
        collected = collected or [[] for _ in scanned]
        for parts, part in zip(collected, scanned, strict=True):
            parts.append(part)
        i += 1
    if c.outputs > len(held) + len(collected):
        raise refuse("a loop without steps that collects")
    return (*held, *(o.stack([tensor(p) for p in parts], axis=0) for parts in collected))


@row("Scan")
def scan(
    c: Context, *values: Any, body: Any, num_scan_inputs: int, scan_input_directions: Any = None,
    scan_output_directions: Any = None, scan_input_axes: Any = None, scan_output_axes: Any = None,
) -> Any:  # fmt: skip
    if c.version < 9:
        raise refuse("the form before version 9")
    count = len(values) - num_scan_inputs
    held, sources = list(values[:count]), [tensor(v) for v in values[count:]]
    axes = [axis_of(n, x.ndim) for n, x in zip(scan_input_axes or [0] * len(sources), sources, strict=True)]
    back = scan_input_directions or [0] * len(sources)
    steps = fixed(sources[0], axes[0])
    collected: list[list[Any]] = [[] for _ in body.outputs[count:]]
    for t in range(steps):
        parts = [
            x[(*[slice(None)] * axis, steps - 1 - t if reverse else t)]
            for x, axis, reverse in zip(sources, axes, back, strict=True)
        ]
        found = c.run(body, dict(zip(body.inputs, [*held, *parts], strict=True)))
        held = found[:count]
        for gathered, part in zip(collected, found[count:], strict=True):
            gathered.append(part)
    out_axes = scan_output_axes or [0] * len(collected)
    out_back = scan_output_directions or [0] * len(collected)
    stacked = [
        o.stack([tensor(p) for p in (parts[::-1] if reverse else parts)], axis=axis)
        for parts, axis, reverse in zip(collected, out_axes, out_back, strict=True)
    ]
    return (*held, *stacked)
