"""``torch.func``: transforms of functions: derivatives, batches, and modules as functions of their parameters."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ranvier.module import Module
from ranvier.ops import arrays
from ranvier.support.errors import missing
from ranvier.support.tree import flatten, map_structure, map_together
from ranvier.tensor.tensor import Tensor
from ranvier.torch.autograd.transforms import (
    checked_seed,
    copies,
    derivatives,
    finished,
    forward_derivatives,
    has_leaves,
    is_outermost,
    jacobian_rows,
    transform,
)

__all__ = [
    "functional_call", "grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp", "stack_module_state", "vjp",
    "vmap",
]  # fmt: skip

Function = Callable[..., Any]


# --- derivatives --------------------------------------------------------------------------------------------------


def _flat(tree: Any) -> list[Any]:
    """The tensors of nested lists, tuples and dicts."""
    return list(flatten(tree, Tensor))


def _filled(tree: Any, values: Sequence[Any]) -> Any:
    """The same tree, with these values in place of its tensors."""
    rest = iter(values)
    return map_structure(tree, Tensor, lambda _: next(rest))


def _copied(trees: Any, name: str) -> Any:
    """The trees with copies of their tensors. Raises TypeError for a tree without one."""
    flat = _flat(trees)
    for tree in trees:
        if not _flat(tree):
            raise TypeError(f"{name} differentiates by tensors, and here is {type(tree).__name__}. Write a tensor.")
    return _filled(trees, copies(flat, name))


def _chosen(argnums: int | Sequence[int], args: Sequence[Any], name: str) -> tuple[list[int], bool]:
    """The places of the arguments to differentiate by, and whether they are several."""
    several = not isinstance(argnums, int)
    places = list(argnums) if not isinstance(argnums, int) else [argnums]
    for place in places:
        if not -len(args) <= place < len(args):
            raise RuntimeError(f"{name} with argnums={argnums} needs more than the {len(args)} arguments given.")
    return [place % len(args) for place in places], several


def _call(func: Function, args: Sequence[Any], kwargs: Mapping[str, Any], has_aux: bool, name: str) -> tuple[Any, Any]:
    """What a function returns: the output, and what comes beside it."""
    returned = func(*args, **kwargs)
    if not has_aux:
        return returned, None
    if not isinstance(returned, tuple) or len(returned) != 2:
        raise RuntimeError(f"{name} with has_aux=True needs a function that returns (output, aux).")
    return returned


def _called_on_copies(
    func: Function,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    argnums: int | Sequence[int],
    has_aux: bool,
    name: str,
) -> tuple[Any, bool, Any, Any]:
    """Copies of the arguments to differentiate by, whether they are several, and what a function of them returns."""
    places, several = _chosen(argnums, args, name)
    by = _copied([args[p] for p in places], name)
    given = list(args)
    for place, tree in zip(places, by, strict=True):
        given[place] = tree
    return (by, several, *_call(func, given, kwargs, has_aux, name))


def grad_and_value(func: Function, argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Function:
    """A function that returns the gradient of the number that ``func`` returns, and this number.

    With ``has_aux=True`` ``func`` returns (number, anything), and this function (gradient, (number, anything)).
    """

    @functools.wraps(func)
    def inner(*args: Any, **kwargs: Any) -> Any:
        with transform() as outermost:
            by, several, output, aux = _called_on_copies(func, args, kwargs, argnums, has_aux, "grad")
            if not isinstance(output, Tensor) or output.numel() != 1 or output.ndim:
                shape = f"shape {output.shape}" if isinstance(output, Tensor) else type(output).__name__
                raise RuntimeError(
                    f"grad needs a function that returns one number as a 0-d tensor, and this one returned {shape}. "
                    "Write .mean() or .sum() after it, or jacrev in place of grad."
                )
            gradients = _filled(by, derivatives([output], _flat(by), [None]))
            result = tuple(gradients) if several else gradients[0]
            return finished((result, (output, aux) if has_aux else output), outermost)

    return inner


def grad(func: Function, argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Function:
    """A function that returns the gradient of the number that ``func`` returns, by the arguments ``argnums``.

    These are tensors, or lists and dicts of them. With ``has_aux=True`` it returns (gradient, anything).
    """
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def inner(*args: Any, **kwargs: Any) -> Any:
        gradient, value = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return inner


def vjp(func: Function, *primals: Any, has_aux: bool = False) -> tuple[Any, ...]:
    """What ``func`` returns, and the function that multiplies a vector, of the output's shape, by its derivative.

    That function returns a tuple of several arguments' derivatives. With ``has_aux=True`` the aux comes third.
    """
    with transform() as outermost:
        by = _copied(list(primals), "vjp")
        output, aux = _call(func, by, {}, has_aux, "vjp")
        outputs = _flat(output)

    def multiply(cotangents: Any, retain_graph: bool = True, create_graph: bool | None = None) -> Any:
        with transform() as outermost:
            seeds = [checked_seed(s, o, "vjp") for s, o in zip(_flat(cotangents), outputs, strict=True)]
            found = _filled(by, derivatives(outputs, _flat(by), seeds))
            return finished(tuple(found), outermost)

    shown = finished(output, outermost)
    return (shown, multiply, finished(aux, outermost)) if has_aux else (shown, multiply)


def jvp(
    func: Function, primals: Sequence[Any], tangents: Sequence[Any], *, strict: bool = False, has_aux: bool = False
) -> tuple[Any, ...]:
    """What ``func`` returns for the tuple ``primals``, and its derivative along ``tangents``."""
    if not isinstance(primals, (tuple, list)) or len(primals) != len(tangents):
        raise RuntimeError("jvp needs tuples of as many primals as tangents. Write jvp(f, (x,), (v,)).")
    with transform() as outermost:
        by = _copied(list(primals), "jvp")
        output, aux = _call(func, by, {}, has_aux, "jvp")
        along = [checked_seed(t, x, "jvp") for t, x in zip(_flat(list(tangents)), _flat(by), strict=True)]
        found = _filled(output, forward_derivatives(_flat(output), _flat(by), along))
        shown = finished((output, found, aux), outermost)
    return shown if has_aux else shown[:2]


def jacrev(
    func: Function,
    argnums: int | Sequence[int] = 0,
    *,
    has_aux: bool = False,
    chunk_size: int | None = None,
    _preallocate_and_copy: bool = False,
) -> Function:
    """A function that returns the derivative of each element of what ``func`` returns, by each of an argument.

    It has the output's shape, then the argument's. Of several arguments it is a tuple.
    """

    @functools.wraps(func)
    def inner(*args: Any, **kwargs: Any) -> Any:
        with transform() as outermost:
            by, several, output, aux = _called_on_copies(func, args, kwargs, argnums, has_aux, "jacrev")

            def rows(one: Tensor) -> Any:
                recorded = not outermost or has_leaves(one)
                found = _filled(by, jacobian_rows(one, _flat(by), recorded))
                return tuple(found) if several else found[0]

            result = map_structure(output, Tensor, rows)
            return finished((result, aux) if has_aux else result, outermost)

    return inner


def jacfwd(
    func: Function, argnums: int | Sequence[int] = 0, has_aux: bool = False, *, randomness: str = "error"
) -> Function:
    """`jacrev`: the same numbers, computed row by row."""
    return jacrev(func, argnums, has_aux=has_aux)


def hessian(func: Function, argnums: int | Sequence[int] = 0) -> Function:
    """A function that returns the second derivatives of what ``func`` returns."""
    return jacrev(jacrev(func, argnums), argnums)


# --- batches ------------------------------------------------------------------------------------------------------


def _dims(dims: Any, tree: Any, name: str) -> Any:
    """For each tensor of a tree the dimension of its batch: a tree of the same form, or one number for all."""
    if dims is None or isinstance(dims, int):
        if isinstance(tree, Tensor):
            if dims is not None and not -tree.ndim <= dims < tree.ndim:
                raise ValueError(f"vmap: {name}={dims} is no dimension of a tensor of shape {tree.shape}.")
            return dims
        if isinstance(tree, Mapping):
            return {key: _dims(dims, part, name) for key, part in tree.items()}
        if isinstance(tree, (list, tuple)):
            return [_dims(dims, part, name) for part in tree]
        if dims is not None:
            raise ValueError(f"vmap: {name}={dims} is given for {type(tree).__name__}, which has no batch. Write None.")
        return None
    if isinstance(tree, Mapping) and isinstance(dims, Mapping):
        return {key: _dims(dims[key], part, name) for key, part in tree.items()}
    if isinstance(tree, (list, tuple)) and isinstance(dims, (list, tuple)) and len(dims) == len(tree):
        return [_dims(d, part, name) for d, part in zip(dims, tree, strict=True)]
    raise ValueError(f"vmap: {name}={dims} does not have the form of the arguments. Write one for each argument.")


def _sizes(dims: Any, tree: Any) -> Iterator[int]:
    """The sizes of the batches in a tree."""
    if isinstance(tree, Tensor):
        if dims is not None:
            yield tree.shape[dims]
    elif isinstance(tree, (list, tuple, Mapping)):
        for key in tree if isinstance(tree, Mapping) else range(len(tree)):
            yield from _sizes(dims[key], tree[key])


def _sample(dims: Any, tree: Any, i: int) -> Any:
    """One sample of each batch in a tree."""
    if isinstance(tree, Tensor):
        if dims is None:
            return tree
        if is_outermost() and not tree.requires_grad:  # data, so that all samples run the same program
            return Tensor.wrap(np.array(np.take(tree.compute(), i, dims), order="C"), type_=None)
        return tree.select(dims, i)
    if isinstance(tree, Mapping):
        return {key: _sample(dims[key], part, i) for key, part in tree.items()}
    if isinstance(tree, (list, tuple)):
        parts = [_sample(d, part, i) for d, part in zip(dims, tree, strict=True)]
        return tuple(parts) if isinstance(tree, tuple) else parts
    return tree


def _batched(results: Sequence[Any], out_dims: Any) -> Any:
    """The results of all samples as batches."""
    first = results[0]
    if isinstance(first, Tensor):
        if out_dims is None:
            return first
        if not isinstance(out_dims, int):
            raise ValueError(f"vmap: out_dims={out_dims} does not have the form of what the function returns.")
        known = all(r._value is not None and r.base is None and not r.requires_grad for r in results)
        if known:
            return Tensor.wrap(np.ascontiguousarray(np.stack([r.compute() for r in results], out_dims)))
        return arrays.stack(results, out_dims)
    if isinstance(first, Mapping):
        every = {key: out_dims[key] if isinstance(out_dims, Mapping) else out_dims for key in first}
        return {key: _batched([r[key] for r in results], every[key]) for key in first}
    if isinstance(first, (list, tuple)):
        several = isinstance(out_dims, (list, tuple))
        if several and len(out_dims) != len(first):
            raise ValueError(f"vmap: out_dims={out_dims} for {len(first)} results. Write one for each.")
        parts = [
            _batched(column, out_dims[i] if several else out_dims)
            for i, column in enumerate(zip(*results, strict=True))
        ]
        return tuple(parts) if isinstance(first, tuple) else parts
    raise ValueError(f"vmap needs a function that returns tensors, and this one returned {type(first).__name__}.")


def vmap(
    func: Function, in_dims: Any = 0, out_dims: Any = 0, randomness: str = "error", *, chunk_size: int | None = None
) -> Function:
    """A function that calls ``func`` on each sample of a batch, and stacks the results.

    ``in_dims`` is the dimension of the batch in the arguments, or one for each of them; None for an argument that all
    samples share. ``out_dims`` is that of the results. The samples run one after the other, by one program: it costs
    more than a function of whole batches. Random numbers differ from sample to sample.
    """

    @functools.wraps(func)
    def inner(*args: Any, **kwargs: Any) -> Any:
        dims = _dims(list(in_dims) if isinstance(in_dims, tuple) else in_dims, list(args), "in_dims")
        sizes = set(_sizes(dims, list(args)))
        if len(sizes) != 1:
            found = "none" if not sizes else " and ".join(map(str, sorted(sizes)))
            raise ValueError(f"vmap needs arguments with batches of one size, and here are {found}.")
        if not (size := sizes.pop()):
            raise ValueError("vmap cannot call a function for a batch without samples.")
        computes, results = is_outermost(), []
        for i in range(size):
            result = func(*_sample(dims, list(args), i), **kwargs)
            if computes:
                for tensor in _flat(result):
                    tensor.compute()
            results.append(result)
        return _batched(results, out_dims)

    return inner


# --- modules ------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _replaced(module: Module, values: Mapping[str, Tensor], tie_weights: bool, strict: bool) -> Iterator[None]:
    """Within this context the module reads these tensors in place of its parameters and buffers of these names."""
    own = {}
    for path, part in module.named_modules():
        for name, tensor in (*part._parameters.items(), *part._buffers.items()):
            if tensor is not None:
                own[f"{path}.{name}" if path else name] = tensor
    unknown = [name for name in values if name not in own]
    if strict and (unknown or len(values) < len(own)):
        lacking = [name for name in own if name not in values]
        raise RuntimeError(
            f"functional_call with strict=True: unknown names {unknown}, names without a value {lacking}."
        )
    if unknown:
        raise KeyError(f"{unknown[0]!r} is no parameter or buffer of this module. It has {', '.join(own)}.")
    by_id = {id(own[name]): value for name, value in values.items()} if tie_weights else {}
    before = []
    try:
        for name, tensor in own.items():
            value = values.get(name, by_id.get(id(tensor)))
            if value is not None:
                path, _, attribute = name.rpartition(".")
                place = module.get_submodule(path).__dict__ if path else module.__dict__
                before.append((place, attribute, tensor))
                place[attribute] = value
        yield
    finally:
        for place, attribute, tensor in reversed(before):
            place[attribute] = tensor


def functional_call(
    module: Module,
    parameter_and_buffer_dicts: Any,
    args: Any = None,
    kwargs: Mapping[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """What the module returns with these tensors, by name, in place of its parameters and buffers.

    ``parameter_and_buffer_dicts`` is a dict or a tuple of dicts. ``args`` is the argument, or a tuple of them.
    """
    dicts = parameter_and_buffer_dicts
    values: dict[str, Tensor] = {}
    for one in [dicts] if isinstance(dicts, Mapping) else dicts:
        values.update(one)
    given = () if args is None else args if isinstance(args, tuple) else (args,)
    with _replaced(module, values, tie_weights, strict):
        return module(*given, **dict(kwargs or {}))


def stack_module_state(models: Sequence[Module]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The parameters and the buffers of equal modules, by name, each stacked along a new first dimension."""
    if not models:
        raise RuntimeError("stack_module_state needs at least one module.")
    if len({type(m) for m in models}) > 1:
        raise RuntimeError("stack_module_state needs modules of one class.")

    def stacked(*tensors: Tensor) -> Tensor:
        result = Tensor.wrap(np.ascontiguousarray(np.stack([t.compute() for t in tensors])))
        result.requires_grad = all(t.requires_grad for t in tensors)
        return result

    parameters = map_together([dict(m.named_parameters()) for m in models], stacked)
    return parameters, map_together([dict(m.named_buffers()) for m in models], stacked)


__getattr__, __dir__ = missing("torch.func", __all__)
