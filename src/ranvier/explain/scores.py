"""The score to explain: one output of the network for each sample, and its gradient, computed in batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from ranvier.data.arrays import check_column_names
from ranvier.data.convert import Array, to_numeric
from ranvier.graph.node import FLOATS, Node
from ranvier.module.calls import in_model_dtype, mode
from ranvier.module.core import Module
from ranvier.ops import arrays
from ranvier.ops.functional.losses_keras import logits_of
from ranvier.support.validation import whole
from ranvier.tensor.autograd import gradients, reaches
from ranvier.tensor.context import get_dtype, no_grad
from ranvier.tensor.function import function
from ranvier.tensor.tensor import Tensor

PROBABILITIES = ("softmax", "sigmoid")  # functions from logits to probabilities


@function
def chosen(outputs: Node, mask: Node) -> Node:
    """The sum of the outputs that the mask selects."""
    return arrays.sum(arrays.multiply(outputs, mask))


@function
def both_classes(yes: Node, probabilities: bool) -> Node:
    """The scores of no and yes, (samples, 2), from those of yes: logits or probabilities."""
    no = arrays.subtract(1, yes) if probabilities else arrays.negative(yes)
    return arrays.concatenate([no, yes], 1)


class Scorer:
    """A model in evaluation mode, called with batches of one size, so that it is compiled once.

    With ``logits`` the scores are the inputs of a final softmax or sigmoid, as in the papers, because probabilities
    near 1 have almost no gradient. A single sigmoid decides between two classes, and both have a score.
    """

    def __init__(
        self, model: Module, x: Any, target: Any, logits: bool, batch_size: int, differentiable: bool = True
    ) -> None:
        if texts := model._text_layers():
            x = texts[0].encode(x)
        dtype = get_dtype() if model._input_type is None else model._input_type.dtype
        whole_numbers = dtype not in FLOATS and dtype != "uint8"
        if whole_numbers and differentiable:
            raise TypeError(
                f"{model.name!r} takes integers ({dtype}), which have no gradient. Explain the part of the "
                "network after its Embedding, or words(model, texts), instead."
            )
        self.model, self.batch, self.logits = model, whole("batch_size", batch_size), logits
        self.target = target
        if isinstance(x, (tuple, list)) and x and hasattr(x[0], "shape"):
            raise TypeError("only networks with one input can be explained. Write one array of samples instead.")
        check_column_names(x, model._frame_columns.get("0"))
        array = to_numeric(x)
        if array.ndim < 2 or not len(array):
            raise ValueError(
                f"x has shape {array.shape}. Write samples, with their number as the first dimension: x[None] for one."
            )
        self.x = array if whole_numbers else array.astype(get_dtype(), copy=False)

    def outputs(self, x: Tensor) -> Tensor:
        """The scores of the outputs, (samples, outputs), recorded."""
        result = self.model(x)
        if not isinstance(result, Tensor) or result.ndim not in (1, 2):
            shape = getattr(result, "shape", None)
            raise ValueError(
                f"the network's output is {f'of shape {shape}' if shape else type(result).__name__}, and a score is "
                "one of (samples, outputs). Write a network that ends there instead."
            )
        alone = result.ndim == 1 or result.shape[1] == 1
        for maker in PROBABILITIES:
            before = logits_of(result, maker)
            if before is None:
                continue
            scores = before if self.logits else result
            if alone and maker == "sigmoid":
                return cast("Tensor", both_classes(scores.reshape(-1, 1), probabilities=not self.logits))
            return scores
        return result.reshape(-1, 1) if result.ndim == 1 else result

    def over(self, *given: Array, run: Callable[..., Sequence[Any]]) -> list[Array]:
        """The joined results of ``run`` for batches of the arrays. The last batch is padded with its last row."""
        found: list[list[Array]] = []
        size = min(self.batch, len(given[0]))
        with mode(self.model, False):
            for start in range(0, len(given[0]), size):
                parts = [a[start : start + size] for a in given]
                rows = len(parts[0])
                full = [np.concatenate([p, np.repeat(p[-1:], size - rows, 0)]) if rows < size else p for p in parts]
                results = run(*(Tensor(p) for p in full))
                found.append([np.asarray(r.numpy()[:rows]) for r in results])
        return [np.concatenate(parts) for parts in zip(*found, strict=True)]

    def values(self, x: Array) -> Array:
        """The scores of all outputs, (samples, outputs)."""
        with no_grad():
            return self.over(x, run=lambda part: (self.outputs(part),))[0]

    @cached_property
    def masks(self) -> Array:
        """1 at the output to explain for each sample, (samples, outputs)."""
        values = self.values(self.x)
        return np.eye(values.shape[1], dtype=values.dtype)[self.chosen_outputs(values, self.target)]

    def chosen_outputs(self, values: Array, target: Any) -> Array:
        """The output to explain for each sample: the target class, or the largest one of the values."""
        samples, outputs = values.shape
        index = values.argmax(1) if target is None else np.asarray(target)
        if index.shape in ((), (1,)):
            index = np.broadcast_to(index, samples)
        if index.shape != (samples,) or index.dtype.kind not in "iu" or (index < 0).any() or (index >= outputs).any():
            raise ValueError(
                f"target={target!r}: write one of the {outputs} outputs, 0 to {outputs - 1}, or one for each of the "
                f"{samples} samples."
            )
        return index

    def gradient(self, x: Array) -> Array:
        """The gradient of the selected scores with respect to the inputs."""

        def run(part: Tensor, mask: Tensor) -> list[Tensor]:
            part.requires_grad = True
            score = chosen(self.outputs(part), mask)
            if not reaches(score, part):
                raise TypeError(
                    f"no gradient reaches the inputs of {self.model.name!r}: it takes integers, as an Embedding "
                    "does, or compares its inputs. Explain the part of the network after that instead."
                )
            return gradients(score, [part])

        return self.over(x, self.masks, run=run)[0]

    def selected(self, x: Array) -> Array:
        """The selected score of each sample."""
        return np.asarray((self.values(x) * self.masks).sum(1))


@in_model_dtype
def scores(model: Module, x: Any, target: Any = None, *, logits: bool = True, batch_size: int = 32) -> npt.NDArray[Any]:
    """The scores to explain, (samples,): those of the class ``target``, or of the predicted class.

    With ``logits`` they are the inputs of a final softmax or sigmoid of the network, otherwise its outputs.
    """
    scorer = Scorer(model, x, target, logits, batch_size)
    return scorer.selected(scorer.x)
