"""Arguments of the functions that a search calls: the one that builds models, and the one that makes callbacks."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ranvier.module import Module
from ranvier.search.variants import Variant
from ranvier.support.errors import unknown_keyword

__all__ = ["check_build", "check_settings", "divide_settings", "takes_variant"]

# Arguments of `fit` that a setting may contain.
FITTED = (
    "batch_size", "epochs", "shuffle", "class_weight", "initial_epoch", "steps_per_epoch", "sampler", "augment",
    "validation_split", "validation_freq", "validation_batch_size",
)  # fmt: skip


def takes_variant(function: Callable[..., Any]) -> bool:
    """Whether a function that makes callbacks has a required argument, which is the variant."""
    if isinstance(function, type):  # a class of callbacks, which takes other arguments
        return False
    given = inspect.signature(function).parameters.values()
    return any(p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in given)


def check_build(build: Any) -> None:
    """Raise TypeError for a model in place of a function that builds one."""
    if not callable(build) or isinstance(build, Module):
        what = f"the model {build.name!r}" if isinstance(build, Module) else f"a {type(build).__name__}"
        raise TypeError(
            f"each variant needs a new model, and build is {what}. Write a function that builds and compiles the "
            "model, and returns it, instead."
        )


def _taken(build: Callable[..., Module]) -> tuple[list[str], bool]:
    """The names of the arguments of a function, and whether it takes others."""
    given = inspect.signature(build).parameters.values()
    named = [p.name for p in given if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    return named, any(p.kind is p.VAR_KEYWORD for p in given)


def divide_settings(build: Callable[..., Module], settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Divide settings into those for ``build`` and those that only `fit` takes."""
    named, others = _taken(build)
    left = {} if others else {k: v for k, v in settings.items() if k not in named and k in FITTED}
    return {k: v for k, v in settings.items() if k not in left}, left


def check_settings(build: Callable[..., Module], variants: Sequence[Variant]) -> None:
    """Raise TypeError, before models are built, for a setting that neither ``build`` nor `fit` takes."""
    named, others = _taken(build)
    known = [*named, *(name for name in FITTED if name not in named)]
    wrong = [name for variant in variants for name in variant.settings if name not in known]
    if wrong and not others:
        raise unknown_keyword(wrong[0], known, getattr(build, "__name__", "build"))
