"""The specification of each output of a model: its loss, the weight of that loss, and its metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from ranvier import losses, metrics
from ranvier.graph.node import FLOATS, Node
from ranvier.metrics import Metric, SampleMean
from ranvier.metrics.base import with_mask
from ranvier.metrics.operands import WIDE, weighted_sum
from ranvier.ops import arrays
from ranvier.support.errors import likely
from ranvier.tensor.context import no_grad
from ranvier.tensor.function import function
from ranvier.tensor.masks import mask_of
from ranvier.tensor.tensor import Tensor
from ranvier.training.step import custom_objects
from ranvier.training.step.objective import TORCH, Criterion, as_loss, criteria, exclusive
from ranvier.training.step.structure import OutputStructure, pick


class FunctionMetric(SampleMean):
    """A function of (y_true, y_pred) tensors as a metric: the mean of what it returns over samples."""

    def __init__(self, function: Any) -> None:
        named = function.name if isinstance(function, losses.Loss) else getattr(function, "__name__", None)
        super().__init__(named or type(function).__name__)
        self.function = function

    def on(self, y_true: Any, y_pred: Any) -> Any:
        """The function's result for tensors. Raises TypeError naming a function of scikit-learn that it calls."""
        try:
            return self.function(y_true, y_pred)
        except Exception as error:
            name = _of_sklearn(error.__traceback__)
            if name is None:
                raise
            raise TypeError(_of_arrays(name)) from error

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add what the function returns for a batch: a number for each sample, or one that counts for all of them."""
        values = self.on(*(x if isinstance(x, Tensor) else Tensor(x) for x in (y_true, y_pred)))
        if not values.shape:
            values = arrays.broadcast_to(values, y_pred.shape[:1])
        if (mask := mask_of(y_pred)) is not None:
            sample_weight = with_mask(sample_weight, mask)
        if sample_weight is not None and not isinstance(sample_weight, Tensor):
            sample_weight = Tensor(sample_weight)
        held = self._states_like(self.states(()))
        self._begun = True
        with no_grad():
            total, number = (held[0], held[1])
            added = _weighted_sum(arrays.cast(values, WIDE) if values.dtype not in FLOATS else values, sample_weight)
            total.assign_add(added[0])
            number.assign_add(added[1])


@function
def _weighted_sum(values: Node, weight: Node | None) -> tuple[Node, Node]:
    return weighted_sum(values, weight)


@dataclass
class OutputSpec:
    """One output: its loss (None for no loss), the weight of the loss in the sum, and its metrics."""

    loss: losses.Loss | None = None
    loss_weight: float = 1.0
    metrics: list[tuple[Metric, bool]] = field(default_factory=list)  # each with whether it uses sample weights

    @property
    def used(self) -> bool:
        """Whether it needs targets."""
        return self.loss is not None or bool(self.metrics)


@dataclass
class OutputSpecs:
    """All outputs of a model, and the names of the results: the loss, that of each output, then the metrics."""

    structure: OutputStructure
    specs: list[OutputSpec]
    names: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        prefixes = ["" if name is None or len(self.specs) == 1 else f"{name}_" for name in self.structure.names]
        self.several = sum(spec.loss is not None for spec in self.specs) > 1
        names = ["loss"]
        if self.several:  # as in Keras: by the output's name, or by the loss's if outputs have no names
            names += [
                f"{prefix or f'{spec.loss.name}_'}loss"
                for prefix, spec in zip(prefixes, self.specs, strict=True)
                if spec.loss is not None
            ]
        self.order: list[tuple[int, Metric, bool]] = [
            (i, metric, weighted)
            for late in (False, True)
            for i, spec in enumerate(self.specs)
            for metric, weighted in spec.metrics
            if weighted is late
        ]
        self.names = distinct(names)
        for i, metric, weighted in self.order:
            name = f"{prefixes[i]}{metric.name}"
            if weighted and name in self.names:
                name = f"{prefixes[i]}weighted_{metric.name}"
            self.names = distinct([*self.names, name])

    def __len__(self) -> int:
        return len(self.specs)

    def __iter__(self) -> Iterator[OutputSpec]:
        return iter(self.specs)

    @classmethod
    def of(cls, outputs: OutputStructure, loss: Any, loss_weights: Any, unweighted: Any, weighted: Any) -> OutputSpecs:
        """Assign the arguments of `compile` to the outputs. Raises ValueError if they do not match."""
        many = len(outputs)
        each = [as_loss(one) for one in per_output(loss, outputs, "loss")]
        if loss is not None and not any(each):
            raise ValueError(f"loss is {loss!r}: no output has one. Write a loss for one output at least instead.")
        weights = per_output(loss_weights, outputs, "loss_weights", alone=many == 1)
        measured = [
            flattened(of) if many == 1 else per_output(of, outputs, what, alone=False)
            for of, what in ((unweighted, "metrics"), (weighted, "weighted_metrics"))
        ]
        specs = []
        for i, (one, weight) in enumerate(zip(each, weights, strict=True)):
            parts = [
                (part if many == 1 else as_list(part[i]), late)
                for part, late in zip(measured, (False, True), strict=True)
            ]
            chosen = [(as_metric(m, one), late) for part, late in parts for m in part]
            specs.append(OutputSpec(one, 1.0 if weight is None else loss_weight(weight), chosen))
        return cls(outputs, specs)


def per_output(value: Any, outputs: OutputStructure, what: str, alone: bool = True) -> list[Any]:
    """One of ``value`` for each output; with ``alone`` a value that is no container is that of every output."""
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


def loss_weight(value: Any) -> float:
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        raise TypeError(f"loss_weights holds {value!r}. Write numbers instead.")
    return float(value)


def is_description(value: Any) -> bool:
    """Whether a dict describes one loss or metric (see `described`), rather than having one by output."""
    return isinstance(value, Mapping) and set(value) == {"class_name", "config"}


def as_list(value: Any) -> list[Any]:
    return [] if value is None else list(value) if isinstance(value, (list, tuple)) else [value]


def flattened(value: Any) -> list[Any]:
    """The metrics of a model with one output, from any containers."""
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
    """The first function of scikit-learn in the traceback of an error; None if there is none."""
    while trace is not None:
        module = trace.tb_frame.f_globals.get("__name__", "")
        if module.startswith("sklearn.") and "validation" not in module:
            return trace.tb_frame.f_code.co_name
        trace = trace.tb_next
    return None


def _of_arrays(name: str) -> str:
    """The error for a metric that is a function of scikit-learn."""
    near = likely(name, metrics.REGISTRY.names)
    ours = f"metrics=[{near!r}], or " if near else ""
    return (
        f"the metric {name} of scikit-learn takes arrays, and metrics are computed on tensors within the compiled "
        f"step. Write {ours}{name}(y, ...) with model.predict(x) after fit, instead."
    )


def distinct(names: Sequence[str]) -> list[str]:
    """The names, each once: a second ``acc`` is ``acc_1``."""
    result: list[str] = []
    for name in names:
        count = sum(n == name or (n.startswith(f"{name}_") and n[len(name) + 1 :].isdecimal()) for n in result)
        result.append(f"{name}_{count}" if name in result else name)
    return result


def described(value: Any, describe: Callable[[Any], Any]) -> Any:
    """The same containers, with ``describe`` of each loss or metric."""
    if value is None:
        return None
    if isinstance(value, Mapping) and not is_description(value):
        return {str(key): described(part, describe) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [described(part, describe) for part in value]
    return describe(value)


def describe_loss(loss: Any) -> dict[str, Any]:
    """A loss by its name and settings; a function that you wrote by its name. Raises ValueError if it has none."""
    found = as_loss(loss)
    assert found is not None
    what = f"the loss {found.name!r}"
    if type(found) is losses.LossFunction:
        return custom_objects.described(loss if loss is found.fn else found, what)
    if isinstance(found, Criterion):
        name = type(found.module).__name__
        if found.opened and criteria().get(name) is type(found.module):
            return {"class_name": TORCH + name, "config": found.config()}
    elif losses.REGISTRY.known(found):
        return losses.REGISTRY.describe(found)
    else:
        return custom_objects.described(found, what)
    raise ValueError(what)


def describe_metric(metric: Any) -> Any:
    """As `describe_loss`. A name stays a name: its meaning depends on the loss."""
    if isinstance(metric, str):
        return metric
    found = as_metric(metric)
    if metrics.REGISTRY.known(found):
        return metrics.REGISTRY.describe(found)
    given = found.function if isinstance(found, FunctionMetric) else found.given
    return custom_objects.described(given, f"the metric {found.name!r}")
