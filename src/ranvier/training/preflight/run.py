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
from ranvier.module.shape_errors import ShapeError
from ranvier.support.source_lines import shown
from ranvier.tensor import rng
from ranvier.training.adapters.arrays import to_data
from ranvier.training.adapters.generators import Batches, is_source, memory_loader
from ranvier.training.preflight import table
from ranvier.training.preflight.probe import WORK, Probe
from ranvier.training.preflight.report import (
    ERROR,
    Check,
    Finding,
    Report,
    is_silenced,
    raise_or_warn,
    silencer,
)
from ranvier.training.preflight.seen import Seen
from ranvier.training.step.arrays import Data
from ranvier.training.step.compiled import Compiled, compiled
from ranvier.training.step.runner import Runner
from ranvier.training.step.step import build, step_for

__all__ = ["after_epoch", "check", "likely_cause", "preflight"]


Coded = TypeVar("Coded", Check, Finding)


def chosen(some: Sequence[Coded], silenced: Sequence[str]) -> list[Coded]:
    """Those checks or findings that are not silenced."""
    return [c for c in some if not is_silenced(c.code, silenced)]


def errors(findings: Sequence[Finding], silenced: Sequence[str]) -> bool:
    return any(f.level == ERROR for f in chosen(findings, silenced))


def found(checks: Sequence[Check], subject: Any, before: Iterable[Finding] = ()) -> list[Finding]:
    """What was found before, and by these checks."""
    findings = list(before)
    for c in checks:
        if not any(f.code in c.unless for f in findings):
            findings += [Finding.of(c, fault) for fault in c.find(subject)]
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
    """Warn, once for each code and compile, of what looks like a mistake before the first step.

    ``validation`` is looked at where it is arrays; ``partial`` says that ``data`` are one batch of many, ``sampled``
    that rows are drawn by a sampler, ``steps`` how many an epoch has where that is not all rows once. Without
    ``batch`` no step is tried.

    Raises PreflightError, at every call until they are mended, for mistakes with which training can only give
    nonsense, and ValueError for a code in ``ignore`` that does not exist.
    """
    silenced = (*silencer(ignore, table.CODES), *(("RV306",) if sampled else ()))
    first = not (state.checked or (partial and state.checked_batch))
    if not chosen(table.CHECKS, silenced):
        return
    checks = [c for c in (*table.NETWORK, *table.DATA) if first or c.always]
    seen = Seen(model, state, data, validation if isinstance(validation, Data) else None)
    findings = found([c for c in checks if not (partial and c.whole)], seen)
    if first and not partial and seen.validation is not None:
        findings = found(chosen(table.VALIDATION, silenced), seen, findings)
    del seen  # with its sampled rows, before the program is compiled
    trials = chosen((*table.GRADIENTS, *table.FIRST_BATCH), silenced)
    if first and batch is not None and trials and not errors(findings, silenced):
        step = step_for(model, state, data, min(batch, len(data)), "train")
        findings = found(trials, Probe(model, state, data, step, steps), findings)
    raise_or_warn(chosen(findings, silenced), state.reported)
    state.checked_batch = True
    state.checked = state.checked or not partial


def after_epoch(
    model: Module, state: Compiled, data: Data | None, runner: Runner | None, *, ignore: Any = ()
) -> None:
    """After the first epoch since ``compile``, warn of units and layers that stopped learning. ``data``: training rows.

    ``runner`` has the step that was run.
    """
    if state.checked_epoch or data is None or runner is None:
        return
    state.checked_epoch = True
    checks = chosen((*table.GRADIENTS, *table.ACTIVATIONS), silencer(ignore, table.CODES))
    checks = [c for c in checks if state.reported.isdisjoint((c.code, *c.unless))]
    if checks:
        raise_or_warn(found(checks, Probe(model, state, data, runner.step)), state.reported)


def likely_cause(model: Module, state: Compiled, data: Data) -> str | None:
    """What in the network makes a loss that is not finite, whatever the learning rate; and what to write instead."""
    for finding in found(table.CAUSES, Seen(model, state, data)):
        place = f" ({finding.where})" if finding.where else ""
        return f"{finding.text}{place}. {finding.fix}"
    return None


@in_model_dtype
def check(
    model: Module,
    x: Any = None,
    y: Any = None,
    *,
    sample_weight: Any = None,
    validation_data: Any = None,
    class_weight: Any = None,
    loss: Any = None,
    optimizer: Any = None,
    ignore: Any = (),
) -> Report:
    """All checks of a model on data, as a `Report`; nothing is trained, and nothing raised for what they find.

    The model is compiled, or trained by a loop of your own whose ``loss`` is given here (and whose ``optimizer``, for
    its learning rate). ``ignore`` silences codes ("RV203"), groups of them ("RV2"), or all ("RV"). For what gives
    batches, the first one is looked at, unless it is a loader of arrays. Raises RuntimeError when there is no loss.
    """
    silenced = silencer(ignore, table.CODES)
    state = compiled(model, "check") if loss is None else looped(loss, optimizer)
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
        seen = Seen(model, state, data, validation)
    except ShapeError as error:
        code, title = table.GIVEN["shapes"]
        line = None if error.made is None else shown(error.made)
        return Report([Finding(code, title, ERROR, str(error), "", error.layer, line)])
    except (ValueError, TypeError) as error:
        code, title = table.GIVEN["data"]
        return Report([Finding(code, title, ERROR, str(error), "")])
    checks = (*table.NETWORK, *table.DATA, *(table.VALIDATION if validation is not None else ()))
    findings = found([c for c in checks if not (partial and c.whole)], seen)
    told = notes(data, partial)
    if errors(findings, silenced):
        told.append("No steps were tried: mend the errors first.")
    else:
        probe = Probe(model, state, data, trial_step(model, state, data))
        trials = (*table.GRADIENTS, *table.FIRST_BATCH, table.NOT_FINITE, *table.ACTIVATIONS)
        findings = found(chosen(trials, silenced), probe, findings)
        if not probe.tried:
            told.append(
                f"No steps were tried: the network is too large, more than {WORK:.0e} products for a few rows."
            )
    return Report(chosen(findings, silenced), told)


def looped(loss: Any, optimizer: Any) -> Compiled:
    """How a loop of the user's trains; a learning rate that is not known is not judged."""
    return Compiled(optimizers.SGD(0.0) if optimizer is None else optimizer, loss, None, None, None)


def trial_step(model: Module, state: Compiled, data: Data) -> Any:
    """A training step that is not compiled, as only the reference engine runs it."""
    other = copy.copy(state)
    other.engine, rule = "reference", state.optimizer
    own = list(model.parameters())
    if not (len(rule.parameters) == len(own) and all(map(operator.is_, rule.parameters, own))):
        other.optimizer = type(rule)(**rule.config())  # not bound to parameters yet, or to some of these
    with rng.seed_scope(rng.get_seed()):  # what tracing draws is not missed elsewhere
        return build(model, other, data, min(32, len(data)), True)


def notes(data: Data, partial: bool) -> list[str]:
    """What was looked at in part only."""
    looked = min(len(sample(x)) for x in data.x)
    if partial:
        return [f"Looked at the first batch, {len(data):,} rows; what needs all of the data was not judged."]
    if looked < len(data):
        return [f"Scales of inputs were judged by {looked:,} of {len(data):,} rows, evenly spread."]
    return []
