"""One token of a model as a program that writes its own next input: many tokens are one native call."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ranvier import engines
from ranvier.data.convert import Array
from ranvier.graph.dtypes import array_dtype
from ranvier.graph.graph import Graph, input_node
from ranvier.graph.node import FLOATS, Node, Type, apply, extent, extents
from ranvier.models.sampling import drawn, likely, log_probabilities
from ranvier.module import Module, mode
from ranvier.module.arguments import pack_inputs
from ranvier.module.key_values import KeyValueCache
from ranvier.module.versions import structure
from ranvier.ops import arrays
from ranvier.ops.functional.attention import written_at
from ranvier.ops.functional.losses_keras import logits_of
from ranvier.tensor import layout, tape
from ranvier.tensor.call_state import isolated_tape
from ranvier.tensor.context import get_dtype
from ranvier.tensor.function import function
from ranvier.tensor.tensor import Tensor
from ranvier.tensor.trace import lower

CHUNK = 128  # tokens of one native call at most
KEPT = 16  # programs of a model
CHECKED = 3  # tokens for which a model is compared with itself


class _HeldCache(KeyValueCache):
    """A cache whose contents are inputs of the program that is traced. With ``parents``, they are those rows of it."""

    def __init__(
        self, length: int, position: Tensor, token: Tensor, parents: Tensor | None, given: Callable[..., Tensor]
    ) -> None:
        super().__init__(length)
        self.position, self.first, self.parents, self.given = position, position, parents, given
        self.held: list[Tensor] = []
        self.token = tape.segment_of([token]).node_of(token).ordinal

    def follows(self, x: Any) -> bool:
        return self.token in tape.segment_of([x]).node_of(x).leaves

    def kept(self, layer: Any, first: Callable[[], Iterable[Any]]) -> tuple[Any, ...]:
        if layer in self._stored:
            raise ValueError(f"{layer!r} is called twice for a token. Write a layer for each call to generate text.")
        found = []
        for value in first():
            held = self.given(f"held{len(self.held)}", value.spec, value._value)
            self.held.append(held)
            before = held if self.parents is None else arrays.take(held, self.parents, 0)
            known = value._value is not None  # else what it begins with is computed by the program
            found.append(before if known else arrays.where(arrays.equal(self.first, 0), value, before))
        return tuple(found)

    def extended(self, layer: Any, keys: Any, values: Any, axis: int) -> tuple[Any, Any]:
        """As tables with a row for each token, of which the program writes one; with ``parents`` all rows move."""
        if self.parents is not None:
            return super().extended(layer, keys, values, axis)
        parts = (keys, values)
        shapes = [(*part.shape[:axis], self.length, *part.shape[axis + 1 :]) for part in parts]
        sizes = [(math.prod(shape[: axis + 1]), math.prod(shape[axis + 1 :])) for shape in shapes]
        tables = self.kept(layer, lambda: [Tensor(np.zeros(size, keys.dtype)) for size in sizes])
        after = [added(table, part, self.first, length=self.length) for table, part in zip(tables, parts, strict=True)]
        self.keep(layer, after)
        first, second = (arrays.reshape(table, shape) for table, shape in zip(after, shapes, strict=True))
        return first, second

    def after(self) -> list[Any]:
        """What is held for the next token, in the order of ``held``."""
        return [value for values in self._stored.values() for value in values]


@function
def added(table: Node, part: Node, position: Node, length: int) -> Node:
    """A table of ``length`` rows for each of several sequences, and a row for each at a position where it has zeros."""
    count = extent(table, 0) // length
    index = arrays.add(arrays.multiply(apply("iota", shape=(count,), dtype="int32", axis=0), length), position)
    rows = apply("reshape", part, shape=(count, table.shape[1]))
    added_rows: Node = table + apply("scatter_add", index, rows, rows=table.shape[0])
    return added_rows


class TokenStep:
    """The program of one token for ``rows`` sequences at once, and what it reads.

    ``kind`` is "draw" (from all tokens), "likely" (from those that top_k and top_p keep) or "beams", whose program
    returns the logarithms of all probabilities, and takes the tokens and the rows that they follow. ``sources`` are the
    inputs of the model before its tokens.
    """

    def __init__(
        self, model: Module, rows: int, length: int, kind: str, sources: Sequence[Array], checked: bool = False
    ) -> None:
        self.rows, self.kind = rows, kind
        self.inputs: dict[str, Node] = {}
        self.begins: dict[str, Array] = {}
        known: dict[int, Node] = {}

        def given(name: str, type_: Type, value: Array | None = None, windowed: bool = False) -> Tensor:
            tensor = Tensor.placeholder(type_)
            node = input_node(name, type_.shape, type_.dtype, windowed=windowed)
            known[id(tensor)] = self.inputs[name] = node
            self.begins[name] = np.zeros(extents(node), type_.dtype) if value is None else value
            kept.append(tensor)
            return tensor

        kept: list[Tensor] = []  # their ids are keys
        number, each = Type((), "int32"), Type((rows,), "int32")
        with mode(model, False), isolated_tape(model), _same_inputs(model):
            token, position = given("token", each), given("position", number)
            others = [given(f"source{i}", Type(a.shape, a.dtype.name)) for i, a in enumerate(sources)]
            parents = given("parents", each) if kind == "beams" else None
            cache = _HeldCache(length, position, token, parents, given)
            inputs = [*others, token[:, None]]
            logits = _of_one(
                cache(lambda _: model(*pack_inputs(inputs, model._input_container)), inputs[-1]), model, rows
            )
            updates = [(position, cache.position), *zip(cache.held, cache.after(), strict=True)]
            outputs = []
            if kind == "beams":
                outputs.append(log_probabilities(logits))
            else:
                updates += self._draw(logits, token, position, given)
            several = given("several", Type((rows, min(CHECKED, length)), "int32")) if checked else None
            whole = (
                [] if several is None else [_logits(model(*pack_inputs([*others, several], model._input_container)))]
            )
            roots = [*outputs, *(value for _, value in updates), logits, *whole]
            segment = tape.segment_of(roots)
            nodes = [segment.node_of(t) for t in roots]
        self.vocabulary, self.dtype = int(logits.shape[-1]), array_dtype(logits.dtype)
        self.tensors: list[Any] = []
        leaves = {}
        sources_of = list(self.inputs.values())
        for ordinal, leaf in enumerate(segment.leaves):
            if id(leaf) in known:
                leaves[ordinal] = known[id(leaf)]
            elif any(ordinal in node.leaves for node in nodes):
                source, leaves[ordinal] = layout.leaf_input(f"leaf{len(self.tensors)}", leaf)
                sources_of.append(source)
                self.tensors.append(leaf)
        values = lower(nodes, leaves)
        written = tuple((known[id(t)], v) for (t, _), v in zip(updates, values[len(outputs) :], strict=False))
        if checked:
            one, all_ = (_of_read(sources_of, Graph((), (v,), w)) for v, w in ((values[-2], written), (values[-1], ())))
            self._check(model, one, all_, sources)
        graph = _of_read(sources_of, Graph((), tuple(values[: len(outputs)]), written))
        self.before: tuple[engines.Program, Sequence[Node], Sequence[Node]] | None = None
        fixed = [self.inputs[f"source{i}"] for i in range(len(sources))]
        if fixed:
            first, graph = without_fixed(graph, fixed, [node for n, node in self.inputs.items() if node not in fixed])
            self.before = engines.compile(first, rows), first.inputs, first.outputs
        self.order = graph.inputs
        self.program = engines.shared(graph, batch=rows)

    def _check(self, model: Module, one: Graph, whole: Graph, sources: Sequence[Array]) -> None:
        """Raise ValueError unless some tokens, one after the other, give the logits that they give together.

        So layers are found that read later tokens, and those that keep nothing of earlier ones, such as convolutions.
        """
        several = extents(self.inputs["several"])
        tokens = np.random.default_rng(0).integers(0, self.vocabulary, several)
        made = self._arrays(sources) | {"several": tokens.astype(np.int32)}
        made["parents"] = np.arange(self.rows, dtype=np.int32)
        found = []
        for column in made["several"].T:
            made["token"] = np.array(column)
            found += [_computed(one, made)]
        expected = _computed(whole, made)
        last = np.stack(found, 1) if expected.ndim == 3 else found[-1]
        if np.isfinite(expected).all() and np.abs(last - expected).max() > 1e-3 * np.abs(expected).max():
            raise ValueError(
                f"{model.name!r} gives other logits for one token after the other than for all at once: a layer reads "
                "later tokens, or does not keep what it needs of earlier ones. Write use_causal_mask=True in "
                "attention, and recurrent layers in place of convolutions and pooling over tokens."
            )

    def _draw(
        self, logits: Any, token: Tensor, position: Tensor, given: Callable[..., Tensor]
    ) -> list[tuple[Tensor, Any]]:
        """The updates that make the next token: the forced one where that is not below 0, or one by the logits."""
        number, rows = Type((), "int32"), self.rows
        temperature = given("temperature", Type((), logits.dtype))
        seed, count = given("seed", Type((), "uint32")), given("count", number)
        written = given("written", Type((CHUNK, rows), "int32"))
        forced = given("forced", Type((rows,), "int32"), windowed=True)
        if self.kind == "likely":
            top_k, top_p = given("top_k", Type((), logits.dtype)), given("top_p", Type((), logits.dtype))
            logits = likely(logits, temperature, top_k, top_p)
        chosen = drawn(logits, temperature, seed, arrays.cast(position, "uint32"))
        following = arrays.where(arrays.greater_equal(forced, 0), forced, chosen)
        return [
            (token, following),
            (written, written_at(written, following[None], count, axis=0)),
            (count, arrays.add(count, 1)),
        ]

    def arrays(self, sources: Sequence[Array] = (), **values: Any) -> dict[str, Array]:
        """New arrays of the inputs, in order, with these values and the present weights."""
        made = self._arrays(sources, **values)
        if self.before is not None:
            program, inputs, outputs = self.before
            found = [np.empty(extents(node), array_dtype(node.dtype)) for node in outputs]
            program.run([made[node.attrs["name"]] for node in inputs], found, 0, 1, self.rows)
            made |= {f"fixed{i}": array for i, array in enumerate(found)}
        return {node.attrs["name"]: made[node.attrs["name"]] for node in self.order}

    def _arrays(self, sources: Sequence[Array], **values: Any) -> dict[str, Array]:
        made = {name: np.array(values.get(name, value), value.dtype) for name, value in self.begins.items()}
        made |= {f"source{i}": a for i, a in enumerate(sources)}
        return made | {f"leaf{i}": layout.storage(t.compute()) for i, t in enumerate(self.tensors)}


def _computed(graph: Graph, arrays: dict[str, Array]) -> Array:
    """The output of a graph by the reference engine; arrays that it updates change."""
    result = np.empty(extents(graph.outputs[0]), array_dtype(graph.outputs[0].dtype))
    engines.compile(graph, engine="reference").run([arrays[node.attrs["name"]] for node in graph.inputs], [result])
    return result


def without_fixed(graph: Graph, fixed: Sequence[Node], varying: Sequence[Node]) -> tuple[Graph, Graph]:
    """The part of a graph that depends on ``fixed`` inputs and on none that vary, and the rest, which takes its values.

    An encoder is computed once so, and not for each token.
    """
    of_fixed, of_varying = set(fixed), set(varying)
    for node in graph.nodes():
        if not of_fixed.isdisjoint(node.inputs):
            of_fixed.add(node)
        if not of_varying.isdisjoint(node.inputs):
            of_varying.add(node)
    once = of_fixed - of_varying
    used = {operand for node in graph.nodes() if node not in once for operand in node.inputs} | set(graph.roots())
    results = [node for node in graph.nodes() if node in once and node in used]
    made = {node: input_node(f"fixed{i}", node.shape, node.dtype) for i, node in enumerate(results)}
    rest = graph.changed(lambda node, old: made.get(old, node))
    inputs = (*(node for node in graph.inputs if node not in fixed), *made.values())
    return _of_read(graph.inputs, Graph((), tuple(results))), _of_read(inputs, rest)


def _of_read(inputs: Sequence[Node], graph: Graph) -> Graph:
    """The graph with those of the inputs that it reads or writes."""
    used = {*Graph((), graph.outputs, graph.updates).nodes(), *(target for target, _ in graph.updates)}
    return Graph(tuple(node for node in inputs if node in used), graph.outputs, graph.updates)


@contextlib.contextmanager
def _same_inputs(model: Module) -> Iterator[None]:
    """Within this context a first call with one token does not decide the length of the model's inputs."""
    before = model._input_type, model._input_types
    try:
        yield
    finally:
        model._input_type, model._input_types = before


