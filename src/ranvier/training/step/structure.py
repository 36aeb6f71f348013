"""The inputs that a model takes and the outputs that it returns: how many, under which names, in which container."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ranvier.graph.node import BATCH
from ranvier.graph.open_extents import ANY_ROWS, is_open, joins_rows
from ranvier.module import Module
from ranvier.module.arguments import Container, container_type, input_parameters, takes_container
from ranvier.support.tree import flatten, map_structure
from ranvier.tensor.tensor import Tensor


@dataclass(frozen=True)
class OutputStructure:
    """The container of a model's outputs: "one" tensor, a "tuple", "list" or "dict" of tensors, or a "tree" of those.

    ``names`` has a name for each output, or None: the keys of a dict in Keras's order (sorted, unless it is an
    OrderedDict), or the model's ``output_names``. ``keys`` are those of a dict in its order; ``tree`` has the
    number of each output in the containers.
    """

    kind: str = "one"
    names: tuple[str | None, ...] = (None,)
    keys: tuple[str, ...] = ()
    tree: Any = field(default=None, hash=False)

    def __len__(self) -> int:
        return len(self.names)

    def flat(self, output: Any) -> list[Any]:
        """The outputs in the order of the names, from the value that the model returned."""
        if self.kind == "one":
            return [output]
        if self.kind == "tree":
            return list(flatten(output))
        return [output[name] for name in self.names] if self.kind == "dict" else list(output)

    def pack(self, values: Sequence[Any]) -> Any:
        """Values in the order of the names, in the container that the model returns."""
        if self.kind == "one":
            return values[0]
        if self.kind == "tree":
            return map_structure(self.tree, int, values.__getitem__)
        if self.kind == "dict":
            by_name = dict(zip(self.names, values, strict=True))
            return {key: by_name[key] for key in self.keys}
        return tuple(values) if self.kind == "tuple" else list(values)

    def label(self, i: int, what: str) -> str:
        """The name of output ``i``'s part in messages: ``y``, ``y['age']``, ``y[1]``."""
        if self.kind == "one":
            return what
        return f"{what}[{i if self.names[i] is None else self.names[i]!r}]"


ONE = OutputStructure()


def outputs_of(model: Module, output: Any, rows: Any = BATCH) -> OutputStructure:
    """The structure of the outputs. Raises ValueError unless all are tensors with a row for each of the samples."""
    declared = getattr(model, "output_names", None)
    if is_nested(output):
        leaves, numbers = list(flatten(output)), itertools.count()
        found = outputs_of(model, tuple(leaves), rows)
        return OutputStructure("tree", found.names, tree=map_structure(output, Tensor, lambda _: next(numbers)))
    if isinstance(output, Mapping):
        keys = tuple(map(str, output))
        names = keys if isinstance(output, OrderedDict) else tuple(sorted(keys))
        if declared is not None and set(declared) == set(keys):
            names = tuple(declared)
        found, parts = OutputStructure("dict", names, keys), list(output.items())
    elif isinstance(output, (tuple, list)):
        count = len(output)
        known = declared is not None and len(declared) == count
        listed: tuple[str | None, ...] = tuple(declared) if known else (None,) * count  # type: ignore[arg-type]  # not None
        found = OutputStructure("tuple" if isinstance(output, tuple) else "list", listed)
        parts = list(enumerate(output))
    else:
        found, parts = ONE, [(None, output)]
    for key, part in parts:
        if not isinstance(part, Tensor) or not part.spec.shape or not holds_rows(part.spec.shape[0], rows):
            got = part.spec if isinstance(part, Tensor) else type(part).__name__
            if isinstance(part, Tensor) and part.spec.shape and isinstance(part.spec.shape[0], int) and rows is BATCH:
                samples = ANY_ROWS if is_open(part.spec.shape[:1]) else "any number of"
                got = f"{got} for {samples} samples"
            where = "" if key is None else f" for output {key!r}"
            if part is None:
                raise ValueError(
                    f"{model.name!r} returns None{where}. Write return and the result at the end of its forward (call) "
                    "instead."
                )
            raise ValueError(
                f"{model.name!r} returns {got}{where}. Write a forward that returns one tensor with a row for each "
                "sample, or a tuple, list or dict of such tensors, instead."
            )
    if not parts:
        raise ValueError(f"{model.name!r} returns nothing. Write a forward that returns a tensor instead.")
    return found


def is_nested(values: Any) -> bool:
    """Whether there are containers in a container."""
    inner = values.values() if isinstance(values, Mapping) else values if isinstance(values, (list, tuple)) else ()
    return any(isinstance(part, (list, tuple, Mapping)) and len(part) > 0 for part in inner)


def holds_rows(extent: Any, rows: Any) -> bool:
    """Whether an output of this many rows has one for each sample, or a multiple where numbers are known."""
    if isinstance(extent, int) and isinstance(rows, int):
        return extent % rows == 0 and extent > 0
    return extent == rows or joins_rows((extent,))


def is_container(x: Any) -> bool:
    """Whether this is a list, tuple or dict, but not a frame."""
    return isinstance(x, (list, tuple, Mapping)) and not hasattr(x, "columns")


def is_alone(y: Any, rows: int) -> bool:
    """Whether this is a list of one array of an output, which has so many rows. A list with one row is data."""
    listed = is_container(y) and not isinstance(y, Mapping) and len(y) == 1
    return listed and rows > 1 and hasattr(y[0], "shape") and np.ndim(y[0]) > 0 and len(y[0]) == rows


