"""Writing straight-line LLVM functions in Python: `Code` collects the lines, `Value` carries the operators.

The same Python text gives the scalar and the vector form of a function, in either precision, so all of them compute
the same bits.
"""

from __future__ import annotations

import operator
import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ranvier.engines.native.target.lanes import literal

SCALARS = {"f32": "float", "f64": "double", "i1": "i1", "i32": "i32", "i64": "i64"}
BITS = {"f32": "i32", "f64": "i64", "i32": "f32", "i64": "f64"}
"""The integer kind that holds a float's bits, and back."""
FLOATS = ("f32", "f64")
SUFFIX = re.compile(r"(?:v([1-9]\d*))?(f32|f64)")


def parse(suffix: str) -> tuple[int, str]:
    """Lanes (0 for a scalar) and element kind of a suffix such as ``v16f32`` or ``f64``.

    Raises:
        ValueError: it is neither.
    """
    match = SUFFIX.fullmatch(suffix)
    if not match:
        raise ValueError(f"no such type suffix: {suffix!r}. Write one such as 'f32', 'f64', 'v16f32' instead.")
    return int(match[1] or 0), match[2]


def llvm_type(lanes: int, kind: str) -> str:
    """LLVM's spelling of a vector of `lanes` elements, or of a scalar where `lanes` is 0."""
    return f"<{lanes} x {SCALARS[kind]}>" if lanes else SCALARS[kind]


def intrinsic(name: str, suffix: str, arity: int) -> str:
    """The declaration of an LLVM intrinsic whose operands and result all have the type of `suffix`."""
    text = llvm_type(*parse(suffix))
    return f"declare {text} @llvm.{name}.{suffix}({', '.join([text] * arity)})"


Operator = Callable[["Value", "Value | float"], "Value"]


def _operator(floating: str, integer: str = "") -> Operator:
    """An instruction of two operands, for floats and for integers (the same where there is one name)."""
    return lambda self, other: self.binary(floating if self.is_float else integer or floating, other)


def _reflected(operation: Callable[[Value, Value], Value]) -> Operator:
    return lambda self, other: operation(self.lift(other), self)


def _comparison(floating: str, integer: str) -> Operator:
    return lambda self, other: self.compare(floating if self.is_float else integer, other)


@dataclass(frozen=True, eq=False)
class Value:
    """An SSA value. A Python number is a constant of the other operand's type."""

    code: Code
    ref: str
    kind: str

    @property
    def type(self) -> str:
        return llvm_type(self.code.lanes, self.kind)

    @property
    def is_float(self) -> bool:
        return self.kind in FLOATS

    def lift(self, other: Value | float) -> Value:
        return other if isinstance(other, Value) else self.code.constant(other, self.kind)

    def binary(self, name: str, other: Value | float) -> Value:
        """An LLVM instruction of two operands of one type."""
        other = self.lift(other)
        if other.kind != self.kind:
            raise TypeError(f"{name} of {self.kind} and {other.kind}. Convert one of them instead.")
        return self.code.emit(f"{name} {self.type} {self.ref}, {other.ref}", self.kind)

    __add__ = _operator("fadd", "add")
    __sub__ = _operator("fsub", "sub")
    __mul__ = _operator("fmul", "mul")
    __truediv__ = _operator("fdiv")
    __and__ = _operator("and")
    __or__ = _operator("or")
    __xor__ = _operator("xor")
    __lshift__ = _operator("shl")
    __rshift__ = _operator("lshr")  # zeros come in
    shift_signed = _operator("ashr")
    __radd__ = _reflected(operator.add)
    __rsub__ = _reflected(operator.sub)
    __rmul__ = _reflected(operator.mul)
    __rtruediv__ = _reflected(operator.truediv)

    def __neg__(self) -> Value:
        return self.code.emit(f"fneg {self.type} {self.ref}", self.kind)

    def compare(self, relation: str, other: Value | float) -> Value:
        """A comparison by LLVM's name for it: ``olt``, ``oeq``, ``une`` of floats, ``slt``, ``eq`` of integers."""
        op = "fcmp" if self.is_float else "icmp"
        return self.code.emit(f"{op} {relation} {self.type} {self.ref}, {self.lift(other).ref}", "i1")

    __lt__ = _comparison("olt", "slt")
    __gt__ = _comparison("ogt", "sgt")
    equals = _comparison("oeq", "eq")
    differs = _comparison("one", "ne")  # of floats: ordered and unequal, so false where either is a NaN

    def choose(self, yes: Value, no: Value) -> Value:
        """Of a condition: `yes` in the lanes where it holds, else `no`."""
        return self.code.emit(f"select {self.type} {self.ref}, {yes.type} {yes.ref}, {no.type} {no.ref}", yes.kind)

    def where(self, condition: Value, other: Value | float) -> Value:
        """Itself in the lanes where the condition holds, else `other`."""
        return condition.choose(self, self.lift(other))

    def at_least(self, low: float) -> Value:
        """The maximum of it and a constant; a NaN stays (one instruction on x86)."""
        return (self < low).choose(self.lift(low), self)

    def at_most(self, high: float) -> Value:
        """The minimum of it and a constant; a NaN stays."""
        return (self > high).choose(self.lift(high), self)

    def convert(self, op: str, kind: str) -> Value:
        """An LLVM conversion: ``fpext``, ``fptrunc``, ``sitofp``, ``bitcast``, ``trunc``."""
        return self.code.emit(f"{op} {self.type} {self.ref} to {llvm_type(self.code.lanes, kind)}", kind)

    def bits(self) -> Value:
        """A float's bits as an integer, or the float that an integer's bits make."""
        return self.convert("bitcast", BITS[self.kind])

    def call(self, name: str, *others: Value) -> Value:
        """An LLVM intrinsic of it and `others`, all of its kind."""
        suffix = self.code.suffix(self.kind)
        self.code.declarations.add(intrinsic(name, suffix, 1 + len(others)))
        operands = ", ".join(f"{v.type} {v.ref}" for v in (self, *others))
        return self.code.emit(f"call {self.type} @llvm.{name}.{suffix}({operands})", self.kind)

    def magnitude(self) -> Value:
        return self.call("fabs")

    def with_sign_of(self, other: Value) -> Value:
        return self.call("copysign", other)


