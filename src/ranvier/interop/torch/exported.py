"""Modules of PyTorch in memory, as models here, through ``torch.export``."""

from __future__ import annotations

import base64
import contextlib
import inspect
import json
import warnings
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ranvier.graph.dtypes import STORAGE
from ranvier.interop.foreign import UnsupportedError
from ranvier.interop.torch.graphs import Reader, rewritten
from ranvier.interop.torch.live import library
from ranvier.interop.torch.model import TorchModel
from ranvier.interop.torch.steps import Step, without_unused
from ranvier.interop.torch.traceable import traceable
from ranvier.module import Module
from ranvier.support.source_lines import warn


def from_torch(module: Any, example: Any, dynamic_shapes: Any = None, name: str | None = None) -> Any:
    """A `Model` from a ``torch.nn.Module``: it predicts the same, trains on, and is saved, all without PyTorch.

    ``example`` is what the module is called on: a tensor or an array, several arguments in a tuple, or arguments by
    name in a dict. Its first dimension may have any size later, as may those that ``dynamic_shapes`` says, in the way
    of ``torch.export``. Weights keep their names and stay shared; those that require no gradient are not trained.
    In training, dropout drops, and batch normalization uses the statistics of the batch and moves the running ones.

    Raises UnsupportedError, a ValueError, naming all operators that are not known, and for a module that
    ``torch.export`` cannot export, such as one whose computation depends on the values of its inputs.

    Example: ``model = rv.from_torch(net, torch.zeros(2, 3, 32, 32))``.
    """
    torch = library()
    if isinstance(module, Module) or not isinstance(module, torch.nn.Module):
        raise TypeError(
            f"from_torch takes a torch.nn.Module, and this is a {type(module).__name__}. Write rv.from_torch(net, x)."
        )
    args, kwargs = _arguments(torch, example)
    _bound(module, args, kwargs)
    if dynamic_shapes is None:
        args, kwargs = _two_rows(torch, args), _two_rows(torch, kwargs)
        dynamic_shapes = _any_batch(torch, _bound(module, args, kwargs))
    data: dict[str, Any] = {"weights": [], "constants": {}, "read": {}}
    with _restored(torch, module):
        for mode in ("eval", "train"):
            module.train(mode == "train")
            program = _export(torch, module, args, kwargs, dynamic_shapes)
            _add_program(torch, program, mode, data)
    if data["train"] == data["eval"]:
        del data["train"]
    tensors = _weights(module, data)
    model = TorchModel(json.dumps(data), name=name or type(module).__name__.lower())
    for path, tensor in model._state():
        tensor.assign(tensors[path])
    return model


# --- the example --------------------------------------------------------------------------------------------------


