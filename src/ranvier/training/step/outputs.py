"""What each output of a model is trained toward and measured by: its loss, that loss's share, and its metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from ranvier import losses, metrics
from ranvier.metrics import Metric, SampleMean
from ranvier.support.errors import likely
from ranvier.training.step import custom_objects as own
from ranvier.training.step.objective import TORCH, Criterion, as_loss, criteria, exclusive
from ranvier.training.step.structure import Outputs, pick

__all__ = ["FunctionMetric", "Head", "Heads", "describe_loss", "describe_metric", "described"]


class FunctionMetric(SampleMean):
    """A function of (y_true, y_pred) tensors as a metric: the mean of what it returns over samples."""

    def __init__(self, function: Any) -> None:
        super().__init__(getattr(function, "__name__", type(function).__name__))
        self.function = function

    def on(self, y_true: Any, y_pred: Any) -> Any:
        """What the function makes of tensors. Raises TypeError naming a function of scikit-learn's that it calls."""
        try:
            return self.function(y_true, y_pred)
        except Exception as error:
            name = _of_sklearn(error.__traceback__)
            if name is None:
                raise
            raise TypeError(_of_arrays(name)) from error


@dataclass
class Head:
    """One output: its loss (None: it is only measured, or not at all), the loss's weight in the sum, its metrics."""

    loss: losses.Loss | None = None
    share: float = 1.0
    metrics: list[tuple[Metric, bool]] = field(default_factory=list)  # and whether sample weights count in it

    @property
    def used(self) -> bool:
        """Whether it is compared with anything."""
        return self.loss is not None or bool(self.metrics)


@dataclass
class Heads:
    """All outputs of a model, and the names of the results: the loss, each output's, then the metrics."""

    outputs: Outputs
    heads: list[Head]
    names: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        prefixes = ["" if name is None or len(self.heads) == 1 else f"{name}_" for name in self.outputs.names]
        self.several = sum(head.loss is not None for head in self.heads) > 1
        names = ["loss"]
        if self.several:  # as Keras: by the output's name, or by the loss's where outputs have none
            names += [
                f"{prefix or f'{head.loss.name}_'}loss"
                for prefix, head in zip(prefixes, self.heads, strict=True)
                if head.loss is not None
            ]
        self.order: list[tuple[int, Metric, bool]] = [
            (i, metric, weighted)
            for late in (False, True)
            for i, head in enumerate(self.heads)
            for metric, weighted in head.metrics
            if weighted is late
        ]
        self.names = distinct(names)
        for i, metric, weighted in self.order:
            name = f"{prefixes[i]}{metric.name}"
            if weighted and name in self.names:
                name = f"{prefixes[i]}weighted_{metric.name}"
            self.names = distinct([*self.names, name])

    @classmethod
    def of(cls, outputs: Outputs, loss: Any, loss_weights: Any, unweighted: Any, weighted: Any) -> Heads:
        """Share out what `compile` was given. Raises ValueError where it does not match the outputs."""
        many = len(outputs)
        each = [as_loss(one) for one in per_output(loss, outputs, "loss")]
        if loss is not None and not any(each):
            raise ValueError(
                f"loss is {loss!r}: no output has one. Write a loss for one output at least instead."
            )
        shares = per_output(loss_weights, outputs, "loss_weights", alone=many == 1)
        measured = [
            flattened(of) if many == 1 else per_output(of, outputs, what, alone=False)
            for of, what in ((unweighted, "metrics"), (weighted, "weighted_metrics"))
        ]
        heads = []
        for i, (one, share) in enumerate(zip(each, shares, strict=True)):
            mine = [
                (part if many == 1 else as_list(part[i]), late)
                for part, late in zip(measured, (False, True), strict=True)
            ]
            chosen = [(as_metric(m, one), late) for part, late in mine for m in part]
            heads.append(Head(one, 1.0 if share is None else share_of(share), chosen))
        return cls(outputs, heads)


def per_output(value: Any, outputs: Outputs, what: str, alone: bool = True) -> list[Any]:
    """One of ``value`` for each output; with ``alone`` a value that is no container stands for every output."""
    if value is None:
        return [None] * len(outputs)
    if isinstance(value, (list, tuple)) or (isinstance(value, Mapping) and not is_description(value)):
        return pick(value, outputs, what)
    if not alone:
        raise ValueError(
            f"{what} is {value!r}, and the model has {len(outputs)} outputs. Write a list with one entry for each "
            "output, or a dict by their names, instead."
        )
    return [value] * len(outputs)


