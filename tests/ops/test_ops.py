"""Keras's names of array operations: against NumPy here, against Keras itself in peers."""

import collections
import json
import math
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier.module import from_architecture

RNG = np.random.default_rng(0)
A = RNG.normal(size=(4, 3)).astype(np.float32)
B = RNG.normal(size=(4, 3)).astype(np.float32)
C = RNG.normal(size=(2, 3, 4)).astype(np.float32)
POSITIVE = abs(A) + np.float32(0.1)
SHARES = POSITIVE / POSITIVE.sum(1, keepdims=True)
NANS = np.where(abs(A) < np.float32(0.5), np.float32(np.nan), A)
ODD = np.array([np.nan, 0, -0.0, np.inf, -np.inf, 2, -2, 0.0], np.float32)
HUGE = np.array([1e30, -1e-30, 0, np.inf], np.float32)
TENS = np.array([14, 15, 25, -15, 149, 2147], np.int32)
LABELS = np.array([0, 2, 1, 2], np.int32)
YES = (B > 0).astype(np.float32)
PICTURES = RNG.normal(size=(2, 4, 4, 3)).astype(np.float32)
KERNEL = RNG.normal(size=(2, 2, 3, 2)).astype(np.float32)
AT = np.array([[0, 1], [3, 2], [0, 1]], np.int32)
SQUARES = RNG.normal(size=(2, 4, 4, 4)).astype(np.float32)
SQUARES += 2 * np.eye(4, dtype=np.float32)
BLOCKS = PICTURES.reshape(2, 1, 2, 2, 4, 3).transpose(0, 1, 4, 2, 5, 3).reshape(2, 1, 8, 6)
ODDITIES: dict[str, list[Any]] = {
    **{name: [ODD, ODD[::-1].copy()] for name in ("arctan2", "fmax", "fmin")},
    "arctan": [ODD],
    "heaviside": [ODD, np.float32(0.5)],
    "hypot": [HUGE, HUGE],
}
MIX = RNG.normal(size=(1, 1, 6, 4)).astype(np.float32)
SQUARE = (RNG.normal(size=(3, 3)) + 3 * np.eye(3)).astype(np.float32)


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def written(x, combine, first):
    """What the numbers of a row make of x, combined with what is there at places."""
    result = x.copy()
    for place, number in zip(AT[first:], A[0, first:], strict=True):
        result[tuple(place)] = combine(result[tuple(place)], number)
    return result


def attended(bias, mask=True, scale=3**-0.5):
    logits = np.einsum("btnh,bsnh->bnts", PICTURES, PICTURES) * scale + bias
    return np.einsum("bnts,bsnh->btnh", softmax(np.where(mask, logits, -1e30)), PICTURES)


def named(name: str, *args: Any, **kwargs: Any) -> Any:
    return lambda ops: getattr(ops, name)(*args, **kwargs)


