"""Errors for names and arguments that do not exist: they give the nearest that does, or where to look."""

from __future__ import annotations

import difflib
import functools
import inspect
import opcode
import re
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from ranvier.support.imports import wait_for_face
from ranvier.support.rows import load

__all__ = [
    "argument_error", "arguments", "lacking", "lazy_names", "likely", "missing", "named_parameters", "nearest",
    "no_such", "snake_case", "unknown_keyword", "unwritten",
]  # fmt: skip

# difflib's ratio from which a name is suggested: LSTM and Softmax reach 0.55, linalg and long 0.6.
ALIKE = 0.7
ALIKE_AT_START = 0.5  # the same where the first letters are equal: CosineLR and CosineAnnealingLR reach 0.64
LISTED = 8  # arguments that a message lists at most
ABSENT = {  # by lower-case starts of names that Keras and PyTorch have: why they do not exist here
    "imagedatagenerator": "write utils.image_dataset_from_directory, and layers such as RandomFlip in the model",
    "tokenizer": "write layers.TextVectorization",
    "cudnn": "write layers.LSTM or layers.GRU, which are compiled",
    "np_utils": "write utils.to_categorical",
    "lossscaleoptimizer": "gradients are float32 or float64. Write the optimizer within it",
    "applications": "rv.models has resnet18, mobilenet_v2 and others",
}  # fmt: skip

# Arguments by their names in other libraries and in older versions of them.
KEYWORDS = {
    "lr": "learning_rate", "learning_rate": "lr", "nb_epoch": "epochs", "decay": "weight_decay", "epochs": "max_iter",
    "n_iter": "n", "cv": "folds", "n_jobs": "threads", "param_grid": "grid", "scoring": "monitor",
}  # fmt: skip

# By vocabulary: names that it lacks, alone or after a module's ("autograd.functional"), and what to write instead.
lacking: dict[str, Mapping[str, str]] = {}
_IMPORT_FROM = opcode.opmap["IMPORT_FROM"]
_public: dict[str, frozenset[str]] = {}  # the names of each public module that is imported


