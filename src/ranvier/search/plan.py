"""The shared parts of many models, and the preparation of each: build it, select its rows, trace its steps."""

from __future__ import annotations

import copy
import os
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ranvier.module import Module
from ranvier.search.folds import Fold
from ranvier.search.results import check_measured
from ranvier.search.settings import divide_settings, takes_variant
from ranvier.search.variants import Variant
from ranvier.tensor import rng
from ranvier.training.adapters.arrays import to_data
from ranvier.training.loop.callback import Callback
from ranvier.training.loop.callback_list import flat
from ranvier.training.loop.evaluate import check_counting, split
from ranvier.training.loop.fit import fit
from ranvier.training.preflight.run import preflight
from ranvier.training.step.arrays import Data
from ranvier.training.step.compiled import Compiled, compiled
from ranvier.training.step.step_cache import StepCache, Wanted

FEW = 256  # the rows that checks of a network use


@dataclass
class Job:
    """A model that is ready for training, with its training and held-out rows."""

    number: int
    variant: Variant
    model: Module
    source: Any  # the source of its random numbers
    train: Data
    held_out: Data | None
    options: dict[str, Any]


class Shared:
    """Arrays that are checked and converted for the first model, and reused for all others."""

    def __init__(self) -> None:
        self.first: tuple[Data, Any] | None = None  # with the column names

    def of(self, model: Module, state: Compiled, given: Sequence[Any], finite: bool, **options: Any) -> Data:
        """The arrays in the form for this model. Raises errors of their validation."""
        if self.first is None:
            data = to_data(model, state, *given, check_finite=finite, **options)
            self.first = data, model._frame_columns
            return data
        before, columns = self.first
        model.__dict__["_frame_columns"] = dict(columns)
        # A layer of texts has a vocabulary of its own.
        if len(before.x) > 1 or len(before.y) > 1 or model._text_layers():
            return to_data(model, state, *given, check_finite=False, **options)
        x, y, weight = before.x[0], before.y[0], before.weight[0]
        return to_data(model, state, x, y, weight, check_finite=False, **options)


