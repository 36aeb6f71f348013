"""Our own elementary functions as LLVM text, built from IEEE operations alone.

No function calls the C library or an LLVM intrinsic that may become such a call, and none leaves a rounding to the
compiler, so every processor computes the same bits (of a NaN, only that it is one). Where the processor has no fused
multiply-add it is emulated. float32 is within 2 ulp (subnormal results included), float64, which is for checking,
within 4; tests/engines/native/test_math.py holds the measured bounds. `sin` and `cos` keep that to magnitudes of
1e6; further
out they lose accuracy and stay within [-1, 1].

Names in the text: ``@rv.exp.v16f32``, ``@rv.power.f64``, ``@rv.fma.v8f32``, ``@rv.random_bits.v16`` and ``.s``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

from ranvier.engines.native.codegen.math import functions
from ranvier.engines.native.codegen.math.ssa import Code, Value, intrinsic, parse
from ranvier.graph.random import KEY_ADDITIONS, KEY_PARITY, ROTATIONS

# --- fused multiply-add -------------------------------------------------------------------------------------------


def fused(c: Code, x: Value, y: Value, z: Value) -> Value:
    return x.call("fma", y, z)


def round_to_odd(total: Value, error: Value) -> Value:
    """The sum total + error, truncated, with its last bit set if that lost anything: no double rounding later."""
    i = total.bits()
    step = 1 - (((error.bits() ^ i) >> 63) << 1)
    return (error.differs(0.0) & (i & 1).equals(0)).choose(i + step, i).bits()


def emulated_single(c: Code, x: Value, y: Value, z: Value) -> Value:
    """Exact for all operands: the product of two float32 is a float64; the sum is rounded to odd on the way back."""
    wide = [v.convert("fpext", "f64") for v in (x, y, z)]
    return round_to_odd(*functions.two_sum(wide[0] * wide[1], wide[2])).convert("fptrunc", "f32")


def emulated_double(c: Code, x: Value, y: Value, z: Value) -> Value:
    """Boldo and Melquiond, "Emulation of FMA and correctly rounded sums" (2008).

    Exact while no operand exceeds 2**996 and neither the result nor the last bit of the exact product is subnormal;
    beyond that the product may be rounded before the addition.
    """

    def split(v: Value) -> tuple[Value, Value]:
        scaled = v * 134217729.0
        high = scaled - (scaled - v)
        return high, v - high

    (x_high, x_low), (y_high, y_low) = split(x), split(y)
    product = x * y
    error = ((x_high * y_high - product) + x_high * y_low + x_low * y_high) + x_low * y_low
    t, t_low = functions.two_sum(z, error)
    v, v_low = functions.two_sum(product, t)
    result = v + round_to_odd(*functions.two_sum(t_low, v_low))
    exact = (result.magnitude() < math.inf) & product.differs(0.0)
    return exact.choose(result, product + z)


# --- random bits --------------------------------------------------------------------------------------------------


def random_bits(c: Code, seed: Value, stream: Value, counter: Value) -> Value:
    """Threefry's first word, as `ranvier.graph.random.threefry` has it."""
    keys = [seed, stream, seed ^ stream ^ KEY_PARITY]
    x = counter.convert("trunc", "i32") + seed
    y = (counter >> 32).convert("trunc", "i32") + stream
    for group in range(KEY_ADDITIONS):
        for rotation in ROTATIONS[group % 2]:
            x = x + y
            y = ((y << rotation) | (y >> (32 - rotation))) ^ x
        x = x + keys[(group + 1) % 3]
        y = y + keys[(group + 2) % 3] + (group + 1)
    return x


def random_definition(form: str) -> str:
    """``@rv.random_bits.v16(seed, stream, first)``: elements first to first + 15; ``.s``: the element first."""
    lanes = {"v16": 16, "s": 0}[form]
    c = Code(lanes, "f32")
    names = [("%seed", "i32"), ("%stream", "i32"), ("%first", "i64")]
    seed, stream, counter = (Value(c, name, kind) for name, kind in names)
    if lanes:
        seed, stream, counter = (c.splat(name, kind) for name, kind in names)
        lane = ", ".join(f"i64 {i}" for i in range(lanes))
        counter = counter + Value(c, f"<{lane}>", "i64")
    result = random_bits(c, seed, stream, counter)
    arguments = ", ".join(f"{kind} {name}" for name, kind in names)
    return c.define(f"rv.random_bits.{form}", arguments, result, "alwaysinline nounwind")


# --- the library --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Function:
    """A function of `arity` floats of one type: `build` writes its body and gives its result."""

    arity: int
    build: Callable[..., Value]


UNARY = ("exp", "expm1", "log", "log1p", "tanh", "sigmoid", "erf", "sin", "cos")
FUNCTIONS: dict[str, Function] = {
    **{name: Function(1, getattr(functions, name)) for name in UNARY},
    "power": Function(2, functions.power),
}
"""What `library` offers in every type, besides ``fma`` and ``random_bits``."""

Definition = tuple[str, frozenset[str], frozenset[tuple[str, str]]]


@cache
def definition(name: str, suffix: str, has_fma: bool) -> Definition:
    """A function's text, the declarations that it needs, and the other functions that it calls."""
    if name == "random_bits":
        return random_definition(suffix), frozenset(), frozenset()
    lanes, kind = parse(suffix)
    attribute = "alwaysinline nounwind"
    if name != "fma":
        function = FUNCTIONS[name]
    elif has_fma:
        function = Function(3, fused)
    else:  # long, and called from everywhere
        function = Function(3, emulated_single if kind == "f32" else emulated_double)
        attribute = "noinline nounwind"
    c = Code(lanes, kind)
    result = function.build(c, *c.arguments(function.arity))
    needs = frozenset(("fma", other) for other in c.fused)
    arguments = ", ".join(f"{v.type} {v.ref}" for v in c.arguments(function.arity))
    text = c.define(f"rv.{name}.{suffix}", arguments, result, attribute)
    return text, frozenset(c.declarations), needs


def library(used: Iterable[tuple[str, str]], has_fma: bool) -> tuple[str, set[str]]:
    """LLVM text of the functions in `used` and of all that they call, each once, and the declarations they need.

    Each use is a name and a type suffix: one of `FUNCTIONS` or ``"fma"`` with ``"v16f32"``, ``"f32"``, ``"v16f64"``,
    ``"f64"`` (any number of lanes), or ``"random_bits"`` with ``"v16"`` or ``"s"``. `has_fma` tells whether the
    processor has a fused multiply-add. The declarations are whole lines as `intrinsic` spells
    them; a module holds each of them once, so the caller joins this set with its own.

    Raises:
        KeyError: no function has that name.
        ValueError: no type has that suffix.
    """
    texts: dict[tuple[str, str], str] = {}
    declarations: set[str] = set()
    pending = sorted(set(used))
    for use in pending:  # grows while it is walked
        if use not in texts:
            texts[use], declared, needs = definition(*use, has_fma)
            declarations |= declared
            pending.extend(sorted(needs))
    return "\n\n".join(texts[use] for use in sorted(texts)), declarations


__all__ = ["FUNCTIONS", "Function", "intrinsic", "library"]
