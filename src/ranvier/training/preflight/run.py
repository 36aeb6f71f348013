"""When the checks run: before the first step, after the first epoch, and when asked for."""

from __future__ import annotations

import copy
import operator
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from ranvier import optimizers
from ranvier.data.sampled import sample
from ranvier.module import Module
from ranvier.module.calls import in_model_dtype
from ranvier.module.shape_errors import ShapeError, user_names
from ranvier.support.source_lines import location
from ranvier.tensor import rng
from ranvier.training.adapters.arrays import to_data
from ranvier.training.adapters.generators import Batches, is_source, memory_loader
from ranvier.training.preflight import table
from ranvier.training.preflight.inspection import Inspection
from ranvier.training.preflight.probe import WORK, Probe
from ranvier.training.preflight.report import ERROR, Check, Finding, Report, raise_or_warn, silencer
from ranvier.training.step.argument_types import ClassWeight, Codes, Losses, OptimizerLike
from ranvier.training.step.arrays import Data
from ranvier.training.step.compiled import Compiled, compiled
from ranvier.training.step.runner import Runner
from ranvier.training.step.step import build, step_for

Coded = TypeVar("Coded", Check, Finding)


def chosen(some: Sequence[Coded], silenced: tuple[str, ...]) -> list[Coded]:
    """Those checks or findings that are not silenced."""
    return [c for c in some if not c.code.startswith(silenced)]


def errors(findings: Sequence[Finding], silenced: tuple[str, ...]) -> bool:
    return any(f.level == ERROR for f in chosen(findings, silenced))


def found(checks: Sequence[Check], subject: Any, before: Iterable[Finding] = ()) -> list[Finding]:
    """What was found before, and by these checks."""
    findings = list(before)
    for c in checks:
        if not any(f.code in c.unless for f in findings):
            faults = list(c.find(subject))
            names = user_names(subject.model) if faults else {}
            findings += [Finding.of(c, fault, names, subject.state.advice) for fault in faults]
    return findings


def preflight(
    model: Module,
    state: Compiled,
    data: Data,
    validation: Any = None,
    *,
    batch: int | None = None,
    ignore: Any = (),
    steps: int | None = None,
    partial: bool = False,
    sampled: bool = False,
) -> None:
    """Warn of likely mistakes before the first step, once for each code after `compile`.

    ``validation`` is checked if it is arrays. ``partial`` means that ``data`` are one batch of many, ``sampled`` that a
    sampler draws the rows; ``steps`` is the number of an epoch unless it uses all rows once. Without ``batch`` no trial
    steps are run.

    Raises PreflightError for mistakes that make training useless, at every call until they are corrected, and
    ValueError for a code in ``ignore`` that does not exist.
    """
    silenced = (*silencer(ignore, table.CODES), *(("RV306",) if sampled else ()))
    first = not (state.checked or (partial and state.checked_batch))
    if not chosen(table.CHECKS, silenced):
        return
    checks = [c for c in (*table.NETWORK, *table.DATA) if first or c.always]
    view = Inspection(model, state, data, validation if isinstance(validation, Data) else None)
    findings = found([c for c in checks if not (partial and c.whole)], view)
    if first and not partial and view.validation is not None:
        findings = found(chosen(table.VALIDATION, silenced), view, findings)
    del view  # with its sampled rows, before the program is compiled
    trials = chosen((*table.GRADIENTS, *table.FIRST_BATCH, *table.SETTINGS), silenced)
    if first and batch is not None and trials and not errors(findings, silenced):
        step = step_for(model, state, data, min(batch, len(data)), "train")
        findings = found(trials, Probe(model, state, data, step, steps), findings)
    raise_or_warn(chosen(findings, silenced), state.reported)
    state.checked_batch = True
    state.checked = state.checked or not partial


def after_epoch(model: Module, state: Compiled, data: Data | None, runner: Runner | None, *, ignore: Any = ()) -> None:
    """After the first epoch since `compile`, warn of units and layers that no longer learn.

    ``data`` are the training rows; ``runner`` has the step that ran.
    """
    if state.checked_epoch or data is None or runner is None:
        return
    state.checked_epoch = True
    checks = chosen((*table.GRADIENTS, *table.ACTIVATIONS), silencer(ignore, table.CODES))
    checks = [c for c in checks if state.reported.isdisjoint((c.code, *c.unless))]
    if checks:
        raise_or_warn(found(checks, Probe(model, state, data, runner.step)), state.reported)


