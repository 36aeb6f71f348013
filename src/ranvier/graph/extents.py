"""The extents of axes: whole numbers, and expressions over symbols such as ``batch*28`` or ``(height + 31)//32``.

A number is a plain ``int``. What is known only when a program runs is an `Extent`, in a normal form: a polynomial with
whole coefficients over atoms, which are symbols, floor divisions by numbers, and maxima with 0. There is one object for
each form, so shapes are compared and hashed without Python code: ``==`` asks whether two extents have the same form,
`equal` whether they are the same for all sizes. The order ``<`` is decided for all sizes, or raises UndecidedError.

Polynomials over atoms are those of JAX's symbolic dimensions (``jax.export``), with other bounds: see `lower_bound`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import product
from numbers import Integral
from types import FrameType
from typing import Any, NoReturn, cast

MAX_CASES = 256  # that `lower_bound` looks at: beyond them it knows nothing
FORMS = 1 << 14  # that each operation remembers


class ExtentError(ValueError, TypeError):
    """A number was wanted of an extent that is known only when the program runs.

    What failed so can be traced again with a number in its place: see `ranvier.module.batch_extent`.
    """


class UndecidedError(ExtentError):
    """A comparison of extents whose answer differs from size to size."""


class Atom:
    """What an `Extent` is a polynomial over: a symbol, the floor of ``of / by``, or, if ``by`` is 0, ``max(of, 0)``."""

    __slots__ = ("by", "least", "of", "text")

    def __init__(self, text: str, least: float, of: Extent | None = None, by: int = 0) -> None:
        self.text, self.least, self.of, self.by = text, least, of, by

    def __reduce__(self) -> tuple[Any, ...]:
        if self.of is None:
            return _symbol_atom, (self.text, self.least)
        return _atom, (self.of, self.by)


Factors = tuple[Atom, ...]
Terms = tuple[tuple[Factors, int], ...]


@lru_cache(FORMS)
def _added(a: Extent, b: Dim) -> Dim:
    terms = dict(a.terms)
    for factors, coefficient in _terms(b):
        terms[factors] = terms.get(factors, 0) + coefficient
    return _extent(terms.items())


@lru_cache(FORMS)
def _multiplied(a: Extent, b: Dim) -> Dim:
    terms: dict[Factors, int] = {}
    for (p, f), (q, g) in product(a.terms, _terms(b)):
        factors = tuple(sorted(p + q, key=lambda atom: atom.text)) if p and q else p or q
        terms[factors] = terms.get(factors, 0) + f * g
    return _extent(terms.items())


def quotient(extent: Dim, by: Dim) -> Dim:
    """``extent // by``. Only a number divides with a remainder: raises UndecidedError if another extent leaves one."""
    if isinstance(by, int):
        return _floor(extent, by) if isinstance(extent, Extent) else extent // by
    return _exact_quotient(extent, by)


def is_at_least(a: Dim, b: Dim) -> bool:
    """Whether ``a >= b``, for all sizes. Raises UndecidedError where that differs from size to size."""
    difference = a - b
    if lower_bound(difference) >= 0:
        return True
    if lower_bound(-1 - difference) >= 0:
        return False
    raise UndecidedError(f"{_asker()}whether {a} >= {b} differs from size to size")