@dataclass
class Plan:
    """The arguments and caches that all models share."""

    build: Callable[..., Module]
    x: Any
    y: Any
    weight: Any
    folds: Sequence[Fold] | None
    callbacks: Callback | Iterable[Callback] | Callable[..., Any] | None
    validate: bool
    verbose: str | int
    monitor: str | None
    options: dict[str, Any]
    arrays: Shared = field(default_factory=Shared)
    validation: Shared = field(default_factory=Shared)
    steps: StepCache = field(default_factory=StepCache)
    reported: set[str] = field(default_factory=set)  # the codes of the checks that warned
    # The paths that callbacks write, each with its model.
    paths: dict[str, tuple[int, Variant]] = field(default_factory=dict)
    seen: weakref.WeakSet[Module] = field(default_factory=weakref.WeakSet)
    metrics: dict[str, Any] = field(default_factory=dict)  # by name, of all models

    def model(self, settings: Any) -> tuple[Module, Compiled]:
        """A new, compiled model. Raises TypeError or ValueError where ``build`` returns anything else."""
        model = self.build(**settings)
        if not isinstance(model, Module):
            raise TypeError(
                f"build returned {type(model).__name__}. Write a function that ends in `return model` instead."
            )
        if model in self.seen:
            raise ValueError(
                "build returned the same model twice. Write a function that makes new layers in each call instead."
            )
        self.seen.add(model)
        return model, compiled(model, "fit_many")

    def job(self, number: int, variant: Variant) -> Job:
        """Build the model of a variant and trace its steps, which is the work that needs the interpreter."""
        with rng.seed_scope(variant.seed) as source:
            own, fitted = divide_settings(self.build, variant.settings)
            model, state = self.model(own)
            finite = self.options.get("check_finite", True)
            data = self.arrays.of(model, state, (self.x, self.y, self.weight), finite)
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
            fraction = options.pop("validation_split", 0)
            if fraction and options.get("validation_data") is None:  # before classes are weighted, as in `fit`
                train, options["validation_data"] = split(train, fraction)
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
                if not (wanted and self.steps.provide(model, state, wanted)):
                    self.check(model, state, train, held_out, options, number == 0)
                    self.steps.add(model, state, wanted)
            if number > 0:
                options["ignore"] = "RV"  # all checks ran already
        return Job(number, variant, model, source, train, held_out, options)

    def check_monitor(self, state: Compiled, held_out: Data | None, options: Mapping[str, Any]) -> None:
        """Raise ValueError before training where ``monitor`` will not be among the results.

        Callbacks may add results: then the first trained model is checked instead.
        """
        if self.monitor is None or self.callbacks is not None:
            return
        given = options.get("validation_data") is not None or options.get("validation_split")
        names = [*state.names] + (["learning_rate"] if state.optimizer.schedule is not None else [])
        held = [f"val_{name}" for name in state.names] if given or held_out is not None else []
        check_measured(self.monitor, [*names, *held])

    def hooks(self, variant: Variant) -> dict[str, Any]:
        """The callbacks of one model: copies, or the result of a function, which may take the variant."""
        if self.callbacks is None:
            return {}
        given = self.callbacks
        if not callable(given) or (hasattr(given, "on_epoch_end") and not isinstance(given, type)):
            return {"callbacks": copy.deepcopy(given)}
        return {"callbacks": given(variant) if takes_variant(given) else given()}

    def check_paths(self, number: int, variant: Variant, callbacks: Any) -> None:
        """Raise ValueError where the callbacks of two models write the same file."""
        for callback in flat(callbacks):
            path = getattr(callback, "writes_to", lambda: None)()
            if path is None:
                continue
            first, owner = self.paths.setdefault(os.path.abspath(path), (number, variant))  # noqa: PTH100  # no links
            if first != number:
                kind = type(callback).__name__
                raise ValueError(
                    f"{kind} writes {str(path)!r} for the variant {owner} and for {variant}. Write a function that "
                    f"makes a new one, callbacks=lambda variant: [{kind}(f'{path}/{{variant.name}}')], instead."
                )

    def check(
        self, model: Module, state: Compiled, train: Data, held_out: Any, options: Mapping[str, Any], complete: bool
    ) -> None:
        """Check for mistakes before training: everything with the first model, then each other network."""
        ignore = options.get("ignore", ())
        if complete:
            validation = options.get("validation_data", held_out)
            batch, sampled = options.get("batch_size") or 32, options.get("sampler") is not None
            preflight(model, state, train, validation, batch=batch, sampled=sampled, ignore=ignore)
        else:
            few = train.rows(slice(None, None, max(1, len(train) // FEW)))
            preflight(model, state, few, partial=True, ignore=ignore)

    def watched(self, model: Module, state: Compiled, held_out: Data | None) -> dict[str, Any]:
        """The validation data for each epoch: the held-out rows, or those of the caller."""
        given = self.options.get("validation_data")
        if self.validate and held_out is not None:
            return {"validation_data": held_out}
        if not isinstance(given, (tuple, list)) or len(given) not in (2, 3):
            return {}  # none, or a form that `fit` converts
        finite = self.options.get("check_finite", True)
        parts = (*given, None)[:3]
        return {"validation_data": self.validation.of(model, state, parts, finite, prefix="validation ")}

    def refit(self, variant: Variant, **options: Any) -> Module:
        """Train one variant on all rows."""
        with rng.seed_scope(variant.seed):
            own, fitted = divide_settings(self.build, variant.settings)
            model, _ = self.model(own)
            hooks = {} if self.validate else self.hooks(variant)  # they need held-out rows
            given: dict[str, Any] = {"verbose": self.verbose, "sample_weight": self.weight}
            fit(model, self.x, self.y, **(given | self.options | fitted | hooks | options))
        return model