ROWS: dict[str, Any] = {  # what is written with ops, and what NumPy makes
    "allclose": (named("allclose", x1=A, x2=B), np.allclose(A, B)),
    **{name: (named(name, x), getattr(np, name)(x)) for name, x in {
        "arctan": A * 4, "arcsin": SHARES, "arccos": -SHARES, "fabs": A, "sinc": A, "signbit": ODD, "isposinf": ODD, "isneginf": ODD}.items()},
    **{f"{name} of what is odd": (named(name, *x), getattr(np, name)(*x)) for name, x in ODDITIES.items()},
    "arcsin of the ends": (lambda o: o.arcsin(np.array([-1, 1, 0, 2], np.float32)), [-math.pi / 2, math.pi / 2, 0, np.nan]),
    "arccos of the ends": (lambda o: o.arccos(np.array([-1, 1, 0, 2], np.float32)), [math.pi, 0, math.pi / 2, np.nan]),
    "allclose, near": (lambda o: o.allclose(A, A + np.float32(1e-3), atol=0.01), True),
    "glu": (lambda o: o.glu(C, axis=-1), C[..., :2] / (1 + np.exp(-C[..., 2:]))),
    "saturate_cast": (lambda o: o.saturate_cast(A * 200, "uint8"), (A * 200).clip(0, 255).astype(np.uint8)),
    "saturate_cast of whole numbers": (lambda o: o.saturate_cast(np.array([-5, 300, 7], np.int32), "uint8"), [0, 255, 7]),
    "layer_normalization": (
        lambda o: o.layer_normalization(A, gamma=B[0], beta=B[1], epsilon=0.01),
        (A - A.mean(1, keepdims=True)) / np.sqrt(A.var(1, keepdims=True) + 0.01) * B[0] + B[1]),
    "layer_normalization of axes": (
        lambda o: o.layer_normalization(C, gamma=C[:, 0, 0], axis=0, epsilon=0.1),
        (C - C.mean(0)) / np.sqrt(C.var(0) + 0.1) * C[:, :1, :1]),
    "rms_normalization": (lambda o: o.rms_normalization(A, scale=B[0]), A / np.sqrt((A * A).mean(1, keepdims=True)) * B[0]),
    **{name: (named(name, x=A, axis=1, keepdims=True), getattr(np, name)(A, axis=1, keepdims=True))
       for name in ("sum", "mean", "max", "min", "amax", "amin", "ptp", "any", "all", "std", "var", "argmax", "argmin")},
    "sum of all": (lambda o: o.sum(A), A.sum()),
    "sum over axes": (lambda o: o.sum(C, axis=[0, 2]), C.sum((0, 2))),
    "power": (lambda o: o.power(POSITIVE, 1.5), POSITIVE**1.5),
    "dot": (lambda o: o.dot(A, C[0]), A @ C[0]),
    "dot of more axes": (lambda o: o.dot(C, C.transpose(1, 2, 0)), np.dot(C, C.transpose(1, 2, 0))),
    "dot with a vector": (lambda o: o.dot(C, A[:, 0]), np.dot(C, A[:, 0])),
    "einsum of three": (lambda o: o.einsum("ij,kj,k->i", A, B, A[:, 0]), A @ B.T @ A[:, 0]),
    "einsum of any axes": (lambda o: o.einsum("...ij,...kj->...ik", C, A[None, :, :1] * C[:1, :1]), np.einsum("aij,kj->aik", C, A[:, :1] * C[0, :1])),
    "einsum": (lambda o: o.einsum("ij,kj->ik", A, B), A @ B.T),
    "divide_no_nan": (lambda o: o.divide_no_nan(A, np.array([0, 1, 2], np.float32)), A / [1, 1, 2] * [0, 1, 1]),
    "norm": (lambda o: o.norm(A, axis=1), np.linalg.norm(A, axis=1)),
    **{f"norm of a matrix, {k}": (lambda o, k=k: o.norm(A, ord=k), np.linalg.norm(A, k)) for k in (1, 2, -1, -2, "fro", "nuc", np.inf)},
    "norm of matrices": (lambda o: o.linalg.norm(C, ord=2, axis=(0, -1), keepdims=True), np.linalg.norm(C, 2, (0, -1), True)),
    "moments": (lambda o: o.stack(o.moments(A, axes=[0])), np.stack([A.mean(0), A.var(0)])),
    "clip": (lambda o: o.clip(A, x_min=-0.5, x_max=0.5), A.clip(-0.5, 0.5)),
    "where": (lambda o: o.where(A > 0, A, 0.0), np.where(A > 0, A, 0)),
    "normalize": (lambda o: o.normalize(A), A / np.linalg.norm(A, axis=1, keepdims=True)),
    "binary_crossentropy": (
        lambda o: o.binary_crossentropy(YES, SHARES), -(YES * np.log(SHARES) + (1 - YES) * np.log(1 - SHARES))),
    "categorical_crossentropy": (
        lambda o: o.categorical_crossentropy(SHARES, A, from_logits=True), -(SHARES * np.log(softmax(A))).sum(1)),
    "categorical_crossentropy, axis": (
        lambda o: o.categorical_crossentropy(SHARES.T, A.T, from_logits=True, axis=0), -(SHARES * np.log(softmax(A))).sum(1)),
    "sparse_categorical_crossentropy": (
        lambda o: o.sparse_categorical_crossentropy(LABELS, SHARES), -np.log(SHARES[np.arange(4), LABELS])),
    "reshape": (lambda o: o.reshape(C, newshape=(-1, 6)), C.reshape(-1, 6)),
    "transpose": (lambda o: o.transpose(C, axes=[2, 0, 1]), C.transpose(2, 0, 1)),
    "moveaxis of several": (lambda o: o.moveaxis(C, [0, 1], [-1, 0]), np.moveaxis(C, [0, 1], [-1, 0])),
    "moveaxis": (lambda o: o.moveaxis(C, 0, -1), np.moveaxis(C, 0, -1)),
    "swapaxes": (lambda o: o.swapaxes(C, axis1=0, axis2=1), C.swapaxes(0, 1)),
    "expand_dims": (lambda o: o.expand_dims(A, axis=1), A[:, None]),
    "expand_dims, several": (lambda o: o.expand_dims(A, axis=[0, -1]), A[None, :, :, None]),
    "squeeze": (lambda o: o.squeeze(A[:, :1], axis=1), A[:, 0]),
    "concatenate": (lambda o: o.concatenate([A, B], axis=1), np.concatenate([A, B], 1)),
    "stack": (lambda o: o.stack([A, B], axis=1), np.stack([A, B], 1)),
    "split": (lambda o: o.split(C, 2, axis=2)[1], C[..., 2:]),
    "split at": (lambda o: o.split(C, [1, 3], axis=2)[1], C[..., 1:3]),
    "unstack": (lambda o: o.unstack(A, axis=1)[2], A[:, 2]),
    "flip": (lambda o: o.flip(A, axis=0), A[::-1]),
    "broadcast_to": (lambda o: o.broadcast_to(A, (2, 4, 3)), np.broadcast_to(A, (2, 4, 3))),
    "tile": (lambda o: o.tile(A, (2, 2)), np.tile(A, (2, 2))),
    "repeat, none": (lambda o: o.repeat(A, 0, axis=1), A[:, :0]),
    "repeat, each": (lambda o: o.repeat(A, np.array([1, 0, 2]), axis=1), A[:, [0, 2, 2]]),
    "repeat": (lambda o: o.repeat(A, 2, axis=1), A.repeat(2, 1)),
    "pad": (lambda o: o.pad(A, [[0, 1], [2, 0]], constant_values=3.0), np.pad(A, [[0, 1], [2, 0]], constant_values=3)),
    "take": (lambda o: o.take(A, LABELS, axis=1), A[:, LABELS]),
    "one_hot": (lambda o: o.one_hot(LABELS, num_classes=3), np.eye(3)[LABELS]),
    "cast": (lambda o: o.cast(A * 3, dtype="int32"), (A * 3).astype(np.int32)),
    **{name: (named(name, A), getattr(np, name)(A)) for name in (
        "sinh", "cosh", "arcsinh", "trunc", "tril", "triu", "diag", "diagonal", "trace", "cumsum", "cumprod", "prod",
        "median", "average", "diff")},
    "arctanh": (lambda o: o.arctanh(SHARES), np.arctanh(SHARES)),
    "arccosh": (lambda o: o.arccosh(POSITIVE + 1), np.arccosh(POSITIVE + 1)),
    "prod along axes": (lambda o: o.prod(C, axis=(0, 2), keepdims=True), C.prod((0, 2), keepdims=True)),
    "cumsum along an axis": (lambda o: o.cumsum(C, axis=-1), C.cumsum(-1)),
    "cumprod along an axis": (lambda o: o.cumprod(C, axis=1), C.cumprod(1)),
    "round": (lambda o: o.round(A * 10, decimals=0), (A * 10).round()),
    "round to decimals": (lambda o: o.round(A, decimals=2), A.round(2)),
    "round to tens": (lambda o: o.round(TENS, decimals=-1), TENS.round(-1)),
    "round to hundred thousands": (lambda o: o.round(TENS * 10000, decimals=-5), (TENS * 10000).round(-5)),
    "average by weights": (lambda o: o.average(A, axis=0, weights=LABELS), np.average(A, 0, LABELS)),
    "average by all weights": (lambda o: o.average(A, weights=POSITIVE), np.average(A, weights=POSITIVE)),
    "tensordot": (lambda o: o.tensordot(A, C, axes=[[1], [1]]), np.tensordot(A, C, ([1], [1]))),
    "tensordot of axes": (lambda o: o.tensordot(C, A.T, axes=2), np.tensordot(C, A.T, 2)),
    "take_along_axis": (
        lambda o: o.take_along_axis(C, np.argsort(C, 1)[:, ::2], axis=1), np.take_along_axis(C, np.argsort(C, 1)[:, ::2], 1)),
    "take_along_axis, from the end": (lambda o: o.take_along_axis(A, LABELS[:, None] - 3, axis=-1), A[np.arange(4), LABELS][:, None]),
    "roll": (lambda o: o.roll(C, shift=(1, -2), axis=(0, 2)), np.roll(C, (1, -2), (0, 2))),
    "roll of all": (lambda o: o.roll(A, 5), np.roll(A, 5)),
    "tril, k": (lambda o: o.tril(C, k=-1), np.tril(C, -1)),
    "triu, k": (lambda o: o.triu(C, k=1), np.triu(C, 1)),
    "diag of a vector": (lambda o: o.diag(A[0], k=-1), np.diag(A[0], -1)),
    "diagonal of axes": (lambda o: o.diagonal(C, offset=1, axis1=2, axis2=1), C.diagonal(1, 2, 1)),
    "trace of axes": (lambda o: o.trace(C, axis1=1, axis2=2), C.trace(0, 1, 2)),
    "meshgrid": (lambda o: o.meshgrid(A[0], A[:, 0])[1], np.meshgrid(A[0], A[:, 0])[1]),
    "meshgrid, ij": (lambda o: o.meshgrid(A[0], A[:, 0], indexing="ij")[0], np.meshgrid(A[0], A[:, 0], indexing="ij")[0]),
    "hstack": (lambda o: o.hstack([A, B]), np.hstack([A, B])),
    "hstack of vectors": (lambda o: o.hstack([A[0], B[1]]), np.hstack([A[0], B[1]])),
    "vstack": (lambda o: o.vstack([A[0], B[1]]), np.vstack([A[0], B[1]])),
    "isclose to a number": (lambda o: o.isclose(A, float(A[1, 1]), rtol=1e-3), np.isclose(A, A[1, 1], rtol=1e-3)),
    "isclose of a number": (lambda o: o.isclose(0.25, 0.25 + YES), np.isclose(0.25, 0.25 + YES)),
    "isclose": (lambda o: o.isclose(A, A + np.float32(1e-3) * YES, atol=1e-4), np.isclose(A, A + 1e-3 * YES, atol=1e-4)),
    "nan_to_num": (
        lambda o: o.nan_to_num(np.array([1, np.nan, np.inf, -np.inf], np.float32), posinf=3.0, neginf=-3.0), [1, 0, 3, -3]),
    **{name: (named(name, NANS, axis=1, keepdims=True), getattr(np, name)(NANS, axis=1, keepdims=True)) for name in (
        "nansum", "nanmean", "nanmax", "nanmin", "nanvar", "nanstd", "nanprod", "nanargmax", "nanargmin")},
    **{f"{name} of all": (named(name, NANS), getattr(np, name)(NANS)) for name in (
        "nansum", "nanmean", "nanmax", "nanmin", "nanvar", "nanstd", "nanprod", "nanargmax", "nanargmin", "nancumsum", "nancumprod")},
    "nanmax of nan": (lambda o: o.nanmax(np.array([[np.nan, np.nan], [np.nan, 1]], np.float32), axis=1), [np.nan, 1]),
    "nanargmax of nan": (lambda o: o.nanargmax(np.array([[np.nan, np.nan], [np.nan, -1]], np.float32), axis=1), [-1, 1]),
    "nanmin of whole numbers": (lambda o: o.nanmin(LABELS.reshape(2, 2), axis=0), [0, 2]),
    "append": (lambda o: o.append(A, C), np.append(A, C)),
    "append along an axis": (lambda o: o.append(A, B, axis=1), np.append(A, B, 1)),
    **{name: (named(name, A), getattr(np, name)(A)) for name in ("fliplr", "flipud", "diagflat", "copy", "array", "corrcoef", "trapezoid")},
    **{f"rot90, {k}": (lambda o, k=k: o.rot90(C, k=k, axes=(0, 2)), np.rot90(C, k, (0, 2))) for k in (0, 1, 2, -1)},
    "dstack": (lambda o: o.dstack([A, B]), np.dstack([A, B])),
    "dstack of vectors": (lambda o: o.dstack([A[0], B[1]]), np.dstack([A[0], B[1]])),
    "hsplit": (lambda o: o.hsplit(A, 3)[1], A[:, 1:2]),
    "hsplit of a vector": (lambda o: o.hsplit(A[:, 0], [1])[1], A[1:, 0]),
    "vsplit": (lambda o: o.vsplit(A, [1, 3])[1], A[1:3]),
    "dsplit": (lambda o: o.dsplit(C, 2)[1], C[..., 2:]),
    "array_split": (lambda o: o.array_split(A, 3, axis=0)[0], A[:2]),
    "kron": (lambda o: o.kron(A, B), np.kron(A, B)),
    "kron of any axes": (lambda o: o.kron(C, A), np.kron(C, A)),
    "diagflat, k": (lambda o: o.diagflat(A, k=-2), np.diagflat(A, -2)),
    "tri": (lambda o: o.tri(3, 4, k=1), np.tri(3, 4, 1)),
    "vander": (lambda o: o.vander(A[:, 0]), np.vander(A[:, 0])),
    "vander, increasing": (lambda o: o.vander(A[:, 0], N=3, increasing=True), np.vander(A[:, 0], 3, True)),
    **{f"correlate, {m}": (lambda o, m=m: o.correlate(A[:, 0], A[0], mode=m), np.correlate(A[:, 0], A[0], m)) for m in ("valid", "same", "full")},
    "correlate with a longer one": (lambda o: o.correlate(A[0], A[:, 0], mode="same"), np.correlate(A[0], A[:, 0], "same")),
    **{f"pad, {m}": (lambda o, m=m: o.pad(A, ((1, 2), (2, 0)), mode=m), np.pad(A, ((1, 2), (2, 0)), m)) for m in ("reflect", "symmetric")},
    **{name: (named(name, LABELS * 6, LABELS + 4), getattr(np, name)(LABELS * 6, LABELS + 4)) for name in (
        "bitwise_and", "bitwise_or", "bitwise_xor", "gcd", "lcm", "bitwise_left_shift", "bitwise_right_shift")},
    "bitwise_not": (lambda o: o.bitwise_not(LABELS), ~LABELS),
    "ldexp": (lambda o: o.ldexp(A[:, 0], LABELS - 1), np.ldexp(A[:, 0], LABELS - 1)),
    "nextafter of bfloat16": (lambda o: o.cast(o.nextafter(o.cast([1.0, -1.0, 0.0], "bfloat16"), o.cast([2.0, -2.0, -1.0], "bfloat16")), "float32"),
        [1 + 2**-7, -1 - 2**-7, -(2.0**-133)]),
    "nextafter": (lambda o: o.nextafter(A, B), np.nextafter(A, B)),
    "view": (lambda o: o.view(A, dtype="int32"), A.view(np.int32)),
    "argpartition": (lambda o: o.argpartition(LABELS * 2 + 1, 0, axis=0)[0], LABELS.argmin()),
    **{name: (named(name, 5), getattr(np, name)(5)) for name in ("bartlett", "blackman", "hamming", "hanning")},
    "kaiser": (lambda o: o.kaiser(5, 2.0), np.kaiser(5, 2)),
    "nanmedian": (lambda o: o.nanmedian(NANS, axis=1, keepdims=True), np.nanmedian(NANS, 1, keepdims=True)),
    "nanquantile": (lambda o: o.nanquantile(NANS, [0.2, 0.5], axis=1), np.nanquantile(NANS, [0.2, 0.5], 1)),
    "nanpercentile": (lambda o: o.nanpercentile(NANS, 30), np.nanpercentile(NANS, 30)),
    "einsum of one row": (lambda o: o.einsum("ij,ij->i", A, B[:1]), np.einsum("ij,ij->i", A, B[:1])),
    "moments of half floats": (lambda o: o.moments(np.full((2, 4), 6e4, np.float16) * np.array([[1], [-1]], np.float16), axes=[0])[1], np.full(4, 65504)),
    "max, initial": (lambda o: o.max(A, axis=0, initial=0.5), A.max(0, initial=0.5)),
    "min of none": (lambda o: o.min(A[:0], axis=0, initial=0.5), np.full(3, 0.5)),
    "linspace between arrays": (lambda o: o.linspace(A[0], B[0], 4, axis=1), np.linspace(A[0], B[0], 4, axis=1)),
    "linspace, step": (lambda o: o.linspace(0.0, 1.0, 5, endpoint=False, retstep=True)[1], 0.2),
    "where of a condition": (lambda o: o.where(YES)[1], np.nonzero(YES)[1]),
    "take of one number": (lambda o: o.take(A, 2, axis=1), A[:, 2]),
    "full_like of an array": (lambda o: o.full_like(A, A[0]), np.broadcast_to(A[0], A.shape)),
    "vdot": (lambda o: o.vdot(A, B), np.vdot(A, B)),
    "inner": (lambda o: o.inner(A, C[0].T), np.inner(A, C[0].T)),
    "cross": (lambda o: o.cross(A, B), np.cross(A, B)),
    "cross of axes": (lambda o: o.cross(A, B.T, axisb=0, axisc=0), np.cross(A, B.T, axisb=0, axisc=0)),
    "empty": (lambda o: o.shape(o.empty((2, 3))), (2, 3)),
    "empty_like": (lambda o: o.shape(o.empty_like(A)), (4, 3)),
    "logspace": (lambda o: o.logspace(0.0, 2.0, num=5, base=2), np.logspace(0, 2, 5, base=2)),
    "geomspace": (lambda o: o.geomspace(1.0, 16.0, num=4, endpoint=False), np.geomspace(1, 16, 4, False)),
    "percentile": (lambda o: o.percentile(C, [20, 50], axis=(0, 2)), np.percentile(C, [20, 50], (0, 2))),
    "trapezoid at places": (lambda o: o.trapezoid(C, x=A[:3, 0], axis=1), np.trapezoid(C, A[:3, 0], axis=1)),
    "trapezoid at places of each": (lambda o: o.trapezoid(A, x=B, axis=0), np.trapezoid(A, B, axis=0)),
    "select": (lambda o: o.select([A > 1, A > 0], [A, B], default=-1.0), np.select([A > 1, A > 0], [A, B], -1)),
    "quantile": (lambda o: o.quantile(C, [0.2, 0.5], axis=(0, 2)), np.quantile(C, [0.2, 0.5], (0, 2))),
    "quantile beside infinity": (lambda o: o.quantile(np.array([1, 2, np.inf], np.float32), 0.5), 2.0),
    "quantile of nan": (lambda o: o.quantile(np.array([[1, np.nan, 2], [1, 2, 4]], np.float32), 0.5, axis=1), [np.nan, 2]),
    "median of large whole numbers": (lambda o: o.median(np.array([2 * 10**9, 2 * 10**9], np.int32)), 2e9),
    "quantile, nearest": (lambda o: o.quantile(A, 0.3, axis=0, method="nearest", keepdims=True), np.quantile(A, 0.3, 0, method="nearest", keepdims=True)),
    "median of an axis": (lambda o: o.median(A, axis=0, keepdims=True), np.median(A, 0, keepdims=True)),
    "slice, the rest": (lambda o: o.slice(C, (0, 1, 0), (2, -1, 1)), C[:, 1:, :1]),
    "slice": (lambda o: o.slice(C, start_indices=(0, 1, 2), shape=(2, 2, 1)), C[:, 1:, 2:3]),
    "cond": (lambda o: o.cond(o.sum(A) > 100, lambda: A, lambda: B), B),
    "identity": (lambda o: o.identity(3), np.eye(3)),
    "multi_hot": (lambda o: o.multi_hot(LABELS.reshape(2, 2), num_classes=4), [[1, 0, 1, 0], [0, 1, 1, 0]]),
    "batch_normalization": (
        lambda o: o.batch_normalization(A, A.mean(0), A.var(0), axis=-1, offset=B[0], scale=B[1], epsilon=0.01),
        (A - A.mean(0)) / np.sqrt(A.var(0) + 0.01) * B[1] + B[0]),
    "max_pool": (lambda o: o.nn.max_pool(PICTURES, (2, 2), strides=(2, 2)), PICTURES.reshape(2, 2, 2, 2, 2, 3).max((2, 4))),
    "average_pool": (lambda o: o.average_pool(PICTURES, (2, 2), strides=2), PICTURES.reshape(2, 2, 2, 2, 2, 3).mean((2, 4))),
    "digitize": (lambda o: o.digitize(A, np.array([-1, 0, 0.5], np.float32)), np.digitize(A, [-1, 0, 0.5])),
    "digitize at an edge": (lambda o: o.digitize(LABELS, np.array([0, 1, 2], np.int32)), np.digitize(LABELS, [0, 1, 2])),
    **{f"searchsorted, {s}": (lambda o, s=s: o.searchsorted(np.array([0, 1, 1, 2], np.int32), LABELS, side=s), np.searchsorted([0, 1, 1, 2], LABELS, s)) for s in ("left", "right")},
    "searchsorted of nan": (lambda o: o.searchsorted(np.array([0, 1], np.float32), np.array([np.nan, -1], np.float32)), [2, 0]),
    "isin": (lambda o: o.isin(LABELS, np.array([[2, 5]], np.int32)), np.isin(LABELS, [2, 5])),
    "isin, inverted": (lambda o: o.isin(LABELS, 2, invert=True), np.isin(LABELS, 2, invert=True)),
    "in_top_k": (lambda o: o.in_top_k(LABELS, A, k=2), [A[i, c] >= np.sort(A[i])[1] for i, c in enumerate(LABELS)]),
    "in_top_k of nan": (lambda o: o.in_top_k(np.array([0, 1]), np.array([[np.nan, 1, 0], [1, 1, 0]], np.float32), k=1), [False, True]),
    "bincount": (lambda o: o.bincount(LABELS, minlength=4), np.bincount(LABELS, minlength=4)),
    "bincount by weights": (lambda o: o.bincount(LABELS, weights=A[:, 0]), np.bincount(LABELS, A[:, 0])),
    "bincount of rows": (lambda o: o.bincount(np.array([[0, 1], [1, 1]], np.int32)), [[1, 1], [0, 2]]),
    "histogram": (lambda o: o.histogram(A[:, 0], bins=3)[0], np.histogram(A[:, 0], 3)[0]),
    "histogram, edges": (lambda o: o.histogram(A[:, 0], bins=3, range=(-1, 1))[1], np.histogram(A[:, 0], 3, (-1, 1))[1]),
    "nonzero": (lambda o: o.nonzero(YES)[1], np.nonzero(YES)[1]),
    "segment_sum": (lambda o: o.segment_sum(A, LABELS, num_segments=3), [A[0], A[2], A[1] + A[3]]),
    "segment_sum, some": (lambda o: o.segment_sum(A, LABELS, num_segments=2), [A[0], A[2]]),
    "segment_max": (lambda o: o.segment_max(A, LABELS, num_segments=4), [A[0], A[2], np.maximum(A[1], A[3]), np.full(3, -np.inf)]),
    "segment_min": (lambda o: o.segment_min(A, LABELS, num_segments=3), [A[0], A[2], np.minimum(A[1], A[3])]),
    "segment_min of whole numbers": (lambda o: o.segment_min(np.array([3, 1, 2], np.int32), np.array([1, 1, 0], np.int32), num_segments=3), [2, 1, 2**31 - 1]),
    "segment_prod": (lambda o: o.segment_prod(A, LABELS, num_segments=3), [A[0], A[2], A[1] * A[3]]),
    "scatter": (lambda o: o.scatter(o.array(AT), o.array(A[0]), (4, 3)), written(0 * A, np.add, 0)),
    "scatter of rows": (lambda o: o.scatter(o.array(LABELS[:, None]), o.array(A), (5, 3)), [A[0], A[2], A[1] + A[3], 0 * A[0], 0 * A[0]]),
    "scatter_update": (lambda o: o.scatter_update(A, AT[1:], A[0, 1:]), written(A, lambda a, b: b, 1)),
    **{f"scatter_update, {n}": (lambda o, n=n: o.scatter_update(A, AT, A[0], reduction=n), written(A, f, 0)) for n, f in {
        "add": np.add, "max": np.maximum, "min": np.minimum, "mul": np.multiply}.items()},
    "scatter_update of rows": (lambda o: o.scatter_update(A, np.array([[2], [0]]), B[:2]), [B[1], A[1], B[0], A[3]]),
    "slice_update": (lambda o: o.slice_update(A, (1, 1), B[:2, :1]), np.concatenate([A[:, :1], np.concatenate([A[:1, 1:2], B[:2, :1], A[3:, 1:2]]), A[:, 2:]], 1)),
    "slice_update, moved back": (lambda o: o.slice_update(A, (3, 0), B[:2]), np.concatenate([A[:2], B[:2]])),
    "unravel_index": (lambda o: o.stack(o.unravel_index(LABELS, (2, 2))), np.unravel_index(LABELS, (2, 2))),
    "depth_to_space": (lambda o: o.depth_to_space(PICTURES.reshape(2, 4, 3, 4), 2), PICTURES.reshape(2, 4, 3, 2, 2, 1).transpose(0, 1, 3, 2, 4, 5).reshape(2, 8, 6, 1)),
    "space_to_depth": (lambda o: o.nn.space_to_depth(PICTURES, 2), PICTURES.reshape(2, 2, 2, 2, 2, 3).transpose(0, 1, 3, 2, 4, 5).reshape(2, 2, 2, 12)),
    "depth_to_space, channels first": (lambda o: o.depth_to_space(PICTURES, 2, data_format="channels_first"), BLOCKS),
    "cdist": (lambda o: o.cdist(A, B), np.linalg.norm(A[:, None] - B, axis=-1)),
    "logdet": (lambda o: o.logdet(SQUARE @ SQUARE.T), np.linalg.slogdet(SQUARE @ SQUARE.T)[1]),
    "adaptive_average_pool": (lambda o: o.adaptive_average_pool(PICTURES, (2, 1)), PICTURES.reshape(2, 2, 2, 1, 4, 3).mean((2, 4))),
    "adaptive_max_pool": (lambda o: o.adaptive_max_pool(PICTURES, 2), PICTURES.reshape(2, 2, 2, 2, 2, 3).max((2, 4))),
    "separable_conv": (
        lambda o: o.separable_conv(PICTURES, KERNEL, MIX, strides=2),
        np.einsum("biujvc,uvcf,cfo->bijo", PICTURES.reshape(2, 2, 2, 2, 2, 3), KERNEL, MIX.reshape(3, 2, 4))),
    "conv_transpose": (
        lambda o: o.conv_transpose(PICTURES, KERNEL.transpose(0, 1, 3, 2), strides=2),
        np.einsum("bijc,uvcf->biujvf", PICTURES, KERNEL).reshape(2, 8, 8, 2)),
    "psnr": (lambda o: o.psnr(A, B, max_val=2.0), 20 * np.log10(2) - 10 * np.log10(((A - B) ** 2).mean())),
    "dot_product_attention of groups": (
        lambda o: o.dot_product_attention(PICTURES, PICTURES[:, :, :2], PICTURES[:, :, :2])
        - o.dot_product_attention(PICTURES, *[np.repeat(PICTURES[:, :, :2], 2, 2)] * 2), np.zeros(PICTURES.shape)),
    "dot_product_attention": (lambda o: o.dot_product_attention(PICTURES, PICTURES, PICTURES), attended(0)),
    "dot_product_attention, masked": (
        lambda o: o.dot_product_attention(PICTURES, PICTURES, PICTURES, bias=SQUARES, mask=SQUARES > 0, is_causal=True, scale=0.5),
        attended(SQUARES, (SQUARES > 0) & np.tri(4, dtype=bool), 0.5)),
    "while_loop": (lambda o: o.while_loop(lambda i, x: i < 3, lambda i, x: (i + 1, x * 2), (0, o.array(A)))[1], 8 * A),
    "while_loop, at most": (lambda o: o.while_loop(lambda x: o.max(x) < 1e9, lambda x: x + 1, o.array(A), maximum_iterations=2), A + 2),
    "fori_loop": (lambda o: o.fori_loop(1, 4, lambda i, x: x + i, o.array(A)), A + 6),
    "map": (lambda o: o.map(o.sum, o.array(C)), C.sum((1, 2))),
    "map of several": (lambda o: o.map(lambda p: {"r": p[0] * o.max(p[1])}, (o.array(A), o.array(B)))["r"], A * B.max(1, keepdims=True)),
    "vectorized_map": (lambda o: o.vectorized_map(lambda x: x[0] - x, o.array(A)), A[:, :1] - A),
    "scan": (lambda o: o.scan(lambda c, x: (c + x, c * x), o.array(0 * A[0]), o.array(A))[1], (A.cumsum(0) - A) * A),
    "scan, the last": (lambda o: o.scan(lambda c, x: (c * 0.5 + x, c), o.array(0 * A[0]), o.array(A), reverse=True)[0], A[0] + A[1] / 2 + A[2] / 4 + A[3] / 8),
    "switch": (lambda o: o.switch(5, [lambda x: x, lambda x: x * 2], o.array(A)), 2 * A),
    "get_item": (lambda o: o.get_item(A, (0, slice(1, 3))), A[0, 1:3]),
    "conv": (lambda o: o.conv(PICTURES, KERNEL, strides=(2, 2)), np.einsum("biujvc,uvcf->bijf", PICTURES.reshape(2, 2, 2, 2, 2, 3), KERNEL)),
    "depthwise_conv": (
        lambda o: o.depthwise_conv(PICTURES, KERNEL, strides=2),
        np.einsum("biujvc,uvcf->bijcf", PICTURES.reshape(2, 2, 2, 2, 2, 3), KERNEL).reshape(2, 2, 2, 6)),
    "nn": (lambda o: o.nn.softmax(o.nn.relu(A)), softmax(A.clip(0))),
    "linalg.inv": (lambda o: o.linalg.inv(SQUARE), np.linalg.inv(SQUARE)),
    "linalg.det": (lambda o: o.det(SQUARE), np.linalg.det(SQUARE)),
    "linalg.solve": (lambda o: o.linalg.solve(SQUARE, A.T), np.linalg.solve(SQUARE, A.T)),
    "linalg.cholesky": (lambda o: o.linalg.cholesky(SQUARE @ SQUARE.T), np.linalg.cholesky(SQUARE @ SQUARE.T)),
    "linalg.svd": (lambda o: o.linalg.svd(SQUARE, compute_uv=False), np.linalg.svd(SQUARE, compute_uv=False)),
    "linalg.eigh": (lambda o: o.linalg.eigh(SQUARE @ SQUARE.T)[0], np.linalg.eigh(SQUARE @ SQUARE.T)[0]),
    "linalg.norm": (lambda o: o.linalg.norm(A), np.linalg.norm(A)),
    "zeros_like": (lambda o: o.zeros_like(A), 0 * A),
    "ones_like": (lambda o: o.ones_like(A, dtype="int32"), A**0),
    "full_like": (lambda o: o.full_like(A, 2.5), 2.5 * A**0),
    "zeros": (lambda o: o.zeros((2, 3)), np.zeros((2, 3))),
    "ones": (lambda o: o.ones((2, 3), dtype="int32"), np.ones((2, 3), np.int32)),
    "full": (lambda o: o.full((2,), 0.5), np.full(2, 0.5)),
    "eye": (lambda o: o.eye(3, 4, k=1), np.eye(3, 4, 1)),
    "arange": (lambda o: o.arange(1, 7, 2), np.arange(1, 7, 2)),
    "linspace": (lambda o: o.linspace(0.0, 1.0, num=5), np.linspace(0, 1, 5)),
    "sort of all": (lambda o: o.sort(A, axis=None), np.sort(A, None)),
    "an axis of NumPy": (lambda o: o.sum(A, axis=np.int64(1)), A.sum(1)),
    "sort": (lambda o: o.sort(A, axis=0), np.sort(A, 0)),
    "argsort": (lambda o: o.argsort(A), np.argsort(A)),
    "top_k": (lambda o: o.top_k(A, k=2)[0], -np.sort(-A)[:, :2]),
    "shape": (lambda o: o.shape(A), (4, 3)),
    "size": (lambda o: o.size(C), 24),
    "convert_to_tensor": (lambda o: o.convert_to_tensor([1, 2], dtype="float32") * 0.5, [0.5, 1.0]),
    "stop_gradient": (lambda o: o.stop_gradient(o.convert_to_tensor(A)), A),
}  # fmt: skip


