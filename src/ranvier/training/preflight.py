"""Mistakes that train without an error, told before the first step: found in what calling the model records."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from ranvier.data.convert import Array
from ranvier.module import Module, isolated, mode
from ranvier.tape import Entry
from ranvier.tensor import Tensor
from ranvier.training.state import Compiled
from ranvier.training.step import Data, placeholder_type

__all__ = ["PreflightWarning", "preflight"]

AFFINE = ("affine", "linear")
# What stands between two layers and changes nothing that matters here.
TRANSPARENT = (
    "flatten", "_rows", "reshape", "drop", "dropout", "linear_activation", "cast", "detach", "squeeze", "expand_dims",
    "transpose",
)  # fmt: skip
UNBOUNDED = (
    *AFFINE,
    "relu",
    "leaky_relu",
    "elu",
    "selu",
    "gelu",
    "silu",
    "mish",
    "softplus",
    "tanh",
    "relu6",
)
LOOKED_AT = 1024  # rows


class PreflightWarning(UserWarning):
    """A likely mistake in the model or its data, found before training."""


class Seen:
    """What one call of the model recorded."""

    def __init__(self, model: Module, state: Compiled, data: Data) -> None:
        with mode(model, False), isolated():
            self.output: Tensor = model(Tensor.placeholder(placeholder_type(model, data)))
        self.leaves = self.output.segment.leaves if self.output.segment is not None else []
        self.names = {id(p): name.rpartition(".")[0] or name for name, p in model.named_parameters()}
        self.layers = {path: module.name for path, module in model.named_modules()}
        self.loss = state.loss
        self.data = data
        self.kind = type(self.loss).__name__
        module = getattr(self.loss, "module", None)
        self.function = getattr(getattr(module, "function", None), "__name__", "")

    @property
    def last(self) -> str:
        """The name of the function that made the output."""
        return name_of(through(self.output.entry)) if self.output.entry is not None else ""

    def entries(self) -> Iterator[Entry]:
        pending, seen = [self.output.entry], set()
        while pending:
            entry = pending.pop()
            if entry is None or entry in seen:
                continue
            seen.add(entry)
            yield entry
            pending.extend(entry.children)

    def layer(self, entry: Entry) -> str:
        """The layer that an affine call belongs to, by its kernel."""
        kernel = entry.children[1] if len(entry.children) > 1 else None
        while kernel is not None and kernel.function is not None and kernel.children:
            kernel = kernel.children[0]  # a transposed weight
        leaf = None if kernel is None else self.leaves[kernel.options[0][1]]
        path = self.names.get(id(leaf), "?")
        return self.layers.get(path, path)


def name_of(entry: Entry) -> str:
    name = "" if entry.function is None else entry.function.name
    # PyTorch calls the layer's product "linear", and Keras the activation that does nothing.
    return "linear_activation" if name == "linear" and len(entry.children) == 1 else name


def through(entry: Entry) -> Entry:
    """What made this, past calls that change nothing that matters."""
    while entry.children and name_of(entry) in TRANSPARENT:
        entry = entry.children[0]
    return entry


def logits_expected(seen: Seen) -> str | None:
    wants = bool(getattr(seen.loss, "from_logits", False)) or seen.function in (
        "cross_entropy",
        "binary_cross_entropy_with_logits",
    )
    if not wants or seen.last not in ("softmax", "sigmoid", "log_softmax"):
        return None
    if seen.function == "cross_entropy" and seen.last == "log_softmax":
        return None  # softmax of log probabilities gives them back
    fix = "from_logits=False" if not seen.function else "no activation in the last layer"
    return f"the loss {seen.loss.name!r} expects logits, and the model ends with {seen.last}. Write {fix} instead."  # type: ignore[union-attr]


def probabilities_expected(seen: Seen) -> str | None:
    maker = getattr(seen.loss, "maker", None)
    if maker is None or getattr(seen.loss, "from_logits", False) or seen.last not in UNBOUNDED:
        return None
    return (
        f"the loss {seen.loss.name!r} expects probabilities, and the model ends with {seen.last!r}, whose values are "  # type: ignore[union-attr]
        f"none. Write activation={maker!r} in the last layer, or from_logits=True in the loss, instead."
    )


def log_probabilities_expected(seen: Seen) -> str | None:
    if seen.function != "nll_loss" or seen.last == "log_softmax":
        return None
    return "NLLLoss expects log probabilities. Write log_softmax at the end of the model, or CrossEntropyLoss, instead."


def sigmoid_for_classes(seen: Seen) -> str | None:
    if "Categorical" not in seen.kind or getattr(seen.loss, "from_logits", False) or seen.last != "sigmoid":
        return None
    return (
        f"the loss {seen.loss.name!r} expects probabilities that add up to 1, and the model ends with sigmoid. Write "  # type: ignore[union-attr]
        "activation='softmax' for one class of several, or loss='binary_crossentropy' for independent yes or no."
    )


def one_unit(seen: Seen) -> str | None:
    classes = "Categorical" in seen.kind or seen.function == "cross_entropy"
    if not classes or seen.output.shape[-1:] != (1,):
        return None
    return (
        "the model has one output, and a categorical loss compares several: it learns nothing. Write "
        "loss='binary_crossentropy' with activation='sigmoid', or one output for each class, instead."
    )


def no_nonlinearity(seen: Seen) -> str | None:
    pairs = []
    for entry in seen.entries():
        if name_of(entry) in AFFINE:
            before = through(entry.children[0])
            if name_of(before) in AFFINE:
                pairs.append(f"{seen.layer(before)!r} and {seen.layer(entry)!r}")
    if not pairs:
        return None
    return (
        f"there is no nonlinearity between {', nor between '.join(pairs[::-1])}: two such layers are no more than one. "
        "Write activation='relu' in the first instead."
    )


def unscaled(seen: Seen) -> str | None:
    x = seen.data.x[0]
    rows: Array = x[:: max(1, len(x) // LOOKED_AT)][:LOOKED_AT]
    if not rows.size or x.ndim < 2:
        return None
    low, high = float(rows.min()), float(rows.max())
    if (
        low < 0
        or not 100 <= high <= 255
        or (rows.dtype.kind == "f" and not np.array_equal(rows, np.trunc(rows)))
    ):
        return None
    first = [e for e in seen.entries() if name_of(e) in AFFINE and through(e.children[0]).function is None]
    if not first or not any(
        id(seen.leaves[through(e.children[0]).options[0][1]]) not in seen.names for e in first
    ):
        return None
    return (
        f"the inputs reach from {low:g} to {high:g} and nothing rescales them, so training will be slow or fail. Write "
        "rv.layers.Rescaling(1 / 255) as the first layer, or x / 255, instead."
    )


CHECKS = (
    logits_expected, probabilities_expected, log_probabilities_expected, sigmoid_for_classes, one_unit, no_nonlinearity,
    unscaled,
)  # fmt: skip


def preflight(model: Module, state: Compiled, data: Data, stacklevel: int = 4) -> None:
    """Warn, once for each compile, of everything that looks like a mistake."""
    if state.warned or state.loss is None:
        return
    state.warned = True
    seen: Any = Seen(model, state, data)
    for check in CHECKS:
        text = check(seen)
        if text is not None:
            warnings.warn(text, PreflightWarning, stacklevel=stacklevel)
