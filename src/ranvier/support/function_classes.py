"""Classes made from functions: losses, metrics, and PyTorch's criteria and activations."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from inspect import Parameter, Signature, signature
from typing import Any, TypeVar

Base = TypeVar("Base")


def option(name: str, default: Any, annotation: str, by_name: bool = False) -> Parameter:
    """An argument of a constructor; ``by_name``: one without a position."""
    kind = Parameter.KEYWORD_ONLY if by_name else Parameter.POSITIONAL_OR_KEYWORD
    return Parameter(name, kind, default=default, annotation=annotation)


def options_of(function: Callable[..., Any], inputs: int = 0) -> dict[str, Parameter]:
    """What a function takes after its first ``inputs`` arguments, as arguments of a constructor."""
    own = list(signature(function).parameters.values())[inputs:]
    return {p.name: option(p.name, p.default, str(p.annotation).replace("Node", "Tensor")) for p in own}


def class_of(base: type[Base], name: str, options: Iterable[Parameter], /, **members: Any) -> type[Base]:
    """A class of this name derived from ``base``, whose constructor takes these arguments.

    It passes all of them to the constructor of ``base``, by name. ``members`` are attributes of the class.
    """
    known = Signature([Parameter("self", Parameter.POSITIONAL_OR_KEYWORD), *options])

    def construct(self: Any, *args: Any, **kwargs: Any) -> None:
        given = known.bind(self, *args, **kwargs)
        given.apply_defaults()
        arguments = dict(given.arguments)
        del arguments["self"]
        base.__init__(self, **arguments)

    construct.__signature__ = known  # type: ignore[attr-defined]  # what inspect reads
    return type(name, (base,), {**members, "__init__": construct})
