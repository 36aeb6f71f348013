"""The results of many models: one row for each, means and intervals by setting, the best setting, and tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from ranvier.module import Module
from ranvier.search.interval import Estimate, estimate
from ranvier.search.variants import Variant, equal_settings, value_text
from ranvier.support.constructors import CheckedConstructor
from ranvier.support.phrases import counted
from ranvier.support.results import infer, is_loss, metric_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.pictures.style import Target


def check_measured(monitor: str, names: Sequence[str]) -> None:
    """Raise ValueError where no model has a result of this name."""
    if monitor in names:
        return
    held_out = monitor.startswith("val_") and not any(name.startswith("val_") for name in names)
    more = "folds=5, or validation_data=(x, y), for results on held-out rows, or " if held_out else ""
    raise ValueError(f"monitor={monitor!r} is not measured. Write {more}one of {', '.join(names)} instead.")


@dataclass
class Trained(CheckedConstructor):
    """One model after training.

    ``metrics`` are those of the last epoch ("loss", "accuracy", ...) and, as "val_...", those on the held-out rows.
    ``history`` has a list over the epochs for each. ``seconds`` is the training time. ``error`` is set where the loss
    became NaN: then there are no held-out metrics. ``model`` is None where models are not kept. ``pruned`` is set where
    a pruner has stopped its setting.
    """

    variant: Variant
    model: Any = None
    metrics: dict[str, Any] = field(default_factory=dict)
    history: dict[str, list[Any]] = field(default_factory=dict)
    seconds: float = 0.0
    samples: int = 0
    error: FloatingPointError | None = None
    pruned: bool = False


@dataclass(frozen=True)
class Setting(CheckedConstructor):
    """All models of one setting: the estimate of each metric over seeds and folds, and the number of failed models."""

    settings: Mapping[str, Any]
    metrics: Mapping[str, Estimate]
    rows: Sequence[Trained]

    @property
    def failed(self) -> int:
        return sum(row.error is not None for row in self.rows)

    @property
    def seconds(self) -> float:
        """The mean time of a model."""
        return math.fsum(row.seconds for row in self.rows) / len(self.rows)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during the training of many models. ``results`` contain the finished ones."""

    def __init__(self, results: Results) -> None:
        super().__init__(f"{len(results)} models were finished; the results of this exception have them")
        self.results = results