def _logits(output: Any) -> Any:
    """What the softmax of a model takes, if it ends in one, else its output."""
    before = logits_of(output, "softmax")
    logits = output if before is None else before
    return arrays.cast(logits, "float32") if getattr(logits, "dtype", "float32") not in FLOATS else logits


def _of_one(output: Any, model: Module, rows: int) -> Any:
    """The logits (rows, vocabulary) of a model for one token. Raises ValueError for other results."""
    logits = _logits(output)
    shape = tuple(getattr(logits, "shape", ()))
    if shape[:-1] == (rows, 1):
        return logits[:, 0]
    if len(shape) == 2 and shape[0] == rows:
        return logits
    raise ValueError(
        f"the model {model.name!r} gives {shape or type(logits).__name__} for one token of {rows} sequences. Write a "
        "model that gives logits of shape (batch, tokens, vocabulary)."
    )


def step_of(model: Module, rows: int, length: int, kind: str, sources: Sequence[Array]) -> TokenStep:
    """The step for so many sequences; it is compiled at the first call."""
    shapes = tuple((a.shape, a.dtype.name) for a in sources)
    weights = tuple(map(id, model.parameters()))
    key = (rows, length, kind, shapes, get_dtype(), engines.get_engine(), weights, structure(model))
    steps: dict[Any, TokenStep] = model.__dict__.setdefault("_token_steps", {})
    first = not any(other[-1] == key[-1] for other in steps)
    known = steps.pop(key, None) or TokenStep(model, rows, length, kind, sources, checked=first)
    while len(steps) >= KEPT:
        steps.pop(next(iter(steps)))
    steps[key] = known
    return known
