"""The primitives. Each is declared once: name, kind, type rule, NumPy value, gradient.

Rules of more than a line are in `type_rules`, `values` and `derivatives`. Gradients build ordinary nodes, so they are
simplified, fused and printed like any other program.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ranvier.graph import checks, derivatives, type_rules, values
from ranvier.graph.contraction import contract_gradient, contract_type, contract_value
from ranvier.graph.derivatives import restore, where, zeros
from ranvier.graph.dtypes import ARITHMETIC, DTYPES, FLOATING, FLOATS, INTEGERS, NUMBERS, SIGNED
from ranvier.graph.extents import shape_at
from ranvier.graph.loops import scan_gradient
from ranvier.graph.maps import map_gradient, map_type, map_value
from ranvier.graph.node import (
    DIVISION,
    FREE,
    FUNCTION,
    INSTRUCTION,
    PRIMITIVES,
    Node,
    Primitive,
    Type,
    apply,
    full,
    like,
)
from ranvier.graph.scan import result_type, scan_type, scan_value
from ranvier.graph.tiny import falling_exp, snapped
from ranvier.graph.type_rules import Attrs, Types, same
from ranvier.graph.values import of_operands
from ranvier.graph.windows import windows_gradient, windows_type, windows_value

Rule = Callable[[Types, Attrs], Type]
Gradient = Callable[[Node, Any], Sequence[Node | None]]


def primitive(
    name: str, kind: str, infer: Rule, value: Callable[..., Any], gradient: Gradient | None = None, **traits: Any
) -> None:
    """Declare a primitive. ``traits`` are the fields of `Primitive` from ``cost`` on."""
    PRIMITIVES[name] = Primitive(name, kind, infer, value, gradient, **traits)


def elementwise(
    name: str, infer: Rule, value: Callable[..., Any], gradient: Gradient, cost: int = FUNCTION, **traits: Any
) -> None:
    """Declare an elementwise primitive whose value is a NumPy function of the operands alone."""
    primitive(name, "elementwise", infer, of_operands(value), gradient, cost=cost, **traits)


def reduction(name: str, infer: Rule, value: Callable[..., Any], gradient: Gradient, combine: str) -> None:
    """Declare a reduction over ``axes`` whose partial results the elementwise primitive ``combine`` joins."""
    primitive(name, "reduce", infer, value, gradient, combine=combine, keeps_rows=lambda n: [0 not in n.attrs["axes"]])


def view(
    name: str, infer: Rule, value: Callable[..., Any], gradient: Gradient, keeps_rows: Callable[[Node], bool],
    **traits: Any,
) -> None:  # fmt: skip
    """Declare a movement that only addresses its operand otherwise. ``keeps_rows``: row i is made of row i alone."""
    traits |= {"cost": FREE, "is_view": True, "keeps_rows": lambda n: [keeps_rows(n)]}
    primitive(name, "movement", infer, value, gradient, **traits)


# --- sources ------------------------------------------------------------------------------------------------------

primitive("input", "source", type_rules.given_type, values.input_value)
primitive("constant", "source", type_rules.constant_type, lambda arrays, attrs, extents: attrs["value"], cost=FREE)
primitive("iota", "source", type_rules.iota_type, values.iota_value, cost=FREE)
primitive(  # the product of the named symbols' extents: what a mean over a batch divides by
    "extent", "source", type_rules.extent_type,
    lambda arrays, attrs, extents: np.asarray(math.prod(extents[s] for s in attrs["symbols"]), attrs["dtype"]),
    cost=FREE,
)  # fmt: skip

# --- elementwise --------------------------------------------------------------------------------------------------

elementwise("neg", same(SIGNED), np.negative, lambda n, g: (-g,), INSTRUCTION, keeps_zeros=True)
elementwise("abs", same(SIGNED), np.abs, lambda n, g: (g * apply("sign", n.inputs[0]),), INSTRUCTION, keeps_zeros=True)
elementwise("sign", same(SIGNED), np.sign, lambda n, g: (None,), INSTRUCTION)
elementwise("floor", same(FLOATS), np.floor, lambda n, g: (None,), INSTRUCTION)
elementwise("exp", same(FLOATS), np.exp, lambda n, g: (snapped(g * n),))
elementwise("expm1", same(FLOATS), np.expm1, lambda n, g: (g * (n + like(n, 1.0)),))
elementwise("log", same(FLOATS), np.log, lambda n, g: (g / n.inputs[0],))
elementwise("log1p", same(FLOATS), np.log1p, lambda n, g: (g / (n.inputs[0] + like(g, 1.0)),))
elementwise("sqrt", same(FLOATS), np.sqrt, lambda n, g: (g * like(n, 0.5) / n,), DIVISION, keeps_zeros=True)
elementwise("tanh", same(FLOATS), np.tanh, lambda n, g: (g * (like(n, 1.0) - n * n),))
elementwise("sigmoid", same(FLOATS), values.sigmoid_value, lambda n, g: (snapped(g * (n * (like(n, 1.0) - n))),))
elementwise(
    "erf", same(FLOATS), lambda x: values.erf_double(x).astype(x.dtype) if x.size else x,
    lambda n, g: (snapped(g * (like(n, 2 / math.sqrt(math.pi)) * falling_exp(-(n.inputs[0] * n.inputs[0])))),),
)  # fmt: skip
elementwise("sin", same(FLOATS), np.sin, lambda n, g: (g * apply("cos", n.inputs[0]),))
elementwise("cos", same(FLOATS), np.cos, lambda n, g: (-(g * apply("sin", n.inputs[0])),))
# the gradient depends on the result alone, so the backward pass need not keep the operand
elementwise(
    "relu", same(FLOATS), lambda x: np.where(x < 0, np.zeros_like(x), x),
    lambda n, g: (where(apply("less", zeros(n), n), g, zeros(g)),), INSTRUCTION, keeps_zeros=True, selects=True,
)  # fmt: skip
elementwise("stop_gradient", same(DTYPES), lambda x: x, lambda n, g: (None,), INSTRUCTION, preserves=True)
elementwise(  # its operand, divided among devices along ``axes`` of a mesh where a program runs on several
    "layout", same(DTYPES), lambda x: x, lambda n, g: (apply("layout", g, axes=n.attrs["axes"]),), INSTRUCTION,
    keeps_zeros=True, preserves=True,
)  # fmt: skip
primitive(
    "cast", "elementwise", type_rules.cast_type, values.cast_value,
    lambda n, g: (apply("cast", g, dtype=n.inputs[0].dtype) if n.inputs[0].dtype in FLOATING else None,),
    cost=INSTRUCTION, keeps_zeros=True, preserves=True,
)  # fmt: skip
elementwise("add", same(NUMBERS), np.add, lambda n, g: (g, g), INSTRUCTION)
elementwise("sub", same(NUMBERS), np.subtract, lambda n, g: (g, -g), INSTRUCTION)
elementwise("mul", same(NUMBERS), np.multiply, lambda n, g: (g * n.inputs[1], g * n.inputs[0]), INSTRUCTION)
elementwise(
    "div", same(FLOATS), np.divide, lambda n, g: (g / n.inputs[1], -(g * n / n.inputs[1])), DIVISION, keeps_zeros=True
)
elementwise("quotient", same(INTEGERS), values.quotient_value, lambda n, g: (None, None), DIVISION, keeps_zeros=True)
elementwise("power", same(FLOATS), np.power, derivatives.power_gradient)
for extremum, choose in (("maximum", np.maximum), ("minimum", np.minimum)):
    elementwise(extremum, same(SIGNED), choose, derivatives.extremum_gradient, INSTRUCTION, selects=True)
elementwise("less", same(NUMBERS, "bool"), np.less, lambda n, g: (None, None), INSTRUCTION)
elementwise("less_equal", same(NUMBERS, "bool"), np.less_equal, lambda n, g: (None, None), INSTRUCTION)
elementwise("equal", same(ARITHMETIC, "bool"), np.equal, lambda n, g: (None, None), INSTRUCTION)
elementwise("logical_and", same(("bool",)), np.logical_and, lambda n, g: (None, None), INSTRUCTION)
elementwise("logical_or", same(("bool",)), np.logical_or, lambda n, g: (None, None), INSTRUCTION)
elementwise("logical_not", same(("bool",)), np.logical_not, lambda n, g: (None,), INSTRUCTION)
elementwise(
    "select", type_rules.select_type, np.where,
    lambda n, g: (None, where(n.inputs[0], g, zeros(g)), where(n.inputs[0], zeros(g), g)), INSTRUCTION, selects=True,
)  # fmt: skip

# a graph of these over scalars, ``body``, for each element of the operands
primitive("map", "elementwise", map_type, map_value, map_gradient)

# --- reductions ---------------------------------------------------------------------------------------------------

reduction(
    "reduce_sum", type_rules.reduce_type,
    lambda arrays, attrs, extents: np.sum(arrays[0], axis=attrs["axes"], dtype=arrays[0].dtype),
    lambda n, g: (restore(g, n.inputs[0].shape, n.attrs["axes"]),), "add",
)  # fmt: skip
reduction(
    "reduce_max", type_rules.reduce_max_type, lambda arrays, attrs, extents: np.max(arrays[0], axis=attrs["axes"]),
    derivatives.reduce_max_gradient, "maximum",
)  # fmt: skip
primitive(
    "argmax", "reduce", type_rules.argmax_type,
    lambda arrays, attrs, extents: np.argmax(arrays[0], axis=attrs["axis"]).astype(np.int32),
    lambda n, g: (None,), keeps_rows=lambda n: [n.attrs["axis"] != 0],
)  # fmt: skip

# --- movement -----------------------------------------------------------------------------------------------------

view(
    "reshape", type_rules.reshape_type,
    lambda arrays, attrs, extents: arrays[0].reshape(shape_at(attrs["shape"], extents)),
    lambda n, g: (apply("reshape", g, **{**n.attrs, "shape": n.inputs[0].shape}),),
    lambda n: n.shape[:1] == n.inputs[0].shape[:1] != (), keeps_zeros=True, preserves=True, in_memory=(0,),
)  # fmt: skip
view(
    "transpose", type_rules.transpose_type, lambda arrays, attrs, extents: arrays[0].transpose(attrs["axes"]),
    lambda n, g: (apply("transpose", g, axes=tuple(int(i) for i in np.argsort(n.attrs["axes"]))),),
    lambda n: n.attrs["axes"][0] == 0, keeps_zeros=True, preserves=True,
)  # fmt: skip
view(
    "broadcast", type_rules.broadcast_type, values.broadcast_value,
    lambda n, g: (apply("reduce_sum", g, axes=tuple(i for i in range(n.ndim) if i not in n.attrs["axes"])),),
    lambda n: 0 in n.attrs["axes"][:1],
)  # fmt: skip
view(
    "slice", type_rules.slice_type, values.slice_value, derivatives.slice_gradient,
    lambda n: n.attrs["ranges"][0] is None,
)  # fmt: skip
view(
    "reverse", type_rules.reverse_type, lambda arrays, attrs, extents: np.flip(arrays[0], attrs["axes"]),
    lambda n, g: (apply("reverse", g, axes=n.attrs["axes"]),), lambda n: 0 not in n.attrs["axes"], preserves=True,
)  # fmt: skip
view(
    "windows", windows_type, windows_value, windows_gradient, lambda n: n.attrs["axes"][0][0] != 0, in_memory=(0,),
)  # fmt: skip
primitive(
    "pad", "movement", type_rules.pad_type, values.pad_value, derivatives.pad_gradient, preserves=True, in_memory=(0,),
    keeps_rows=lambda n: [n.attrs["widths"][0] == (0, 0, 0), False],
)  # fmt: skip
primitive(
    "concatenate", "movement", type_rules.concatenate_type,
    lambda arrays, attrs, extents: np.concatenate(arrays, attrs["axis"]), derivatives.concatenate_gradient,
    keeps_rows=lambda n: [n.attrs["axis"] != 0] * len(n.inputs),
)  # fmt: skip

# --- indexing, contraction, random --------------------------------------------------------------------------------

primitive(
    "gather", "index", type_rules.gather_type, values.gather_value, derivatives.gather_gradient, cost=FREE,
    keeps_zeros=True, in_memory=(0,), keeps_rows=lambda n: [n.attrs.get("batch", 0) > 0, True],
)  # fmt: skip
primitive(
    "scatter_add", "index", type_rules.scatter_add_type, values.scatter_add_value, derivatives.scatter_add_gradient,
    in_memory=(0, 1), keeps_rows=lambda n: [n.attrs.get("batch", 0) > 0] * 2,
)  # fmt: skip
primitive(  # its operand; the program fails where an element is neither from low to high nor ignored
    "check", "check", type_rules.check_type, checks.check_value, lambda n, g: (g,), cost=INSTRUCTION, keeps_zeros=True,
    preserves=True,
)  # fmt: skip
primitive("contract", "contract", contract_type, contract_value, contract_gradient, in_memory=(0, 1))
primitive(
    "random", "random", type_rules.random_type, values.random_value, lambda n, g: (None, None),
    keeps_rows=lambda n: [False, False],
)  # fmt: skip

# --- loops --------------------------------------------------------------------------------------------------------

primitive("scan", "scan", scan_type, scan_value, scan_gradient, keeps_rows=lambda n: [False] * len(n.inputs))
primitive(  # its gradient is a part of that of the scan: see `grad`
    "result", "result", result_type, lambda arrays, attrs, extents: arrays[0][attrs["index"]], lambda n, g: (),
    cost=FREE,
)  # fmt: skip

__all__ = ["PRIMITIVES", "full"]
