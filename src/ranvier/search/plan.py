"""What many models have in common; and each made ready: built under its seed, its rows chosen, its steps traced."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ranvier import seed
from ranvier.module import Module
from ranvier.search.folds import Fold
from ranvier.search.variants import Variant, same
from ranvier.training import fit, inputs
from ranvier.training.preflight import preflight
from ranvier.training.state import Compiled, compiled
from ranvier.training.step import Data
from ranvier.training.twins import Pattern

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
    options: dict[str, Any]
    first: tuple[Data, Any] | None = None  # the checked arrays, and the columns' names
    last: tuple[Any, Pattern] | None = None  # the settings of the models just before, and the first of those
    told: set[str] = field(default_factory=set)  # the codes of checks that have warned
    seen: weakref.WeakSet[Module] = field(default_factory=weakref.WeakSet)

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
        with seed.seeded(variant.seed) as source:
            model, state = self.model(variant.settings)
            data = self.data(model, state)
            train, held_out = data, None
            if self.folds is not None and variant.fold is not None:
                train, held_out = (replace(data, among=rows) for rows in self.folds[variant.fold])
            options = {**self.options, **self.hooks()}
            if (class_weight := options.pop("class_weight", None)) is not None:
                train = inputs.gate(model, state, train, None, class_weight=class_weight)
            if self.validate and held_out is not None:
                options["validation_data"] = held_out
            batch = options.get("batch_size") or 32
            pattern = self.pattern(variant.settings, model, state)
            if number > 0:
                options["ignore"] = (
                    "RV"  # every check: `fit` makes them for the first model, `pattern` for others
                )
                if pattern.model is model:
                    self.check(model, state, train)
            if isinstance(batch, int) and not options.get("validation_split"):
                with state.exclusive(options.get("augment")):
                    pattern.give(model, state, train, min(batch, len(train)), "train")
                if held_out is not None:
                    pattern.give(model, state, held_out, min(batch, len(held_out)), "evaluate")
        return Job(number, variant, model, source, train, held_out, options)

    def hooks(self) -> dict[str, Any]:
        """Callbacks for one model."""
        if self.callbacks is None:
            return {}
        return {"callbacks": self.callbacks() if callable(self.callbacks) else copy.deepcopy(self.callbacks)}

    def pattern(self, settings: Any, model: Module, state: Compiled) -> Pattern:
        """The first model of these settings, whose steps the others take over."""
        state.told = self.told
        if self.last is None or not same(self.last[0], settings):
            self.last = settings, Pattern(model, state)
        return self.last[1]

    def check(self, model: Module, state: Compiled, train: Data) -> None:
        """Look for mistakes in the network of other settings; the data were looked at with the first model."""
        few = train.rows(slice(None, None, max(1, len(train) // FEW)))
        preflight(model, state, few, ignore=self.options.get("ignore", ()), partial=True)

    def data(self, model: Module, state: Compiled) -> Data:
        """All rows as this model takes them: the arrays of the first model, where they fit."""
        x, y, weight, finite = self.x, self.y, self.weight, self.options.get("check_finite", True)
        if self.first is not None and len(self.first[0].x) == len(self.first[0].y) == 1:
            before, state.columns = self.first
            (x,), (y,), (weight,), finite = before.x, before.y, before.weight, False
        data = inputs.gate(model, state, x, y, weight, check_finite=finite)
        if self.first is None:
            self.first = data, state.columns
        return data

    def again(self, variant: Variant, **options: Any) -> Module:
        """Train one variant on every row, alone."""
        with seed.seeded(variant.seed):
            model, _ = self.model(variant.settings)
            hooks = {} if self.validate else self.hooks()  # without held-out rows there is nothing to watch
            given = {
                "verbose": self.verbose,
                "sample_weight": self.weight,
                **self.options,
                **hooks,
                **options,
            }
            fit(model, self.x, self.y, **given)
        return model