# What is no array yet, which Keras takes where its backend does.
LISTS: dict[str, Any] = {
    "sparsemax": (
        lambda o: o.sparsemax(np.array([[0.5, 0.25, -1], [3, 0, 0], [1, 1, 1]], np.float32)),
        [[0.625, 0.375, 0], [1, 0, 0], [1 / 3] * 3],
    ),
    "sparsemax of an axis": (lambda o: o.sparsemax(np.array([[0.5], [0.25]], np.float32), axis=0), [[0.625], [0.375]]),
    "scatter_update, the last of several": (lambda o: o.scatter_update(A, AT, A[0]), written(A, lambda a, b: b, 0)),
    "scatter, out of range": (lambda o: o.scatter([[3], [-1], [-4]], [1, 2, 4], (3,)), [0, 0, 2]),
    "segment_sum, as many as there are": (lambda o: o.segment_sum([1.0, 2, 3], [0, 2, 2]), [1, 0, 5]),
    "hypot": (lambda o: o.hypot(3, 4), 5),
    "arctan2": (lambda o: o.arctan2(-1, -1.0), -0.75 * math.pi),
    "array_split at": (lambda o: o.array_split(C, [1, 3], axis=2)[1], C[..., 1:3]),
    "numbers": (lambda o: o.add(1, 2), 3),
    "number first": (lambda o: o.maximum(0.5, A), A.clip(0.5)),
    "prod": (lambda o: o.prod([1.0, 2, 3]), 6),
    "diff": (lambda o: o.diff([1, 2, 4]), [1, 2]),
    "pad": (lambda o: o.pad([1.0, 2], [[1, 0]]), [0, 1, 2]),
    "average": (lambda o: o.average([1.0, 2, 3], weights=[1, 1, 2]), 2.25),
    "clip": (lambda o: o.clip([1.0, 5], 0, 2), [1, 2]),
    "where": (lambda o: o.where([True, False], 1.0, [3.0, 4]), [1, 4]),
    "concatenate": (lambda o: o.concatenate([[1.0], [2.0, 3]]), [1, 2, 3]),
    "einsum": (lambda o: o.einsum("ij,jk,kl->il", [[1.0, 2]], [[1.0], [2]], [[3.0]]), [[15]]),
    "categorical_crossentropy": (lambda o: o.categorical_crossentropy([[0, 1.0]], [[0.3, 0.7]]), [-np.log(0.7)]),
    "split by a number of NumPy": (lambda o: o.split(A, np.int64(2))[1], A[2:]),
}


