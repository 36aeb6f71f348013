"""Recurrent layers and attention as modules of PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier import activations
from ranvier.data.convert import Array
from ranvier.interop.foreign import refuse
from ranvier.interop.program_text import Call
from ranvier.interop.torch.builder import LAYERS, Builder, Value, array, layer
from ranvier.interop.torch.layer_rows import activation_name
from ranvier.tensor.function import same_function

# By layer, PyTorch's name and the order of its gates among Keras's.
KINDS = {"LSTM": ("nn.LSTM", (0, 1, 2, 3)), "GRU": ("nn.GRU", (1, 0, 2)), "SimpleRNN": ("nn.RNN", (0,))}


def _check(m: Any, title: str) -> None:
    cell = m.cell
    for name, function in (("activation", "tanh"), ("recurrent_activation", "sigmoid")):
        given = getattr(cell, name, None)
        known = title == "SimpleRNN" and activation_name(given) == "relu"
        if given is not None and not known and not same_function(getattr(activations, function), given):
            raise refuse(f"its {name} is not {function}")
    if m.stateful:
        raise refuse("it keeps its states between batches")
    if cell.dropout or cell.recurrent_dropout:
        raise refuse("its dropout has no counterpart (write a Dropout layer before it)")
    if title == "GRU" and not cell.reset_after:
        raise refuse("its gate multiplies the state (write reset_after=True)")


def _weights(cell: Any, order: tuple[int, ...], suffix: str) -> tuple[dict[str, Array], list[str]]:
    """The weights of one direction, and those that the layer lacks, which are frozen."""

    def gates(a: Array) -> Array:
        parts = np.split(a, len(order), axis=-1)
        return np.concatenate([parts[i] for i in order], axis=-1).T

    found = {
        f"weight_ih_l0{suffix}": gates(array(cell.kernel)),
        f"weight_hh_l0{suffix}": gates(array(cell.recurrent_kernel)),
    }
    if cell.bias is None:
        return found, []
    bias = array(cell.bias)
    second = f"bias_hh_l0{suffix}"
    rows = bias if bias.ndim == 2 else np.stack([bias, np.zeros_like(bias)])
    found |= {f"bias_ih_l0{suffix}": gates(rows[0]), second: gates(rows[1])}
    return found, [] if bias.ndim == 2 else [second]


def _made(kind: str, cell: Any, both: bool = False) -> Call:
    options: dict[str, Any] = {}
    if kind == "nn.RNN" and activation_name(cell.activation) == "relu":
        options["nonlinearity"] = "relu"
    if cell.bias is None:
        options["bias"] = False
    options["batch_first"] = True
    if both:
        options["bidirectional"] = True
    return Call(kind, (cell.kernel.shape[0], cell.units), options)


@layer("LSTM", "GRU", "SimpleRNN")
def recurrent(b: Builder, m: Any, x: Value, *states: Value, initial_state: Any = None) -> Any:
    title = type(m).__name__
    _check(m, title)
    kind, order = KINDS[title]
    weights, frozen = _weights(m.cell, order, "")
    x = b.logical(b.floats(x))
    starts = [*states, *_listed(initial_state)]
    if m.go_backwards:
        x = b.apply("{0}.flip(1)", x, shape=x.shape)
    given = [f"{{{i}}}.unsqueeze(0)" for i in range(1, len(starts) + 1)]
    hx = f", ({', '.join(given)})" if title == "LSTM" and given else "".join(f", {text}" for text in given)
    text, last = f"{{m}}({{0}}{hx})", "" if m.return_sequences else "[:, -1]"
    made = _made(kind, m.cell)
    called = [x, *map(b.logical, starts)]
    size = (None, m.cell.units)
    if not m.return_state:
        return b.module(made, *called, weights=weights, frozen=frozen, key=m, text=f"{text}[0]{last}")
    both = b.module(made, *called, weights=weights, frozen=frozen, key=m, text=text, shape=())
    y = b.apply(f"{{0}}[0]{last}", both, shape=(*x.shape[:2], m.cell.units) if m.return_sequences else size)
    parts = ("[1][0][0]", "[1][1][0]") if title == "LSTM" else ("[1][0]",)
    return [y, *(b.apply("{0}" + part, both, shape=size) for part in parts)]


def _listed(state: Any) -> list[Value]:
    return [] if state is None else list(state) if isinstance(state, (list, tuple)) else [state]


MERGED = {"sum": "{0} + {1}", "mul": "{0} * {1}", "ave": "({0} + {1}) / 2"}


@layer("Bidirectional")
def bidirectional(b: Builder, m: Any, x: Value) -> Value:
    one, other = m.forward_layer, m.backward_layer
    title = type(one).__name__
    if title not in KINDS or type(other) is not type(one) or one.cell.units != other.cell.units or one.go_backwards:
        raise refuse("its directions are not two LSTMs, GRUs or SimpleRNNs of one size")
    if m.return_state or m.merge_mode is None:
        raise refuse("it returns its states, or both directions")
    _check(one, title)
    _check(other, title)
    kind, order = KINDS[title]
    x = b.logical(b.floats(x))
    weights, frozen = _weights(one.cell, order, "")
    back, more = _weights(other.cell, order, "_reverse")
    n = one.cell.units
    options: dict[str, Any] = {
        "weights": weights | back, "frozen": [*frozen, *more], "key": m, "shape": (*x.shape[:2], 2 * n),
    }  # fmt: skip
    y = b.module(_made(kind, one.cell, True), x, text="{m}({0})[0]", **options)
    if m.merge_mode == "concat" and m.return_sequences:
        return y
    ahead, back_ = ("{0}[..., :N]", "{0}[..., N:]") if m.return_sequences else ("{0}[:, -1, :N]", "{0}[:, 0, N:]")
    texts = [text.replace("N", str(n)) for text in (ahead, back_)]
    if m.merge_mode == "concat":
        return b.apply(f"torch.cat([{', '.join(texts)}], dim=-1)", y)
    return b.apply(MERGED[m.merge_mode].format(*texts).replace("}{", "} {"), y)


@layer("TimeDistributed")
def time_distributed(b: Builder, m: Any, x: Value) -> Any:
    name = str(vars(type(m.layer)).get("_registered"))
    row = LAYERS.get(name)
    if row is None:
        raise refuse(f"its layer {m.layer.name!r} ({type(m.layer).__name__}) has no counterpart")
    if vars(type(m.layer)).get("every_position"):
        return row(b, m.layer, x)
    x, own = b.logical(x), b.shape
    if x.shape[1] is None:
        raise refuse("its number of steps is not known")
    steps = b.apply("{0}.flatten(0, 1)", x, shape=(None, *x.shape[2:]), dtype=x.dtype)
    b.shape = (None, *own[2:])
    y = b.logical(row(b, m.layer, steps))
    b.shape = own
    return b.apply(f"{{0}}.unflatten(0, (-1, {x.shape[1]}))", y, dtype=y.dtype)


# --- attention ----------------------------------------------------------------------------------------------------

HEADS = '''
class Heads(nn.Module):
    """Attention of several heads, whose sizes together are not those of the queries."""

    def __init__(self, queries, keys, values, heads, size, value_size, out, bias=True):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(queries, heads * size, bias)
        self.key = nn.Linear(keys, heads * size, bias)
        self.value = nn.Linear(values, heads * value_size, bias)
        self.output = nn.Linear(heads * value_size, out, bias)

    def forward(self, query, key, value, is_causal=False):
        q, k, v = self.query(query), self.key(key), self.value(value)
        q, k, v = (x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=is_causal)
        return self.output(y.transpose(1, 2).flatten(2))
'''.strip("\n")


@layer("MultiHeadAttention")
def heads(b: Builder, m: Any, query: Value, value: Value, key: Any = None, use_causal_mask: bool = False) -> Value:
    if m.use_gate or m.sliding_window is not None or query.ndim != 3 or len(m.outputs or (1,)) != 1:
        raise refuse("its gate, window or axes have no counterpart")
    query, value = b.logical(b.floats(query)), b.logical(b.floats(value))
    key = value if key is None else b.logical(b.floats(key))
    if use_causal_mask and query.shape[1] != value.shape[1]:
        raise refuse("its causal mask is of queries and keys of different numbers")
    parts = {"query": m.query_dense, "key": m.key_dense, "value": m.value_dense}
    made = {name: array(part.kernel) for name, part in parts.items()}
    made = {name: a.reshape(a.shape[0], -1).T for name, a in made.items()}
    biases = {name: array(part.bias).reshape(-1) for name, part in parts.items() if part.bias is not None}
    last = array(m.output_dense.kernel)
    last = last.reshape(-1, last.shape[-1]).T
    n, size, value_size = m.num_heads, m.key_dim, m.value_dim
    features, outputs = query.shape[-1], last.shape[0]
    values = (query, key, value)
    if not features == outputs == n * size == n * value_size:
        if m.dropout:
            raise refuse(f"its dropout has no counterpart, unless num_heads * key_dim is {features}")
        b.classes["Heads"] = HEADS
        weights = {f"{name}.weight": a for name, a in made.items()} | {f"{k}.bias": a for k, a in biases.items()}
        weights |= {"output.weight": last} | ({} if not biases else {"output.bias": array(m.output_dense.bias)})
        sizes = (features, key.shape[-1], value.shape[-1], n, size, value_size, outputs)
        text = "{m}({0}, {1}, {2}, is_causal=True)" if use_causal_mask else "{m}({0}, {1}, {2})"
        call = Call("Heads", sizes, {} if biases else {"bias": False})
        return b.module(call, *values, weights=weights, key=m, text=text)
    same = key.shape[-1] == value.shape[-1] == features
    options: dict[str, Any] = {} if not m.dropout else {"dropout": m.dropout}
    options |= {} if biases else {"bias": False}
    options |= {} if same else {"kdim": key.shape[-1], "vdim": value.shape[-1]}
    joined = {"in_proj_weight": np.concatenate(list(made.values()))} if same else {
        f"{name[0]}_proj_weight": a for name, a in made.items()
    }  # fmt: skip
    weights = {**joined, "out_proj.weight": last}
    if biases:
        weights |= {"in_proj_bias": np.concatenate(list(biases.values()))}
        weights["out_proj.bias"] = array(m.output_dense.bias)
    mask = ""
    if use_causal_mask:
        square = "nn.Transformer.generate_square_subsequent_mask({0}.shape[1], device={0}.device)"
        mask = f", attn_mask={square}, is_causal=True"
    text = f"{{m}}({{0}}, {{1}}, {{2}}, need_weights=False{mask})[0]"
    call = Call("nn.MultiheadAttention", (features, n), {**options, "batch_first": True})
    return b.module(call, *values, weights=weights, key=m, text=text)


@layer("Attention")
def attention(b: Builder, m: Any, *xs: Value, use_causal_mask: bool = False) -> Value:
    if m.use_scale or m.score_mode != "dot" or m.dropout:
        raise refuse("its scale, score_mode or dropout has no counterpart")
    query, value, key = (*xs, xs[1])[:3]
    causal = ", is_causal=True" if use_causal_mask else ""
    text = f"F.scaled_dot_product_attention({{0}}, {{1}}, {{2}}{causal}, scale=1.0)"
    return b.apply(text, *(b.logical(b.floats(v)) for v in (query, key, value)))
