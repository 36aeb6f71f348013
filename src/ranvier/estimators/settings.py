"""Validation of the parameters of both estimators, when fit begins."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from ranvier import optimizers
from ranvier.support.validation import is_whole

__all__ = ["ADVICE", "HINTS", "check_settings", "fresh_optimizer", "hidden_sizes", "seed_from", "tried_before"]

Test = Callable[[Any], bool]


def _real(value: Any, low: float, high: float = np.inf) -> bool:
    return not _flag(value) and isinstance(value, (int, float, np.number)) and bool(low <= value < high)


def _each(test: Test) -> Test:
    return lambda v: all(map(test, v)) if isinstance(v, (list, tuple)) else test(v)


def _flag(value: Any) -> bool:
    return isinstance(value, (bool, np.bool_))


RULES: dict[str, tuple[Test, str]] = {
    "dropout": (
        _each(lambda v: _real(v, 0, 1)),
        "a number from 0 up to (not including) 1, or one for each hidden layer",
    ),
    "batch_norm": (_flag, "True or False"),
    "alpha": (lambda v: _real(v, 0), "a number of 0 or more"),
    "optimizer": (lambda v: v != "lbfgs", "'adam' or 'sgd', which read the data in batches (there is no lbfgs),"),
    "learning_rate": (
        lambda v: not isinstance(v, str),
        "a number, a schedule, or None (for one that adapts, callbacks=rv.callbacks.ReduceLROnPlateau('loss'))",
    ),
    "batch_size": (lambda v: v == "auto" or is_whole(v, 1), "'auto' or a whole number of 1 or more"),
    "max_iter": (lambda v: is_whole(v, 1), "a whole number of 1 or more"),
    "shuffle": (_flag, "True or False"),
    "tol": (lambda v: v is None or _real(v, 0), "a number of 0 or more, or None to run all of max_iter"),
    "n_iter_no_change": (lambda v: is_whole(v, 1) or v == np.inf, "a whole number of 1 or more, or np.inf"),
    "early_stopping": (_flag, "True or False"),
    "validation_fraction": (lambda v: _real(v, 0, 1) and v > 0, "a number between 0 and 1"),
    "warm_start": (_flag, "True or False"),
    "dtype": (lambda v: v in ("auto", "float32", "float64"), "'auto', 'float32' or 'float64'"),
}


# Parameters of scikit-learn's networks that have another form here.
OTHER_FORMS = {
    "solver": "optimizer='adam'",
    "learning_rate_init": "learning_rate=0.001",
    "power_t": "learning_rate= a schedule of rv.optimizers.schedules",
    "momentum": "optimizer=rv.optimizers.SGD(momentum=0.9)",
    "nesterovs_momentum": "optimizer=rv.optimizers.SGD(momentum=0.9, nesterov=True)",
    **dict.fromkeys(("beta_1", "beta_2"), "optimizer=rv.optimizers.Adam(beta_1=0.9, beta_2=0.999)"),
    "epsilon": "optimizer=rv.optimizers.Adam(epsilon=1e-8)",
    "max_fun": "max_iter=200",
}
HINTS = {name: f"Write {words} instead." for name, words in OTHER_FORMS.items()}


# What the checks of these codes advise in an estimator, whose `fit` has no such arguments as that of a network.
STANDARDIZED = "Write make_pipeline(StandardScaler(), estimator) instead."
ADVICE = {
    "RV202": STANDARDIZED,
    "RV203": STANDARDIZED,
    "RV306": "Write class_weight='balanced' in the estimator, and scoring='balanced_accuracy', instead.",
    "RV308": "Write TransformedTargetRegressor(estimator, transformer=StandardScaler()) instead.",
}


def check_settings(estimator: Any) -> None:
    """Raise ValueError for the first invalid parameter."""
    for name, (allowed, wanted) in RULES.items():
        value = getattr(estimator, name)
        if not allowed(value):
            raise ValueError(f"{type(estimator).__name__}({name}={value!r}): write {wanted} instead.")


# The parameters that determine the training, apart from the data.
TRAINING = (
    "hidden_layer_sizes", "activation", "model", "model_options", "dropout", "batch_norm", "loss", "alpha", "optimizer",
    "learning_rate", "batch_size", "dtype",
)  # fmt: skip
REMEMBERED = 1_000
_tried: dict[str, None] = {}


def tried_before(estimator: Any, shape: tuple[int, ...], outputs: int) -> bool:
    """Whether this process trained before with these parameters on samples of this shape. The call is recorded.

    The checks that run a step (codes RV5..) cost milliseconds, and one run is enough for all folds of a
    cross-validation.
    """
    settings = [getattr(estimator, name) for name in TRAINING]
    key = repr((type(estimator).__name__, shape, outputs, settings))
    known = key in _tried
    _tried[key] = None
    for old in list(_tried)[:-REMEMBERED]:  # safe with other threads, and after a fork
        _tried.pop(old, None)
    return known


def hidden_sizes(value: Any) -> list[int]:
    """``hidden_layer_sizes`` as a list. Raises ValueError for values other than positive integers."""
    sizes = np.atleast_1d(np.asarray(value, object)).tolist()
    if not all(is_whole(size, 1) for size in sizes):
        raise ValueError(
            f"hidden_layer_sizes must be > 0 and whole, got {value!r}. Write (100,) for one hidden layer of 100 units, "
            "() for none."
        )
    return [int(size) for size in sizes]


def fresh_optimizer(optimizer: Any, learning_rate: Any) -> optimizers.Optimizer:
    """A new optimizer, by name or with the settings of an instance, which does not change."""
    wanted = optimizers.get(optimizer)
    settings = wanted.config()
    if learning_rate is not None:
        settings["learning_rate"] = learning_rate
    return type(wanted)(**settings)


def seed_from(random_state: Any, calls: int) -> tuple[int, int | str | None]:
    """The seed of a call of fit or partial_fit, and its description, by which a backup identifies the run.

    ``calls`` is the number of earlier calls on the same network.
    """
    generator = check_random_state(random_state)  # raises for an invalid seed
    start = int(random_state) if isinstance(random_state, Integral) else int(generator.randint(2**31))
    words = np.random.SeedSequence([start, calls]).generate_state(2, np.uint32)
    seed = (int(words[0]) << 31) | (int(words[1]) >> 1)
    if random_state is None:
        return seed, None
    if not isinstance(random_state, Integral):
        return seed, seed
    return seed, f"random_state={random_state}" + (f" in call {calls + 1}" if calls else "")
