"""The elementwise primitives as LLVM: one row each, for scalars and vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ranvier.engines.native.codegen.conversions import emit_cast
from ranvier.engines.native.codegen.kernel import Kernel
from ranvier.engines.native.target.lanes import literal
from ranvier.graph.dtypes import FLOATS, SIGNED
from ranvier.graph.node import Node

Rule = Callable[[Kernel, Node, Sequence[str], Sequence[str], bool], str]


def _number(value: float, type_: str) -> str:
    if type_.startswith("<"):
        element = type_.split(" x ")[1][:-1]
        return "zeroinitializer" if value == 0 else f"splat ({element} {literal(value, element)})"
    return literal(value, type_)


def _by_dtype(floating: str, signed: str, unsigned: str | None = None) -> Rule:
    """An instruction of two operands, chosen by the dtype of the first."""

    def rule(k: Kernel, node: Node, types: Sequence[str], names: Sequence[str], wide: bool) -> str:
        dtype = node.inputs[0].dtype
        word = floating if dtype in FLOATS else signed if dtype in SIGNED else (unsigned or signed)
        return k.function.op(f"{word} {types[0]} {names[0]}, {names[1]}")

    return rule


def _call(name: str) -> Rule:
    return lambda k, node, types, names, wide: k.call(name, types[0], *names)


def _intrinsic(name: str) -> Rule:
    return lambda k, node, types, names, wide: k.intrinsic(name, types[0], *names)


def _neg(k: Kernel, node: Node, types: Sequence[str], names: Sequence[str], wide: bool) -> str:
    word = "fneg" if node.dtype in FLOATS else f"sub {types[0]} {_number(0, types[0])},"
    return k.function.op(f"{word} {types[0]} {names[0]}" if node.dtype in FLOATS else f"{word} {names[0]}")


def _abs(k: Kernel, node: Node, types: Sequence[str], names: Sequence[str], wide: bool) -> str:
    if node.dtype in FLOATS:
        return k.intrinsic("fabs", types[0], names[0])
    negative = _neg(k, node, types, names, wide)
    return k.intrinsic("smax", types[0], names[0], negative)


def _condition(type_: str) -> str:
    return f"{type_.split(' x ', maxsplit=1)[0]} x i1>" if type_.startswith("<") else "i1"


def _choose(k: Kernel, condition: str, type_: str, yes: str, no: str) -> str:
    return k.function.op(f"select {_condition(type_)} {condition}, {type_} {yes}, {type_} {no}")


def _sign(k: Kernel, node: Node, types: Sequence[str], names: Sequence[str], wide: bool) -> str:
    """-1, 0 or 1; nan for nan."""
    t, x = types[0], names[0]
    less, greater = ("fcmp olt", "fcmp ogt") if node.dtype in FLOATS else ("icmp slt", "icmp sgt")
    zero = _number(0, t)
    above = _choose(k, k.function.op(f"{greater} {t} {x}, {zero}"), t, _number(1, t), x)
    return _choose(k, k.function.op(f"{less} {t} {x}, {zero}"), t, _number(-1, t), above)


def _relu(k: Kernel, node: Node, types: Sequence[str], names: Sequence[str], wide: bool) -> str:
    t, x = types[0], names[0]
    return _choose(k, k.function.op(f"fcmp olt {t} {x}, {_number(0, t)}"), t, _number(0, t), x)


def _quotient(k: Kernel, node: Node, types: Sequence[str], names: Sequence[str], wide: bool) -> str:
    """Rounded toward minus infinity. A division by 0 gives 0, and one by -1 the negative: processors trap on both."""
    f, t, (x, y) = k.function, types[0], names
    zero, one = _number(0, t), _number(1, t)
    none = f.op(f"icmp eq {t} {y}, {zero}")
    if node.dtype not in SIGNED:
        return _choose(k, none, t, zero, f.op(f"udiv {t} {x}, {_choose(k, none, t, one, y)}"))
    opposite = f.op(f"icmp eq {t} {y}, {_number(-1, t)}")
    divisor = _choose(k, f.op(f"or {_condition(t)} {none}, {opposite}"), t, one, y)
    whole = f.op(f"sdiv {t} {x}, {divisor}")
    rest = f.op(f"sub {t} {x}, {f.op(f'mul {t} {whole}, {divisor}')}")
    across = f.op(f"icmp slt {t} {f.op(f'xor {t} {rest}, {divisor}')}, {zero}")
    inexact = f.op(f"icmp ne {t} {rest}, {zero}")
    lower = f.op(f"and {_condition(t)} {across}, {inexact}")
    whole = _choose(k, lower, t, f.op(f"sub {t} {whole}, {one}"), whole)
    whole = _choose(k, opposite, t, f.op(f"sub {t} {zero}, {x}"), whole)
    return _choose(k, none, t, zero, whole)


def extremum(k: Kernel, dtype: str, type_: str, a: str, b: str, largest: bool) -> str:
    """The larger (or smaller) of two; nan if either is."""
    if dtype not in FLOATS:
        sign = "s" if dtype in SIGNED else "u"
        return k.intrinsic(f"{sign}{'max' if largest else 'min'}", type_, a, b)
    better = k.function.op(f"fcmp {'ogt' if largest else 'olt'} {type_} {a}, {b}")
    chosen = _choose(k, better, type_, a, b)
    return _choose(k, k.function.op(f"fcmp uno {type_} {a}, {a}"), type_, a, chosen)


def combine(k: Kernel, node: Node, type_: str, a: str, b: str) -> str:
    """Combine two partial results of a reduction."""
    return ELEMENTWISE[node.op.combine](k, node, (type_, type_), (a, b), type_.startswith("<"))


def _maximum(k: Kernel, node: Node, types: Sequence[str], names: Sequence[str], wide: bool) -> str:
    return extremum(k, node.dtype, types[0], names[0], names[1], True)


def _minimum(k: Kernel, node: Node, types: Sequence[str], names: Sequence[str], wide: bool) -> str:
    return extremum(k, node.dtype, types[0], names[0], names[1], False)


def _select(k: Kernel, node: Node, types: Sequence[str], names: Sequence[str], wide: bool) -> str:
    return k.function.op(f"select {types[0]} {names[0]}, {types[1]} {names[1]}, {types[2]} {names[2]}")


def _not(k: Kernel, node: Node, types: Sequence[str], names: Sequence[str], wide: bool) -> str:
    return k.function.op(f"xor {types[0]} {names[0]}, {'splat (i1 true)' if wide else 'true'}")


ELEMENTWISE: dict[str, Rule] = {
    "neg": _neg,
    "abs": _abs,
    "sign": _sign,
    "floor": _intrinsic("floor"),
    "exp": _call("exp"),
    "expm1": _call("expm1"),
    "log": _call("log"),
    "log1p": _call("log1p"),
    "sqrt": _intrinsic("sqrt"),
    "tanh": _call("tanh"),
    "sigmoid": _call("sigmoid"),
    "erf": _call("erf"),
    "sin": _call("sin"),
    "cos": _call("cos"),
    "relu": _relu,
    "stop_gradient": lambda k, node, types, names, wide: names[0],
    "layout": lambda k, node, types, names, wide: names[0],
    "add": _by_dtype("fadd", "add"),
    "sub": _by_dtype("fsub", "sub"),
    "mul": _by_dtype("fmul", "mul"),
    "div": _by_dtype("fdiv", "sdiv"),
    "quotient": _quotient,
    "power": _call("power"),
    "maximum": _maximum,
    "minimum": _minimum,
    "less": _by_dtype("fcmp olt", "icmp slt", "icmp ult"),
    "less_equal": _by_dtype("fcmp ole", "icmp sle", "icmp ule"),
    "equal": _by_dtype("fcmp oeq", "icmp eq"),
    "logical_and": _by_dtype("", "and"),
    "logical_or": _by_dtype("", "or"),
    "logical_not": _not,
    "select": _select,
    "cast": emit_cast,
}