@pytest.mark.parametrize("name", [*ROWS, *LISTS])
def test_operations_are_those_of_numpy(name):
    call, expected = {**ROWS, **LISTS}[name]
    result = rv.ops.convert_to_numpy(call(rv.ops))
    assert result.shape == np.shape(expected)
    np.testing.assert_allclose(result, expected, rtol=2e-5, atol=1e-6)


def test_operations_are_layers_of_a_described_network():
    """With their arguments, and through a file."""
    o = rv.ops
    x, y = rv.Input((3,)), rv.Input((3,))
    both = o.concatenate([o.relu(x), o.reshape(y, (-1, 3)), o.softmax(x, axis=1)], axis=-1)
    low, high = o.split(o.clip(both, -1.0, 1.0), 3, axis=1)[:2]
    model = rv.Model([x, y], o.where(o.greater(low, 0.1), low, o.mean(high, axis=1, keepdims=True)))
    twin = from_architecture(json.loads(json.dumps(model.architecture())))
    clipped = A.clip(0, 1)
    expected = np.where(clipped > 0.1, clipped, B.clip(-1, 1).mean(1, keepdims=True))
    for net in (model, twin):
        np.testing.assert_allclose(net.predict([A, B]), expected, rtol=1e-6)


def test_operations_in_compiled_layers_choose_and_run_along_axes():
    """Their shapes follow the batch, and gradients go through them."""
    o = rv.ops

    class Chosen(rv.Layer):
        def call(self, x):
            first = o.take_along_axis(x, np.array([[2, -2, 0]]), axis=1)
            return o.cond(o.max(x) > 1e6, lambda: x * 0, lambda: o.cumsum(first, axis=1))

    x = rv.Input((3,))
    wide = rv.layers.Dense(3, kernel_initializer="identity")(x)
    model = rv.Model(x, o.prod(o.hstack([Chosen()(wide), o.round(x, decimals=1)]), axis=1, keepdims=True))
    expected = np.concatenate([A[:, ::-1].cumsum(1), A.round(1)], 1).prod(1, keepdims=True)
    np.testing.assert_allclose(model.predict(A, verbose=0), expected, rtol=1e-4, atol=1e-5)
    model.compile("sgd", "mse")
    before = model.get_weights()[0]
    model.fit(A, A[:, :1], verbose=0, ignore="RV")
    assert (model.get_weights()[0] != before).any()