def _arguments(torch: Any, example: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The example as arguments by place and by name, with tensors of PyTorch."""
    kwargs = dict(example) if isinstance(example, Mapping) else {}
    args = () if kwargs else example if isinstance(example, tuple) else (example,)
    change = torch.utils._pytree.tree_map
    return change(lambda v: _tensor(torch, v), args), change(lambda v: _tensor(torch, v), kwargs)


def _tensor(torch: Any, value: Any) -> Any:
    """A value of the example; each tensor is one of its own, so that none is taken for another."""
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return torch.as_tensor(np.array(value)) if hasattr(value, "__array__") else value


def _rows(torch: Any, tree: Any) -> list[int]:
    leaves = torch.utils._pytree.tree_leaves(tree)
    return [len(v) for v in leaves if isinstance(v, torch.Tensor) and v.ndim]


def _two_rows(torch: Any, tree: Any) -> Any:
    """The example with two rows in place of one, which would be taken for a fixed extent."""
    if set(_rows(torch, tree)) != {1}:
        return tree

    def doubled(value: Any) -> Any:
        return torch.cat([value, value]) if isinstance(value, torch.Tensor) and value.ndim else value

    return torch.utils._pytree.tree_map(doubled, tree)


def _bound(module: Any, args: Any, kwargs: Any) -> dict[str, Any]:
    """The arguments of a module by name. Raises TypeError for an example that it does not take."""
    signature = inspect.signature(module.forward)
    try:
        return signature.bind(*args, **kwargs).arguments
    except TypeError as error:
        raise TypeError(
            f"the example does not fit {type(module).__name__}.forward{signature}: {error}. Write a tuple of "
            "arguments, or a dict of them by name, instead."
        ) from None


def _any_batch(torch: Any, bound: dict[str, Any]) -> Any:
    """The dynamic shapes where the first dimensions of the inputs are of a batch of any size."""
    rows = _rows(torch, bound)
    batch = torch.export.Dim("batch")

    def dims(value: Any) -> Any:
        return {0: batch} if isinstance(value, torch.Tensor) and value.ndim and len(value) == rows[0] else None

    return torch.utils._pytree.tree_map(dims, dict(bound))


# --- exporting ----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _restored(torch: Any, module: Any) -> Iterator[None]:
    """Give each part of a module back the mode it had; fused operators of attention are off meanwhile."""
    modes = [(part, part.training) for part in module.modules()]
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with warnings.catch_warnings(), traceable(torch):
            warnings.simplefilter("ignore")  # what its tracing says is its own affair
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for part, mode in modes:
            part.training = mode


def _export(torch: Any, module: Any, args: Any, kwargs: Any, dynamic_shapes: Any) -> Any:
    """The program of a module in its mode, with training operators."""
    export = getattr(torch.export, "export_for_training", torch.export.export)  # the first name is that of 2.6
    try:
        return export(module, args, kwargs, dynamic_shapes=dynamic_shapes or None, strict=False)
    except Exception as error:  # it raises errors of many kinds
        said = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        mode = "training" if module.training else "evaluation"
        fix = ""
        if "Constraints violated" in said[0]:
            fix = (
                " Write dynamic_shapes that say which dimension is the batch's, or dynamic_shapes={} for a model that "
                "takes the sizes of the example alone."
            )
        raise UnsupportedError(
            f"torch.export cannot export {type(module).__name__} in {mode} mode: {' '.join(said[:3])}{fix}"
        ) from error


def _add_program(torch: Any, program: Any, mode: str, data: dict[str, Any]) -> None:
    """Add the steps of a mode to what is known of a model."""
    reader = Reader(torch)
    found = reader.read(program.graph_module)
    if reader.refused:
        known = {op.partition(".")[0] for op, why in reader.refused.items() if why == "it is not known"}
        parts = {
            op: rule for op, rule in torch.export.default_decompositions().items()
            if op._schema.name.partition("::")[2] in known
        }  # fmt: skip
        if parts:
            program = program.run_decompositions(parts)
            reader = Reader(torch)
            found = reader.read(program.graph_module)
    if reader.refused:
        listed = ", ".join(f"{op} ({why})" for op, why in sorted(reader.refused.items()))
        raise UnsupportedError(f"operators that cannot be brought over: {listed}")
    signature = program.graph_signature
    weights: dict[str, str] = {}
    inputs = []
    for spec, node in zip(signature.input_specs, program.graph.find_nodes(op="placeholder"), strict=True):
        kind, name = spec.kind.name, spec.arg.name
        if kind in ("PARAMETER", "BUFFER") and (kind == "PARAMETER" or spec.persistent):
            weights[name] = spec.target
        elif kind in ("BUFFER", "CONSTANT_TENSOR"):
            reader.constants[name] = program.constants[spec.target]
        elif kind == "USER_INPUT" and (value := node.meta.get("val")) is not None and hasattr(value, "dtype"):
            shape = [None if isinstance(n, torch.SymInt) else n for n in value.shape]
            inputs.append({"name": name, "shape": shape, "dtype": str(value.dtype).removeprefix("torch.")})
        elif kind not in ("USER_INPUT", "TOKEN"):
            raise UnsupportedError(f"an input of kind {kind}")
    constants = {}
    for name, tensor in reader.constants.items():
        words = _constant(tensor)
        constants[name] = f"{zlib.crc32(repr(words).encode()):08x}"
        data["constants"][constants[name]] = words
    returned = _returned(torch, program, found, reader.steps, weights)
    output = rewritten(reader.steps, reader.sources, returned, set(weights))
    steps = without_unused(reader.steps, output)
    data[mode] = {"steps": [step.data() for step in steps], "output": output, "constants": constants}
    data["inputs"] = inputs
    data["read"] |= weights


def _constant(tensor: Any) -> dict[str, Any]:
    """A tensor of the graph itself, as text."""
    array = _array(tensor)
    packed = base64.b64encode(zlib.compress(np.ascontiguousarray(array).tobytes())).decode()
    return {"shape": list(array.shape), "dtype": array.dtype.name, "data": packed}


def _array(tensor: Any) -> Any:
    """The numbers of a tensor of PyTorch; floats of 16 bits as float32."""
    tensor = tensor.detach().cpu()
    return (tensor.float() if str(tensor.dtype).removeprefix("torch.") in STORAGE else tensor).resolve_conj().numpy()


def _returned(torch: Any, program: Any, found: Any, steps: list[Step], weights: Mapping[str, str]) -> dict[str, Any]:
    """The tree of outputs. Results that are new values of buffers become steps that write into them."""
    leaves = []
    for spec, value in zip(program.graph_signature.output_specs, found, strict=True):
        if spec.kind.name == "BUFFER_MUTATION":
            place = next(name for name, known in weights.items() if known == spec.target)
            if value != {"value": place}:
                steps.append(Step("copy.default", {"self": {"value": place}, "src": value}, f"{place}.new", True))
        elif spec.kind.name == "USER_OUTPUT":
            leaves.append(value)
        elif spec.kind.name != "USER_INPUT_MUTATION":
            raise UnsupportedError(f"an output of kind {spec.kind.name}")
    return _tree(torch.utils._pytree.tree_unflatten([_Leaf(v) for v in leaves], program.call_spec.out_spec))


class _Leaf:
    """A place in a tree of outputs."""

    def __init__(self, value: Any) -> None:
        self.value = value if isinstance(value, Mapping) else {"plain": value}


def _tree(value: Any) -> dict[str, Any]:
    """A tree of outputs as it is written: see `steps.outputs`."""
    if isinstance(value, _Leaf):
        return dict(value.value)
    if value is None:
        return {"plain": None}
    if isinstance(value, Mapping):
        return {"dict": [[str(key), _tree(part)] for key, part in value.items()]}
    if isinstance(value, (list, tuple)):
        return {"list" if isinstance(value, list) else "tuple": [_tree(part) for part in value]}
    raise UnsupportedError(
        f"it returns a {type(value).__name__}, and models here return tensors in tuples, lists, dicts"
    )


# --- weights ------------------------------------------------------------------------------------------------------


def _weights(module: Any, data: dict[str, Any]) -> dict[str, Any]:
    """Describe the weights of a module, by all their names. Returns their arrays."""
    state = set(module.state_dict())
    named = [*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False)]
    tensors = {name: tensor for name, tensor in named if name in state}
    trained = {name for name, _ in module.named_parameters(remove_duplicate=False)}
    first: dict[int, str] = {}
    for name, tensor in tensors.items():
        words: dict[str, Any] = {
            "name": name, "shape": list(tensor.shape), "dtype": _array(tensor).dtype.name,
            "kind": "parameter" if name in trained else "buffer", "trained": tensor.requires_grad,
        }  # fmt: skip
        if id(tensor) in first:
            words["same"] = first[id(tensor)]
        first.setdefault(id(tensor), name)
        data["weights"].append(words)
    narrow = [tensor for tensor in tensors.values() if str(tensor.dtype).removeprefix("torch.") in STORAGE]
    if narrow:
        warn(f"{len(narrow)} weights are of 16-bit floats; here they are float32.")
    return {name: _array(tensor) for name, tensor in tensors.items()}
