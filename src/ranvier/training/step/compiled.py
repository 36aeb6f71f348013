"""What ``compile`` leaves on a model: how it trains, the programs made so far, and the lock that one ``fit`` holds."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from ranvier import engines, losses, optimizers
from ranvier.metrics import Metric
from ranvier.module import Module
from ranvier.training.step.objective import as_loss
from ranvier.training.step.outputs import (
    FunctionMetric,
    Head,
    Heads,
    as_metric,
    describe_loss,
    describe_metric,
    described,
    is_description,
)
from ranvier.training.step.structure import ONE, Outputs

__all__ = ["Compiled", "FunctionMetric", "compile", "compiled"]

_OWN_LOSS = "Write loss=a function of (y_true, y_pred), or self.add_loss(...) in forward,"
_OWN_METRICS = "Write metrics=[a function of (y_true, y_pred), or a Metric]"
UNCALLED = {  # Keras's methods that a subclass overrides, which a compiled loop never calls, and what does the same
    "train_step": f"{_OWN_LOSS} or a loop with loss.backward() and optimizer.step(), as in ranvier.torch,",
    "test_step": _OWN_METRICS,
    "predict_step": "Write it in forward",
    "compute_loss": _OWN_LOSS,
    "compute_metrics": _OWN_METRICS,
}


class Compiled:
    """Optimizer, losses, metrics and engine of one model, and the programs that were compiled for it.

    ``heads`` are the losses and metrics of each output. How many outputs there are is known when the model is first
    traced; until then they are those of a model with one output, where what was given can be meant for one.
    """

    def __init__(
        self,
        optimizer: Any,
        loss: Any,
        metrics: Any,
        weighted_metrics: Any,
        engine: str | None,
        loss_weights: Any = None,
    ) -> None:
        self.optimizer = optimizers.get(_rule(optimizer))
        self.optimizer.refuse_own()
        self.given = {
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
        }
        described(loss, as_loss)  # names that do not exist are told at once
        described([metrics, weighted_metrics], as_metric)
        several = any(isinstance(v, (list, tuple, dict)) and len(v) > 1 for v in (loss, loss_weights))
        self.fits_one = loss is None or is_description(loss) or not several
        self.heads = self._heads(ONE) if self.fits_one else Heads(ONE, [Head()])
        self.known = False  # whether they were made for what the model returns
        self.engine = engine if engine is None else engines.check(engine)
        self.augment: Any = None  # of the fit under way
        self.programs: dict[Any, Any] = {}
        self.traced: dict[Any, Any] = {}  # what the model returns, for each kind of inputs
        self.reported: set[str] = set()  # codes of checks and keys of data warnings that have been reported
        self.checked = self.glanced = False  # whether all checks have run, or those of a first batch
        self.followed = False  # whether the first epoch has been looked at
        self.evaluating = threading.Lock()  # one evaluation after the other: they share where they add up
        self._lock = threading.Lock()

    def _heads(self, outputs: Outputs) -> Heads:
        given = self.given
        return Heads.of(
            outputs, given["loss"], given["loss_weights"], given["metrics"], given["weighted_metrics"]
        )

    def meet(self, outputs: Outputs) -> Heads:
        """The heads for a model that returns this. Raises ValueError where `compile` was given something else."""
        if not self.known or self.heads.outputs != outputs:
            if self.heads.outputs != outputs or not self.fits_one:
                self.heads = self._heads(outputs)
                self.programs.clear()
            self.known = True
        return self.heads

    @property
    def loss(self) -> losses.Loss | None:
        """The loss of the first output that has one."""
        return next((head.loss for head in self.heads.heads if head.loss is not None), None)

    @property
    def metrics(self) -> list[Metric]:
        """All metrics, in the order of the results."""
        return [metric for _, metric, _ in self.heads.order]

    @property
    def weighted(self) -> list[bool]:
        """Which of the metrics sample weights count in."""
        return [weighted for _, _, weighted in self.heads.order]

    @property
    def names(self) -> list[str]:
        """The names of the results: the loss, each output's where there are several, the metrics."""
        return self.heads.names

    def settings(self) -> dict[str, Any]:
        """What `compile` was given, as plain values. Raises ValueError naming the parts that no file can hold."""
        own: list[str] = []

        def tried(describe: Any) -> Any:
            def attempt(value: Any) -> Any:
                try:
                    return describe(value)
                except ValueError as error:
                    own.append(str(error))

            return attempt

        result = {
            name: described(value, tried(describe_loss if name == "loss" else describe_metric))
            for name, value in self.given.items()
            if name != "loss_weights"
        }
        try:
            optimizer = optimizers.describe(self.optimizer)
        except ValueError:
            own.append(f"the optimizer {self.optimizer!r}")
        if own:
            raise ValueError(" and ".join(own))
        weights = described(self.given["loss_weights"], float)
        return {"optimizer": optimizer, **result, "loss_weights": weights, "engine": self.engine}

    @contextlib.contextmanager
    def exclusive(self, augment: Any = None) -> Iterator[None]:
        """Held by one ``fit``; raises RuntimeError where another thread's is under way.

        ``augment`` is what its steps call on inputs and targets.
        """
        if augment is not None and not callable(augment):
            raise TypeError(f"augment={augment!r}: write a module, such as rv.layers.MixUp(0.2), instead.")
        if not self._lock.acquire(blocking=False):
            raise RuntimeError(
                "fit is already running on this model, in another thread or in a callback. Write one fit after the "
                "other, or train a copy: rv.load_model of a saved one."
            )
        self.augment = augment
        try:
            yield
        finally:
            self.augment = None
            self._lock.release()

    def __copy__(self) -> Compiled:
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin

    def __reduce__(self) -> Any:
        raise TypeError(
            "a model that is compiled cannot be pickled: its programs belong to this process. Write model.save(path) "
            "and rv.load_model(path), or pickle model.get_weights(), instead."
        )

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


