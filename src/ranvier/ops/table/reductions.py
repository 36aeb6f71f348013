"""Rows of operations over axes: sums, extremes, running sums, order statistics."""

from __future__ import annotations

from ranvier.ops.table.row import IN_PLACE, SAME, Row, each

R = "arrays.reductions"
N = "arrays.nan_reductions"
L = "arrays.linalg"

KERAS = "(x, axis=None, keepdims=False)"
TORCH = "(input, dim=None, keepdim=False, *, dtype=None, out=None)"
METHOD = "(input, dim=None, keepdim=False)"


def reduction(name: str, value: str, samples: str = "X") -> Row:
    """A row of a reduction that both vocabularies have; ``value`` is NumPy's function."""
    return Row(
        name, f"{R}:{name}", f"{name}{KERAS}", f"{name}{TORCH}", f"{name}{METHOD}",
        samples=f"{samples}, 1, True; {samples}", value=f"{value}({samples}, axis=1, keepdims=True); {value}({samples})",
    )  # fmt: skip


def position(name: str) -> tuple[Row, Row]:
    """The rows of a position: Keras's is int32, PyTorch's int64."""
    sample = {"samples": "X, 1, True; X", "value": f"np.{name}(X, axis=1, keepdims=True); np.{name}(X)"}
    return (
        Row(name, f"{R}:{name}", f"{name}{KERAS}", **sample),
        Row(f"torch.{name}", f"torch.reductions:{name}", torch=f"{name}{METHOD}", method=f"{name}{METHOD}", **sample),
    )


def of_known(name: str, both: bool = False) -> Row:
    """A row of a reduction of what is not nan."""
    torch = f"{name}{METHOD}" if both else ""
    return Row(
        name, f"{N}:{name}", f"{name}{KERAS}", torch, SAME if both else "",
        samples="NANS, 1, True", value=f"np.{name}(NANS, axis=1, keepdims=True)",
    )  # fmt: skip


ROWS = (
    Row("sum", f"{R}:sum", f"sum{KERAS}", samples="X, 1, True; X", value="np.sum(X, axis=1, keepdims=True); np.sum(X)"),
    Row("torch.sum", "torch.reductions:sum", torch="sum(input, dim=None, keepdim=False, *, dtype=None, out=None)",
        method="sum(input, dim=None, keepdim=False, *, dtype=None)", samples="X, 1, True; X", value="np.sum(X, axis=1, keepdims=True); np.sum(X)"),
    reduction("mean", "np.mean"),
    reduction("any", "np.any", "X > 0"),
    reduction("all", "np.all", "X > 0"),
    *position("argmax"), *position("argmin"),
    reduction("logsumexp", "logsumexp"),
    Row("max", "", "max -> keras.reducing:max", "max -> torch.reductions:max", SAME),
    Row("min", "", "min -> keras.reducing:min", "min -> torch.reductions:min", SAME),
    Row("amax", f"{R}:max", f"amax{KERAS}", f"amax{TORCH}", f"amax{METHOD}", samples="X, 1", value="X.max(1)"),
    Row("amin", f"{R}:min", f"amin{KERAS}", f"amin{TORCH}", f"amin{METHOD}", samples="X, 1", value="X.min(1)"),
    Row("ptp", f"{R}:ptp", f"ptp{KERAS}", samples="X, 1", value="np.ptp(X, 1)"),
    Row("var", f"{R}:var", f"var{KERAS}", "var -> torch.reductions:var", SAME),
    Row("std", f"{R}:std", f"std{KERAS}", "std -> torch.reductions:std", SAME),
    Row("count_nonzero", f"{R}:count_nonzero", "count_nonzero(x, axis=None)", samples="X.round(), 1", value="np.count_nonzero(X.round(), 1)"),
    Row("torch.count_nonzero", "torch.reductions:count_nonzero", torch="count_nonzero(input, dim=None)", method=SAME,
        samples="X.round(), 1", value="np.count_nonzero(X.round(), 1)"),
    Row("allclose", "keras.elementwise:allclose", "allclose(x1, x2, rtol=1e-5, atol=1e-8, equal_nan=False)", "allclose -> torch.elementwise:allclose", SAME),
    Row("norm", "", "norm linalg.norm -> keras.elementwise:norm", "norm -> torch.reductions:norm", SAME),
    Row("nansum", f"{N}:nansum", "nansum -> keras.reducing:nansum", f"nansum{METHOD}", SAME),
    of_known("nanmean", True), of_known("nanmax"), of_known("nanmin"), of_known("nanvar"),
    of_known("nanstd"), of_known("nanargmax"), of_known("nanargmin"),
    *each("keras", "keras.elementwise", "moments nn.moments"),
    *each("keras", "keras.reducing", "prod nanprod cumsum cumprod nancumsum nancumprod average median quantile percentile"),
    *each("keras", "keras.evaluated", "argpartition nanmedian nanpercentile nanquantile unique"),
    Row("cumsum", "torch.reductions:cumsum", torch="cumsum(input, dim, *, dtype=None)", method=SAME, in_place=IN_PLACE, samples="X, 1", value="np.cumsum(X, 1)"),
    Row("logcumsumexp", f"{L}:logcumsumexp", torch="logcumsumexp(input, dim)", method=SAME, samples="X, 1", value="np.logaddexp.accumulate(X, 1)"),
    Row("cumprod", "torch.reductions:cumprod", torch="cumprod(input, dim, *, dtype=None)", method=SAME, in_place=IN_PLACE, samples="X, 1", value="np.cumprod(X, 1)"),
    *each("torch", "torch.reductions", "prod median quantile aminmax dist", SAME),
    *each("torch", "torch.reductions", "var_mean std_mean"),
    *each("torch", "torch.calculus", "nanmedian nanquantile", SAME),
    *each("torch", "torch.calculus", "cumulative_trapezoid gradient"),
    Row("trapezoid", f"{L}:trapezoid", "trapezoid(y, x=None, dx=1.0, axis=-1)", "trapezoid trapz(y, x=None, *, dx=1, dim=-1)",
        samples="X", value="np.trapezoid(X)"),
    Row("diff", f"{L}:diff", "diff(a, n=1, axis=-1)", "diff(input, n=1, dim=-1, prepend=None, append=None)", SAME,
        samples="X; X, 2, 0", value="np.diff(X); np.diff(X, 2, 0)"),
)  # fmt: skip