WIDE = np.concatenate([A, B], 1)
LAYERS = {  # operations of symbolic values
    "arctan2": lambda o, x: o.arctan2(x, 2.0) + o.arcsin(o.clip(x, -0.9, 0.9)),
    "hypot": lambda o, x: o.hypot(x, [1.0] * 6),
    "allclose": lambda o, x: x * o.cast(o.allclose(x, 2.0), "float32"),
    "glu": lambda o, x: o.glu(o.threshold(x, 0.1, -1.0)),
    "saturate_cast": lambda o, x: o.saturate_cast(x * 300, "uint8"),
    "layer_normalization": lambda o, x: o.layer_normalization(x, o.nansum(x, axis=0), epsilon=0.1),
    "nanmax": lambda o, x: o.nanmax(o.log(x), axis=1) + o.nanstd(o.sqrt(x), axis=-1),
    "nanprod": lambda o, x: o.nanprod(o.sqrt(x), axis=1, keepdims=True) - o.nanargmin(x, axis=1, keepdims=True),
    "splits": lambda o, x: o.append(o.hsplit(x, 2)[0], o.array_split(x, 4, axis=1)[1], axis=1),
    "cross": lambda o, x: o.cross(x[:, :3], x[:, 3:]) + o.trapezoid(x, dx=0.5)[:, None],
    "rot90": lambda o, x: o.fliplr(o.rot90(o.reshape(x, (-1, 2, 3)), k=3, axes=(1, 2))),
    "inner": lambda o, x: o.inner(x, B.ravel()[:6]),
    "kron": lambda o, x: o.kron(x, [1.0, 2.0]),
    "in_top_k": lambda o, x: x * o.cast(o.in_top_k(o.argmax(-x, axis=1), x, k=5), "float32")[:, None],
    "digitize": lambda o, x: o.digitize(x, [-1.0, 0.0, 1.0]) - o.cast(o.isin(o.digitize(x, [0.5]), [1]), "int32"),
    "segments": lambda o, x: o.transpose(
        o.segment_max(o.transpose(x), [0, 1, 0, 2, 1, 2], 3) + o.segment_sum(o.transpose(x), [0, 1, 0, 2, 1, 2], 3)
    ),
    "slice_update": lambda o, x: o.slice_update(x, (0, 2), o.relu(x[:, :3])),
    "sparsemax": lambda o, x: o.sparsemax(x * 0.3) + o.cdist(x, [[1.0] * 6]),
    "conv_transpose": lambda o, x: o.conv_transpose(
        o.reshape(x, (-1, 3, 2)), B[:2].reshape(2, 3, 1)[..., [0, 0]], padding="same", strides=2
    ),
    "depth_to_space": lambda o, x: o.depth_to_space(o.reshape(o.concatenate([x, x], axis=1), (-1, 1, 3, 4)), 2),
    "attention": lambda o, x: o.dot_product_attention(*[o.reshape(x, (-1, 3, 1, 2))] * 3, is_causal=True),
    "select": lambda o, x: o.select([x > 1, x > 0], [x, o.copy(x) * 2], default=0.5),
}