def compile(
    model: Module,
    optimizer: Any = "rmsprop",
    loss: Any = None,
    metrics: Any = None,
    *,
    loss_weights: Any = None,
    weighted_metrics: Any = None,
    engine: str | None = None,
    run_eagerly: bool = False,
    jit_compile: Any = "auto",
    steps_per_execution: int = 1,
) -> None:
    """Choose how ``model`` trains.

    ``optimizer``: a name or an `Optimizer`. ``loss``: a name, a `Loss`, a criterion of the PyTorch vocabulary, or a
    function of the tensors (y_true, y_pred). ``metrics``: names, `Metric` objects or such functions; those in
    ``weighted_metrics`` use the sample weights. ``engine``: "native" or "reference". ``jit_compile`` and
    ``steps_per_execution`` are Keras's, and of no effect: steps are always compiled, and run together as far as nobody
    watches between them.

    A model with several outputs takes a list in their order or a dict by their names for ``loss`` (one for all of them
    is enough), ``loss_weights`` (numbers), ``metrics`` and ``weighted_metrics``; None, or a name left out, is an output
    without any. What is minimized is the sum of the losses, each times its weight.

    Without a ``loss``, what layers add (``add_loss``, regularizers) is minimized, and no targets are needed.

    Nothing is traced or compiled yet. Raises ValueError with the nearest name for a name that does not exist, and for
    ``run_eagerly=True``; TypeError for a model whose class has a ``train_step`` (or another such method of Keras's) of
    its own, or an optimizer whose class has an ``apply``, which would never be called.
    """
    if run_eagerly:
        raise ValueError(
            "run_eagerly=True: a step is always compiled. Write model(x) to see what it computes, or a loop with "
            "loss.backward() and optimizer.step(), as in ranvier.torch, instead."
        )
    for name, fix in UNCALLED.items():
        if callable(getattr(type(model), name, None)):
            raise TypeError(
                f"{type(model).__name__} has a {name} of its own, and fit, evaluate and predict would not call it. "
                f"{fix} instead."
            )
    model.__dict__["_compiled"] = Compiled(optimizer, loss, metrics, weighted_metrics, engine, loss_weights)


def compiled(model: Module, what: str) -> Compiled:
    """What `compile` left; raises RuntimeError naming what was called before it."""
    found = model.__dict__.get("_compiled")
    if not isinstance(found, Compiled):
        raise RuntimeError(
            f"{model.name!r} is not compiled yet, and {what} needs a loss. Write model.compile(optimizer='adam', "
            "loss='sparse_categorical_crossentropy') first."
        )
    return found
