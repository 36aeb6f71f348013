"""Coefficients of the elementary functions, lowest power first, and the constants of their range reductions.

Each polynomial is a weighted near-minimax fit, computed in 50 digits on Chebyshev nodes with Lawson's reweighting;
the coefficients were rounded to the format one by one, from the lowest, each time fitting the remaining ones anew.
The error stated is that of the function named, relative to its value, on the reduced range.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Format:
    """The constants of a floating-point format that the functions need, and their polynomials in it."""

    mantissa: int
    """Bits of the significand that are stored."""
    bias: int
    exp_low: float
    """exp of a smaller number is computed at this one, where the factor 2**n is zero: underflow would be slower."""
    exp_high: float
    """exp is infinite above this."""
    tanh_high: float
    """tanh is one above this."""
    erf_high: float
    """erf is one above this."""
    ln2: tuple[float, float]
    """log 2; the first part has so few bits that its product with any exponent is exact."""
    exp: tuple[float, ...]
    """(exp(r) - 1 - r) / r**2 for |r| <= log(2) / 2."""
    sin: tuple[float, ...]
    """(sin(r) / r - 1) / r**2 in powers of r**2, for |r| <= pi / 4."""
    cos: tuple[float, ...]
    """(cos(r) - 1 + r**2 / 2) / r**4 in powers of r**2."""
    erf: tuple[float, ...]
    """erf(x) / x - 1 in powers of x**2, for |x| <= 1."""

    @property
    def magic(self) -> float:
        """Adding this rounds a small number to an integer, held in the low bits of the sum."""
        return 1.5 * 2.0**self.mantissa

    @property
    def smallest_normal(self) -> float:
        return 2.0 ** (1 - self.bias)


F32 = Format(
    mantissa=23,
    bias=127,
    exp_low=-176.0,
    exp_high=89.0,
    tanh_high=10.0,
    erf_high=4.0,
    ln2=(0.693145751953125, 1.428606765330187e-06),
    exp=(0.5, 0.16666516661643982, 0.041666433215141296, 0.008369138464331627, 0.0013937870971858501),  # 2**-28
    sin=(-0.16666655242443085, 0.008332191035151482, -0.00019518600311130285),  # 2**-28
    cos=(0.04166664555668831, -0.0013887312961742282, 2.4432958525721915e-05),  # 2**-33
    erf=(  # 2**-29
        0.12837916612625122, -0.3761262595653534, 0.1128358244895935, -0.026853641495108604,
        0.005187953822314739, -0.000800665991846472, 7.841645856387913e-05,
    ),
)  # fmt: skip

F64 = Format(
    mantissa=52,
    bias=1023,
    exp_low=-1418.0,
    exp_high=710.0,
    tanh_high=22.0,
    erf_high=6.0,
    ln2=(0.6931471805598903, 5.497923018708371e-14),
    exp=(  # 2**-58
        0.5000000000000013, 0.16666666666666693, 0.04166666666651054, 0.008333333333310385,
        0.0013888888948324365, 0.00019841269911072777, 2.480148854919461e-05, 2.7557221557552986e-06,
        2.7631791781464954e-07, 2.5116291159787036e-08,
    ),
    sin=(  # 2**-58
        -0.16666666666666632, 0.008333333333322477, -0.00019841269829841141, 2.7557313699361348e-06,
        -2.5050758806738504e-08, 1.5896814339003416e-10,
    ),
    cos=(  # 2**-64
        0.0416666666666666, -0.0013888888888874474, 2.480158728966929e-05, -2.755731439949601e-07,
        2.087572894220588e-09, -1.135990990111971e-11,
    ),
    erf=(  # 2**-56
        0.1283791670955126, -0.37612638903183876, 0.11283791670958744, -0.026866170645619882,
        0.005223977629098899, -0.0008548327189760097, 0.00012055337781675539, -1.4925738548323694e-05,
        1.6463086959455127e-06, -1.6370627604360046e-07, 1.478641360942831e-08, -1.1829826881423254e-09,
        6.68313397180705e-11,
    ),
)  # fmt: skip

FORMATS = {"f32": F32, "f64": F64}

LOG2_E = {"f32": 1.4426950216293335, "f64": 1.4426950408889634}
SQRT_HALF_BITS = {"f32": 0x3F3504F3, "f64": 0x3FE6A09E667F3BCD}

# (log(1 + f) - f + f**2 / 2) / f**3 for 1 + f between the roots of 1/2 and 2, float32: 2**-27
LOG_SERIES = (
    0.3333333134651184, -0.25000840425491333, 0.20001278817653656, -0.16622677445411682,
    0.14199969172477722, -0.1316525936126709, 0.12777604162693024, -0.0764145702123642,
)  # fmt: skip

# 2 atanh(s) = 2 s + s**3 P(s**2) for |s| <= 0.172, which is log((1 + s) / (1 - s)): 2**-59; and to 2**-45, for float32
LOG_ATANH = (
    0.666666666666674, 0.39999999999376995, 0.28571428751485234, 0.22222197571136465,
    0.1818361973697603, 0.1531255254835287, 0.1481169912187612,
)  # fmt: skip
LOG_ATANH_SHORT = (
    0.6666666667628685, 0.3999999543766746, 0.28572130505326965, 0.22175226759099567, 0.19598927463176727,
)  # fmt: skip

# 2 atanh(s) = 2 s + 2/3 s**3 + s**5 P(s**2): 2**-66
LOG_ATANH_TAIL = (
    0.4000000000000243, 0.28571428570013696, 0.22222222535828806, 0.18181782928841608,
    0.15386825552502212, 0.13255187103561963, 0.13211822063368966,
)  # fmt: skip

# (exp(r) - 1 - r) / r**2 in float64, as exactly as a float32 result needs: 2**-34
EXP_SHORT = (
    0.5000000080479585, 0.16666666824248322, 0.04166626252570489, 0.008333272271892763,
    0.0013946557431060518, 0.0001991426718736806,
)  # fmt: skip

TWO_THIRDS = (0.6666666666666666, 3.700743415417188e-17)
"""The float64 nearest to 2/3, and the rest of 2/3."""

# log(erfc(x)) for 1 <= x <= 4, to 2**-29 of erf
ERFC_LOG = (
    -0.0003319659736007452, -1.1271255016326904, -0.6380884647369385, -0.10315250605344772,
    0.021858541294932365, -0.002952451119199395, 0.0001868376712081954,
)  # fmt: skip

# erfc(x) exp(x**2) in powers of 1 / (x + 2) for 1 <= x <= 6, to 2**-62 of erf
ERFC_SCALED = (
    -7.44820387694982e-06, 0.5645901591503625, 1.1184421711087127, 2.1251066773584206, 1.2721178507447866,
    14.102309311284516, -62.094875049722745, 239.30981704785873, -728.201345357665, 1441.8120855074087,
    -1813.1140336018248, 1410.8113834367157, -617.7766233307992, 114.28886487510425,
)  # fmt: skip

# pi / 2 in parts of 33 bits, so that the product with an integer below 2**20 is exact, and the rest
HALF_PI = (1.5707963267341256, 6.077100506303966e-11, 2.0222662487111665e-21, 8.4784276603689e-32)