def _operator(act: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """An operator of extents. The other operand is a number of any class, or an extent."""

    def method(self: Extent, other: Any) -> Any:
        if other.__class__ is int or other.__class__ is Extent:
            return act(self, other)
        return act(self, int(other)) if isinstance(other, Integral) else NotImplemented

    return method


class Extent:
    """An extent that is no number. ``terms`` has each product of atoms with its coefficient, in falling order."""

    __slots__ = ("terms", "text")

    terms: Terms
    text: str

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.text = _written(terms)

    def __reduce__(self) -> tuple[Any, ...]:
        return _extent, (self.terms,)

    def __repr__(self) -> str:
        return self.text

    @property
    def is_symbol(self) -> bool:
        """Whether it is a symbol alone, such as ``batch``."""
        return self.terms[0][1] == len(self.terms) == len(factors := self.terms[0][0]) == 1 and factors[0].of is None

    @property
    def name(self) -> str:
        """The name of a symbol. Raises ExtentError for other extents."""
        if not self.is_symbol:
            raise ExtentError(f"the extent {self.text} is computed from sizes, and a size alone is wanted here.")
        return self.text

    __add__ = __radd__ = _operator(_added)
    __mul__ = __rmul__ = _operator(_multiplied)
    __sub__ = _operator(lambda a, b: _added(a, -b))
    __rsub__ = _operator(lambda a, b: _added(-a, b))
    __floordiv__ = _operator(quotient)
    __rfloordiv__ = _operator(lambda a, b: quotient(b, a))
    __mod__ = _operator(lambda a, b: a - quotient(a, b) * b)
    __divmod__ = _operator(lambda a, b: (quotient(a, b), a % b))
    __ge__ = _operator(is_at_least)
    __gt__ = _operator(lambda a, b: is_at_least(a, b + 1))
    __le__ = _operator(lambda a, b: is_at_least(b, a))
    __lt__ = _operator(lambda a, b: is_at_least(b, a + 1))

    def __neg__(self) -> Any:
        return _multiplied(self, -1)

    def __bool__(self) -> bool:
        if lower_bound(self) > 0 or lower_bound(-self) > 0:
            return True
        if equal(self, 0):
            return False
        raise UndecidedError(f"{_asker()}whether {self} is 0 differs from size to size")

    def _number(self, *_: Any) -> NoReturn:
        raise ExtentError(
            f"the extent {self.text!r} is known only when the program runs, and a number is wanted here. Write "
            f"{self.text!r} alone as an extent, or -1, instead."
        )

    __int__ = __float__ = __index__ = __pow__ = __rpow__ = __truediv__ = __rtruediv__ = __rmod__ = __rdivmod__ = _number


Dim = int | Extent
Shape = tuple[Dim, ...]

_atoms: dict[Any, Atom] = {}  # symbols by their names, other atoms by what they are made of
_extents: dict[Terms, Extent] = {}


def symbol(name: str, least: int = 1) -> Extent:
    """The extent that a name stands for, from ``least`` on. Raises ValueError if the name has another least extent."""
    return cast("Extent", _extent((((_symbol_atom(name, least),), 1),)))


def _symbol_atom(name: str, least: float) -> Atom:
    found = _atoms.get(name) or _atoms.setdefault(name, Atom(name, least))
    if found.least != least:
        raise ValueError(f"the size {name!r} is at least {found.least} elsewhere, and {least} here: use another name")
    return found


def _atom(of: Extent, by: int) -> Atom:
    found = _atoms.get((of, by))
    if found is None:
        inner, least = of.text if of.is_symbol else f"({of.text})", lower_bound(of)
        text = f"{inner}//{by}" if by else f"max({of.text}, 0)"
        if not by:
            least = max(least, 0)
        elif least > -math.inf:
            least //= by
        found = _atoms.setdefault((of, by), Atom(text, least, of, by))
    return found


def _rank(factors: Factors) -> tuple[int, list[str]]:
    return len(factors), [atom.text for atom in factors]


def _extent(terms: Iterable[tuple[Factors, int]]) -> Dim:
    """The extent of these terms, of which no two have the same factors; a number if there is no atom in them."""
    form = tuple(sorted(((p, f) for p, f in terms if f), key=lambda term: _rank(term[0]), reverse=True))
    if not form or not form[0][0]:
        return form[0][1] if form else 0
    known = _extents.get(form)
    return _extents.setdefault(form, Extent(form)) if known is None else known  # another thread may have made it


def _written(terms: Terms) -> str:
    """The text, which is Python code. A maximum that stands alone takes the other terms in, as ``min(n, 3)``."""
    text = ""
    for factors, coefficient in sorted(terms, key=lambda term: term[1] < 0):  # negative terms last
        if len(factors) == abs(coefficient) == 1 and (of := factors[0].of) is not None and not factors[0].by:
            rest = _extent((p, f) for p, f in terms if p is not factors)
            sides = sorted(
                (rest + of * coefficient, rest), key=lambda side: isinstance(side, int)
            )  # a number comes last
            return f"{'max' if coefficient > 0 else 'min'}({sides[0]}, {sides[1]})"
        bare = len(factors) == abs(coefficient) == 1 and (text or coefficient > 0)
        parts = [f"({atom.text})" if atom.by and not bare else atom.text for atom in factors]
        if abs(coefficient) != 1 or not factors:
            parts.append(str(abs(coefficient)))
        text += (" + " if coefficient > 0 else " - ") + "*".join(parts)
    return text[3:] if text[1] == "+" else "-" + text[3:]


def _terms(extent: Dim) -> Terms:
    return extent.terms if isinstance(extent, Extent) else (((), extent),)


@lru_cache(FORMS)
def _floor(extent: Extent, by: int) -> Dim:
    if by == 0:
        raise ZeroDivisionError(f"the extent {extent} is divided by zero")
    if by < 0:
        return _floor(cast("Extent", -extent), -by)
    share = math.gcd(by, *(f for p, f in extent.terms if p))
    if share > 1:
        reduced = _extent((p, f // share) for p, f in extent.terms)
        return quotient(reduced, by // share)
    if by == 1:
        return extent
    # Equal floors have one form: the first coefficient is positive, what divides goes out, and what stays in is the
    # nearest to 0.
    (lead, first), *others = extent.terms
    if first < 0:
        return -quotient(by - 1 - extent, by)
    outside = _extent((p, -((by // 2 - f) // by) if p else f // by) for p, f in extent.terms)
    if not isinstance(outside, int) or outside != 0:
        return outside + quotient(extent - outside * by, by)
    atom = lead[0]
    if len(lead) == first == 1 and atom.by and atom.of is not None and all(not p for p, _ in others):
        constant = others[0][1] if others else 0  # (n//2 + 1)//2 is (n + 2)//4
        return quotient(atom.of + constant * atom.by, atom.by * by)
    return _extent([((_atom(extent, by),), 1)])


def _exact_quotient(extent: Dim, by: Extent) -> Dim:
    """The quotient where nothing is left over, as of ``batch*time*8`` by ``time``."""
    lead, first = by.terms[0]
    result: Dim = 0
    rest = extent
    while rest.__class__ is Extent or rest:
        factors, coefficient = _terms(rest)[0]
        left = list(factors)
        for atom in lead:
            if atom not in left:
                break
            left.remove(atom)
        if len(left) != len(factors) - len(lead) or coefficient % first:
            raise UndecidedError(f"{_asker()}whether {by} divides {extent} differs from size to size")
        step = _extent([(tuple(left), coefficient // first)])
        result, rest = result + step, rest - step * by
    return result


def maximum(a: Dim, b: Dim) -> Dim:
    """The larger of two extents: one of them where it is known which, else an expression of both."""
    if isinstance(a, int) and isinstance(b, int):
        return max(a, b)
    difference: Any = a - b
    if lower_bound(difference) >= 0:
        return a
    if lower_bound(-difference) >= 0:
        return b
    share = math.gcd(*(f for _, f in difference.terms))
    if difference.terms[0][1] < 0:
        share = -share
    reduced = cast("Extent", _extent((p, f // share) for p, f in difference.terms))
    return (b if share > 0 else a) + _extent([((_atom(reduced, 0),), 1)]) * abs(share)


def minimum(a: Dim, b: Dim) -> Dim:
    """The smaller of two extents."""
    return -maximum(-a, -b)


def atoms_of(extent: Dim) -> set[Atom]:
    """The atoms of an extent, with those inside of others."""
    found = {atom for factors, _ in _terms(extent) for atom in factors}
    return found.union(*(atoms_of(atom.of) for atom in found if atom.of is not None))


def at(extent: Dim, values: Mapping[str, Any]) -> Dim:
    """The extent for values of some of its symbols, by their names: numbers, or extents."""
    if not isinstance(extent, Extent):
        return extent
    return _with(extent, lambda atom: values.get(atom.text))


def shape_at(shape: Iterable[Dim], values: Mapping[str, Any]) -> tuple[Any, ...]:
    """`at` of each extent."""
    return tuple([d if d.__class__ is int else at(d, values) for d in shape])


def _with(extent: Dim, value_of: Callable[[Atom], Dim | None]) -> Dim:
    """The extent with other values of atoms; None keeps a symbol, and computes another atom from what it is made of."""

    def value(atom: Atom) -> Dim:
        found = value_of(atom)
        if found is not None:
            return found
        if atom.of is None:
            return _extent([((atom,), 1)])
        inner = _with(atom.of, value_of)
        return quotient(inner, atom.by) if atom.by else maximum(inner, 0)

    result: Dim = 0
    for factors, coefficient in _terms(extent):
        result = result + math.prod(map(value, factors)) * coefficient
    return result


@lru_cache(FORMS)
def lower_bound(extent: Dim, cases: int = MAX_CASES) -> float:
    """A number that the extent is never below, for any sizes; minus infinity if none is found.

    Each symbol is written as least + residue + period * t with t from 0 on, once for each residue: then no floor is
    left, and a polynomial without negative coefficients is least where each t is 0. A maximum is one of its two sides.
    """
    if not isinstance(extent, Extent):
        return extent
    inside = atoms_of(extent)
    maxima = sorted((a for a in inside if a.of is not None and not a.by), key=lambda a: (len(a.text), a.text))
    floors = [a.by for a in inside if a.by and a.of is not None and all(b.by or b.of is None for b in atoms_of(a.of))]
    symbols = sorted((a for a in inside if a.of is None), key=lambda a: a.text)
    period = math.lcm(*floors)
    count = period ** len(symbols)
    if count <= cases and (floors or (not maxima and any(a.least for a in symbols))):
        steps = {a: symbol(f"{a.text}'", 0) * period + int(a.least) for a in symbols}

        def bound(residues: Sequence[int]) -> float:
            values = {a: steps[a] + r for a, r in zip(symbols, residues, strict=True)}
            return lower_bound(_with(extent, values.get), cases // count)

        return min(map(bound, product(range(period), repeat=len(symbols))))
    if maxima and cases > 1:
        return _bound_of_maximum(extent, maxima[-1], cases // 2)
    negative = any(f < 0 for p, f in extent.terms if p) or any(a.least < 0 for p, _ in extent.terms for a in p)
    return -math.inf if negative else sum(f * math.prod(a.least for a in p) for p, f in extent.terms)


def _bound_of_maximum(extent: Extent, atom: Atom, cases: int) -> float:
    """`lower_bound` where ``atom`` is a maximum: it is at least either side, and it is one of them."""
    factor = _extent((tuple(a for a in p if a is not atom), f) for p, f in extent.terms if atom in p)
    squared = any(p.count(atom) > 1 for p, _ in extent.terms)
    nested = any(a.of is not None and atom in atoms_of(a.of) for p, _ in extent.terms for a in p)
    sides = [lower_bound(_with(extent, {atom: side}.get), cases) for side in (cast("Extent", atom.of), 0)]
    rises = not squared and not nested and lower_bound(factor, cases) >= 0
    return max(sides) if rises else min(sides)


def equal(a: Dim, b: Dim) -> bool:
    """Whether two extents are known to be equal for all sizes, also where their forms differ."""
    return a is b or lower_bound(a - b) == 0 == lower_bound(b - a)


def _asker() -> str:
    """The line outside of the library that asks for a comparison, to begin an error with; empty if there is none."""
    library = __name__.partition(".")[0]
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == library:
        frame = frame.f_back
    return "" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}: "


def size(shape: Iterable[Dim], batch: int) -> int:
    """The number of elements of a shape, at most ``batch`` along an axis that is known only when the program runs."""
    return math.prod(batch if isinstance(d, Extent) else d for d in shape)
