"""What many models have in common; and each made ready: built under its seed, its rows chosen, its steps traced."""

from __future__ import annotations

import copy
import os
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ranvier.module import Module
from ranvier.search.folds import Fold
from ranvier.search.results import check_measured
from ranvier.search.settings import parted, takes_variant
from ranvier.search.variants import Variant
from ranvier.tensor import rng
from ranvier.training.adapters.arrays import to_data
from ranvier.training.loop.callback_list import flat
from ranvier.training.loop.evaluate import check_counting, split
from ranvier.training.loop.fit import fit
from ranvier.training.preflight.run import preflight
from ranvier.training.step.arrays import Data
from ranvier.training.step.compiled import Compiled, compiled
from ranvier.training.step.step_cache import Patterns, Wanted

__all__ = ["Job", "Plan"]

FEW = 256  # rows that checks of a network look at


@dataclass
class Job:
    """A model that is ready to be trained, and what it is trained and judged on."""

    number: int
    variant: Variant
    model: Module
    source: Any  # of its random numbers
    train: Data
    held_out: Data | None
    options: dict[str, Any]


class Shared:
    """Arrays that are checked and converted for the first model, and given to all others as they are then."""

    def __init__(self) -> None:
        self.first: tuple[Data, Any] | None = None  # and the columns' names

    def of(self, model: Module, state: Compiled, given: Sequence[Any], finite: bool, **options: Any) -> Data:
        """The arrays as this model takes them. Raises as `gate` does."""
        if self.first is None:
            data = to_data(model, state, *given, check_finite=finite, **options)
            self.first = data, model._frame_columns
            return data
        before, columns = self.first
        model.__dict__["_frame_columns"] = dict(columns)
        if len(before.x) > 1 or len(before.y) > 1:
            return to_data(model, state, *given, check_finite=False, **options)
        x, y, weight = before.x[0], before.y[0], before.weight[0]
        return to_data(model, state, x, y, weight, check_finite=False, **options)