@dataclass
class Code:
    """The body of one function of floats of `kind`, all its values `lanes` wide (0: scalars)."""

    lanes: int
    kind: str
    lines: list[str] = field(default_factory=list)
    declarations: set[str] = field(default_factory=set)
    fused: set[str] = field(default_factory=set)
    """Suffixes of the ``@rv.fma`` functions that the body calls."""

    def suffix(self, kind: str) -> str:
        return f"v{self.lanes}{kind}" if self.lanes else kind

    def arguments(self, count: int) -> list[Value]:
        return [Value(self, f"%{'xyz'[i]}", self.kind) for i in range(count)]

    def emit(self, text: str, kind: str) -> Value:
        value = Value(self, f"%t{len(self.lines)}", kind)
        self.lines.append(f"  {value.ref} = {text}")
        return value

    def constant(self, number: float, kind: str) -> Value:
        if kind == "f32" and number == number and struct.unpack("<f", struct.pack("<f", number))[0] != number:
            raise ValueError(f"{number!r} is no float32. Write the nearest one instead.")
        text = literal(number, SCALARS[kind])
        return Value(self, f"splat ({SCALARS[kind]} {text})" if self.lanes else text, kind)

    def splat(self, scalar: str, kind: str) -> Value:
        """A scalar argument in every lane."""
        vector = llvm_type(self.lanes, kind)
        first = self.emit(f"insertelement {vector} poison, {SCALARS[kind]} {scalar}, i64 0", kind)
        zeros = f"{llvm_type(self.lanes, 'i32')} zeroinitializer"
        return self.emit(f"shufflevector {vector} {first.ref}, {vector} poison, {zeros}", kind)

    def fma(self, a: Value, b: Value | float, c: Value | float) -> Value:
        """Gives a * b + c, rounded once."""
        suffix = self.suffix(a.kind)
        self.fused.add(suffix)
        operands = ", ".join(f"{v.type} {v.ref}" for v in (a, a.lift(b), a.lift(c)))
        return self.emit(f"call {a.type} @rv.fma.{suffix}({operands})", a.kind)

    def horner(self, x: Value, coefficients: Sequence[float], fused: bool = True) -> Value:
        """The polynomial whose coefficients are given from the constant one upward."""
        *rest, lead = coefficients
        result = self.constant(lead, x.kind)
        for coefficient in reversed(rest):
            result = self.fma(result, x, coefficient) if fused else result * x + coefficient
        return result

    def define(self, name: str, arguments: str, result: Value, attributes: str) -> str:
        """The text of the function with these arguments that returns `result`."""
        head = f"define internal {result.type} @{name}({arguments}) {attributes} {{"
        return "\n".join([head, *self.lines, f"  ret {result.type} {result.ref}", "}"])