def share_of(value: Any) -> float:
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        raise TypeError(f"loss_weights holds {value!r}. Write numbers instead.")
    return float(value)


def is_description(value: Any) -> bool:
    """Whether a dict is what `described` made of one loss or metric, rather than a dict by output."""
    return isinstance(value, Mapping) and set(value) == {"class_name", "config"}


def as_list(value: Any) -> list[Any]:
    return [] if value is None else list(value) if isinstance(value, (list, tuple)) else [value]


def flattened(value: Any) -> list[Any]:
    """The metrics of a model with one output, in whatever containers they were given."""
    if isinstance(value, Mapping) and not is_description(value):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [metric for part in value for metric in flattened(part)]
    return as_list(value)


def as_metric(metric: Any, loss: losses.Loss | None = None) -> Metric:
    """A metric by any of its spellings. Named ones that decide at 0.5 decide at 0 where the loss takes logits."""
    if not isinstance(metric, (str, Metric, dict, type)) and callable(metric):
        if (getattr(metric, "__module__", None) or "").partition(".")[0] == "sklearn":
            raise TypeError(_of_arrays(metric.__name__))
        return FunctionMetric(metric)
    found = metrics.get(metric)
    if loss is not None and loss.from_logits and isinstance(metric, str):
        return found.for_logits(exclusive(loss))
    return found


def _of_sklearn(trace: TracebackType | None) -> str | None:
    """The function of scikit-learn's that an error went through first; None where it went through none."""
    while trace is not None:
        module = trace.tb_frame.f_globals.get("__name__", "")
        if module.startswith("sklearn.") and "validation" not in module:
            return trace.tb_frame.f_code.co_name
        trace = trace.tb_next
    return None


def _of_arrays(name: str) -> str:
    """What to write for a function of scikit-learn's."""
    near = likely(name, metrics.REGISTRY.names)
    own = f"metrics=[{near!r}], or " if near else ""
    return (
        f"the metric {name} is scikit-learn's, which reads arrays, and metrics are computed on tensors within the "
        f"compiled step. Write {own}{name}(y, ...) of model.predict(x) after fit, instead."
    )


def distinct(names: Sequence[str]) -> list[str]:
    """The names, each but once: a second ``acc`` is ``acc_1``."""
    result: list[str] = []
    for name in names:
        count = sum(
            n == name or (n.startswith(f"{name}_") and n[len(name) + 1 :].isdecimal()) for n in result
        )
        result.append(f"{name}_{count}" if name in result else name)
    return result


def described(value: Any, describe: Callable[[Any], Any]) -> Any:
    """What `compile` was given, in the same containers, with ``describe`` of each loss or metric."""
    if value is None:
        return None
    if isinstance(value, Mapping) and not is_description(value):
        return {str(key): described(part, describe) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [described(part, describe) for part in value]
    return describe(value)


def describe_loss(loss: Any) -> dict[str, Any]:
    """A loss by its name and settings; a function of the user's by its name. Raises ValueError for one without."""
    found = as_loss(loss)
    assert found is not None
    what = f"the loss {found.name!r}"
    if type(found) is losses.LossFunction:
        return own.described(loss if loss is found.fn else found, what)
    if isinstance(found, Criterion):
        name = type(found.module).__name__
        if found.opened and criteria().get(name) is type(found.module):
            return {"class_name": TORCH + name, "config": found.config()}
    elif losses.REGISTRY.known(found):
        return losses.REGISTRY.describe(found)
    else:
        return own.described(found, what)
    raise ValueError(what)


def describe_metric(metric: Any) -> Any:
    """As `describe_loss`. A name stays one: what it means depends on the loss."""
    if isinstance(metric, str):
        return metric
    found = as_metric(metric)
    if metrics.REGISTRY.known(found):
        return metrics.REGISTRY.describe(found)
    given = found.function if isinstance(found, FunctionMetric) else found.given
    return own.described(given, f"the metric {found.name!r}")
