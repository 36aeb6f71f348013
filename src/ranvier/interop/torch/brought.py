"""Models that came from modules of PyTorch as programs of it again: the operators that ``torch.export`` gave."""

from __future__ import annotations

import json
import keyword
from collections.abc import Mapping
from typing import Any

from ranvier.interop.foreign import refuse
from ranvier.interop.program_text import INDENT, Call, Code, class_name, flat, identifier, statement
from ranvier.interop.torch.builder import Builder, Part, Value, array, layer
from ranvier.interop.torch.classes import FEW, LOCAL, broken
from ranvier.interop.torch.model import TorchModel
from ranvier.interop.torch.steps import WIDENED
from ranvier.interop.torch.traceable import SPACE

# Arguments that ATen asks for, and that steps do not have.
REQUIRED = {
    "batch_norm": {"cudnn_enabled": True}, "instance_norm": {"cudnn_enabled": True},
}  # fmt: skip
# Numbers that are known are those of Python: their operators as expressions of the arguments.
NUMBERS = {
    "add": "({a} + {b})", "sub": "({a} - {b})", "mul": "({a} * {b})", "neg": "(-{a})", "floordiv": "({a} // {b})",
    "mod": "({a} % {b})", "pow": "({a} ** {b})", "truediv": "({a} / {b})", "getitem": "{a}[{b}]", "eq": "({a} == {b})",
    "ne": "({a} != {b})", "lt": "({a} < {b})", "le": "({a} <= {b})", "gt": "({a} > {b})", "ge": "({a} >= {b})",
    "and_": "({a} & {b})", "or_": "({a} | {b})", "not_": "(not {a})", "sym_not": "(not {a})",
    "sym_max": "max({a}, {b})",
    "sym_min": "min({a}, {b})", "sym_float": "float({a})", "sym_int": "int({a})", "sqrt": "math.sqrt({a})",
    "sym_ite": "({b} if {a} else {c})", "sym_sum": "sum({a})", "ceil": "math.ceil({a})", "floor": "math.floor({a})",
}  # fmt: skip


@layer("exported.Model")
def exported(b: Builder, m: TorchModel, *xs: Value) -> Any:
    """The class of a model, whose weights have the names that they had, called on values."""
    data = json.loads(m.graph)
    title = class_name(m.name, (*b.classes, *LOCAL))
    b.classes[title] = _Text(m, data).definition(title)
    weights = {name: array(t) for name, t in _named(m, data).items()}
    text = f"{{m}}({', '.join(f'{{{i}}}' for i in range(len(xs)))})"
    whole = b.module(Call(title), *map(b.logical, xs), weights=weights, key=m, text=text)
    return _items(b, whole, data["eval"]["output"], "")


def part_of(b: Builder, m: TorchModel, values: list[Value]) -> tuple[Part, Any]:
    """The module of a model that is no layer of another, and what it returns."""
    result = exported(b, m, *values)
    (part,) = b.unique_parts()
    return part, result


def _named(m: TorchModel, data: Mapping[str, Any]) -> dict[str, Any]:
    """The weights by the names that they had in PyTorch."""
    held, places = dict(m._state(remove_duplicate=False)), m.__dict__["_exported"].places
    return {weight["name"]: held[places[weight["name"]]] for weight in data["weights"]}


def _items(b: Builder, whole: Value, output: Mapping[str, Any], index: str) -> Any:
    """The values in what a model returns."""
    kind, parts = next(iter(output.items()))
    if kind in ("value", "plain"):
        return b.item(whole, index, whole) if index else whole
    if kind == "dict":
        return {key: _items(b, whole, part, f"{index}[{flat(key)}]") for key, part in parts}
    return [_items(b, whole, part, f"{index}[{i}]") for i, part in enumerate(parts)]


