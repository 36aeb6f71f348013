"""Temperature scaling: one number that calibrates the probabilities of a network (Guo, Pleiss, Sun, Weinberger, 2017).

The logits are divided by a temperature before the softmax (or sigmoid). The temperature maximizes the likelihood of the
validation data. The predicted class does not change, only its probability. An additional bias for each class corrects
the frequencies of the classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ranvier.calibration.scaling import KINDS, excludes, fit_scaling, fit_temperature
from ranvier.graph.node import Node
from ranvier.module import Module, register_module
from ranvier.module.arguments import input_parameters
from ranvier.module.calls import check_network, in_model_dtype
from ranvier.ops import arrays as n
from ranvier.ops.functional import sigmoid, softmax
from ranvier.ops.functional.losses_keras import logits_of
from ranvier.tensor.function import function
from ranvier.tensor.tensor import Tensor


@function
def logits_from(probabilities: Node, kind: str) -> Node:
    """The input of a softmax (up to a constant) or sigmoid, computed from its output."""
    tiny = 1e-7 if probabilities.dtype == "float32" else 1e-15
    if kind == "softmax":
        return n.log(n.clip(probabilities, tiny * tiny))
    inside = n.clip(probabilities, tiny, 1 - tiny)
    return n.log(inside) - n.log1p(n.negative(inside))


class _Logits(Module):
    """The logits of a model, which ends in logits, a softmax or a sigmoid."""

    def __init__(self, model: Module, kind: str, from_logits: bool) -> None:
        super().__init__()
        check_network(model)
        self.model, self.kind, self.from_logits = model, kind, from_logits
        self._input_type, self._frame_columns = model._input_type, model._frame_columns

    def forward(self, x: Any) -> Any:
        output = self.model(x)
        if self.from_logits:
            return output
        known = logits_of(output, self.kind)
        return logits_from(output, self.kind) if known is None else known


@register_module
class Calibrated(_Logits):
    """A model with the probabilities of ``logits / temperature + bias``. `calibrate` returns it.

    ``kind`` is "softmax" (classes exclude each other) or "sigmoid" (each output is independent). ``from_logits`` means
    that the model ends in logits. ``bias`` is None or one number for each output. It predicts, evaluates and is saved
    like any model, and shares the weights of ``model``.
    """

    def __init__(
        self,
        model: Module,
        temperature: float = 1.0,
        kind: str = "softmax",
        from_logits: bool = False,
        bias: Sequence[float] | None = None,
    ) -> None:
        super().__init__(model, kind, from_logits)
        if kind not in KINDS:
            raise ValueError(f"kind={kind!r} does not exist. Write 'softmax' or 'sigmoid'.")
        if not 0 < temperature < np.inf:
            raise ValueError(f"temperature={temperature!r}: write a number above 0 instead.")
        self.register_buffer("temperature", Tensor(np.float32(temperature)))
        self.register_buffer("bias", None if bias is None else Tensor(np.asarray(bias, np.float32)))

    def forward(self, x: Any) -> Any:
        scaled = n.divide(super().forward(x), self.temperature)
        if self.bias is not None:
            scaled = n.add(scaled, self.bias)
        return softmax(scaled) if self.kind == "softmax" else sigmoid(scaled)

    def extra_repr(self) -> str:
        return f"temperature={self.temperature.item():.4g}, kind={self.kind!r}"


@in_model_dtype
def calibrate(
    model: Module,
    x: Any,
    y: Any,
    *,
    bias: bool = False,
    sample_weight: Any = None,
    from_logits: bool | None = None,
    **options: Any,
) -> Calibrated:
    """Calibrate the probabilities of ``model`` on the validation data (x, y).

    ``y`` are class numbers or one-hot rows for several classes, and 0 and 1 in the shape of the outputs for yes or no.
    With ``bias`` each class (or output) also gets a bias, which may change predictions. It is meant for models that
    were trained with weights, with balanced batches, or on other class frequencies than they are used with.
    ``from_logits`` means that the model ends in logits; where None, it does unless it ends in a softmax or sigmoid.
    ``options`` are passed to ``predict``. The result is compiled like the model, with its loss for probabilities. The
    data must not be training data, which give too low a temperature. `fit_temperature` and `fit_scaling` do the same
    for logits alone.
    """
    if input_parameters(model)[1] > 1:
        raise ValueError(
            f"{model.name!r} takes several inputs, and calibrate needs a model of one. Write fit_temperature(y, "
            "logits) for its logits, and divide them by the temperature in another model, instead."
        )
    output = model._trace() if model._input_type is not None else model(np.asarray(x)[:1])
    maker = getattr(getattr(output.trace_node, "function", None), "name", None)
    maker = maker if maker in KINDS else None
    if from_logits is None:
        from_logits = maker is None
    kind = maker or ("softmax" if excludes(np.asarray(y), tuple(output.shape[1:])) else "sigmoid")
    logits = _Logits(model, kind, from_logits).predict(x, **options)
    if bias:
        temperature, found = fit_scaling(y, logits, kind, sample_weight=sample_weight)
    else:
        temperature, found = fit_temperature(y, logits, kind, sample_weight=sample_weight), None
    calibrated = Calibrated(model, temperature, kind, from_logits, None if found is None else found.tolist())
    _compile(calibrated, model)
    return calibrated


def _compile(calibrated: Calibrated, model: Module) -> None:
    """Compile the result like the model, with losses and metrics of probabilities in place of those of logits.

    Where a loss takes only logits, the result is not compiled.
    """
    from ranvier.training.step.compiled import Compiled
    from ranvier.training.step.compiled import compile as compile_model

    state = model._compiled
    if not isinstance(state, Compiled):
        return
    try:
        settings = state.settings()
    except ValueError:  # functions of the user, which may take logits
        if not calibrated.from_logits:
            compile_model(calibrated, **state.given, engine=state.engine)
        return
    if not calibrated.from_logits:
        compile_model(calibrated, **settings)
    elif "torch." not in str(settings["loss"]):  # criteria of PyTorch, which take only logits
        compile_model(calibrated, **_of_probabilities(settings, calibrated.kind))


def _of_probabilities(described: Any, kind: str) -> Any:
    """Configurations of losses and metrics of logits, changed to probabilities, which ``kind`` computes."""
    if isinstance(described, list):
        return [_of_probabilities(v, kind) for v in described]
    if not isinstance(described, dict):
        return described
    result = {k: _of_probabilities(v, kind) for k, v in described.items()}
    if kind == "sigmoid" and not described.get("from_logits"):
        for name in ("threshold", "thresholds"):
            if result.get(name) is not None:
                result[name] = (1 / (1 + np.exp(-np.asarray(result[name], np.float64)))).tolist()
    return result | ({"from_logits": False} if "from_logits" in result else {})