def likely_cause(model: Module, state: Compiled, data: Data) -> str | None:
    """What in the network makes the loss infinite or NaN at any learning rate, and what to write instead."""
    findings = found(table.CAUSES, Inspection(model, state, data))
    return findings[0].sentence if findings else None


@in_model_dtype
def check(
    model: Module,
    x: Any = None,
    y: Any = None,
    *,
    sample_weight: Any = None,
    validation_data: Any = None,
    class_weight: ClassWeight = None,
    loss: Losses = None,
    optimizer: OptimizerLike | None = None,
    ignore: Codes = (),
) -> Report:
    """All checks of a model on data, as a `Report`; nothing is trained, and findings raise no error.

    The model is compiled, or you give the ``loss`` of your own training loop (and its ``optimizer``, for the learning
    rate). ``ignore`` silences codes ("RV203"), groups of them ("RV2"), or all ("RV"). Of a source of batches the first
    batch is checked, unless it is a loader of arrays. Raises RuntimeError without a loss.
    """
    silenced = silencer(ignore, table.CODES)
    rule = optimizers.SGD(0.0) if optimizer is None else optimizer  # a rate of zero is not checked
    state = compiled(model, "check") if loss is None else Compiled(rule, loss, None, None, None)
    partial = False
    try:
        if is_source(x):
            options: Any = {"class_weight": class_weight, "check_finite": True}
            loader = memory_loader(x)
            whole = None if loader is None else loader.data(model, state, **options)
            partial = whole is None
            data = whole or next(Batches(model, state, x, 1, **options))
        else:
            data = to_data(model, state, x, y, sample_weight, class_weight=class_weight)
        validation = None
        if validation_data is not None and not is_source(validation_data):
            validation = to_data(model, state, *validation_data, prefix="validation ")
        view = Inspection(model, state, data, validation)
    except ShapeError as error:
        code, title = table.GIVEN["shapes"]
        line = None if error.made is None else location(error.made)
        return Report([Finding(code, title, ERROR, str(error), "", error.layer, line)])
    except (ValueError, TypeError) as error:
        code, title = table.GIVEN["data"]
        return Report([Finding(code, title, ERROR, str(error), "")])
    checks = (*table.NETWORK, *table.DATA, *(table.VALIDATION if validation is not None else ()))
    findings = found([c for c in checks if not (partial and c.whole)], view)
    remarks = notes(data, partial)
    if errors(findings, silenced):
        remarks.append("No trial steps were run: correct the errors first.")
    else:
        probe = Probe(model, state, data, trial_step(model, state, data))
        settings = table.SETTINGS if loss is None or optimizer is not None else ()
        trials = (*table.GRADIENTS, *table.FIRST_BATCH, *settings, table.NOT_FINITE, *table.ACTIVATIONS)
        findings = found(chosen(trials, silenced), probe, findings)
        if not probe.tried:
            remarks.append(
                f"No trial steps were run: the network is too large, more than {WORK:.0e} products for a few rows."
            )
    return Report(chosen(findings, silenced), remarks)


def trial_step(model: Module, state: Compiled, data: Data) -> Any:
    """A training step that is not compiled, as only the reference engine runs it."""
    other = copy.copy(state)
    other.engine, rule = "reference", state.optimizer
    parameters = list(model.parameters())
    if not (len(rule.parameters) == len(parameters) and all(map(operator.is_, rule.parameters, parameters))):
        other.optimizer = type(rule)(**rule.config())  # not bound to parameters yet, or to some of these
    with rng.seed_scope(rng.get_seed()):  # tracing must not change the random state
        return build(model, other, data, min(32, len(data)), True)


def notes(data: Data, partial: bool) -> list[str]:
    """Remarks on data that were checked in part only."""
    looked = min(len(sample(x)) for x in data.x)
    if partial:
        return [f"Checked the first batch, {len(data):,} rows, without the checks that need all of the data."]
    if looked < len(data):
        return [f"Scales of inputs were checked on {looked:,} of {len(data):,} rows, evenly spread."]
    return []