class _Text:
    """The class of a model in the making."""

    def __init__(self, m: TorchModel, data: Mapping[str, Any]) -> None:
        self.m, self.data = m, data
        self.inputs: list[str] = []
        for given in data["inputs"]:
            self.inputs.append(identifier(given["name"], {*self.inputs, *LOCAL}))

    def definition(self, title: str) -> str:
        lines = [f"class {title}(nn.Module):", f"{INDENT}def __init__(self):", f"{INDENT * 2}super().__init__()"]
        lines += [*self._weights(), *self._constants()]
        modes = [mode for mode in ("eval", "train") if mode in self.data]
        start = Call("", tuple(map(Code, ("self", *self.inputs))))
        if len(modes) == 1:
            lines += ["", statement(f"{INDENT}def forward", start, end=":"), *self._body("eval")]
            return "\n".join(lines)
        given = f"({', '.join(self.inputs)})"
        both = f"return self.trained{given} if self.training else self.evaluated{given}"
        lines += ["", statement(f"{INDENT}def forward", start, end=":"), f"{INDENT * 2}{both}"]
        for mode, name in (("eval", "evaluated"), ("train", "trained")):
            lines += ["", statement(f"{INDENT}def {name}", start, end=":"), *self._body(mode)]
        return "\n".join(lines)

    # --- tensors ----------------------------------------------------------------------------------------------------

    def _weights(self) -> list[str]:
        lines, made = [], set[str]()
        for weight in self.data["weights"]:
            path, _, last = weight["name"].rpartition(".")
            words = path.split(".") if path else []
            for i, word in enumerate(words):
                inner = ".".join(words[: i + 1])
                if inner not in made:
                    made.add(inner)
                    lines.append(f"{_holder(words[:i])}.add_module({flat(word)}, nn.Module())")
            if weight["kind"] == "buffer":
                value = f"torch.zeros({flat(tuple(weight['shape']))}, dtype={_dtype(weight['dtype'])})"
                lines.append(f"{_holder(words)}.register_buffer({flat(last)}, {value})")
                continue
            options = "" if weight["trained"] else ", requires_grad=False"
            value = f"nn.Parameter(torch.zeros({flat(tuple(weight['shape']))}){options})"
            if "same" in weight:
                value = f"self.get_parameter({flat(weight['same'])})"
            lines.append(f"{_holder(words)}.register_parameter({flat(last)}, {value})")
        return [broken(line, INDENT * 2) for line in lines]

    def _constants(self) -> list[str]:
        lines = []
        for key, words in self.data["constants"].items():
            value = self.m.__dict__["_exported"].kept[key].compute()
            kind = _dtype(words["dtype"])
            text = f"torch.tensor({flat(value.tolist())}, dtype={kind})"
            if value.size > FEW:
                packed = f"zlib.decompress(base64.b64decode({flat(words['data'])}))"
                text = f"torch.frombuffer(bytearray({packed}), dtype={kind}).reshape({flat(tuple(words['shape']))})"
            line = f"self.register_buffer({flat(f'constant_{key}')}, {text}, persistent=False)"
            lines.append(broken(line, INDENT * 2))
        return lines

    # --- steps ------------------------------------------------------------------------------------------------------

    def _body(self, mode: str) -> list[str]:
        code, read = self.data[mode], self.data["read"]
        kinds = {weight["name"]: weight["kind"] for weight in self.data["weights"]}
        names = {value: f"self.get_{_word(kinds[weight])}({flat(weight)})" for value, weight in read.items()}
        names |= {value: f"self.get_buffer({flat(f'constant_{key}')})" for value, key in code["constants"].items()}
        names |= dict(zip((given["name"] for given in self.data["inputs"]), self.inputs, strict=True))
        taken = {*LOCAL, *self.inputs}
        lines = []
        for op, given, name, *in_place in code["steps"]:
            arguments = {key: _written(value, names) for key, value in given.items()}
            value = _expression(op, arguments)
            if in_place and in_place[0]:
                value = f"{next(iter(arguments.values()))}.copy_({value})"
            names[name] = identifier(name, taken)
            taken.add(names[name])
            lines.append(f"{names[name]} = {value}")
        lines.append(f"return {_tree(code['output'], names)}")
        return [broken(line, INDENT * 2) for line in lines]


def _word(text: str) -> str:
    """A word of the file that is to be in the program. Raises UnsupportedError for what would be more."""
    if not text.isidentifier():
        raise refuse(f"{text!r} is no name")
    return text


def _dtype(name: str) -> str:
    return f"torch.{_word(WIDENED.get(name, name))}"


def _holder(words: list[str]) -> str:
    return f"self.get_submodule({flat('.'.join(words))})" if words else "self"


def _expression(op: str, arguments: Mapping[str, str]) -> str:
    base, _, overload = op.partition(".")
    if base == "number":
        return NUMBERS[overload].format(**arguments)
    space, _, base = base.rpartition("::")
    first, *rest = arguments.items() or [("", "")]
    named = {**dict(rest), **{key: flat(value) for key, value in REQUIRED.get(base, {}).items()}}
    plain = [f"{_word(key)}={value}" for key, value in named.items() if not keyword.iskeyword(key)]
    strange = [f"{flat(key)}: {value}" for key, value in named.items() if keyword.iskeyword(key)]
    texts = [*([first[1]] if first[1] else []), *plain, *([f"**{{{', '.join(strange)}}}"] if strange else [])]
    if (base, overload) == ("to", "device"):
        overload = "dtype"  # the device is that of the tensor
    if space == SPACE:
        return f"F.{_word(base)}({', '.join(texts)})"
    names = [_word(word) for word in (space or "aten", base, overload or "default")]
    return f"torch.ops.{'.'.join(names)}({', '.join(texts)})"


def _written(value: Any, names: Mapping[str, str]) -> str:
    """An argument of a step as text."""
    if isinstance(value, list):
        return f"[{', '.join(_written(part, names) for part in value)}]"
    if not isinstance(value, Mapping):
        return flat(value)
    kind, text = next(iter(value.items()))
    if kind == "value":
        return names[text]
    return f'float("{float(text)}")' if kind == "float" else _dtype(text)


def _tree(output: Mapping[str, Any], names: Mapping[str, str]) -> str:
    kind, parts = next(iter(output.items()))
    if kind == "value":
        return names[parts]
    if kind == "plain":
        return flat(parts)
    if kind == "dict":
        return f"{{{', '.join(f'{flat(key)}: {_tree(part, names)}' for key, part in parts)}}}"
    texts = [_tree(part, names) for part in parts]
    return f"[{', '.join(texts)}]" if kind == "list" else f"({', '.join(texts)}{',' if len(texts) == 1 else ''})"
