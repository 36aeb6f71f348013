"""Training of many small models in parallel, each on a separate thread, which runs mostly native code.

The caller's thread builds the models one by one, with the seed of each variant, and traces their steps. Models with the
same structure share a program. Worker threads take one model at a time and train it with `fit` on one thread, so that
the result is bitwise equal to that of training it alone. All models share the arrays: a fold is a list of row numbers.

Within ``joblib.parallel_config``, the workers of joblib's back end build and train the models instead (`cluster.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ranvier.module import Module
from ranvier.search.cluster import team_of
from ranvier.search.folds import Folds, folds_of
from ranvier.search.plan import Plan
from ranvier.search.results import Results
from ranvier.search.settings import check_build, check_settings
from ranvier.search.team import Variants
from ranvier.search.variants import Grid, Variant, grid_points, variants_of
from ranvier.support.errors import arguments, unknown_keyword
from ranvier.training.adapters.generators import is_source
from ranvier.training.loop.callback import Callback
from ranvier.training.loop.fit import fit
from ranvier.training.loop.progress import progress_of


def fit_many(
    build: Callable[..., Module],
    x: Any,
    y: Any = None,
    variants: Iterable[Mapping[str, Any] | Variant] | None = None,
    *,
    seeds: int | Iterable[int] = 1,
    folds: Folds | None = None,
    grid: Grid | None = None,
    groups: Any = None,
    sample_weight: Any = None,
    callbacks: Callback | Iterable[Callback] | Callable[..., Any] | None = None,
    validate: bool = False,
    monitor: str | None = None,
    mode: str = "auto",
    threads: int | None = None,
    keep_models: bool = True,
    verbose: str | int = "auto",
    **options: Any,
) -> Results:
    """Train one model for each of seeds x folds x settings, in parallel on all processors, and return all results.

    ``build(**settings)`` makes and compiles one model. Settings that only `fit` takes, such as ``batch_size`` and
    ``epochs``, are passed to `fit`. ``grid`` is a dict of lists, and each combination is a setting. ``variants`` is a
    list of settings (dicts) or `Variant` objects instead. ``seeds`` is their number (0, 1, ...) or a list of them.
    ``folds`` is a number of folds (stratified where ``y`` contains classes; with ``groups``, groups stay whole), a
    splitter, also of scikit-learn, or pairs of row numbers (train, held out). None trains on all rows. ``x``, ``y`` and
    ``sample_weight`` are arrays, which are checked once and shared. ``options`` are those of `fit` (epochs,
    batch_size, class_weight, validation_data, ...).

    Each result is bitwise equal to that of ``rv.set_seed(seed); model = build(**settings); model.fit(x[train],
    y[train], **options)``. Models that differ in seed, fold or numbers such as the learning rate share a compiled
    program. Each other structure is compiled once.

    ``callbacks`` are copied for each model, or made by a function: ``lambda: [...]``. The function may take the
    `Variant`, whose ``name`` is unique, because two models cannot write the same file: ``lambda variant:
    [BackupAndRestore(f"backup/{variant.name}")]``. ``stop_training`` stops only its model. ``validate=True`` computes
    the held-out metrics after every epoch, for EarlyStopping. ``monitor`` names the metric that determines the best
    setting (by default the first held-out metric), and ``mode`` its direction: "min", "max", or "auto" by its name and
    class. ``threads`` is the number of models that train at a time, each on one thread (by default `rv.get_threads`).

    A model whose loss becomes NaN is recorded with its error, and the others continue. Any other error stops all models
    and names the variant. Ctrl-C stops all models within a fraction of a second and raises `Interrupted`, a
    KeyboardInterrupt whose ``results`` contain the finished models.
    """
    check_options(fit_many, options, "fit_many")
    if grid is not None and variants is not None:
        raise ValueError("grid and variants were given. Write one of them instead.")
    plan = plan_of(build, x, y, sample_weight, folds, groups, callbacks, validate, verbose, monitor, options)
    chosen = variants_of(
        variants if grid is None else grid_points(grid), seeds, None if plan.folds is None else len(plan.folds)
    )
    check_settings(build, chosen)
    results = Results(plan.refit, monitor=monitor, mode=mode, metrics=plan.metrics)
    train_all(plan, Variants(chosen), results, verbose, keep_models, threads, len(chosen))
    return results


def plan_of(
    build: Callable[..., Module], x: Any, y: Any, sample_weight: Any, folds: Folds | None, groups: Any, callbacks: Any,
    validate: bool, verbose: str | int, monitor: str | None, options: dict[str, Any],
) -> Plan:  # fmt: skip
    """What all models of a search share. Raises errors of arguments that contradict each other."""
    check_build(build)
    if is_source(x):
        raise TypeError(
            f"x is a {type(x).__name__}, which yields batches, and all models need the same rows. Write arrays instead."
        )
    if options.get("resume") is not None:
        raise ValueError(
            "resume= continues one run, and fit_many starts several. Write fit(resume=...) for that run instead."
        )
    splits = None if folds is None else folds_of(folds, _length(x), y, groups)
    given = options.get("validation_data") is not None or bool(options.get("validation_split"))
    if validate and splits is None and not given:
        raise ValueError("validate=True needs held-out rows. Write folds=5, or validation_data=(x, y), instead.")
    if validate and splits is not None and given:
        raise ValueError(
            "validate=True uses the held-out rows of each fold, and validation data were given too. Write one of them "
            "instead."
        )
    return Plan(build, x, y, sample_weight, splits, callbacks, validate, verbose, monitor, options)


def train_all(
    plan: Plan, variants: Variants, results: Results, verbose: str | int, keep: bool, threads: int | None, most: int
) -> None:
    """Train the variants, at most ``most`` at a time, into ``results``, with their progress."""
    show = progress_of(verbose)
    try:
        team_of(plan, variants, results, show, keep, threads, most).run()
    finally:
        show.close()


def check_options(function: Callable[..., Any], options: Mapping[str, Any], who: str) -> None:
    """Raise TypeError for the first option that neither ``function``, nor `fit_many`, nor `fit` has."""
    known = dict.fromkeys(name for f in (function, fit_many, fit) for name in arguments(f)[0])
    for name in options:
        if name not in known:
            raise unknown_keyword(name, list(known), who)


def _length(x: Any) -> int:
    """The number of rows of ``x``, which may be an array or several."""
    if isinstance(x, dict):
        x = next(iter(x.values()), ())
    elif isinstance(x, (list, tuple)) and x and hasattr(x[0], "shape"):
        x = x[0]
    try:
        return len(x)
    except TypeError:
        raise TypeError(f"x is a {type(x).__name__}, which has no rows. Write an array instead.") from None