@pytest.mark.parametrize("name", LAYERS)
def test_operations_are_layers_that_are_saved(name):
    """Of a batch of any size, as at once."""
    x = rv.Input((6,))
    model = rv.Model(x, LAYERS[name](rv.ops, x))
    twin = from_architecture(json.loads(json.dumps(model.architecture())))
    expected = LAYERS[name](rv.ops, rv.ops.convert_to_tensor(WIDE))
    for net in (model, twin):
        np.testing.assert_allclose(net.predict(WIDE, verbose=0), expected.numpy(), rtol=1e-5, atol=1e-6)


def described(function):
    return rv.Sequential([rv.Input((3,)), rv.layers.Lambda(function)])


def test_loops_and_branches_of_what_is_compiled():
    def chosen(x):
        doubled = rv.ops.fori_loop(0, 2, lambda i, v: v + x * i, x)
        _, steps = rv.ops.scan(lambda c, row: (c + row, c + row), 0.0, rv.ops.transpose(x))
        total = rv.ops.cast(rv.ops.sum(rv.ops.sign(x)), "int32")
        return rv.ops.switch(total, [lambda v: v, lambda v: v * 0, lambda v: v + rv.ops.transpose(steps)], doubled)

    np.testing.assert_allclose(
        described(chosen).predict(POSITIVE, verbose=0), 2 * POSITIVE + POSITIVE.cumsum(1), rtol=1e-6
    )
    np.testing.assert_allclose(described(chosen).predict(-POSITIVE, verbose=0), -2 * POSITIVE, rtol=1e-6)


