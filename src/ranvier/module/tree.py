"""Keras's ``tree``: nested lists, tuples, named tuples, deques and dicts, and what is at their leaves.

Dicts go in the order of their sorted keys, an OrderedDict in its own. None is a leaf.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ranvier.support.errors import missing

__all__ = [
    "MAP_TO_NONE", "assert_same_paths", "assert_same_structure", "flatten", "flatten_with_path", "is_nested",
    "lists_to_tuples", "map_shape_structure", "map_structure", "map_structure_up_to", "pack_sequence_as", "traverse",
]  # fmt: skip

_DIFFER = "the structures are not nested in the same way"


class MAP_TO_NONE:  # noqa: N801  # Keras's name
    """What a function returns to `traverse` for a None in the result."""


def is_nested(structure: Any) -> bool:
    """Whether this is a list, tuple, deque or dict."""
    return isinstance(structure, (list, tuple, deque, dict))


def _keys(structure: Any) -> Sequence[Any]:
    """The keys or indices of the children, in order."""
    if isinstance(structure, OrderedDict):
        return list(structure)
    if isinstance(structure, dict):
        return sorted(structure)
    return range(len(structure))


def _children(structure: Any) -> list[Any]:
    return [structure[key] for key in _keys(structure)]


def _rebuilt(structure: Any, children: Sequence[Any]) -> Any:
    """A structure of the same kind with these children."""
    if isinstance(structure, dict):
        made = dict(zip(_keys(structure), children, strict=True))
        ordered = {key: made[key] for key in structure}
        if isinstance(structure, defaultdict):
            return defaultdict(structure.default_factory, ordered)
        return OrderedDict(ordered) if isinstance(structure, OrderedDict) else ordered
    if isinstance(structure, deque):
        return deque(children, structure.maxlen)
    if hasattr(structure, "_fields"):  # a named tuple takes each
        return type(structure)(*children)
    return tuple(children) if isinstance(structure, tuple) else list(children)


def _kind(structure: Any) -> Any:
    """What two nested structures must have in common."""
    if isinstance(structure, dict):
        return dict, frozenset(structure)
    if hasattr(structure, "_fields"):
        return type(structure), len(structure)
    return next(kind for kind in (list, tuple, deque) if isinstance(structure, kind)), len(structure)


def flatten(structure: Any) -> list[Any]:
    """The leaves in order.

    Example:
        >>> import ranvier as rv
        >>> rv.tree.flatten({"b": 1, "a": [2, 3]})
        [2, 3, 1]
    """
    return [leaf for _, leaf in flatten_with_path(structure)]


def flatten_with_path(structure: Any) -> list[tuple[tuple[Any, ...], Any]]:
    """Pairs of the path to a leaf, a tuple of keys and indices, and the leaf."""
    if not is_nested(structure):
        return [((), structure)]
    return [((key, *path), leaf) for key in _keys(structure) for path, leaf in flatten_with_path(structure[key])]


def map_structure(func: Callable[..., Any], *structures: Any, none_is_leaf: bool = True) -> Any:
    """The structure with ``func`` of the leaves that the structures have at each place.

    With ``none_is_leaf=False`` None stays None. Raises ValueError for structures that differ, and for none.

    Example:
        >>> import ranvier as rv
        >>> rv.tree.map_structure(lambda x, y: x + y, {"a": [1, 2]}, {"a": [10, 20]})
        {'a': [11, 22]}
    """
    if not callable(func):
        raise TypeError(f"map_structure({func!r}, ...): write a function first instead.")
    if not structures:
        raise ValueError("map_structure was given no structure. Write at least one after the function.")

    def mapped(*nodes: Any) -> Any:
        nested = [is_nested(node) for node in nodes]
        if not any(nested):
            return None if not none_is_leaf and all(node is None for node in nodes) else func(*nodes)
        if not all(nested) or len({_kind(node) for node in nodes}) > 1:
            raise ValueError(f"{_DIFFER}: {nodes!r}.")
        return _rebuilt(nodes[0], [mapped(*parts) for parts in zip(*map(_children, nodes), strict=True)])

    return mapped(*structures)


def map_structure_up_to(shallow_structure: Any, func: Callable[..., Any], *structures: Any) -> Any:
    """`map_structure` down to the leaves of ``shallow_structure`` only: what is nested below goes to ``func`` whole."""
    if not structures:
        raise ValueError("map_structure_up_to was given no structure. Write at least one after the function.")

    def mapped(shallow: Any, *nodes: Any) -> Any:
        if not is_nested(shallow):
            return func(*nodes)
        if not all(is_nested(node) and _kind(node) == _kind(shallow) for node in nodes):
            raise ValueError(f"{_DIFFER}: {(shallow, *nodes)!r}.")
        return _rebuilt(shallow, [mapped(*parts) for parts in zip(*map(_children, (shallow, *nodes)), strict=True)])

    return mapped(shallow_structure, *structures)


def map_shape_structure(func: Callable[[Any], Any], structure: Any) -> Any:
    """`map_structure` where lists and tuples of integers and None are shapes, which go to ``func`` whole."""
    if isinstance(structure, (list, tuple)) and all(part is None or isinstance(part, int) for part in structure):
        return func(structure)
    if not is_nested(structure):
        return func(structure)
    return _rebuilt(structure, [map_shape_structure(func, part) for part in _children(structure)])


def assert_same_structure(a: Any, b: Any, check_types: Any = None) -> None:
    """Raise ValueError unless both are nested in the same way, in containers of the same kinds."""
    del check_types  # of no effect, as in Keras
    map_structure(lambda *_: None, a, b)


def assert_same_paths(a: Any, b: Any) -> None:
    """Raise ValueError unless both have leaves at the same paths, in containers of any kinds."""
    paths = [{path for path, _ in flatten_with_path(structure)} for structure in (a, b)]
    if paths[0] != paths[1]:
        raise ValueError(
            f"the structures have different paths: the first alone {sorted(paths[0] - paths[1], key=str)}, the second "
            f"alone {sorted(paths[1] - paths[0], key=str)}."
        )


def pack_sequence_as(structure: Any, flat_sequence: Iterable[Any]) -> Any:
    """The structure with the values of a flat sequence, in the order of `flatten`.

    Raises ValueError for another number of values.

    Example:
        >>> import ranvier as rv
        >>> rv.tree.pack_sequence_as({"b": 0, "a": [0, 0]}, [1, 2, 3])
        {'b': 3, 'a': [1, 2]}
    """
    values, wanted = list(flat_sequence), len(flatten(structure))
    if len(values) != wanted:
        raise ValueError(f"the sequence has {len(values)} values, and the structure {wanted} leaves. Write as many.")
    rest = iter(values)

    def packed(node: Any) -> Any:
        return _rebuilt(node, [packed(part) for part in _children(node)]) if is_nested(node) else next(rest)

    return packed(structure)


def lists_to_tuples(structure: Any) -> Any:
    """The structure with tuples in place of lists."""
    return traverse(lambda node: tuple(node) if isinstance(node, list) else None, structure, top_down=False)


def traverse(func: Callable[[Any], Any], structure: Any, top_down: bool = True) -> Any:
    """Call ``func`` with each part of the structure, parents before their children with ``top_down``, and after else.

    What it returns replaces the part, `MAP_TO_NONE` by None; None keeps it, and with ``top_down`` goes on below it.
    """

    def below(node: Any) -> Any:
        if not is_nested(node):
            return node
        return _rebuilt(node, [traverse(func, part, top_down) for part in _children(node)])

    if top_down:
        found = func(structure)
        found = below(structure) if found is None else found
    else:
        node = below(structure)
        found = func(node)
        found = node if found is None else found
    return None if found is MAP_TO_NONE else found


__getattr__, __dir__ = missing("ranvier.tree", __all__)
