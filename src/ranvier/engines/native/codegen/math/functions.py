"""The elementary functions, each as the operations that compute it.

Every function takes a `Code` and its operands, in float32 or float64, and is exact about what it may leave to rounding:
no operation here may be reordered or fused by the compiler. See `ranvier.engines.native.codegen.math` for what is
promised.
"""

from __future__ import annotations

import math

from ranvier.engines.native.codegen.math import coefficients
from ranvier.engines.native.codegen.math.coefficients import FORMATS
from ranvier.engines.native.codegen.math.ssa import Code, Value

INF, NAN = math.inf, math.nan


# --- exp and functions of it --------------------------------------------------------------------------------------


def exp_reduce(c: Code, x: Value, offset: int) -> tuple[Value, Value]:
    """Reduce x to n log 2 + r with |r| <= log(2) / 2: an integer with n + offset in its low bits, and r."""
    format = FORMATS[x.kind]
    shifted = c.fma(x, coefficients.LOG2_E[x.kind], format.magic + offset)
    n = shifted - (format.magic + offset)
    high, low = format.ln2
    return shifted.bits(), c.fma(n, -low, c.fma(n, -high, x))


def expm1_reduced(c: Code, r: Value) -> Value:
    return c.fma(r * r, c.horner(r, FORMATS[r.kind].exp), r)


def exp_clamped(c: Code, x: Value, correction: Value | None = None) -> Value:
    """exp(x + correction) for x within the format's limits; the lower one gives 0 and the upper one infinity."""
    format = FORMATS[x.kind]
    # 2**n is applied in two halves, each a normal number: the second product alone rounds, or overflows.
    i, r = exp_reduce(c, x, 2 * format.bias)
    r = r if correction is None else r + correction
    half = i >> 1
    p = c.horner(r, (1.0, 1.0, *format.exp))
    return p * (half << format.mantissa).bits() * ((i - half) << format.mantissa).bits()


def exp(c: Code, x: Value) -> Value:
    format = FORMATS[x.kind]
    return exp_clamped(c, x.at_least(format.exp_low).at_most(format.exp_high))


def expm1(c: Code, x: Value) -> Value:
    """2**n (p + 1) - 1 as 2 (2**(n-1) p + (2**(n-1) - 1/2)), whose inner difference is exact where it matters."""
    format = FORMATS[x.kind]
    i, r = exp_reduce(c, x.at_least(-50.0).at_most(format.exp_high), format.bias - 1)
    half = (i << format.mantissa).bits()
    result = c.fma(expm1_reduced(c, r), half, half - 0.5)
    return (result + result).with_sign_of(x)


def tanh(c: Code, x: Value) -> Value:
    """Compute h / (h + 1) with h = (exp(2 |x|) - 1) / 2."""
    format = FORMATS[x.kind]
    y = x.magnitude().at_most(format.tanh_high)
    i, r = exp_reduce(c, y + y, format.bias - 1)
    scale = (i << format.mantissa).bits()
    h = c.fma(expm1_reduced(c, r), scale, scale - 0.5)
    quotient = h / (h + 1.0)
    # h - h**2 / (h + 1) is the more exact one where h is small.
    return c.fma(-h, quotient, h).where(h < 0.5, quotient).with_sign_of(x)


def sigmoid(c: Code, x: Value) -> Value:
    e = exp_clamped(c, (-x.magnitude()).at_least(FORMATS[x.kind].exp_low))
    negative = x < 0.0
    quotient = e.where(negative, 1.0) / (e + 1.0)
    # e - e**2 / (e + 1): the rounding of e + 1 counts for less.
    return c.fma(-e, quotient, e).where(negative, quotient)


# --- log ----------------------------------------------------------------------------------------------------------


def exponent(x: Value) -> Value:
    """The integer e for which x / 2**e is between the roots of 1/2 and 2; x is positive and normal."""
    return (x.bits() - coefficients.SQRT_HALF_BITS[x.kind]).shift_signed(FORMATS[x.kind].mantissa)


def to_float(integer: Value) -> Value:
    """A small integer as the float of its own width."""
    if integer.kind == "i32":
        return integer.convert("sitofp", "f32")
    return integer.convert("trunc", "i32").convert("sitofp", "f64")  # few processors convert 64-bit integers