def test_gradients_of_what_is_written_at_indices():
    """Of what is written over, none; of rows that are left out, none; equal extremes share it."""
    o = rv.ops
    x, u = (rv.torch.tensor(v, requires_grad=True) for v in (A, A[0]))
    (o.scatter_update(x, AT, u) * B).sum().backward()
    np.testing.assert_allclose(u.grad.numpy(), [0, B[3, 2], B[0, 1]])
    np.testing.assert_allclose(x.grad.numpy(), np.where([[0, 1, 0], [0] * 3, [0] * 3, [0, 0, 1]], 0, B))
    x = rv.torch.tensor(A, requires_grad=True)
    o.sum(o.segment_sum(x, LABELS, 2) * B[:2] + o.segment_max(x * 0, LABELS * 0, 2)[0]).backward()
    np.testing.assert_allclose(x.grad.numpy(), np.stack([B[0], 0 * B[0], B[1], 0 * B[0]]), rtol=1e-6)


def test_a_choice_between_named_tuples():
    Pair = collections.namedtuple("Pair", "a b")  # noqa: PYI024
    model = described(lambda x: rv.ops.cond(rv.ops.max(x) > 0, lambda: Pair(x, x * 2), lambda: Pair(x, x * 3)).b)
    np.testing.assert_allclose(model.predict(POSITIVE, verbose=0), 2 * POSITIVE)


def test_arrays_that_operations_are_given_stand_in_the_description():
    x = rv.Input((3,))
    model = rv.Model(x, rv.ops.take(rv.ops.add(x, B[0]), np.array([0, 2]), axis=1) * rv.ops.add([1.0, 2], x[:, :2]))
    twin = from_architecture(json.loads(json.dumps(model.architecture())))
    np.testing.assert_array_equal(twin.predict(A, verbose=0), model.predict(A, verbose=0))
    with pytest.raises(TypeError, match=r"array \(10001,\) of float32.*Write an array of at most 10,000"):
        rv.Model(x, rv.ops.sum(rv.ops.add(x[:, :1], np.ones(10_001, np.float32)), 1)).architecture()
    words = json.loads(json.dumps(model.architecture()).replace('"float32"', '"object"'))
    with pytest.raises(ValueError, match=r"not the description .* an array that is none"):
        from_architecture(words)


def test_what_operations_do_is_said_of_each():
    assert (
        rv.ops.outer.__doc__
        == "The products of all pairs of elements, of the first in rows and of the second in columns."
    )
    assert not [name for name in rv.ops.__all__ if f"``{name}``, as" in getattr(rv.ops, name).__doc__]


