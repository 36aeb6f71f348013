"""The primitive ``cast`` as LLVM.

Storage types are integers of 16 bits here and are converted by integer arithmetic, which gives the same bits on every
processor; instructions for half floats are not on every one, and LLVM would call a library instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ranvier.engines.native.codegen.kernel import Kernel
from ranvier.engines.native.target.lanes import ELEMENT, LANES, SUFFIX, literal, vector
from ranvier.graph.dtypes import ELEMENT_TYPES
from ranvier.graph.node import Node


class _Bits:
    """Integer arithmetic on elements or vectors, for the conversions of storage types."""

    def __init__(self, k: Kernel, wide: bool) -> None:
        self.k, self.wide = k, wide

    def type(self, element: str) -> str:
        return vector(element) if self.wide else element

    def number(self, value: float, element: str = "i32") -> str:
        text = literal(value, element)
        return f"splat ({element} {text})" if self.wide else text

    def op(self, word: str, a: str, b: int | str, element: str = "i32") -> str:
        other = b if isinstance(b, str) else self.number(b)
        return self.k.function.op(f"{word} {self.type(element)} {a}, {other}")

    def converted(self, word: str, name: str, source: str, target: str) -> str:
        return self.k.function.op(f"{word} {self.type(source)} {name} to {self.type(target)}")

    def choose(self, condition: str, yes: str, no: str) -> str:
        t = self.type("i32")
        return self.k.function.op(f"select {self.type('i1')} {condition}, {t} {yes}, {t} {no}")


def _widen_bfloat16(b: _Bits, name: str) -> str:
    return b.op("shl", b.converted("zext", name, "i16", "i32"), 16)


def _narrow_bfloat16(b: _Bits, bits: str) -> str:
    odd = b.op("and", b.op("lshr", bits, 16), 1)
    rounded = b.op("lshr", b.op("add", b.op("add", bits, 0x7FFF), odd), 16)
    nan = b.op("icmp ugt", b.op("and", bits, 0x7FFFFFFF), 0x7F800000)
    return b.choose(nan, b.op("or", b.op("lshr", bits, 16), 0x40), rounded)


def _widen_float16(b: _Bits, name: str) -> str:
    """Exponent and fraction move to their places of a float that is too small by 2**112, exactly as subnormals are."""
    half = b.converted("zext", name, "i16", "i32")
    sign = b.op("shl", b.op("and", half, 0x8000), 16)
    moved = b.op("shl", b.op("and", half, 0x7FFF), 13)
    small = b.converted("bitcast", moved, "i32", "float")
    scaled = b.op("fmul", small, b.number(2.0**112, "float"), "float")
    size = b.converted("bitcast", scaled, "float", "i32")
    endless = b.op("icmp uge", moved, 0x7C00 << 13)  # infinite or nan
    return b.op("or", b.choose(endless, b.op("or", size, 0x7F800000), size), sign)


def _narrow_float16(b: _Bits, bits: str) -> str:
    """Rounded to the nearest, to even: below 2**-14 by adding 0.5, whose last bit is that of a subnormal half."""
    sign = b.op("and", b.op("lshr", bits, 16), 0x8000)
    size = b.op("and", bits, 0x7FFFFFFF)
    odd = b.op("and", b.op("lshr", size, 13), 1)
    normal = b.op("lshr", b.op("add", b.op("add", size, ((15 - 127) << 23) + 0xFFF), odd), 13)
    lifted = b.op("fadd", b.converted("bitcast", size, "i32", "float"), b.number(0.5, "float"), "float")
    subnormal = b.op("sub", b.converted("bitcast", lifted, "float", "i32"), 0x3F000000)
    result = b.choose(b.op("icmp ult", size, 0x38800000), subnormal, normal)
    result = b.choose(b.op("icmp uge", size, 0x47800000), b.number(0x7C00), result)
    result = b.choose(b.op("icmp ugt", size, 0x7F800000), b.number(0x7E00), result)
    return b.op("or", result, sign)


_WIDEN: dict[str, Callable[[_Bits, str], str]] = {"float16": _widen_float16, "bfloat16": _widen_bfloat16}
_NARROW: dict[str, Callable[[_Bits, str], str]] = {"float16": _narrow_float16, "bfloat16": _narrow_bfloat16}


def emit_cast(k: Kernel, node: Node, types: Sequence[str], names: Sequence[str], wide: bool) -> str:
    """Between dtypes. Floats become integers toward zero and saturating, nan becomes 0."""
    source, target = ELEMENT_TYPES[node.inputs[0].dtype], ELEMENT_TYPES[node.dtype]
    (name,), bits = names, _Bits(k, wide)
    if source is target:
        return name
    if source.is_storage:
        name = bits.converted("bitcast", _WIDEN[source.name](bits, name), "i32", "float")
        source = ELEMENT_TYPES[source.arithmetic]
    middle = ELEMENT_TYPES[target.arithmetic]
    if source is not middle:
        name = _arithmetic(k, bits, name, source.name, middle.name)
    if not target.is_storage:
        return name
    narrow = _NARROW[target.name](bits, bits.converted("bitcast", name, "float", "i32"))
    return bits.converted("trunc", narrow, "i32", "i16")


def _arithmetic(k: Kernel, bits: _Bits, name: str, source: str, target: str) -> str:
    """Between two types in which programs compute."""
    f, one, two = k.function, ELEMENT_TYPES[source], ELEMENT_TYPES[target]
    a, b = ELEMENT[source], ELEMENT[target]
    if a == b:
        return name
    if target == "bool":
        word = "fcmp une" if one.category == "float" else "icmp ne"
        return f.op(f"{word} {bits.type(a)} {name}, {bits.number(0, a)}")
    if one.category == two.category == "float":
        return bits.converted("fpext" if two.bits > one.bits else "fptrunc", name, a, b)
    if one.category == "float":
        lanes = f"v{LANES}" if bits.wide else ""
        full = f"llvm.{'fptosi' if two.signed else 'fptoui'}.sat.{lanes}{SUFFIX[b]}.{lanes}{SUFFIX[a]}"
        k.module.declarations.add(f"declare {bits.type(b)} @{full}({bits.type(a)})")
        return f.op(f"call {bits.type(b)} @{full}({bits.type(a)} {name})")
    if two.category == "float":
        return bits.converted("sitofp" if one.signed else "uitofp", name, a, b)
    if one.category == "bool" or two.bits > one.bits:
        return bits.converted("sext" if one.signed else "zext", name, a, b)
    return bits.converted("trunc", name, a, b)