def log_split(c: Code, x: Value) -> tuple[Value, Value]:
    """(f, e) for which x = 2**e (1 + f), with 1 + f between the roots of 1/2 and 2."""
    format = FORMATS[x.kind]
    small = x < format.smallest_normal
    x = small.choose(x * 2.0 ** (format.mantissa + 2), x)
    e = exponent(x)
    f = (x.bits() - (e << format.mantissa)).bits() - 1.0
    return f, to_float(e) + c.constant(-(format.mantissa + 2), x.kind).where(small, 0.0)


def log_sum(c: Code, f: Value, e: Value) -> Value:
    """log(1 + f) + e log 2, the small parts first."""
    high, low = FORMATS[f.kind].ln2
    square = f * f
    if f.kind == "f32":
        rest = c.fma(f * square, c.horner(f, coefficients.LOG_SERIES), e * low)
        rest = c.fma(square, -0.5, rest)
    else:  # log(1 + f) = 2 atanh(s) = f - f**2 / 2 + s (f**2 / 2 + R)
        s = f / (f + 2.0)
        half = square * 0.5
        z = s * s
        rest = c.fma(s, c.fma(z, c.horner(z, coefficients.LOG_ATANH), half), e * low) - half
    return c.fma(e, high, f + rest)


def log_limits(c: Code, x: Value, pole: float, result: Value) -> Value:
    """The result where x is above the pole and finite; otherwise -inf at the pole, NaN below, and x itself."""
    result = (x < INF).choose(result, x)
    outside = c.constant(-INF, x.kind).where(x.equals(pole), NAN)
    return x.compare("ole", pole).choose(outside, result)


def log(c: Code, x: Value) -> Value:
    return log_limits(c, x, 0.0, log_sum(c, *log_split(c, x)))


def log1p(c: Code, x: Value) -> Value:
    """1 + f = (1 + x) / 2**e as x 2**-e + (2**-e - 1), so that nothing of a small x is lost."""
    format = FORMATS[x.kind]
    e = exponent(x + 1.0)
    # 2**-e may be subnormal; its quadruple is not.
    scale = ((format.bias + 2 - e) << format.mantissa).bits() * 0.25
    f = c.fma(x, scale, scale - 1.0)
    return log_limits(c, x, -1.0, log_sum(c, f, to_float(e))).with_sign_of(x)


# --- erf, sin, cos ------------------------------------------------------------------------------------------------


def erf(c: Code, x: Value) -> Value:
    format = FORMATS[x.kind]
    y = x.magnitude().at_most(format.erf_high)
    square = y * y
    small = y + y * c.horner(square, format.erf)
    if x.kind == "f32":
        complement = exp_clamped(c, c.horner(y, coefficients.ERFC_LOG))
    else:
        complement = exp_clamped(c, -square) * c.horner(1.0 / (y + 2.0), coefficients.ERFC_SCALED)
    return (y < 1.0).choose(small, 1.0 - complement).with_sign_of(x)


def quarter_turns(c: Code, x: Value) -> tuple[Value, Value, Value]:
    """Reduce x to n pi/2 + r + tail, in float64: an integer with n in its low bits, r and the tail."""
    # Without fused multiply-add, which would be slow to emulate in float64: n is below 2**20, the products exact.
    magic = FORMATS["f64"].magic
    shifted = x * (2 / math.pi) + magic
    n = shifted - magic
    first, second, third, rest = coefficients.HALF_PI
    r, error1 = two_sum(x - n * first, -(n * second))
    r, error2 = two_sum(r, -(n * third))
    error = error1 + error2 - n * rest
    total = r + error
    tail = (r - total) + error
    # The limits change nothing where n is exact and keep the result within [-1, 1] where it is not.
    return shifted.bits(), total.at_least(-0.8).at_most(0.8), tail.at_least(-1e-9).at_most(1e-9)


def sin_of_quarter(c: Code, x: Value, quarters: int) -> Value:
    """sin(x + quarters pi/2)."""
    single = x.kind == "f32"
    format = FORMATS[x.kind]
    i, r, tail = quarter_turns(c, x.convert("fpext", "f64") if single else x)
    if single:
        i, r, tail = i.convert("trunc", "i32"), r.convert("fptrunc", "f32"), tail.convert("fptrunc", "f32")
    i = i + quarters if quarters else i
    z = r * r
    half = z * 0.5
    whole = 1.0 - half
    sine = r + c.fma(r * z, c.horner(z, format.sin), tail * whole)
    lost = (1.0 - whole) - half
    cosine = whole + (lost + c.fma(z * z, c.horner(z, format.cos), -(r * tail)))
    result = (i & 1).equals(0).choose(sine.with_sign_of(r), cosine)
    return (result.bits() ^ ((i & 2) << (30 if single else 62))).bits()


