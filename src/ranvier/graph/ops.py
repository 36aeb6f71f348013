"""The primitives. Each is declared once: name, kind, type rule, NumPy value, gradient.

What takes more than a line stands beside: `type_rules`, `values` and `derivatives`. Gradients build ordinary nodes, so
they are simplified, fused and printed like any other program.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ranvier.graph.contraction import contract_gradient, contract_type, contract_value
from ranvier.graph.derivatives import (
    concatenate_gradient,
    extremum_share,
    gather_gradient,
    pad_gradient,
    power_gradient,
    reduce_max_gradient,
    restore,
    scatter_add_gradient,
    slice_gradient,
    where,
    zeros,
)
from ranvier.graph.node import DTYPES, FLOATS, PRIMITIVES, Node, Primitive, Type, apply, full, like
from ranvier.graph.tiny import falling_exp, snapped
from ranvier.graph.type_rules import (
    NUMBERS,
    SIGNED,
    Attrs,
    Types,
    argmax_type,
    broadcast_type,
    cast_type,
    concatenate_type,
    constant_type,
    extent_type,
    gather_type,
    given_type,
    pad_type,
    random_type,
    reduce_max_type,
    reduce_type,
    reshape_type,
    reverse_type,
    same,
    scatter_add_type,
    select_type,
    slice_type,
    transpose_type,
)
from ranvier.graph.values import (
    broadcast_value,
    cast_value,
    concrete,
    erf_double,
    gather_value,
    input_value,
    iota_value,
    numpy_value,
    pad_value,
    random_value,
    scatter_add_value,
    sigmoid_value,
    slice_value,
)
from ranvier.graph.windows import windows_gradient, windows_type, windows_value


def primitive(
    name: str,
    kind: str,
    infer: Callable[[Types, Attrs], Type],
    value: Callable[..., Any],
    gradient: Callable[[Node, Node], Sequence[Node | None]] | None = None,
) -> None:
    PRIMITIVES[name] = Primitive(name, kind, infer, value, gradient)


# --- sources ------------------------------------------------------------------------------------------------------

primitive("input", "source", given_type, input_value)
primitive("constant", "source", constant_type, lambda arrays, attrs, extents: attrs["value"])
primitive("iota", "source", given_type, iota_value)
primitive(  # the product of the named symbols' extents: what a mean over a batch divides by
    "extent",
    "source",
    extent_type,
    lambda arrays, attrs, extents: np.asarray(
        math.prod(extents[s] for s in attrs["symbols"]), attrs["dtype"]
    ),
)

# --- elementwise --------------------------------------------------------------------------------------------------

primitive("neg", "elementwise", same(SIGNED), numpy_value(np.negative), lambda n, g: (-g,))
primitive(
    "abs", "elementwise", same(SIGNED), numpy_value(np.abs), lambda n, g: (g * apply("sign", n.inputs[0]),)
)
primitive("sign", "elementwise", same(SIGNED), numpy_value(np.sign), lambda n, g: (None,))
primitive("floor", "elementwise", same(FLOATS), numpy_value(np.floor), lambda n, g: (None,))
primitive("exp", "elementwise", same(FLOATS), numpy_value(np.exp), lambda n, g: (snapped(g * n),))
primitive("expm1", "elementwise", same(FLOATS), numpy_value(np.expm1), lambda n, g: (g * (n + like(n, 1.0)),))
primitive("log", "elementwise", same(FLOATS), numpy_value(np.log), lambda n, g: (g / n.inputs[0],))
primitive(
    "log1p",
    "elementwise",
    same(FLOATS),
    numpy_value(np.log1p),
    lambda n, g: (g / (n.inputs[0] + like(g, 1.0)),),
)
primitive("sqrt", "elementwise", same(FLOATS), numpy_value(np.sqrt), lambda n, g: (g * like(n, 0.5) / n,))
primitive(
    "tanh", "elementwise", same(FLOATS), numpy_value(np.tanh), lambda n, g: (g * (like(n, 1.0) - n * n),)
)
primitive(
    "sigmoid",
    "elementwise",
    same(FLOATS),
    numpy_value(sigmoid_value),
    lambda n, g: (snapped(g * (n * (like(n, 1.0) - n))),),
)
primitive(
    "erf",
    "elementwise",
    same(FLOATS),
    numpy_value(lambda x: erf_double(x).astype(x.dtype) if x.size else x),
    lambda n, g: (
        snapped(g * (like(n, 2 / math.sqrt(math.pi)) * falling_exp(-(n.inputs[0] * n.inputs[0])))),
    ),
)
primitive(
    "sin", "elementwise", same(FLOATS), numpy_value(np.sin), lambda n, g: (g * apply("cos", n.inputs[0]),)
)
primitive(
    "cos", "elementwise", same(FLOATS), numpy_value(np.cos), lambda n, g: (-(g * apply("sin", n.inputs[0])),)
)
primitive(  # written in terms of its result, so that the pre-activation need not be kept for the backward pass
    "relu",
    "elementwise",
    same(FLOATS),
    numpy_value(lambda x: np.where(x < 0, np.zeros_like(x), x)),
    lambda n, g: (where(apply("less", zeros(n), n), g, zeros(g)),),
)
primitive("stop_gradient", "elementwise", same(DTYPES), numpy_value(lambda x: x), lambda n, g: (None,))
primitive(
    "cast",
    "elementwise",
    cast_type,
    cast_value,
    lambda n, g: (apply("cast", g, dtype=n.inputs[0].dtype) if n.inputs[0].dtype in FLOATS else None,),
)
primitive("add", "elementwise", same(NUMBERS), numpy_value(np.add), lambda n, g: (g, g))
primitive("sub", "elementwise", same(NUMBERS), numpy_value(np.subtract), lambda n, g: (g, -g))
primitive(
    "mul",
    "elementwise",
    same(NUMBERS),
    numpy_value(np.multiply),
    lambda n, g: (g * n.inputs[1], g * n.inputs[0]),
)
primitive(
    "div",
    "elementwise",
    same(FLOATS),
    numpy_value(np.divide),
    lambda n, g: (g / n.inputs[1], -(g * n / n.inputs[1])),
)
primitive("power", "elementwise", same(FLOATS), numpy_value(np.power), power_gradient)
primitive(  # ties give half to each side, as jax and torch have it
    "maximum",
    "elementwise",
    same(SIGNED),
    numpy_value(np.maximum),
    lambda n, g: (extremum_share(n, g, 0), extremum_share(n, g, 1)),
)
primitive(
    "minimum",
    "elementwise",
    same(SIGNED),
    numpy_value(np.minimum),
    lambda n, g: (extremum_share(n, g, 0), extremum_share(n, g, 1)),
)
primitive("less", "elementwise", same(NUMBERS, "bool"), numpy_value(np.less), lambda n, g: (None, None))
primitive(
    "less_equal", "elementwise", same(NUMBERS, "bool"), numpy_value(np.less_equal), lambda n, g: (None, None)
)
primitive("equal", "elementwise", same(DTYPES, "bool"), numpy_value(np.equal), lambda n, g: (None, None))
primitive(
    "logical_and", "elementwise", same(("bool",)), numpy_value(np.logical_and), lambda n, g: (None, None)
)
primitive("logical_or", "elementwise", same(("bool",)), numpy_value(np.logical_or), lambda n, g: (None, None))
primitive("logical_not", "elementwise", same(("bool",)), numpy_value(np.logical_not), lambda n, g: (None,))
primitive(
    "select",
    "elementwise",
    select_type,
    numpy_value(np.where),
    lambda n, g: (None, where(n.inputs[0], g, zeros(g)), where(n.inputs[0], zeros(g), g)),
)

# --- reductions ---------------------------------------------------------------------------------------------------

primitive(
    "reduce_sum",
    "reduce",
    reduce_type,
    lambda arrays, attrs, extents: np.sum(arrays[0], axis=attrs["axes"], dtype=arrays[0].dtype),
    lambda n, g: (restore(g, n.inputs[0].shape, n.attrs["axes"]),),
)
primitive(
    "reduce_max",
    "reduce",
    reduce_max_type,
    lambda arrays, attrs, extents: np.max(arrays[0], axis=attrs["axes"]),
    reduce_max_gradient,
)
primitive(
    "argmax",
    "reduce",
    argmax_type,
    lambda arrays, attrs, extents: np.argmax(arrays[0], axis=attrs["axis"]).astype(np.int32),
    lambda n, g: (None,),
)

# --- movement -----------------------------------------------------------------------------------------------------

primitive(
    "reshape",
    "movement",
    reshape_type,
    lambda arrays, attrs, extents: arrays[0].reshape(concrete(attrs["shape"], extents)),
    lambda n, g: (apply("reshape", g, shape=n.inputs[0].shape),),
)
primitive(
    "transpose",
    "movement",
    transpose_type,
    lambda arrays, attrs, extents: arrays[0].transpose(attrs["axes"]),
    lambda n, g: (apply("transpose", g, axes=tuple(int(i) for i in np.argsort(n.attrs["axes"]))),),
)
primitive(
    "broadcast",
    "movement",
    broadcast_type,
    broadcast_value,
    lambda n, g: (apply("reduce_sum", g, axes=tuple(i for i in range(n.ndim) if i not in n.attrs["axes"])),),
)
primitive("slice", "movement", slice_type, slice_value, slice_gradient)
primitive(
    "reverse",
    "movement",
    reverse_type,
    lambda arrays, attrs, extents: np.flip(arrays[0], attrs["axes"]),
    lambda n, g: (apply("reverse", g, axes=n.attrs["axes"]),),
)
primitive("windows", "movement", windows_type, windows_value, windows_gradient)
primitive("pad", "movement", pad_type, pad_value, pad_gradient)
primitive(
    "concatenate",
    "movement",
    concatenate_type,
    lambda arrays, attrs, extents: np.concatenate(arrays, attrs["axis"]),
    concatenate_gradient,
)

# --- indexing, contraction, random --------------------------------------------------------------------------------

primitive(
    "gather",
    "index",
    gather_type,
    gather_value,
    gather_gradient,
)
primitive(
    "scatter_add",
    "index",
    scatter_add_type,
    scatter_add_value,
    scatter_add_gradient,
)
primitive("contract", "contract", contract_type, contract_value, contract_gradient)
primitive("random", "random", random_type, random_value, lambda n, g: (None, None))

__all__ = ["PRIMITIVES", "concrete", "full"]
