"""The result of ``compile``: how a model trains, the programs compiled so far, and the lock that one ``fit`` holds."""

from __future__ import annotations

import contextlib
import inspect
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from ranvier import engines, losses, optimizers
from ranvier.metrics import Mean, Metric
from ranvier.module import Module
from ranvier.module.training_api import TrainingAPI
from ranvier.optimizers.slots import StepCount
from ranvier.tensor import rng
from ranvier.training.step.argument_types import Losses, LossWeights, Metrics, OptimizerLike
from ranvier.training.step.objective import as_loss
from ranvier.training.step.outputs import (
    FunctionMetric,
    OutputSpec,
    OutputSpecs,
    as_metric,
    describe_loss,
    describe_metric,
    described,
    is_description,
)
from ranvier.training.step.structure import ONE, OutputStructure

__all__ = ["Compiled", "FunctionMetric", "compile", "compiled"]

# Methods that subclasses may override, as in Keras: they become the step.
METHODS = ("train_step", "test_step", "predict_step", "compute_loss", "compute_metrics")

_OF_THIS_PROCESS = ("augment", "programs", "streams", "traced", "evaluating", "_lock")


class Compiled:
    """Optimizer, losses, metrics and engine of one model, and the programs that were compiled for it.

    ``outputs`` are the losses and metrics of each output. The number of outputs is known when the model is first
    traced; until then there is one, if the arguments of `compile` fit one.
    """

    def __init__(
        self,
        optimizer: Any,
        loss: Any,
        metrics: Any,
        weighted_metrics: Any,
        engine: str | None,
        loss_weights: Any = None,
        overridden: frozenset[str] = frozenset(),
        eager: bool = False,
    ) -> None:
        self.optimizer = optimizers.get(_rule(optimizer))
        self.optimizer.refuse_own()
        self.given = {
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
        }
        described(loss, as_loss)  # names that do not exist raise now
        described([metrics, weighted_metrics], as_metric)
        several = any(isinstance(v, (list, tuple, dict)) and len(v) > 1 for v in (loss, loss_weights))
        self.fits_one = loss is None or is_description(loss) or not several
        self.outputs = self._specs(ONE) if self.fits_one else OutputSpecs(ONE, [OutputSpec()])
        self.overridden = overridden  # of `METHODS`, those that the model's class defines
        self.eager = eager  # whether the methods run for each batch, in place of a compiled step
        self.optimizers = [self.optimizer]  # and those that a step was seen to use besides
        self.loss_tracker = Mean("loss")  # of the default methods
        self.output_trackers: list[Mean] = []  # of each output, where there are several losses
        self.steps = StepCount(np.zeros((), np.uint32))  # of traced training, which random numbers depend on
        self.logged: list[str] = ["loss"]  # the names of the results of traced training
        self.resolved = False  # whether the outputs are those that the model returns
        self.engine = engine if engine is None else engines.check(engine)
        self.reported: set[str] = set()  # codes of checks and keys of data warnings that have been reported
        self.checked = self.checked_batch = False  # whether all checks have run, or those of a first batch
        self.checked_epoch = False  # whether the checks after the first epoch have run
        self.class_names: Sequence[Any] | None = None  # of class numbers, where the user writes other labels
        self.advice: Mapping[str, str] = {}  # what the checks of these codes say to write, in place of their own words
        self._begin()

    def _begin(self) -> None:
        """Make what belongs to this process: see `_OF_THIS_PROCESS`."""
        self.augment: Any = None  # the augmentation of the fit that runs
        self.programs: dict[Any, Any] = {}
        self.streams = rng.RunStreams()
        self.traced: dict[Any, Any] = {}  # the structure of the outputs, for each kind of inputs
        self.evaluating = threading.Lock()  # evaluations run one after the other: they share their totals
        self._lock = threading.Lock()

    def _specs(self, structure: OutputStructure) -> OutputSpecs:
        given = self.given
        return OutputSpecs.of(
            structure, given["loss"], given["loss_weights"], given["metrics"], given["weighted_metrics"]
        )

    def resolve(self, structure: OutputStructure) -> OutputSpecs:
        """The outputs of a model that returns this structure. Raises ValueError if `compile` was called for others."""
        if not self.resolved or self.outputs.structure != structure:
            if self.outputs.structure != structure or not self.fits_one:
                self.outputs = self._specs(structure)
                self.programs.clear()
            losses_of_outputs = self.outputs.names[1 : 1 + sum(spec.loss is not None for spec in self.outputs)]
            self.output_trackers = [Mean(name) for name in losses_of_outputs] if self.outputs.several else []
            self.resolved = True
        return self.outputs

    @property
    def loss(self) -> losses.Loss | None:
        """The loss of the first output that has one."""
        return next((spec.loss for spec in self.outputs if spec.loss is not None), None)

    @property
    def metrics(self) -> list[Metric]:
        """All metrics, in the order of the results."""
        return [metric for _, metric, _ in self.outputs.order]

    @property
    def names(self) -> list[str]:
        """The names of the results: the loss, that of each output if there are several, the metrics."""
        return self.logged if self.calls_methods else self.outputs.names

    def in_order(self, model: Module, names: Collection[str]) -> list[str]:
        """The names of results as a list has them: the loss first, and those that no metric has last, by name."""
        first = [*(m.name for m in model.metrics if self.calls_methods), *self.outputs.names]
        return [name for name in dict.fromkeys([*first, *sorted(names)]) if name in names]

    @property
    def calls_methods(self) -> bool:
        """Whether a step is what ``train_step`` or ``test_step`` does."""
        return bool(self.overridden) or self.eager

    def method(self, kind: str) -> str:
        """The method that is the step of this kind."""
        return "train_step" if kind == "train" else "test_step"

    def follow_settings(self) -> None:
        """Set the inputs of programs that are settings of optimizers which a traced step uses, such as rates."""
        if self.calls_methods:
            for optimizer in self.optimizers:
                if optimizer.parameters:
                    optimizer.rate()
                    optimizer.inputs()

    def settings(self) -> dict[str, Any]:
        """The arguments of `compile` as plain values. Raises ValueError naming the parts that no file can hold."""
        unknown: list[str] = []

        def tried(describe: Any) -> Any:
            def attempt(value: Any) -> Any:
                try:
                    return describe(value)
                except ValueError as error:
                    unknown.append(str(error))

            return attempt

        result = {
            name: described(value, tried(describe_loss if name == "loss" else describe_metric))
            for name, value in self.given.items()
            if name != "loss_weights"
        }
        try:
            optimizer = optimizers.describe(self.optimizer)
        except ValueError:
            unknown.append(f"the optimizer {self.optimizer!r}")
        if unknown:
            raise ValueError(" and ".join(unknown))
        weights = described(self.given["loss_weights"], float)
        return {"optimizer": optimizer, **result, "loss_weights": weights, "engine": self.engine}

    @contextlib.contextmanager
    def exclusive(self, augment: Any = None) -> Iterator[None]:
        """Held by one ``fit``; raises RuntimeError while another thread holds it.

        The steps of this ``fit`` call ``augment`` on inputs and targets.
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
            with self.streams.entered():
                yield
        finally:
            self.augment = None
            self._lock.release()

    def __copy__(self) -> Compiled:
        copied = object.__new__(type(self))
        copied.__dict__.update(self.__dict__)
        return copied

    def __getstate__(self) -> dict[str, Any]:
        """All but what belongs to this process: programs, and the locks of those who use them."""
        return {name: value for name, value in self.__dict__.items() if name not in _OF_THIS_PROCESS}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)
        self._begin()


def _rule(optimizer: Any) -> Any:
    """The Keras optimizer inside an optimizer of the PyTorch vocabulary."""
    rules = getattr(optimizer, "_rules", None)
    if rules is None:
        return optimizer
    if len(rules) != 1:
        raise ValueError(f"compile takes an optimizer with one group of parameters, and this has {len(rules)}.")
    return rules[0]


def compile(
    model: Module,
    optimizer: OptimizerLike = "rmsprop",
    loss: Losses = None,
    metrics: Metrics = None,
    *,
    loss_weights: LossWeights = None,
    weighted_metrics: Metrics = None,
    engine: str | None = None,
    run_eagerly: bool = False,
    jit_compile: bool | Literal["auto"] = "auto",
    steps_per_execution: int = 1,
) -> None:
    """Choose how ``model`` trains.

    ``optimizer``: a name or an `Optimizer`. ``loss``: a name, a `Loss`, a criterion of the PyTorch vocabulary, or a
    function of the tensors (y_true, y_pred). ``metrics``: names, `Metric` objects or such functions; those in
    ``weighted_metrics`` use the sample weights. ``engine``: the engine of this model, as for `ranvier.set_engine`.
    ``jit_compile`` and ``steps_per_execution`` are accepted as in Keras, and have no effect: steps are always compiled,
    and run together as long as no callback is called between them.

    A model with several outputs takes a list in their order or a dict by their names for ``loss`` (one for all of them
    is enough), ``loss_weights`` (numbers), ``metrics`` and ``weighted_metrics``; an output that is None or left out has
    none of them. `fit` minimizes the sum of the losses, each times its weight.

    Without a ``loss``, `fit` minimizes the losses that layers add (``add_loss``, regularizers), and needs no targets.

    The model is traced and compiled later. A model whose class overrides ``train_step``, ``test_step``,
    ``predict_step``, ``compute_loss`` or ``compute_metrics``, as in Keras, is traced through these methods, which are
    called once for each size of a batch. With ``run_eagerly`` they are called for each batch and nothing is compiled
    ahead, so that ``print`` and a debugger work in them and in ``call``.

    Raises ValueError with the nearest name for a name that does not exist; TypeError for an optimizer whose class has
    an ``apply``, since it would never be called.
    """
    overridden = frozenset(
        name for name in METHODS if inspect.getattr_static(type(model), name, None) is not vars(TrainingAPI)[name]
    )
    model.__dict__["_compiled"] = Compiled(
        optimizer, loss, metrics, weighted_metrics, engine, loss_weights, overridden, bool(run_eagerly)
    )


def compiled(model: Module, what: str) -> Compiled:
    """The result of `compile`; raises RuntimeError naming the method that was called before it."""
    found = model.__dict__.get("_compiled")
    if not isinstance(found, Compiled):
        raise RuntimeError(
            f"{model.name!r} is not compiled yet, and {what} needs a loss. Write model.compile(optimizer='adam', "
            "loss='sparse_categorical_crossentropy') first."
        )
    return found