class Results(CheckedConstructor, Sequence[Trained]):
    """The models in the order of the variants, and statistics of each setting.

    This is a sequence of `Trained`. ``settings`` and ``best`` compare the settings by ``monitor``, and ``table()``
    prints them. ``records()`` and ``to_dict()`` return one row for each model, for ``pandas.DataFrame``. ``refit()``
    trains the best setting on all rows. ``mode``, which may be set, is the direction of ``monitor``: "min", "max", or
    "auto".
    """

    def __init__(
        self,
        refit: Callable[..., Module],
        rows: Sequence[Trained] = (),
        *,
        monitor: str | None = None,
        mode: str = "auto",
        metrics: Mapping[str, Any] | None = None,
    ) -> None:
        self.rows: list[Trained] = list(rows)
        self._refit: Callable[..., Module] | None = refit
        self.study: Any = None  # of `optuna_search`
        self._monitor, self.mode = monitor, mode
        self._metrics = {} if metrics is None else metrics  # by name; models are still being built

    def __getstate__(self) -> dict[str, Any]:
        """The state without the function that builds models, which cannot be pickled."""
        better = self._better() if self.rows else None
        return self.__dict__ | {"_refit": None, "study": None, "_metrics": {}, "_mode": better or self._mode}

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Trained: ...
    @overload
    def __getitem__(self, index: slice) -> list[Trained]: ...
    def __getitem__(self, index: int | slice) -> Trained | list[Trained]:
        return self.rows[index]

    def __repr__(self) -> str:
        text = f"Results({counted(len(self.rows), 'model')} of {counted(len(self._groups()), 'setting')}"
        best = self._leader() if self._better() is not None else None
        if best is not None:
            settings = best.settings.items()
            words = ", ".join(f"{name}={value_text(value)}" for name, value in settings) or "no settings"
            text += f", best {self.monitor} {best.metrics[self.monitor]} with {words}"
        return text + ")"

    # --- the metric and its direction -------------------------------------------------------------------------------

    @property
    def names(self) -> list[str]:
        """The scalar metrics, held-out ones last."""
        found: dict[str, None] = {}
        for row in self.rows:
            found |= {name: None for name, value in row.metrics.items() if np.ndim(value) == 0}
        return sorted(found, key=lambda name: name.startswith("val_"))

    @property
    def monitor(self) -> str:
        """The metric that ranks settings. By default the first held-out one that is not a loss, else the first."""
        names = self.names
        if self._monitor is not None:
            if any(row.error is None for row in self.rows):  # failed models have no such metrics
                check_measured(self._monitor, names)
            return self._monitor
        held_out = [n for n in names if n.startswith("val_")] or names
        return next((n for n in held_out if not is_loss(n)), held_out[0] if held_out else "loss")

    @property
    def mode(self) -> str:
        """The direction of ``monitor``: "min", "max", or "auto", which depends on its name and class."""
        return self._mode

    @mode.setter
    def mode(self, mode: str) -> None:
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"mode={mode!r}: write 'min', 'max' or 'auto' instead.")
        self._mode = mode

    def _better(self) -> str | None:
        """The direction, by the rules of callbacks with a ``monitor``; None where it is unknown."""
        if self._mode != "auto":
            return self._mode
        return infer(self.monitor, metric_of(self.monitor, self._metrics.values()))

    @property
    def higher_is_better(self) -> bool:
        """Whether larger values of ``monitor`` are better. Raises ValueError where the direction is unknown."""
        better = self._better()
        if better is None:
            raise ValueError(
                f"the name {self.monitor!r} does not show which direction is better. Write mode='min' or mode='max' in "
                "the call, or results.mode = 'min' now, instead."
            )
        return better == "max"

    # --- by setting -----------------------------------------------------------------------------------------------

    def settings(self, confidence: float = 0.95, corrected: bool = False) -> list[Setting]:
        """The settings, best first: mean and Student's confidence interval of each metric over seeds and folds.

        Models whose loss became NaN are excluded from the means, and settings without other models are last. Models of
        different folds share training rows, so that the plain interval is too narrow; ``corrected=True`` widens it by
        the factor of Nadeau and Bengio (Machine Learning 52, 2003).
        """
        names = self.names
        groups = self._groups()
        made = [Setting(s, _estimates(names, rows, confidence, corrected), rows) for s, rows in groups]
        return sorted(made, key=self._rank)

    def _groups(self) -> list[tuple[Mapping[str, Any], list[Trained]]]:
        """The models of each setting, in the order of variants."""
        groups: list[tuple[Mapping[str, Any], list[Trained]]] = []
        for row in self.rows:
            mine = row.variant.settings
            members = next((m for s, m in reversed(groups) if equal_settings(s, mine)), None)
            if members is None:
                groups.append((mine, members := []))
            members.append(row)
        return groups

    def _rank(self, setting: Setting) -> tuple[bool, float]:
        found = setting.metrics.get(self.monitor)
        if found is None or math.isnan(found.mean) or any(row.pruned for row in setting.rows):
            return True, 0.0
        return False, -found.mean if self.higher_is_better else found.mean

    def _leader(self) -> Setting | None:
        first = next(iter(self.settings()), None)
        return None if first is None or self._rank(first)[0] else first

    @property
    def best(self) -> Setting:
        """The setting with the best mean of ``monitor``. Raises ValueError where no model was finished."""
        leader = self._leader()
        if leader is None:
            failed = sum(row.error is not None for row in self.rows)
            raise ValueError(
                f"there is no best setting: {failed} of {len(self.rows)} models failed and none has {self.monitor!r}. "
                "Write smaller learning rates, or scaled inputs, instead."
            )
        return leader

    def refit(self, settings: Mapping[str, Any] | None = None, *, seed: int | None = None, **options: Any) -> Module:
        """Train the best setting (or ``settings``) on all rows, with the same options, and return the model.

        ``seed`` is by default that of the first model of the setting. ``options`` replace those of `fit`.
        """
        if self._refit is None:
            raise RuntimeError(
                "these results were copied or unpickled, so they have no function that builds a model. Write "
                "model = build(**results.best.settings) and model.fit(x, y), instead."
            )
        chosen = self.best.settings if settings is None else settings
        known = [r.variant.seed for r in self.rows if equal_settings(r.variant.settings, chosen)]
        return self._refit(Variant(chosen, seed if seed is not None else known[0] if known else 0), **options)

    def so_far(self) -> dict[str, float]:
        """The text of the progress line: the best score of a single model."""
        name = self.monitor
        found = [r.metrics[name] for r in self.rows if r.error is None and name in r.metrics]
        values = [value for value in found if not math.isnan(value)]  # NaN cannot be compared
        if not values or self._better() is None:
            return {}
        return {f"best {name}": max(values) if self.higher_is_better else min(values)}

    # --- tables ---------------------------------------------------------------------------------------------------

    def records(self) -> list[dict[str, Any]]:
        """One flat dict for each model: settings, seed, fold, metrics, seconds, and error (None or its message).

        Where a pruner has stopped settings, ``pruned`` says which.
        A setting with the name of another entry is called "setting_...".
        """
        names = self.names
        pruned = any(row.pruned for row in self.rows)
        taken = {"seed", "fold", "seconds", "error", *names} | ({"pruned"} if pruned else set())
        return [
            {f"setting_{k}" if k in taken else k: v for k, v in row.variant.settings.items()}
            | {"seed": row.variant.seed, "fold": row.variant.fold}
            | {name: float(row.metrics.get(name, math.nan)) for name in names}
            | {"seconds": row.seconds, "error": None if row.error is None else str(row.error)}
            | ({"pruned": row.pruned} if pruned else {})
            for row in self.rows
        ]

    def to_dict(self) -> dict[str, list[Any]]:
        """The records as columns: ``pandas.DataFrame(results.to_dict())``."""
        records = self.records()
        columns = dict.fromkeys(name for record in records for name in record)
        return {name: [record.get(name) for record in records] for name in columns}

    def plot(self, path: Target = None) -> Figure:
        """Draw the scores by each setting, and write them to ``path`` if given: see `ranvier.pictures.search_results`.

        Returns the figure, which a notebook displays.
        """
        from ranvier.pictures import search_results

        return search_results(self, path)

    def _cells(self, confidence: float) -> tuple[list[str], list[list[str]]]:
        made = self.settings(confidence)
        keys = list(dict.fromkeys(key for setting in made for key in setting.settings))
        names = [n for n in self.names if n.startswith("val_")] or self.names
        failed = any(setting.failed for setting in made)
        head = [*keys, *names, "models", *(["failed"] if failed else []), "seconds"]
        rows = [
            [value_text(s.settings[k]) if k in s.settings else "" for k in keys]
            + [str(s.metrics[n]) if s.metrics[n].n else "" for n in names]
            + [str(len(s.rows)), *([str(s.failed)] if failed else []), f"{s.seconds:.3g}"]
            for s in made
        ]
        return head, rows

    def table(self, confidence: float = 0.95) -> None:
        """Print the settings, best first, with the mean ± half the confidence interval of each held-out metric.

        Without held-out rows the training metrics are printed.
        """
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text  # names as they are: a plain str would be read as markup

        head, rows = self._cells(confidence)
        title = Text(f"Best first by {self.monitor}; ± is the {confidence:.0%} interval")
        table = Table(title=title, title_justify="left")
        for name in head:
            table.add_column(Text(name), justify="right")
        for number, row in enumerate(rows):
            table.add_row(*map(Text, row), style="bold" if number == 0 else None)
        Console().print(table)

    def _repr_html_(self) -> str:
        from html import escape

        head, rows = self._cells(0.95)
        line = "<tr>{}</tr>".format
        top = line("".join(f"<th>{escape(name)}</th>" for name in head))
        body = "".join(line("".join(f"<td>{escape(cell)}</td>" for cell in row)) for row in rows)
        return (
            f"<table><caption>Best first by {escape(self.monitor)}; ± is the 95% interval</caption>"
            f"<thead>{top}</thead><tbody>{body}</tbody></table>"
        )


def _estimates(
    names: Sequence[str], rows: Sequence[Trained], confidence: float, corrected: bool
) -> dict[str, Estimate]:
    finished = [row for row in rows if row.error is None]
    folds = len({row.variant.fold for row in rows})
    overlap = 1 / (folds - 1) if corrected and folds > 1 else 0.0  # held-out rows / training rows of k folds
    return {
        name: estimate([float(r.metrics[name]) for r in finished if name in r.metrics], confidence, overlap)
        for name in names
    }
