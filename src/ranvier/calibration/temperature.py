"""Temperature scaling: one number that makes a network's probabilities true (Guo, Pleiss, Sun, Weinberger, 2017).

The logits are divided by a temperature before the softmax (or sigmoid), chosen so that validation data are as likely as
can be. Which class is the largest does not change; how sure the network is of it does. A bias for each class besides
corrects how frequent the classes are held to be.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ranvier.calibration.scaling import KINDS, excludes, fit_scaling, fit_temperature
from ranvier.graph.node import Node
from ranvier.module import Module, register_module
from ranvier.module.calls import check_network, in_its_floats
from ranvier.ops import arrays as n
from ranvier.ops.functional import sigmoid, softmax
from ranvier.ops.functional.losses_keras import logits_of
from ranvier.tensor.function import function
from ranvier.tensor.tensor import Tensor

__all__ = ["Calibrated", "calibrate"]


@function
def logits_from(probabilities: Node, kind: str) -> Node:
    """What a softmax (up to a constant) or sigmoid was given, from what it returned."""
    tiny = 1e-7 if probabilities.dtype == "float32" else 1e-15
    if kind == "softmax":
        return n.log(n.clip(probabilities, tiny * tiny))
    inside = n.clip(probabilities, tiny, 1 - tiny)
    return n.log(inside) - n.log1p(n.negative(inside))


class _Logits(Module):
    """The logits of a model that ends in them, in a softmax or in a sigmoid."""

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
    """A model whose probabilities are those of ``logits / temperature + bias``; `calibrate` makes it.

    ``kind`` is "softmax" (one class of several) or "sigmoid" (each output on its own); ``from_logits`` says that the
    model ends in logits; ``bias`` is None or one number for each output. It predicts, evaluates and is saved like any
    model, and shares the weights of ``model``.
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


@in_its_floats
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
    """``model`` with the temperature that makes its probabilities of the validation data (x, y) true.

    ``y`` are class numbers or one-hot rows for a model of several classes, 0 and 1 of the outputs' shape for one of
    yes or no. With ``bias`` each class (or output) also gets a bias, which may change decisions: for a model that
    was trained with weights, with balanced batches, or on other frequencies than it will meet. ``from_logits`` says
    that the model ends in logits; where None, it does unless it ends in a softmax or sigmoid. ``options`` go to
    ``predict``. The result is compiled as the model was, its loss for probabilities. Data that the model was
    trained on give a temperature that is too low. `fit_temperature` and `fit_scaling` do the same for logits alone.
    """
    from ranvier.module.arguments import takes

    if takes(model)[1] > 1:
        raise ValueError(
            f"{model.name!r} takes several inputs, and calibrate a model of one. Write fit_temperature(y, logits) for "
            "its logits, and divide them by it in a model of your own, instead."
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
    """Compile it as the model was, for probabilities where that gives logits.

    A loss of logits that cannot be told so is none of probabilities: then it is left to whoever needs a loss.
    """
    from ranvier.training.step.compiled import Compiled
    from ranvier.training.step.compiled import compile as compile_model

    state = model._compiled
    if not isinstance(state, Compiled):
        return
    try:
        settings = state.settings()
    except ValueError:  # functions of the user's, which may be of logits
        if not calibrated.from_logits:
            compile_model(calibrated, **state.given, engine=state.engine)
        return
    if not calibrated.from_logits:
        compile_model(calibrated, **settings)
    elif "torch." not in str(settings["loss"]):  # criteria, which take nothing else
        compile_model(calibrated, **_of_probabilities(settings, calibrated.kind))


def _of_probabilities(described: Any, kind: str) -> Any:
    """Descriptions of losses and metrics of logits, as those of probabilities; ``kind`` is what makes these."""
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
