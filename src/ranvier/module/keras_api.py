"""Keras's ways to look at a model: weights as lists, layers by name, ``losses``, ``metrics``, ``summary``."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ranvier.graph.node import BATCH, Type
from ranvier.graph.open_extents import opened
from ranvier.module.calls import float_dtype_of, mode
from ranvier.module.properties import overridable_property, part_of_module
from ranvier.module.state import ModuleState
from ranvier.module.summary import own_weights, summary
from ranvier.module.symbolic import shown_shape
from ranvier.support.errors import arguments, unknown_keyword
from ranvier.support.tree import flatten, map_structure
from ranvier.tensor.call_state import call_state, isolated_tape
from ranvier.tensor.check_returned import callable_name, check_tensor
from ranvier.tensor.context import get_dtype
from ranvier.tensor.tensor import Tensor


@part_of_module
class KerasAPI(ModuleState):
    """What `ranvier.Module` has from Keras to look at weights, layers and results."""

    @property
    def trainable(self) -> bool:
        """Whether ``fit`` and optimizers change the weights; setting it sets it for everything below, except weights
        made with ``trainable=False``.
        """
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for module in self.modules():
            module.__dict__["_trainable"] = bool(value)
        for parameter in self.parameters():
            if parameter.for_training:
                parameter.requires_grad = bool(value)

    @overridable_property
    def dtype(self) -> str:
        """The floating dtype of the weights and of the computation."""
        return self._floats or float_dtype_of(self)

    compute_dtype = variable_dtype = dtype  # Keras distinguishes them

    @property
    def dtype_policy(self) -> Any:
        """The `DTypePolicy` of ``dtype``."""
        from ranvier.config.dtype_policies import DTypePolicy

        return DTypePolicy(self.dtype)

    @overridable_property
    def layers(self) -> Any:
        """The modules in this one, in order."""
        return list(self.children())

    def get_layer(self, name: str | None = None, index: int | None = None) -> Any:
        """The layer of this name, or at this place of ``layers``. Raises ValueError naming what there is."""
        layers = list(self.layers)
        if (name is None) == (index is None):
            raise ValueError("get_layer takes a name or an index. Write get_layer('dense') or get_layer(index=0).")
        if index is not None:
            if not -len(layers) <= index < len(layers):
                raise ValueError(f"{self.name!r} has {len(layers)} layers, and none at {index}. Write a smaller index.")
            return layers[index]
        for layer in layers:
            if layer.name == name:
                return layer
        raise ValueError(f"{self.name!r} has no layer {name!r}. Write one of {', '.join(x.name for x in layers)}.")

    def _tensors(self) -> list[Tensor]:
        """All weights in Keras's order: a layer's own, those made to be trained first, then its layers'."""
        seen: dict[int, Tensor] = {}
        for module in self.modules():
            for tensor in sorted(own_weights(module), key=lambda w: not getattr(w, "for_training", False)):
                seen.setdefault(id(tensor), tensor)
        return list(seen.values())

    @overridable_property
    def weights(self) -> Any:
        """Parameters and persistent buffers, layer by layer, of each those that are trained first. Buffers of what a
        constructor was given, as by ``Normalization(mean=, variance=)``, are none.
        """
        return self._tensors()

    @overridable_property
    def trainable_weights(self) -> list[Tensor]:
        return [w for w in self._tensors() if w.requires_grad]

    @overridable_property
    def non_trainable_weights(self) -> list[Tensor]:
        return [w for w in self._tensors() if not w.requires_grad]

    @overridable_property
    def variables(self) -> list[Tensor]:
        """Keras's name for ``weights``."""
        return self._tensors()

    trainable_variables, non_trainable_variables = trainable_weights, non_trainable_weights  # Keras's other names

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The output's shape for inputs of this shape, whose first dimension is the batch's (None, or a number that is
        kept), and whose others may be None too; of several inputs, a list of shapes. Weights are not made. Raises
        ValueError where the inputs do not fit.
        """
        module: Any = self if self.built else copy.deepcopy(self)
        several = bool(input_shape) and isinstance(input_shape[0], (tuple, list))
        shapes = input_shape if several else [input_shape]
        given = [Tensor.placeholder(Type((BATCH, *map(opened, shape[1:])), get_dtype())) for shape in shapes]
        batch = next((int(shape[0]) for shape in shapes if shape[0] is not None), None)
        with mode(module, False), isolated_tape(module):
            result = module(given if several else given[0])
        return map_structure(result, Tensor, lambda tensor: (batch, *shown_shape(tensor.spec)[1:]))

    @overridable_property
    def losses(self) -> Any:
        """What is added to the loss: what layers added in the last call, or the last batch of `fit` and `evaluate`
        (``add_loss``, activity regularizers), and the penalty of each trainable weight that has a regularizer. `fit`
        adds them; an explicit loop writes ``loss + sum(model.losses)``.
        """
        return [x for _, x in self._added_losses()] + self._penalties()

    def _penalties(self) -> list[Tensor]:
        return [
            check_tensor(p.regularizer(p), f"the regularizer {callable_name(p.regularizer)} of {p.name!r}", "a tensor")
            for p in self.parameters()
            if p.regularizer and p.requires_grad
        ]

    def _added_losses(self) -> list[tuple[int, Tensor]]:
        """What layers added in the last call, each with the number of its module."""
        return [(i, x) for i, m in enumerate(self.modules()) for x in call_state.added_losses.get(m, ())]

    def _losses(self) -> list[Tensor]:
        return self._penalties() + [x for _, x in self._added_losses()]

    def get_weights(self) -> list[Any]:
        """Copies of all weights as NumPy arrays, in the order of ``weights``: of a Dense, kernel (in, out) and bias."""
        return [w.numpy() for w in self._tensors()]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Overwrite all weights, in the order of ``get_weights()``. Raises ValueError listing those that do not fit."""
        own = self._tensors()
        arrays = [np.asarray(w) for w in weights]
        if len(arrays) != len(own):
            raise ValueError(f"{self.name!r} has {len(own)} weights and was given {len(arrays)}.")
        wrong = [
            f"weight {i} is {w.shape} and was given {a.shape}"
            for i, (w, a) in enumerate(zip(own, arrays, strict=True))
            if w.shape != a.shape
        ]
        if wrong:
            raise ValueError(f"the weights do not fit {self.name!r}: {'; '.join(wrong)}.")
        for weight, array in zip(own, arrays, strict=True):
            weight.assign(array)

    @overridable_property
    def optimizer(self) -> Any:
        """The optimizer that `compile` was given; None before."""
        return getattr(self._compiled, "optimizer", None)

    @property
    def run_eagerly(self) -> bool:
        """Whether the methods of a step run for each batch, as `compile` was told; it may be set after `compile`."""
        return bool(getattr(self._compiled, "eager", False))

    @run_eagerly.setter
    def run_eagerly(self, value: bool) -> None:
        if self._compiled is None:
            raise RuntimeError(f"{self.name!r} is not compiled yet. Write compile(..., run_eagerly={value!r}) instead.")
        self._compiled.eager = bool(value)
        self._compiled.programs.clear()

    @overridable_property
    def loss(self) -> Any:
        """The loss that `compile` was given; None before."""
        return None if self._compiled is None else self._compiled.given["loss"]

    @overridable_property
    def metrics_names(self) -> list[str]:
        """The names of what `evaluate` gives; empty before `compile`."""
        return list(getattr(self._compiled, "names", ()))

    @overridable_property
    def metrics(self) -> Any:
        """The metrics that `compile` was given, in the order of the results, and then those that are attributes of this
        module and of those below it. Where a model's own methods are the step, the mean loss of the default methods is
        the first.
        """
        found = [metric.given for metric in getattr(self._compiled, "metrics", ())]
        if getattr(self._compiled, "calls_methods", False):
            found = [self._compiled.loss_tracker, *self._compiled.output_trackers, *found]
        for module in self.modules():
            for name, value in vars(module).items():
                several = isinstance(value, (list, tuple, dict)) and hasattr(next(flatten(value), None), "update_state")
                if name[:1] != "_" and (several or hasattr(value, "update_state")):
                    found += (metric for metric in flatten(value) if metric not in found)
        return found

    def reset_metrics(self) -> None:
        """Let the metrics forget what they collected. `fit`, `evaluate` and ``train_on_batch`` begin anew by
        themselves: what they return is of that epoch, of those data and of that batch alone.
        """
        for metric in self.metrics:
            metric.reset_state()

    def count_params(self) -> int:
        """The number of elements of all weights."""
        return sum(w.compute().size for w in self._tensors())

    def summary(
        self,
        line_length: int | None = None,
        *,
        print_fn: Callable[[str], Any] | None = None,
        expand_nested: bool = True,
        show_trainable: bool = False,
        **options: Any,
    ) -> None:
        """Print the layers with their output shapes, parameters and bytes; shapes come from tracing the model.

        Layers within layers have rows of their own unless ``expand_nested=False``; ``show_trainable`` adds a column
        that says which are trained. ``line_length`` is the width, ``print_fn`` takes the text in place of the terminal.
        """
        if options:
            raise unknown_keyword(next(iter(options)), arguments(summary)[0], f"{type(self).__name__}.summary")
        summary(
            self, print_fn=print_fn, line_length=line_length, expand_nested=expand_nested,
            show_trainable=show_trainable,
        )  # fmt: skip
