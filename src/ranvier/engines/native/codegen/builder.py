"""A builder of LLVM text: one function at a time, with loops that carry values.

Vectors always have 16 lanes, whatever the processor: LLVM splits them into as many registers as the target needs, so
the program, and the order in which it adds, is the same on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from ranvier.engines.native.target.lanes import LANES, Scalar, lane_constants, vector

# Instructions (and calls) without side effects: equal ones are emitted once.
_PURE = frozenset((
    "add", "and", "ashr", "bitcast", "extractelement", "fadd", "fcmp", "fdiv", "fmul", "fneg", "fpext", "fptosi",
    "fptoui", "fptrunc", "fsub", "getelementptr", "icmp", "insertelement", "inttoptr", "lshr", "mul", "or", "sdiv",
    "select", "sext", "shl", "shufflevector", "sitofp", "sub", "trunc", "udiv", "uitofp", "urem", "xor", "zext",
))  # fmt: skip
_IMPURE = ("@llvm.masked.", "@llvm.readcyclecounter")  # among the calls


def _is_pure(text: str) -> bool:
    word = text.partition(" ")[0]
    return word in _PURE or (word == "call" and not any(name in text for name in _IMPURE))


# Metadata of stores that bypass the caches.
STREAMED = "!0 = !{i32 1}"
PREFETCH = "declare void @llvm.prefetch.p0(ptr, i32, i32, i32)"


@dataclass
class Loop:
    """A loop being written: its variable, its carried values, and (set in the body) their next values.

    ``done`` is the label after it, to which a body without carried values may branch.
    """

    index: str
    done: str
    values: list[str]
    next: list[str] = field(default_factory=list)
    results: list[str] = field(default_factory=list)


class Function:
    """The text of one function. ``prologue`` is straight-line code that runs first; its values can be used anywhere.

    Equal instructions are emitted once where the first result is in scope (local value numbering).
    """

    def __init__(self, name: str, parameters: Sequence[str], linkage: str = "hidden ") -> None:
        self.head = f"define {linkage}void @{name}({', '.join(parameters)})"
        self.prologue: list[str] = []
        self.lines: list[str] = []
        self.block = "body"
        self.count = 0
        self._target = self.lines
        self._known: list[dict[str, str]] = [{}, {}]  # of the prologue, the body and each enclosing block
        self._sums: dict[str, tuple[str, int]] = {}  # of a variable and a number, by name

    def text(self, attributes: str = "") -> str:
        body = ["entry:", *self.prologue, "  br label %body", "body:", *self.lines, "  ret void"]
        return f"{self.head} {attributes}{{\n" + "\n".join(body) + "\n}\n"

    @contextmanager
    def at_entry(self) -> Iterator[None]:
        """Write into the prologue."""
        before, self._target, self._known = (self._target, self._known), self.prologue, self._known[:1]
        try:
            yield
        finally:
            self._target, self._known = before

    def name(self) -> str:
        self.count += 1
        return f"%v{self.count}"

    def emit(self, line: str) -> None:
        self._target.append(f"  {line}")

    def op(self, text: str) -> str:
        pure = _is_pure(text)
        found = next((known[text] for known in self._known if text in known), None) if pure else None
        if found is not None:
            return found
        result = self.name()
        self._target.append(f"  {result} = {text}")
        if pure:
            self._known[-1][text] = result
        return result

    def label(self, name: str) -> None:
        self.lines.append(f"{name}:")
        self.block = name

    @contextmanager
    def _within(self, name: str) -> Iterator[None]:
        """A conditional block."""
        self.label(name)
        self._known.append({})
        yield
        self._known.pop()

    # --- integers: constants are folded ----------------------------------------------------------------------------

    def add(self, a: Scalar, b: Scalar) -> Scalar:
        """Numbers are added last: addresses that differ by a number then share all other instructions."""
        (first, number), (second, more) = self._split(a), self._split(b)
        number += more
        base = first or second
        if first and second:
            base = self.op(f"add nsw i64 {first}, {second}")
        if not base or not number:
            return base or number
        result = self.op(f"add nsw i64 {base}, {number}")
        self._sums[result] = base, number
        return result

    def _split(self, a: Scalar) -> tuple[str, int]:
        """A variable, or none, and a number, whose sum ``a`` is."""
        return ("", a) if isinstance(a, int) else self._sums.get(a, (a, 0))

    def sub(self, a: Scalar, b: Scalar) -> Scalar:
        if isinstance(a, int) and isinstance(b, int):
            return a - b
        return a if b == 0 else self.op(f"sub nsw i64 {a}, {b}")

    def mul(self, a: Scalar, b: Scalar) -> Scalar:
        if isinstance(a, int) and isinstance(b, int):
            return a * b
        if a == 0 or b == 0:
            return 0
        if isinstance(a, int):
            a, b = b, a
        if b == 1:
            return a
        base, number = self._split(a)
        if number and isinstance(b, int):
            return self.add(self.op(f"mul nsw i64 {base}, {b}"), number * b)
        return self.op(f"mul nsw i64 {a}, {b}")

    def floor_divide(self, a: Scalar, b: Scalar) -> Scalar:
        if isinstance(a, int) and isinstance(b, int):
            return a // b
        return a if b == 1 else self.op(f"udiv i64 {a}, {b}")

    def remainder(self, a: Scalar, b: Scalar) -> Scalar:
        if isinstance(a, int) and isinstance(b, int):
            return a % b
        return 0 if b == 1 else self.op(f"urem i64 {a}, {b}")

    def multiple(self, count: Scalar, size: int) -> Scalar:
        """``count`` rounded down to a multiple of a power of two."""
        return count // size * size if isinstance(count, int) else self.op(f"and i64 {count}, -{size}")

    def end_of_whole(self, low: Scalar, high: Scalar, step: int) -> Scalar:
        """The end of the last whole step from low to high."""
        return self.add(low, self.mul(self.floor_divide(self.sub(high, low), step), step))

    def minimum(self, a: Scalar, b: Scalar) -> Scalar:
        if isinstance(a, int) and isinstance(b, int):
            return min(a, b)
        return self.op(f"call i64 @llvm.smin.i64(i64 {a}, i64 {b})")

    def maximum(self, a: Scalar, b: Scalar) -> Scalar:
        if isinstance(a, int) and isinstance(b, int):
            return max(a, b)
        return self.op(f"call i64 @llvm.smax.i64(i64 {a}, i64 {b})")

    def pointer(self, base: str, offset: Scalar, element: str) -> str:
        variable, number = self._split(offset)
        if variable and number:  # outside of the array, perhaps, until the number is added
            base = self.op(f"getelementptr {element}, ptr {base}, i64 {variable}")
            variable = ""
        offset = variable or number
        return base if offset == 0 else self.op(f"getelementptr inbounds {element}, ptr {base}, i64 {offset}")

    def splat(self, scalar: str, element: str) -> str:
        if not scalar.startswith("%"):
            return f"splat ({element} {scalar})"
        one = self.op(f"insertelement {vector(element)} poison, {element} {scalar}, i64 0")
        return self.op(
            f"shufflevector {vector(element)} {one}, {vector(element)} poison, <{LANES} x i32> zeroinitializer"
        )

    def first_lanes(self, name: str, type_: str, count: int) -> str:
        """The first ``count`` lanes of a vector, followed by zeros if it has fewer."""
        numbers = lane_constants(range(count), "i32")
        return self.op(f"shufflevector {type_} {name}, {type_} zeroinitializer, <{count} x i32> {numbers}")

    # --- control ---------------------------------------------------------------------------------------------------

    @contextmanager
    def loop(
        self, low: Scalar, high: Scalar, step: Scalar = 1, carry: Sequence[tuple[str, str]] = ()
    ) -> Iterator[Loop]:
        """Run the body for low, low+step, ... below high. ``carry`` holds (type, first value) of each carried value."""
        certain = isinstance(low, int) and isinstance(high, int)
        self.count += 1
        body, done, before = f"loop{self.count}", f"done{self.count}", self.block
        if certain and low >= high:  # type: ignore[operator]  # both are numbers here
            raise ValueError("a loop that never runs; leave it out")
        if certain:
            self.emit(f"br label %{body}")
        else:
            some = self.op(f"icmp slt i64 {low}, {high}")
            self.emit(f"br i1 {some}, label %{body}, label %{done}")
        with self._within(body):
            index = self.name()
            loop = Loop(index, done, [self.name() for _ in carry])
            at = len(self.lines)  # the phis are inserted here: they name values that the body emits
            yield loop
            if len(loop.next) != len(carry):
                raise ValueError("a loop's body must give each carried value its next one")
            following = self.op(f"add nuw nsw i64 {index}, {step}")
            again = self.op(f"icmp slt i64 {following}, {high}")
            self.emit(f"br i1 {again}, label %{body}, label %{done}")
        latch = self.block
        phis = [f"  {index} = phi i64 [ {low}, %{before} ], [ {following}, %{latch} ]"]
        for (type_, first), value, after in zip(carry, loop.values, loop.next, strict=True):
            phis.append(f"  {value} = phi {type_} [ {first}, %{before} ], [ {after}, %{latch} ]")
        self.lines[at:at] = phis
        self.label(done)
        for (type_, first), after in zip(carry, loop.next, strict=True):
            if certain:
                loop.results.append(after)
            else:
                loop.results.append(self.op(f"phi {type_} [ {first}, %{before} ], [ {after}, %{latch} ]"))

    @contextmanager
    def when(self, condition: str) -> Iterator[None]:
        """Run the body if the i1 is true."""
        self.count += 1
        yes, after = f"then{self.count}", f"after{self.count}"
        self.emit(f"br i1 {condition}, label %{yes}, label %{after}")
        with self._within(yes):
            yield
            self.emit(f"br label %{after}")
        self.label(after)

    @contextmanager
    def chain(self, first: str, carry: Sequence[tuple[str, str]]) -> Iterator[Loop]:
        """Run the body for ``first``, an i64 of 0 or more, and as long as the next one is not negative.

        ``carry`` is that of `loop`. The body gives as the last of the next values that of the variable itself.
        """
        self.count += 1
        body, done, before = f"chain{self.count}", f"done{self.count}", self.block
        self.emit(f"br label %{body}")
        with self._within(body):
            loop = Loop(self.name(), done, [self.name() for _ in carry])
            at = len(self.lines)
            yield loop
            *values, following = loop.next
            self.emit(f"br i1 {self.op(f'icmp sge i64 {following}, 0')}, label %{body}, label %{done}")
        latch = self.block
        phis = [f"  {loop.index} = phi i64 [ {first}, %{before} ], [ {following}, %{latch} ]"]
        for (type_, start), value, after in zip(carry, loop.values, values, strict=True):
            phis.append(f"  {value} = phi {type_} [ {start}, %{before} ], [ {after}, %{latch} ]")
        self.lines[at:at] = phis
        self.label(done)
        loop.results = values