def sin(c: Code, x: Value) -> Value:
    return x.where(x.equals(0.0), sin_of_quarter(c, x, 0))  # the sign of zero


def cos(c: Code, x: Value) -> Value:
    return sin_of_quarter(c, x, 1)


# --- power --------------------------------------------------------------------------------------------------------


def two_sum(a: Value, b: Value) -> tuple[Value, Value]:
    """The rounded sum and its error, exactly (Knuth)."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def fast_two_sum(a: Value, b: Value) -> tuple[Value, Value]:
    """The same where a is not the smaller in magnitude, or is 0 (Dekker)."""
    s = a + b
    return s, b - (s - a)


def log_double(c: Code, x: Value) -> tuple[Value, Value]:
    """Compute log x as an unevaluated sum of two float64, to about 2**-64."""
    f, e = log_split(c, x)
    d = f + 2.0
    s = f / d
    s_low = (c.fma(-s, d, f) - s * (f - (d - 2.0))) / d
    z = s * s
    z_low = c.fma(s, s, -z) + (s + s) * s_low
    # log(1 + f) = 2 s + s u with u = 2/3 z + z**2 T(z)
    c_high, c_low = coefficients.TWO_THIRDS
    product = z * c_high
    product_low = c.fma(z, c_high, -product) + (z * c_low + z_low * c_high)
    u, u_low = fast_two_sum(product, z * z * c.horner(z, coefficients.LOG_ATANH_TAIL))
    u_low = u_low + product_low
    v = s * u
    v_low = c.fma(s, u, -v) + (s * u_low + s_low * u)
    high, low = fast_two_sum(s + s, v)
    low = low + (v_low + (s_low + s_low))
    ln2, ln2_low = FORMATS["f64"].ln2
    high, lost = fast_two_sum(e * ln2, high)
    return fast_two_sum(high, lost + (low + e * ln2_low))


def log_short(c: Code, x: Value) -> Value:
    """Compute log x in float64 to about 2**-44, for a float32 power, without fused operations (slow to emulate)."""
    f, e = log_split(c, x)
    s = f / (f + 2.0)
    z = s * s
    return e * math.log(2) + (s + s + s * z * c.horner(z, coefficients.LOG_ATANH_SHORT, fused=False))


def exp_short(c: Code, x: Value) -> Value:
    format = FORMATS["f64"]
    shift = format.magic + format.bias
    shifted = x * coefficients.LOG2_E["f64"] + shift
    n = shifted - shift
    r = x - n * math.log(2)
    p = 1.0 + (r + r * r * c.horner(r, coefficients.EXP_SHORT, fused=False))
    return p * (shifted.bits() << format.mantissa).bits()


def power(c: Code, x: Value, y: Value) -> Value:
    """exp(y log(abs(x))) with the special cases of IEEE 754's pow."""
    single = x.kind == "f32"
    wide_y = y.convert("fpext", "f64") if single else y
    size = (x.convert("fpext", "f64") if single else x).magnitude()
    logarithm, tail = (log_short(c, size), None) if single else log_double(c, size)
    logarithm = (size < INF).choose(logarithm, size)
    logarithm = size.equals(0.0).choose(c.constant(-INF, "f64"), logarithm)
    w = wide_y * logarithm
    w = w.where(logarithm.compare("une", 0.0) | wide_y.magnitude().compare("une", INF), 0.0)
    if tail is None:
        result = exp_short(c, w.at_least(-120.0).at_most(90.0)).convert("fptrunc", "f32")
    else:
        low = c.fma(wide_y, logarithm, -w) + wide_y * tail
        low = low.where(low.magnitude() < 1.0, 0.0)  # where w is exact or infinite
        format = FORMATS["f64"]
        result = exp_clamped(c, w.at_least(format.exp_low).at_most(format.exp_high), low)
    half = y * 0.5
    fraction = y.compare("une", y.call("rint"))
    odd = y.equals(y.call("rint")) & half.differs(half.call("rint"))
    negative = x.bits() < 0
    sign = 1 << (31 if single else 63)
    result = (result.bits() ^ c.constant(sign, result.bits().kind).where(negative & odd, 0)).bits()
    result = c.constant(NAN, x.kind).where((x < 0.0) & (x > -INF) & fraction, result)
    return c.constant(1.0, x.kind).where(y.equals(0.0) | x.equals(1.0), result)
