"""Arguments at the edge of what is allowed: values and errors of PyTorch. `tests/peers/test_edges.py` asks it for them."""

import functools
import math
from typing import Any

import numpy as np
import pytest

import ranvier.torch as torch

INF, NAN = math.inf, math.nan
NUMBERS = [[1.0, 2.0, 4.0], [3.0, 1.0, 0.0]]


def whole(t: Any, *shape: int) -> Any:
    return t.arange(math.prod(shape)).reshape(shape)


def in_inference_mode(t: Any) -> list[bool]:
    """Which tensors are inference tensors, within the mode and after it."""
    x = t.ones(2)
    with t.inference_mode():
        y, within = t.ones(2), t.is_inference_mode_enabled()
        made = [y, x * 2, x.view(2), x.clone()]
        with t.inference_mode(mode=False):
            made.append(t.ones(2))
    after = [x, y, y * 2, y.clone(), y.view(2), y.detach(), t.inference_mode(lambda: t.ones(2))()]
    return [within, t.is_inference_mode_enabled(), *(v.is_inference() for v in made), *map(t.is_inference, after)]


def gradients(t: Any, function: Any, *values: Any) -> list[Any]:
    tensors = [t.tensor(v, requires_grad=True) for v in values]
    function(*tensors).sum().backward()
    return [x.grad.tolist() for x in tensors]


def loss(t: Any, input_lengths: Any, target_lengths: Any, targets: Any = ((1, 2), (1, 1)), blank: int = 0) -> Any:
    """The CTC loss of 3 steps and 2 samples; of one sample where ``targets`` is flat and ``input_lengths`` has one."""
    alone = isinstance(input_lengths, int) or len(input_lengths) == 1
    scores = t.zeros(3, 3) if alone else t.zeros(3, 2, 3)
    lengths = [t.tensor(n) for n in (input_lengths, target_lengths)]
    return t.nn.functional.ctc_loss(scores.log_softmax(-1), t.tensor(targets), *lengths, blank, "none")


def checkpointed(t: Any, layer: Any, x: Any, *, used: bool = True) -> list[Any]:
    """The running means before and after the gradient of what a checkpoint computes, and computes again."""
    x.requires_grad_()
    y, _ = t.utils.checkpoint.checkpoint(lambda v: (layer(v * 1.0).exp(), v), x, use_reentrant=False)
    before = layer.running_mean.tolist()
    (y.sum() if used else x.sum()).backward()
    return [before, layer.running_mean.tolist()]


def checkpointed_function(t: Any) -> list[float]:
    running = t.zeros(1), t.ones(1)
    x = t.tensor([[1.0], [3.0]], requires_grad=True)
    run = functools.partial(
        t.nn.functional.batch_norm, running_mean=running[0], running_var=running[1], training=True, momentum=0.5
    )
    t.utils.checkpoint.checkpoint(run, x, use_reentrant=False).sum().backward()
    return [r.item() for r in running]


# What PyTorch gives: numbers and lists, or a tensor as its dtype and its list.
VALUES: dict[str, tuple[Any, Any]] = {
    "renorm, largest": (lambda t: t.tensor(NUMBERS).renorm(INF, 0, 2.0), ("float32", [[0.5, 1.0, 2.0], [2.0, 0.6666666, 0.0]])),
    "scatter_reduce, bool": (
        lambda t: t.tensor([True, True, True]).scatter_reduce(0, t.tensor([0, 0, 1]), t.tensor([False, False, True]), "amax", include_self=False),
        ("bool", [False, True, True]),
    ),
    "scatter_reduce, bool, least": (
        lambda t: t.tensor([False, True]).scatter_reduce(0, t.tensor([0, 0]), t.tensor([True, True]), "amin", include_self=False),
        ("bool", [True, True]),
    ),
    "scatter_reduce, mean of integers": (
        lambda t: t.tensor([1, 2, 3]).scatter_reduce(0, t.tensor([0, 0, 1]), t.tensor([-5, -7, 4]), "mean"),
        ("int64", [-4, 3, 3]),
    ),
    "digamma": (lambda t: t.digamma(t.tensor([-1.0, 0.0, -0.0, -2.0, INF])), ("float32", [NAN, -INF, INF, NAN, INF])),
    "lgamma": (lambda t: t.lgamma(t.tensor([-1.0, 0.0, -INF, INF])), ("float32", [INF, INF, INF, INF])),
    "polygamma": (lambda t: t.polygamma(1, t.tensor([INF, 0.0])), ("float32", [0.0, INF])),
    "addbmm, int64": (lambda t: t.addbmm(whole(t, 2, 2), whole(t, 2, 2, 3), whole(t, 2, 3, 2)), ("int64", [[182, 207], [274, 317]])),
    "addbmm, cut factors": (
        lambda t: t.addbmm(whole(t, 2, 2), whole(t, 2, 2, 3), whole(t, 2, 3, 2), beta=2.5, alpha=2.0),
        ("int64", [[364, 414], [548, 634]]),
    ),
    "addbmm, int8": (lambda t: t.addbmm(*(whole(t, *s).to(t.int8) for s in ((2, 2), (2, 2, 1), (2, 1, 2)))).sum(), ("int64", 32)),
    "addmm, beta 0": (lambda t: t.addmm(t.full((1, 1), NAN), t.ones(1, 2), t.ones(2, 1), beta=0), ("float32", [[2.0]])),
    "baddbmm, beta 0": (lambda t: t.baddbmm(t.full((1, 1, 1), NAN), t.ones(1, 1, 2), t.ones(1, 2, 1), beta=0), ("float32", [[[2.0]]])),
    "addcmul, int64": (lambda t: t.addcmul(whole(t, 2), whole(t, 2), whole(t, 2), value=2.0), ("int64", [0, 3])),
    "cov": (
        lambda t: t.cov(t.tensor(NUMBERS, dtype=t.float64), aweights=t.tensor([0.1, 0.2, 0.3])),
        ("float64", [[2.4090908, -1.9545454], [-1.9545454, 1.8636363]]),
    ),
    "inference": (in_inference_mode, [True, False, True, True, False, True, False, False, True, False, False, True, True, True]),
    "nextafter": (
        lambda t: gradients(t, t.nextafter, [1.0, 2.0, INF], [3.0, 0.0, INF])[1],
        [0.0, 0.0, 0.0],
    ),
    "nextafter, first": (lambda t: gradients(t, lambda x: t.nextafter(x, t.zeros(2)), [1.0, 2.0]), [[1.0, 1.0]]),
    "householder": (lambda t: [t.linalg.householder_product(t.ones(2, 1, requires_grad=True), t.ones(0)).requires_grad], [True]),
    "checkpoint, batches": (lambda t: checkpointed(t, t.nn.BatchNorm1d(1, momentum=0.5), t.tensor([[1.0], [3.0]])), [[1.0], [1.5]]),
    "checkpoint, cumulative": (lambda t: checkpointed(t, t.nn.BatchNorm1d(1, momentum=None), t.tensor([[1.0], [3.0]])), [[2.0], [2.0]]),
    "checkpoint, instances": (
        lambda t: checkpointed(t, t.nn.InstanceNorm1d(1, momentum=0.5, track_running_stats=True), t.tensor([[[1.0, 3.0]]])), [[1.0], [1.5]],
    ),
    "checkpoint, unused": (lambda t: checkpointed(t, t.nn.BatchNorm1d(1, momentum=0.5), t.ones(2, 1), used=False), [[0.5], [0.5]]),
    "checkpoint, function": (checkpointed_function, [1.5, 1.75]),
    "ctc, alone": (lambda t: loss(t, 3, 2, (1, 2)), ("float32", 1.6863990)),
    "ctc, alone, in a tuple": (lambda t: loss(t, (3,), (2,), (1, 2)), ("float32", 1.6863990)),
    "ctc, all lengths": (lambda t: loss(t, (3, 0), (2, 0)), ("float32", [1.6863990, 0.0])),
}  # fmt: skip


