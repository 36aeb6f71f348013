"""What ``compile`` leaves on a model: how it trains, the programs made so far, and the lock that one ``fit`` holds."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from ranvier import engines, metrics, optimizers
from ranvier.metrics import Mean, Metric
from ranvier.module import Module
from ranvier.training.objective import as_loss

__all__ = ["Compiled", "FunctionMetric", "compile", "compiled"]


class FunctionMetric(Mean):
    """A function of (y_true, y_pred) tensors as a metric: the mean of what it returns over samples."""

    def __init__(self, function: Any) -> None:
        super().__init__(getattr(function, "__name__", type(function).__name__))
        self.function = function


class Compiled:
    """Optimizer, loss, metrics and engine of one model, and the programs that were compiled for it."""

    def __init__(
        self,
        optimizer: Any,
        loss: Any,
        unweighted: Sequence[Any],
        weighted: Sequence[Any],
        engine: str | None,
    ) -> None:
        self.optimizer = optimizers.get(_rule(optimizer))
        self.loss = as_loss(loss)
        logits = bool(getattr(self.loss, "from_logits", False))
        made = [(_metric(m, logits), False) for m in unweighted] + [
            (_metric(m, logits), True) for m in weighted
        ]
        self.metrics: list[Metric] = [m for m, _ in made]
        self.weighted = [w for _, w in made]
        self.names = _distinct(["loss", *(m.name for m in self.metrics)])
        self.engine = engine if engine is None else engines.check(engine)
        self.programs: dict[Any, Any] = {}
        self.outputs: dict[Any, tuple[Any, ...]] = {}  # the model's output shape for each shape of inputs
        self.columns: list[str] | None = None  # of the frame that fit was given
        self.told: set[str] = set()  # the codes of checks that have warned
        self.checked = False  # whether all checks have run
        self.evaluating = threading.Lock()  # one evaluation after the other: they share where they add up
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Held by one ``fit``; raises RuntimeError where another thread's is under way."""
        if not self._lock.acquire(blocking=False):
            raise RuntimeError(
                "fit is already running on this model, in another thread or in a callback. Write one fit after the "
                "other, or train a copy: rv.load_model of a saved one."
            )
        try:
            yield
        finally:
            self._lock.release()

    def __deepcopy__(self, memo: dict[int, Any]) -> None:
        """A copy of a model is not compiled: it needs an optimizer with a state of its own."""
        return


def _rule(optimizer: Any) -> Any:
    """The rule inside an optimizer of the PyTorch vocabulary."""
    rules = getattr(optimizer, "_rules", None)
    if rules is None:
        return optimizer
    if len(rules) != 1:
        raise ValueError(
            f"compile takes an optimizer with one group of parameters, and this has {len(rules)}."
        )
    return rules[0]


def _metric(metric: Any, logits: bool) -> Metric:
    """A metric by any of its spellings. Named ones that decide at 0.5 decide at 0 where the outputs are logits."""
    if not isinstance(metric, (str, Metric, dict, type)) and callable(metric):
        return FunctionMetric(metric)
    found = metrics.get(metric)
    return found.for_logits() if logits and isinstance(metric, str) else found


def _distinct(names: list[str]) -> list[str]:
    result: list[str] = []
    for name in names:
        count = sum(n == name or n.startswith(f"{name}_") for n in result)
        result.append(f"{name}_{count}" if name in result else name)
    return result


def as_list(value: Any) -> list[Any]:
    return [] if value is None else list(value) if isinstance(value, (list, tuple)) else [value]


def compile(
    model: Module,
    optimizer: Any = "rmsprop",
    loss: Any = None,
    metrics: Any = None,
    *,
    weighted_metrics: Any = None,
    engine: str | None = None,
) -> None:
    """Choose how ``model`` trains.

    ``optimizer``: a name or an `Optimizer`. ``loss``: a name, a `Loss`, or a function of the tensors (y_true, y_pred).
    ``metrics``: names, `Metric` objects or such functions; those in ``weighted_metrics`` use the sample weights.
    ``engine``: "native" or "reference". Nothing is traced or compiled yet. Raises ValueError with the nearest name
    for a name that does not exist.
    """
    model.__dict__["_compiled"] = Compiled(
        optimizer, loss, as_list(metrics), as_list(weighted_metrics), engine
    )


def compiled(model: Module, what: str) -> Compiled:
    """What `compile` left; raises RuntimeError naming what was called before it."""
    found = model.__dict__.get("_compiled")
    if not isinstance(found, Compiled):
        raise RuntimeError(
            f"{model.name!r} is not compiled yet, and {what} needs a loss. Write model.compile(optimizer='adam', "
            "loss='sparse_categorical_crossentropy') first."
        )
    if found.loss is None:
        raise RuntimeError(
            f"{model.name!r} was compiled without a loss, and {what} needs one. Write compile(loss=...)."
        )
    return found