def test_mistakes_are_reported_with_what_to_write_instead():
    for call, kind, words in [
        (lambda: rv.ops.cast(A, "complex64"), ValueError, "'complex64' is none .* Write one of"),
        (lambda: rv.ops.where(A > 0, A), ValueError, "takes a condition and two values"),
        (lambda: rv.ops.quantile(A, 0.5, method="other"), ValueError, "Write one of 'linear'"),
        (lambda: rv.ops.quantile(A, 1.5), ValueError, "q=1.5. Write shares from 0 to 1"),
        (lambda: rv.ops.slice(C, (0, 1, 0), (2, 5, 2)), ValueError, r"of \(2, 3, 4\) at \(0, 1, 0\) .* not within it"),
        (lambda: rv.ops.norm(C, ord=2), ValueError, "ord=2 of 3 axes .*Write a number for ord and one axis"),
        (lambda: rv.ops.norm(A, ord=3), ValueError, "ord=3 of a matrix. Write 'fro'"),
        (lambda: rv.ops.conv(PICTURES, KERNEL, padding="full"), ValueError, "padding='full'. Write 'valid' or 'same'"),
        (lambda: rv.ops.conv(PICTURES, KERNEL, data_format="channel_first"), ValueError, "Write 'channels_last' or"),
        (lambda: rv.ops.conv(PICTURES, KERNEL[:, :, :2]), ValueError, "reads 2 channels, and .* has 3. Write a kernel"),
        *(
            (call, ValueError, "axis [579] does not exist")
            for call in (
                lambda: rv.ops.prod(A, axis=5),
                lambda: rv.ops.quantile(A, 0.5, axis=7),
                lambda: rv.ops.moveaxis(A, 0, 9),
                lambda: rv.ops.take_along_axis(A, LABELS[:, None], axis=5),
                lambda: rv.ops.repeat(A, 2, axis=5),
                lambda: rv.ops.diff(A, axis=5),
                lambda: rv.ops.categorical_crossentropy(A, A, axis=5),
                lambda: rv.layers.Dot(axes=5)([rv.Input((3,)), rv.Input((3,))]),
            )
        ),
        (lambda: rv.ops.einsum("ij,jk->ik", A, A), ValueError, "'j' stands for 3 and 4. Write operands of one extent"),
        (lambda: rv.ops.einsum("ii", A), ValueError, "'i' stands for 4 and 3"),
        (lambda: rv.ops.correlate(A, A), ValueError, "Write two vectors"),
        (lambda: rv.ops.pad(A, 1, "edge"), ValueError, "'reflect' or 'symmetric'"),
        (lambda: rv.ops.bitwise_and(A, A), TypeError, "Write whole numbers"),
        (lambda: rv.ops.one_hot(LABELS, 3, sparse=True), ValueError, "no sparse tensors"),
        (lambda: rv.ops.searchsorted(A, 1.0), ValueError, "Write one vector in order"),
        (lambda: rv.ops.searchsorted(A[0], 1.0, "up"), ValueError, "Write 'left' or 'right'"),
        (lambda: rv.ops.scatter_update(A, AT, A[0], "mean"), ValueError, "Write one of 'add', 'max'"),
        (lambda: rv.ops.slice_update(A[:2], (0, 0), A), ValueError, "Write a smaller one"),
        (lambda: rv.ops.bincount(LABELS, sparse=True), ValueError, "no sparse tensors"),
        (lambda: rv.ops.select([A > 0], [A, B]), ValueError, "Write one of each"),
        (lambda: rv.ops.scan(lambda c, x: (c, x), A), ValueError, "or length=, too"),
        (lambda: rv.ops.map(lambda x: x, (A, A[0])), ValueError, "Write arrays .* of one length"),
        (lambda: rv.ops.cross(A.T, A.T), ValueError, "write three elements"),
        (lambda: rv.ops.meshgrid(A[0], indexing="x"), ValueError, "Write 'xy' or 'ij'"),
        (lambda: rv.ops.relux, AttributeError, "nearest that does is relu"),
    ]:
        with pytest.raises(kind, match=words):
            call()


HALF = np.arange(6, dtype=np.float16).reshape(2, 3) * 300
HALVES = {
    "add": lambda: rv.ops.add(HALF, 1.5),
    "matmul": lambda: rv.ops.matmul(HALF, HALF.T),
    "mean": lambda: rv.ops.mean(HALF, axis=0),
    "moments": lambda: rv.ops.moments(HALF, axes=[0])[0],
    "concatenate": lambda: rv.ops.concatenate([HALF, HALF]),
    "where": lambda: rv.ops.where(HALF > 0, HALF, 0.5),
    "sort": lambda: rv.ops.sort(HALF),
    "median": lambda: rv.ops.median(HALF, axis=1),
    "quantile": lambda: rv.ops.quantile(HALF, 0.4),
    "attention": lambda: rv.ops.dot_product_attention(*[HALF.reshape(1, 2, 1, 3) / 1024] * 3),
}


@pytest.mark.parametrize("name", HALVES)
def test_operations_on_arrays_of_half_floats_give_half_floats(name):
    assert HALVES[name]().dtype == "float16"


def test_layers_and_losses_on_arrays_of_half_floats_compute_in_float32():
    layer = rv.layers.Dense(2)
    assert layer(HALF).dtype == rv.layers.Flatten()(HALF).dtype == "float32"
    loss = rv.losses.MeanSquaredError()(HALF, HALF + 300)
    assert (loss.dtype, loss.item()) == ("float32", 90_000)  # beyond float16


@pytest.mark.parametrize(
    "of", [lambda a, b: [a, b, 3.0], lambda a, b: [[a], [b]], lambda a, b: (b, rv.ops.stop_gradient(a), a)]
)
def test_gradients_reach_the_tensors_of_a_list(of):
    """As in a sum of losses. A list is otherwise data, which has no gradient."""
    w = rv.Variable(A[0])
    with rv.GradientTape() as tape:
        total = rv.ops.sum(of(rv.ops.sum(w), rv.ops.sum(w * w)))
    np.testing.assert_allclose(tape.gradient(total, w), 1 + 2 * A[0], rtol=1e-6)


def test_lists_of_tensors_while_a_step_is_traced():
    """The values of losses of layers are not there yet."""

    class Penalized(rv.Model):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return rv.ops.mean(rv.ops.square(y - y_pred)) + rv.ops.sum(self.losses)

    def trained(kind):
        inputs = rv.Input((3,))
        model = kind(inputs, rv.layers.Dense(1, kernel_initializer="ones", kernel_regularizer="l2")(inputs))
        model.compile("sgd", "mse")
        model.fit(A, A[:, :1], epochs=2, shuffle=False, verbose=0)
        return model.get_weights()[0]

    np.testing.assert_allclose(trained(Penalized), trained(rv.Model), rtol=1e-5)


def test_tensors_of_different_shapes_in_a_list_are_no_tensor():
    with pytest.raises(ValueError, match=r"\(3,\), \(\) in a list are no tensor"):
        rv.ops.sum([rv.Variable(A[0]), rv.ops.sum(rv.Variable(A[0]))])