def results(name: str, t: Any) -> tuple[Any, Any]:
    """The result of a row and the value that PyTorch gives, both as numbers; dtypes are compared."""
    function, expected = VALUES[name]
    result = function(t)
    if isinstance(expected, tuple):
        dtype, expected = expected
        assert str(result.dtype).rpartition(".")[2] == dtype
        result = result.detach().numpy()
    return result, expected


@pytest.mark.parametrize("name", VALUES)
def test_values(name):
    result, expected = results(name, torch)
    if isinstance(expected[0] if isinstance(expected, list) and expected else expected, str):
        assert result == expected
    else:
        np.testing.assert_allclose(np.asarray(result, float), np.asarray(expected, float), rtol=1e-6)


REFUSED: dict[str, tuple[Any, type[Exception], str]] = {
    "ctc, steps": (lambda t: loss(t, (4, 3), (2, 1)), RuntimeError, "length 4, in row 0, where there is room for 3"),
    "ctc, negative steps": (lambda t: loss(t, (3, -1), (2, 1)), RuntimeError, "length -1, in row 1"),
    "ctc, labels": (lambda t: loss(t, (3, 3), (1, 3)), RuntimeError, "length 3, in row 1, where there is room for 2"),
    "ctc, negative labels": (lambda t: loss(t, (3, 3), (-1, 1)), RuntimeError, "Write lengths from 0 to 2"),
    "ctc, flat, negative": (lambda t: loss(t, (3, 3), (-1, 3), (1, 2)), RuntimeError, "length -1, in row 0"),
    "ctc, alone": (lambda t: loss(t, (4,), (2,), (1, 2)), RuntimeError, "length 4"),
    "ctc, alone, labels": (lambda t: loss(t, (3,), (1,), (1, 2)), RuntimeError, "Write lengths from 2 to 2"),
    "ctc, blank": (lambda t: loss(t, (3, 3), (2, 1), blank=3), RuntimeError, "blank=3 of 3 classes"),
    "ctc, floats": (lambda t: loss(t, (3.0, 3.0), (2, 1)), RuntimeError, "input_lengths of .*float32"),
    "renorm, p": (lambda t: t.ones(2, 2).renorm(0, 0, 1.0), RuntimeError, "p above 0"),
    "renorm, rank": (lambda t: t.ones(2).renorm(2, 0, 1.0), RuntimeError, "two dimensions"),
    "renorm, integers": (lambda t: whole(t, 2, 2).renorm(2, 0, 1.0), RuntimeError, "renorm of .*int64"),
    "renorm, maxnorm": (lambda t: t.ones(2, 2).renorm(2, 0, -1.0), RuntimeError, "maxnorm=0 or more"),
    "add": (lambda t: t.add(whole(t, 2), whole(t, 2), alpha=1.5), RuntimeError, "add of .*int64"),
    "addr": (lambda t: t.addr(whole(t, 2, 2), whole(t, 2), whole(t, 2), beta=0.5), RuntimeError, "addr of .*int64"),
    "mean of bool": (
        lambda t: t.ones(2).bool().scatter_reduce(0, t.tensor([0]), t.tensor([True]), "mean"), NotImplementedError, "mean",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    function, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        function(torch)