def snake_case(name: str) -> str:
    """A class's name as Keras writes it in snake_case: ``RMSEMetric`` is ``rmse_metric``, ``Conv2D`` ``conv2d``."""
    return re.sub(r"(?<=[^\W_])(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])", "_", name).lower()


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like ``name``, ignoring case."""
    spelled = {k.lower(): k for k in known}
    found = difflib.get_close_matches(name.lower(), spelled, 1, 0.0)
    return spelled[found[0]] if found else None


def no_such(kind: str, name: Any, known: Collection[str]) -> ValueError:
    """The error for an unknown name of an object: it gives the one likely meant.

    Of a class's name and its snake_case form it gives the one in the user's style.
    """
    text = str(name)
    alike = [k for k in known if k.islower() == text.islower()] or known
    near = likely(text, alike) or nearest(text, alike)
    return ValueError(f"{kind} {name!r} does not exist. Write {near!r} instead.")


def likely(name: str, known: Iterable[str]) -> str | None:
    """The known name that was likely meant; None where none is near."""
    low = name.lower()
    spelled: dict[str, list[str]] = {}
    for k in known:
        spelled.setdefault(k.lower(), []).append(k)
    longer = [k for k in spelled if len(low) > 2 and k.startswith(low)]  # MaxPooling for MaxPooling2D
    shorter = [k for k in spelled if len(k) > 3 and low.startswith(k)]  # AdamOptimizer for Adam
    close = difflib.get_close_matches(low, spelled, 1, ALIKE) or [
        k for k in difflib.get_close_matches(low, spelled, 3, ALIKE_AT_START) if k[:4] == low[:4]
    ]
    typos = [k for k in spelled if len(k) == len(low) < 4 and sum(map(str.__ne__, k, low)) == 1]  # L3 for L2
    for found in (close, sorted(longer, key=len), sorted(shorter, key=len, reverse=True), typos):
        if found:
            return max(spelled[found[0]], key=lambda k: difflib.SequenceMatcher(None, name, k).ratio())
    return None


@functools.cache
def arguments(function: Callable[..., Any]) -> tuple[tuple[str, ...], bool]:
    """The names of a function's arguments, and whether it takes other keywords."""
    given = list(inspect.signature(function).parameters.values())
    named = [p.name for p in given if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    own = named[:1] in (["self"], ["model"])  # methods, and the functions that are methods of a model, such as `fit`
    return tuple(named[own:]), any(p.kind is p.VAR_KEYWORD for p in given)


def _takes(known: Sequence[str]) -> str:
    """The sentence that lists the arguments, or the first of many."""
    if not known:
        return "It takes no arguments."
    return f"It takes {', '.join(known[:LISTED])}{', ...' if len(known) > LISTED else '.'}"


def unknown_keyword(keyword: str, known: Sequence[str], who: str) -> TypeError:
    """The error for an unknown argument: it gives the one likely meant, or lists all."""
    other = KEYWORDS.get(keyword)
    near = other if other in known else likely(keyword, known)
    fix = f"Write {near}= instead." if near else _takes(known)
    return TypeError(f"{who} has no argument {keyword!r}. {fix}")


def unwritten(thing: object, method: str) -> NotImplementedError:
    """The error of a method that a subclass has to write: ``method`` is its name and arguments, and what it returns."""
    return NotImplementedError(f"{type(thing).__name__} has no {method.partition('(')[0]}. Write: def {method}")


def argument_error(
    who: str,
    signature: inspect.Signature,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    known: Sequence[str] | None = None,
    hints: Mapping[str, str] | None = None,
) -> TypeError | None:
    """The error of a call with arguments that do not fit this signature; None where they fit.

    ``known`` lists all arguments, where some are passed on to another function. ``hints`` maps some names to what to
    write instead.
    """
    try:
        signature.bind(*args, **kwargs)
        return None
    except TypeError:
        pass
    own = list(signature.parameters.values())
    known = named_parameters(own) if known is None else known
    placed = [p.name for p in own if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    lacks = [p.name for p in own if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    lacks = [name for name in lacks if name not in (*placed[: len(args)], *kwargs)]
    twice = [name for name in placed[: len(args)] if name in kwargs]
    for name in kwargs:
        if name not in known and name not in placed:
            if hints and name in hints:
                return TypeError(f"{who} has no argument {name!r}. {hints[name]}")
            return unknown_keyword(name, lacks if likely(name, lacks) else known, who)
    if lacks:
        listed = " and ".join(filter(None, (", ".join(lacks[:-1]), lacks[-1])))
        return TypeError(f"{who} needs {listed}. {_takes(known)}")
    if twice:
        return TypeError(f"{who} was given {twice[0]} twice, by place and by name. Write it once instead.")
    if not known:
        return TypeError(f"{who} takes no arguments.")
    most = f"at most {len(placed)} argument{'s'[: len(placed) != 1]}" if placed else "no arguments"
    return TypeError(f"{who} takes {most} without a name, and was given {len(args)}. {_takes(known)}")


def named_parameters(parameters: Iterable[inspect.Parameter]) -> list[str]:
    """The names of the arguments that users may give."""
    known = [(f"*{p.name}" if p.kind is p.VAR_POSITIONAL else p.name, p) for p in parameters]
    return [name for name, p in known if p.kind is not p.VAR_KEYWORD and not name.startswith("_")]


def missing(
    module: str,
    names: Iterable[str],
    lazy: Mapping[str, str] | None = None,
    hints: Mapping[str, str] | None = None,
    made: Callable[[str], Any] | None = None,
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The ``__getattr__`` and ``__dir__`` of a public module: its lazy names, and the error for names it does not have.

    ``module`` is the module's name for users. ``lazy`` maps names to places, ``"package.module:attribute"`` or a
    module, which are imported at the first use. ``hints`` maps starts of names that Keras and PyTorch have to the
    nearest name here. ``made`` makes other ``names`` at their first use.
    """
    lazy = lazy or {}
    known = sorted({*names, *lazy})
    package = module if module.partition(".")[0] == "ranvier" else f"ranvier.{module}"
    _public[module] = frozenset(known)

    def look_up(name: str) -> Any:
        wait_for_face()
        if name in lazy or (made is not None and name in _public[module]):
            value = load(lazy[name]) if made is None or name in lazy else made(name)
            setattr(sys.modules[package], name, value)  # so that the next look-up is a plain one
            return value
        if name.startswith("__"):
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        raise no_name(package, name, f"{module}.{name} does not exist{_instead(module, name, known, hints or {})}")

    return look_up, known.copy


def no_name(package: str, name: str, text: str) -> Exception:
    """The error of a module's ``__getattr__``, which calls this: AttributeError, and in ``from package import name``
    ImportError, because Python replaces the text of the other there.
    """
    frame = sys._getframe(2)
    imported = frame.f_code.co_code[frame.f_lasti] == _IMPORT_FROM and f"{package}.{name}" not in sys.modules
    return ImportError(text, name=package) if imported else AttributeError(text)


def lazy_names(
    module: str, places: Mapping[str, str], hints: Mapping[str, str] | None = None
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """The ``__getattr__``, ``__dir__`` and ``__all__`` of a package that holds no names of its own.

    ``places`` maps a module to the names that it gives, separated by spaces; ``MaxPool1D=MaxPooling1D`` is a name and
    what the module calls it, and a name after a minus is not in ``__all__``. A key that ends in a dot is a package, and
    the names are those of its modules. For ``module`` and ``hints`` see `missing`.
    """
    lazy, public = {}, []
    for path, names in places.items():
        for name, _, attribute in (entry.partition("=") for entry in names.split()):
            if not name.startswith("-"):
                public.append(name)
            name = name.removeprefix("-")
            lazy[name] = f"{path}{name}" if path.endswith(".") else f"{path}:{attribute or name}"
    return (*missing(module, public, lazy, hints), sorted(public))


def _instead(module: str, name: str, known: list[str], hints: Mapping[str, str]) -> str:
    """The text after "does not exist": what was likely meant, or where to look."""
    vocabulary, _, path = module.partition(".")
    lacks = lacking.get(vocabulary, {})
    words = lacks.get(f"{path}.{name}" if path else name) or lacks.get(name)
    if words is not None:
        return f": {words}."
    hint = next((hint for start, hint in hints.items() if name.startswith(start)), None)
    near = hint or likely(name, known)
    if near is None or (hint is None and near.lower() != name.lower()):
        absent = next((words for start, words in ABSENT.items() if name.lower().startswith(start)), None)
        same = [
            other for other, names in _public.items() if _vocabulary(other) == _vocabulary(module) and name in names
        ]
        if absent is not None:
            return f": {absent}."
        if same and name != "get":
            return f". Write {min(same, key=len)}.{name} instead."
    if near is not None:
        return f". The nearest that does is {near}."
    also = ", docs/pytorch.md what differs from PyTorch" if _vocabulary(module) == "torch" else ""
    return f". dir({module}) lists what does{also}."


def _vocabulary(module: str) -> str:
    return module.partition(".")[0]
