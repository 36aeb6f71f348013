"""The methods that a step is made of, as in Keras: those of a model that overrides none of them, and ``super()``'s."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from ranvier.module import Module
from ranvier.module.arguments import input_parameters
from ranvier.ops import arrays as numeric
from ranvier.support.source_lines import warn
from ranvier.support.tree import flatten
from ranvier.tensor.gradient_tape import GradientTape
from ranvier.training.step.compiled import Compiled, compiled
from ranvier.training.step.outputs import OutputSpecs
from ranvier.training.step.structure import outputs_of, pick


def unpacked(data: Any) -> tuple[Any, Any, Any]:
    """x, y and the samples' weights, None where they are not given, of what ``train_step`` takes."""
    if not isinstance(data, (tuple, list)):
        return data, None, None
    if not 1 <= len(data) <= 3:
        raise ValueError(f"the data have {len(data)} parts. Write x, (x, y) or (x, y, sample_weight) instead.")
    x, y, weight = (*data, None, None)[:3]
    return x, y, weight


def _output(model: Module, x: Any, training: bool) -> Any:
    """The model's outputs; the parts of a container are the arguments of a ``forward`` that takes several."""
    several = isinstance(x, (tuple, list)) and model._recorded is None and input_parameters(model)[1] > 1
    return model(*x, training=training) if several else model(x, training=training)


def train_step(model: Module, data: Any) -> dict[str, Any]:
    """One step of training on one batch, x, (x, y) or (x, y, sample_weight); returns the results by name.

    A subclass may override it, as in Keras. `fit` calls it once for each size of a batch, on tensors that stand for the
    batch, and compiles what it computes: losses and their gradients (`GradientTape`, or ``loss.backward()``), the
    updates of ``optimizer.apply``, of metrics and of variables. Other Python code runs in that call alone.
    """
    x, y, weight = unpacked(data)
    state = compiled(model, "train_step")
    with GradientTape() as tape:
        y_pred = _output(model, x, True)
        loss = _loss(model, x, y, y_pred, weight, True)
    state.loss_tracker.update_state(loss, sample_weight=_rows(x))
    weights = model.trainable_weights
    if weights:
        if not model.optimizer.parameters:
            model.optimizer.attach(model.parameters())  # all of them, so that a file holds its state
        model.optimizer.apply(tape.gradient(loss, weights), weights)
    else:
        warn("The model does not have any trainable weights.")
    results: dict[str, Any] = model.compute_metrics(x, y, y_pred, sample_weight=weight)
    return results


def test_step(model: Module, data: Any) -> dict[str, Any]:
    """The losses and metrics of one batch, as `train_step` gives them, without training. A subclass may override it."""
    x, y, weight = unpacked(data)
    state = compiled(model, "test_step")
    y_pred = _output(model, x, False)
    loss = _loss(model, x, y, y_pred, weight, False)
    state.loss_tracker.update_state(loss, sample_weight=_rows(x))
    results: dict[str, Any] = model.compute_metrics(x, y, y_pred, sample_weight=weight)
    return results


def predict_step(model: Module, data: Any) -> Any:
    """The outputs for one batch. A subclass may override it; `predict` then returns what it returns."""
    return _output(model, unpacked(data)[0], False)


def compute_loss(
    model: Module, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
) -> Any:
    """The loss that training minimizes: that of ``compile``, and those that layers add. A subclass may override it."""
    del x, training
    specs = _specs(model, y_pred) if y_pred is not None else None
    losses = _losses(specs, y, y_pred, sample_weight)
    for tracker, (one, _) in zip(compiled(model, "compute_loss").output_trackers, losses, strict=False):
        tracker.update_state(one, sample_weight=_rows(y_pred))
    terms = [one * weight if weight != 1 else one for one, weight in losses]
    terms += [numeric.sum(loss) for loss in model.losses]
    if not terms:
        raise ValueError(
            f"{model.name!r} has no loss. Write compile(loss=...), or a compute_loss of your own that returns one "
            "number, instead."
        )
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def compute_metrics(model: Module, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
    """Update the metrics of ``compile``, and return the results of all by name. A subclass may override it."""
    del x
    state = compiled(model, "compute_metrics")
    if any(state.given[kind] for kind in ("metrics", "weighted_metrics")):
        specs = _specs(model, y_pred)
        outputs, targets = specs.structure.flat(y_pred), _parts(specs, y)
        weights = _weights(specs, sample_weight)
        for i, metric, weighted in specs.order:
            metric.given.update_state(targets[i], outputs[i], weights[i] if weighted else None)
    return get_metrics_result(model)


def get_metrics_result(model: Module) -> dict[str, Any]:
    """The results of ``model.metrics`` by name, those of the metrics of ``compile`` by their outputs' names."""
    state = compiled(model, "get_metrics_result")
    found = zip(state.outputs.order, state.outputs.names[-len(state.outputs.order) :], strict=False)
    names = {id(metric.given): name for (_, metric, _), name in found}
    results: dict[str, Any] = {}
    for metric in model.metrics:
        value = metric.result()
        results |= value if isinstance(value, Mapping) else {names.get(id(metric), metric.name): value}
    return results


def _rows(x: Any) -> int:
    first: Any = next(part for part in flatten(x) if part is not None)
    return int(first.shape[0])


def _loss(model: Module, x: Any, y: Any, y_pred: Any, weight: Any, training: bool) -> Any:
    """The model's ``compute_loss``, which may lack the argument ``training``, as older programs write it."""
    takes = "training" in inspect.signature(model.compute_loss).parameters
    options = {"training": training} if takes else {}
    return model.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=weight, **options)


def _specs(model: Module, y_pred: Any) -> OutputSpecs:
    state: Compiled = compiled(model, "compute_loss")
    return state.resolve(outputs_of(model, y_pred, rows=_rows(y_pred)))


def _parts(specs: OutputSpecs, y: Any) -> list[Any]:
    """The targets of each output."""
    if specs.structure.kind == "one":
        return [y[0] if isinstance(y, (list, tuple)) and len(y) == 1 else y]
    return [None] * len(specs) if y is None else pick(y, specs.structure, "y")


def _weights(specs: OutputSpecs, weight: Any) -> list[Any]:
    if isinstance(weight, (list, tuple, Mapping)):
        return pick(weight, specs.structure, "sample_weight")
    return [weight] * len(specs)


def _losses(specs: OutputSpecs | None, y: Any, y_pred: Any, weight: Any) -> list[tuple[Any, float]]:
    """The loss of each output that has one, with its weight."""
    if specs is None or not any(spec.loss for spec in specs):
        return []
    parts = zip(specs, _parts(specs, y), specs.structure.flat(y_pred), _weights(specs, weight), strict=True)
    return [(spec.loss(true, pred, w), spec.loss_weight) for spec, true, pred, w in parts if spec.loss is not None]