def container_of(model: Module, x: Any, rows: int | None = None) -> Container:
    """The container in which a model of one parameter takes several inputs; None if ``x`` is data of one input.

    A model that has been called has a known container. For any other, a dict is a container unless its key is the
    parameter; a list or tuple is a container of inputs if its arrays have as many rows as there are samples (``rows``).
    If that number is unknown, or if there are as many arrays, arrays of one dimension are samples.
    """
    if model._input_types or model._input_type is not None:
        return model._input_container
    if not is_container(x) or not len(x) or not takes_container(model):
        return None
    if isinstance(x, Mapping):
        return None if list(x) == input_parameters(model)[0] else container_type(x)
    if not all(hasattr(part, "shape") and np.ndim(part) for part in x) or len({len(part) for part in x}) > 1:
        return None
    many = len(x[0]) == rows if rows is not None else None  # whether they have a row for each sample
    samples = many is False or (min(np.ndim(part) for part in x) < 2 and (many is None or len(x) == rows))
    return None if samples else container_type(x)


def inputs_of(model: Module, x: Any, name: str = "x", form: Container = None) -> dict[str, Any]:
    """The parts of ``x`` by their names in messages, in the order of the model's inputs.

    A model that needs several inputs takes a list, a tuple or a dict by the names of its forward's parameters, or the
    container ``form``. For any other model a list is plain data, and a dict gives inputs by name. Raises TypeError or
    ValueError if they do not match.
    """
    if form is not None:
        return contained(model, x, name, form)
    container = is_container(x)
    names, needed, any_number = input_parameters(model)
    several = needed > 1 or (any_number and not names)
    if container and isinstance(x, Mapping):
        return by_name(model, x, names, needed, name)
    if not several:
        alone = container and len(x) == 1 and getattr(model, "input_names", None) is not None
        if alone and model._input_type is not None and np.ndim(x[0]) == len(model._input_type.shape):
            return {f"{name}[0]": x[0]}  # Model([a], b) is given [a]
        return {name: x}
    written = f"{name}=[{', '.join(names[:needed] or ('a', 'b'))}]"
    if not container:
        raise TypeError(
            f"{model.name!r} takes {needed} inputs ({', '.join(names[:needed])}), and {name} is a "
            f"{type(x).__name__}. Write {written} instead."
        )
    most = len(names)
    if not any_number and not needed <= len(x) <= most:
        wanted = str(needed) if needed == most else f"{needed} to {most}"
        raise ValueError(
            f"{model.name!r} takes {wanted} inputs ({', '.join(names)}), and {name} holds {len(x)}. Write {written} "
            "instead."
        )
    return {f"{name}[{i}]": part for i, part in enumerate(x)}


def contained(model: Module, x: Any, name: str, form: Container) -> dict[str, Any]:
    """The inputs in the one container that the model's ``call`` takes."""
    keys = range(len(model._input_types) or len(x)) if isinstance(form, str) else form or ()
    by_key = isinstance(x, Mapping) and not isinstance(form, str)
    fits = by_key and set(x) == set(keys) if isinstance(x, Mapping) else is_container(x) and len(x) == len(keys)
    if not fits:
        words = ", ".join(f"{k!r}: ..." if isinstance(k, str) else f"x{k}" for k in keys)
        what = f"{len(x)} parts in a {type(x).__name__}" if is_container(x) else f"a {type(x).__name__}"
        raise TypeError(
            f"{model.name!r} was called on {len(keys)} inputs in a {form if isinstance(form, str) else 'dict'} before, "
            f"and {name} is {what}. Write {name}={f'[{words}]' if isinstance(form, str) else f'{{{words}}}'} instead."
        )
    return {f"{name}[{key!r}]": x[key] if by_key else part for key, part in zip(keys, x, strict=True)}


def by_name(model: Module, x: Mapping[Any, Any], names: list[str], needed: int, name: str) -> dict[str, Any]:
    unknown = [key for key in x if key not in names]
    missing = [key for key in names[:needed] if key not in x]
    given = [key for key in names if key in x]
    if unknown or missing or given != names[: len(given)]:
        raise TypeError(
            f"{name} is a dict of {sorted(map(str, x))}, and the forward of {model.name!r} takes ({', '.join(names)}). "
            f"Write {name}={{{', '.join(f'{n!r}: ...' for n in names[: max(needed, 1)])}}} instead."
        )
    return {f"{name}[{key!r}]": x[key] for key in given}


def pick(value: Any, outputs: OutputStructure, what: str) -> list[Any]:
    """One of ``value`` for each output, from a list in their order or a dict by their names.

    A name that is left out gets None. Raises ValueError for another number or an unknown name.
    """
    if isinstance(value, Mapping):
        if None in outputs.names and len(outputs) == 1 == len(value):
            return list(value.values())
        if None in outputs.names:
            raise ValueError(
                f"{what} is a dict of {list(value)}, and the model's outputs have no names. Write a forward that "
                f"returns a dict, or self.output_names = [...] in the model, or {what}=[...] in the order of the "
                "outputs, instead."
            )
        unknown = [key for key in value if key not in outputs.names]
        if unknown:
            raise ValueError(
                f"{what} names the outputs {unknown}, and the model has {list(outputs.names)}. Write {what} with those "
                "names instead."
            )
        return [value.get(name) for name in outputs.names]
    if outputs.kind == "tree" and len(value) != len(outputs):
        value = list(flatten(value))
    if len(value) != len(outputs):
        raise ValueError(
            f"{what} has {len(value)} entries, and the model has {len(outputs)} output(s). Write one for each output, "
            "in their order, None where there is none, instead."
        )
    return list(value)
