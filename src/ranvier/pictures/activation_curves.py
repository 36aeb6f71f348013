"""Activation functions, with their derivatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier import activations
from ranvier.pictures.style import BLUE, INK, ORANGE, PALE, Target, finish, grid, tidy
from ranvier.tensor.autograd import gradients
from ranvier.tensor.tensor import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

USUAL = (
    "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "softplus", "softsign", "tanh", "sigmoid", "hard_sigmoid",
    "mish",
)  # fmt: skip
POINTS = 401
FLAT = ("softmax", "log_softmax", "sparsemax", "glu")  # of several numbers together: no curves


def activation_functions(
    names: Sequence[str | Callable[..., Any]] | str | None = None,
    path: Target = None,
    *,
    low: float = -4.0,
    high: float = 4.0,
    title: str | None = None,
) -> Figure:
    """Draw activation functions from ``low`` to ``high``, each with its derivative, which training multiplies by.

    ``names`` are names or functions of `ranvier.activations`; None draws twelve that are used most. Where the
    derivative is near 0, a unit hardly learns. ``path`` names a file to write (.png, .svg, .pdf). Returns the
    figure. Raises ValueError for an unknown name, and for functions of several numbers, such as softmax.
    """
    given: list[Any] = (
        list(USUAL) if names is None else [names] if isinstance(names, str) or callable(names) else [*names]
    )
    if not given or not low < high:
        raise ValueError(f"names={names!r}, low={low!r}, high={high!r}: write at least one name, and low below high.")
    curves = []
    for each in given:
        function = activations.get(each)
        name = each if isinstance(each, str) else getattr(each, "__name__", "activation")
        if name in FLAT:
            raise ValueError(f"{name} maps several numbers together, so that it has no curve. Leave it out.")
        x = Tensor(np.linspace(low, high, POINTS), requires_grad=True)
        y = function(x)
        (slope,) = gradients(y.sum(), [x])
        curves.append((name, x.numpy(), y.numpy(), slope.numpy()))
    made, panels = grid(len(curves), 4, (2.7, 2.2), (0.3, 0.5), title, sharex=True)
    for axes, (name, at, values, slopes) in zip(panels, curves, strict=True):
        axes.axhline(0, color=PALE, linewidth=0.6)
        axes.axvline(0, color=PALE, linewidth=0.6)
        axes.plot(at, values, color=BLUE, linewidth=2, label="function")
        axes.plot(at, slopes, color=ORANGE, linewidth=1.6, linestyle="--", label="derivative")
        tidy(axes, name)
        axes.tick_params(labelsize=8, labelbottom=True)
    handles, labels = panels[0].get_legend_handles_labels()
    made.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=9, labelcolor=INK)
    return finish(made, path)