@dataclass
class Plan:
    """What all models have in common."""

    build: Callable[..., Module]
    x: Any
    y: Any
    weight: Any
    folds: Sequence[Fold] | None
    callbacks: Any
    validate: bool
    verbose: Any
    monitor: str | None
    options: dict[str, Any]
    arrays: Shared = field(default_factory=Shared)
    validation: Shared = field(default_factory=Shared)
    patterns: Patterns = field(default_factory=Patterns)
    reported: set[str] = field(default_factory=set)  # the codes of checks that have warned
    paths: dict[str, tuple[int, Variant]] = field(
        default_factory=dict
    )  # that callbacks write, and for which model
    seen: weakref.WeakSet[Module] = field(default_factory=weakref.WeakSet)
    metrics: dict[str, Any] = field(default_factory=dict)  # by name, of all models

    def model(self, settings: Any) -> tuple[Module, Compiled]:
        """A fresh, compiled model. Raises TypeError or ValueError where ``build`` gives anything else."""
        model = self.build(**settings)
        if not isinstance(model, Module):
            raise TypeError(
                f"build returned {type(model).__name__}. Write a function that ends in `return model` instead."
            )
        if model in self.seen:
            raise ValueError(
                "build returned the same model twice. Write a function that makes its layers anew instead."
            )
        self.seen.add(model)
        return model, compiled(model, "fit_many")

    def job(self, number: int, variant: Variant) -> Job:
        """Build a variant's model and trace its steps: everything that needs the interpreter for long."""
        with rng.seed_scope(variant.seed) as source:
            own, fitted = parted(self.build, variant.settings)
            model, state = self.model(own)
            data = self.data(model, state)
            self.metrics |= {metric.name: metric for metric in state.metrics}
            train, held_out = data, None
            if self.folds is not None and variant.fold is not None:
                train, held_out = (replace(data, among=rows) for rows in self.folds[variant.fold])
                for rows, side in ((train, "training"), (held_out, "held-out")):
                    check_counting(rows, f"the {side} side of fold {variant.fold}")
            options = {**self.options, **fitted, **self.hooks(variant)}
            self.check_paths(number, variant, options.get("callbacks"))
            options |= self.watched(model, state, held_out)
            if number == 0:
                self.check_monitor(state, held_out, options)
            share = options.pop("validation_split", 0)
            if share and options.get("validation_data") is None:  # as `fit` does before classes are weighted
                train, options["validation_data"] = split(train, share)
            if (class_weight := options.pop("class_weight", None)) is not None:
                train = to_data(model, state, train, None, class_weight=class_weight)
            batch = options.get("batch_size") or 32
            wanted: list[Wanted] = []
            if isinstance(batch, int):
                wanted.append((train, min(batch, len(train)), "train"))
            if isinstance(batch, int) and held_out is not None:
                wanted.append((held_out, min(batch, len(held_out)), "evaluate"))
            state.reported = self.reported
            with state.exclusive(options.get("augment")), rng.restored_streams():
                if not (wanted and self.patterns.serve(model, state, wanted)):
                    self.check(model, state, train, held_out, options, number == 0)
                    self.patterns.add(model, state, wanted)
            if number > 0:
                options["ignore"] = "RV"  # all checks, which have been made
        return Job(number, variant, model, source, train, held_out, options)

    def check_monitor(self, state: Compiled, held_out: Data | None, options: Mapping[str, Any]) -> None:
        """Raise ValueError before anything is trained where ``monitor`` will not be among the results.

        Callbacks may add results of their own: with them the first model that is trained tells.
        """
        if self.monitor is None or self.callbacks is not None:
            return
        given = options.get("validation_data") is not None or options.get("validation_split")
        names = [*state.names] + (["learning_rate"] if state.optimizer.schedule is not None else [])
        held = [f"val_{name}" for name in state.names] if given or held_out is not None else []
        check_measured(self.monitor, [*names, *held])

    def hooks(self, variant: Variant) -> dict[str, Any]:
        """Callbacks for one model: copies, or what a function makes, which is given the variant if it takes one."""
        if self.callbacks is None:
            return {}
        given = self.callbacks
        if not callable(given) or (hasattr(given, "on_epoch_end") and not isinstance(given, type)):
            return {"callbacks": copy.deepcopy(given)}
        return {"callbacks": given(variant) if takes_variant(given) else given()}

    def check_paths(self, number: int, variant: Variant, callbacks: Any) -> None:
        """Raise ValueError where a callback writes what that of another model writes."""
        for callback in flat(callbacks):
            path = getattr(callback, "writes_to", lambda: None)()
            if path is None:
                continue
            first, owner = self.paths.setdefault(os.path.abspath(path), (number, variant))  # noqa: PTH100  # no links
            if first != number:
                kind = type(callback).__name__
                raise ValueError(
                    f"{kind} writes {str(path)!r} for the variant {owner} and for {variant}. Write a function that "
                    f"makes each model's own, callbacks=lambda variant: [{kind}(f'{path}/{{variant.name}}')], instead."
                )

    def check(
        self,
        model: Module,
        state: Compiled,
        train: Data,
        held_out: Any,
        options: Mapping[str, Any],
        whole: bool,
    ) -> None:
        """Look for mistakes before anything is trained: in all with the first model, then in each other network."""
        ignore = options.get("ignore", ())
        if whole:
            validation = options.get("validation_data", held_out)
            batch, sampled = options.get("batch_size") or 32, options.get("sampler") is not None
            preflight(model, state, train, validation, batch=batch, sampled=sampled, ignore=ignore)
        else:
            few = train.rows(slice(None, None, max(1, len(train) // FEW)))
            preflight(model, state, few, partial=True, ignore=ignore)

    def data(self, model: Module, state: Compiled) -> Data:
        """All rows as this model takes them."""
        finite = self.options.get("check_finite", True)
        return self.arrays.of(model, state, (self.x, self.y, self.weight), finite)

    def watched(self, model: Module, state: Compiled, held_out: Data | None) -> dict[str, Any]:
        """What is computed after every epoch: on the held-out rows, or on validation data of the caller's."""
        given = self.options.get("validation_data")
        if self.validate and held_out is not None:
            return {"validation_data": held_out}
        if not isinstance(given, (tuple, list)) or len(given) not in (2, 3):
            return {}  # nothing, or what `fit` knows better
        finite = self.options.get("check_finite", True)
        parts = (*given, None)[:3]
        return {"validation_data": self.validation.of(model, state, parts, finite, prefix="validation ")}

    def again(self, variant: Variant, **options: Any) -> Module:
        """Train one variant on every row, alone."""
        with rng.seed_scope(variant.seed):
            own, fitted = parted(self.build, variant.settings)
            model, _ = self.model(own)
            hooks = (
                {} if self.validate else self.hooks(variant)
            )  # without held-out rows there is nothing to watch
            given = {
                "verbose": self.verbose,
                "sample_weight": self.weight,
                **self.options,
                **fitted,
                **hooks,
                **options,
            }
            fit(model, self.x, self.y, **given)
        return model
