"""PyTorch's own tables of operations, modules and optimizers, run against `ranvier.torch`.

An installed torch carries samples of every operation (OpInfo), of every module (ModuleInfo) and of every optimizer
under ``torch.testing._internal``. Each sample is computed by both libraries from the same numbers. Right means: within
PyTorch's own tolerance, of its dtype and shape, requiring a gradient where it does, with its gradients.

    python -m tests.peers.torch_tables                   all; one line for each fault, then the counts
    python -m tests.peers.torch_tables softmax cumsum    these operations only
    python -m tests.peers.torch_tables --modules         the modules; --optimizers the optimizers, --errors error inputs
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import linecache
import random
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.testing._internal import common_methods_invocations, common_modules, common_optimizers
from torch.testing._internal.common_device_type import toleranceOverride
from torch.testing._internal.common_utils import set_default_dtype
from torch.testing._internal.opinfo.core import DecorateInfo

import ranvier
import ranvier.torch as ours

DTYPES = (torch.float32, torch.float64, torch.int64, torch.bool)
SOURCE = str(Path(ranvier.__file__).parent)
NOISE = 1e-5  # gradients up to this are zero where the other library has none
MOST = 40  # samples of one operation, dtype and variant: a few operations have thousands
# Operations whose results are drawn, uninitialized, or not a value: only names and shapes can agree.
DRAWN = {
    "bernoulli", "cauchy", "empty", "empty_like", "empty_permuted", "empty_strided", "exponential", "geometric",
    "log_normal", "multinomial", "new_empty", "new_empty_strided", "nn.functional.alpha_dropout",
    "nn.functional.dropout", "nn.functional.dropout2d", "nn.functional.dropout3d",
    "nn.functional.feature_alpha_dropout", "nn.functional.fractional_max_pool2d",
    "nn.functional.fractional_max_pool3d", "nn.functional.rrelu", "normal", "pca_lowrank", "rand_like", "randint",
    "randint_like", "randn", "randn_like", "resize_", "resize_as_", "svd_lowrank", "uniform", "unique",
    "unique_consecutive", "hash_tensor",
}  # fmt: skip
# Operations whose samples do not begin with the first argument.
REORDERED: dict[str, Callable[..., Any]] = {
    "einsum": lambda tensors, equation: ours.einsum(equation, *tensors),
    "normal.in_place": lambda x, *args, **options: x.detach().normal_(*args, **options),
    "polygamma": lambda x, n: ours.polygamma(n, x),
    "zero_": lambda x: ours.zero_(x.clone()),
    "linalg.lstsq.grad_oriented": lambda A, B, driver: ours.linalg.lstsq(A, B, driver=driver)[:2],
    "linalg.pinv.singular": lambda a, b: ours.linalg.pinv(a @ b.mT),
    "where": lambda x, condition, other: ours.where(condition, x, other),
    "nn.functional.embedding": lambda weight, indices, **options: ours.nn.functional.embedding(
        indices, weight, **options
    ),
    "nn.functional.embedding_bag": lambda weight, indices, *rest, **options: ours.nn.functional.embedding_bag(
        indices, weight, *rest, **options
    ),
}
KINDS = ("right", "wrong", "refused", "refused without a message of ours")


class Found(NamedTuple):
    """What came of one sample."""

    kind: str  # one of KINDS
    what: str  # operation, dtype and variant
    why: str


class Missing(Exception):
    """What a sample needs is not there."""


# --- values of one library as those of the other ------------------------------------------------------------------


def to_ours(value: Any) -> Any:
    """A value of PyTorch's as one of ours. Raises Missing for what has no counterpart."""
    if isinstance(value, torch.Tensor):
        if value.layout is not torch.strided or value.is_complex() or value.ndim > 64:
            raise Missing("complex, sparse, or of more dimensions than an array may have")
        array = value.detach().clone(memory_format=torch.contiguous_format)
        if value.dtype is torch.bfloat16:
            made = ours.tensor(array.float().numpy()).to(ours.bfloat16)
        else:
            made = ours.from_numpy(array.numpy())
        if isinstance(value, torch.nn.Parameter):
            return ours.nn.Parameter(made, requires_grad=value.requires_grad)
        if value.requires_grad:
            made.requires_grad = True
        return made
    if isinstance(value, torch.dtype):
        try:
            return getattr(ours, str(value).removeprefix("torch."))
        except AttributeError:
            raise Missing(str(value)) from None
    if isinstance(value, torch.Size):
        return tuple(value)
    if isinstance(value, (torch.device, torch.layout, torch.memory_format)):
        name = str(value).removeprefix("torch.")
        return "cpu" if isinstance(value, torch.device) else getattr(ours, name)
    if isinstance(value, torch.Generator):
        raise Missing("a generator")
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(to_ours, value))
    if isinstance(value, (list, tuple)):
        several: list[Any] = []
        for i, item in enumerate(value):  # a tensor that is there twice stays one
            first = next((k for k in range(i) if value[k] is item and isinstance(item, torch.Tensor)), None)
            several.append(to_ours(item) if first is None else several[first])
        return type(value)(several)
    if isinstance(value, dict):
        return {k: to_ours(v) for k, v in value.items()}
    if callable(value) and not isinstance(value, type):
        raise Missing("a function")
    return value


def tensors_in(value: Any, kind: type) -> list[Any]:
    """The tensors of a library in a nest of lists, tuples and dicts, in order."""
    if isinstance(value, kind):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [t for v in value for t in tensors_in(v, kind)]
    return []


def _numpy(tensor: Any) -> np.ndarray:
    if isinstance(tensor, torch.Tensor):
        return (tensor.float() if tensor.dtype is torch.bfloat16 else tensor).numpy(force=True)
    tensor = tensor.detach()
    return np.asarray(tensor.float().numpy() if str(tensor.dtype).endswith("bfloat16") else tensor.numpy())


def _dtype(tensor: Any) -> str:
    return str(tensor.dtype).removeprefix("torch.")


# --- comparing ----------------------------------------------------------------------------------------------------


def difference(expected: Any, got: Any, *, values: bool = True, loose: float = 1.0) -> str:
    """What differs between two results, each a nest of tensors and numbers; "" where nothing does."""
    if isinstance(expected, torch.Tensor):
        if not isinstance(got, ours.Tensor):
            return f"{type(got).__name__} in place of a tensor"
        if tuple(expected.shape) != tuple(got.shape):
            return f"shape {tuple(got.shape)} in place of {tuple(expected.shape)}"
        if _dtype(expected) != _dtype(got):
            return f"dtype {_dtype(got)} in place of {_dtype(expected)}"
        if expected.requires_grad != got.requires_grad:
            return f"requires_grad is {got.requires_grad}"
        return _unequal(expected, got, loose) if values else ""
    if isinstance(expected, (list, tuple)):
        if not isinstance(got, (list, tuple)) or len(expected) != len(got):
            return f"{type(got).__name__} in place of {len(expected)} results"
        return next(
            filter(None, (difference(e, g, values=values, loose=loose) for e, g in zip(expected, got, strict=True))), ""
        )
    if isinstance(expected, torch.dtype):
        return "" if str(expected).endswith(str(got).removeprefix("torch.")) else f"{got} in place of {expected}"
    if isinstance(expected, (bool, int, float)):
        same = type(expected) is type(got) and (expected == got or np.isclose(expected, got, equal_nan=True))
        return "" if same or not values else f"{got!r} in place of {expected!r}"
    return ""


def own_tolerance(op: Any, dtype: torch.dtype) -> float:
    """How many times the default tolerance PyTorch's own tests of an operation allow."""
    known = [
        max(tol.rtol / rtol, tol.atol / atol)
        for mark in op.decorators
        for one in (mark.decorators if isinstance(mark, DecorateInfo) else [])
        if isinstance(one, toleranceOverride) and (tol := one.d.get(dtype)) is not None
        for rtol, atol in [torch.testing._comparison.default_tolerances(dtype)]
    ]
    return max([1.0, *known])


def _unequal(expected: torch.Tensor, got: Any, loose: float) -> str:
    rtol, atol = torch.testing._comparison.default_tolerances(expected)
    a, b = _numpy(expected), _numpy(got)
    if a.dtype.kind == "f":
        near = np.isclose(b, a, rtol=rtol * loose, atol=atol * loose, equal_nan=True)
    else:
        near = a == b
    if near.all():
        return ""
    at = np.unravel_index(int(np.argmin(near)), a.shape) if a.shape else ()
    return f"{b[at]!r} in place of {a[at]!r} at {tuple(map(int, at))}"


def message_of(error: BaseException) -> str:
    """The message of an error that our code raises by itself; "" for one that escapes from elsewhere."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    line = linecache.getline(frame.filename, frame.lineno or 0)
    return str(error) if frame.filename.startswith(SOURCE) and line.lstrip().startswith("raise") else ""


def refusal(what: str, error: BaseException) -> Found:
    """The finding for an error of ours."""
    own = message_of(error)
    text = f"{type(error).__name__}: {str(error).splitlines()[0][:150] if str(error) else ''}"
    return Found("refused" if own else "refused without a message of ours", what, text)


# --- operations ---------------------------------------------------------------------------------------------------


def resolve(name: str) -> Any:
    """Our function of this name; None where there is none."""
    found: Any = ours
    for part in name.removeprefix("torch.").split("."):
        found = getattr(found, part, None)
        if found is None:
            return None
    return found


def title_of(op: Any) -> str:
    """The name of an operation and of its variant."""
    return f"{op.name}{'.' + op.variant_test_name if op.variant_test_name else ''}"


def variants(op: Any) -> Iterator[tuple[str, Callable[..., Any], Callable[..., Any]]]:
    """The function, the method and the in-place method, as (name, PyTorch's, ours); those that are there."""
    own, name = resolve(op.name), getattr(op.op, "__name__", "")
    if name.endswith("_") and not name.startswith("_"):  # PyTorch's "function" is the method that writes
        own = getattr(ours.Tensor, name, None)
    own = REORDERED.get(title_of(op), REORDERED.get(op.name, own))
    if own is not None and callable(own) and op.op is not None:
        yield "function", op.op, own
    for kind, theirs in (("method", op.method_variant), ("in-place", op.inplace_variant)):
        name = getattr(theirs, "__name__", "")
        method = getattr(ours.Tensor, name, None) if name and not name.startswith("<") else None
        if theirs is not None and callable(method):
            yield kind, theirs, method


def samples(op: Any, dtype: torch.dtype) -> list[Any]:
    """The samples of an operation, of the numbers of one seed."""
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002  # the tables draw from it
    needs_grad = dtype.is_floating_point and op.supports_autograd
    found = list(op.sample_inputs("cpu", dtype, requires_grad=needs_grad))
    return found[:: max(1, len(found) // MOST)]


def _call(function: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any], in_place: bool) -> Any:
    if in_place:  # a leaf that requires a gradient is not written
        arguments = (arguments[0].clone(), *arguments[1:])
    return function(*arguments, **options)


def _gradients(outputs: list[Any], inputs: list[Any], library: Any, double: bool) -> list[Any] | None:
    """The gradients by the inputs of a weighted sum of the outputs, and with ``double`` those of their squares."""
    outputs = [o for o in outputs if o.requires_grad]
    inputs = [t for t in inputs if t.requires_grad]
    if not outputs or not inputs:
        return None
    rng, total = np.random.default_rng(0), None
    for output in outputs:
        weights = rng.uniform(0.5, 1.5, tuple(output.shape)).astype(_dtype(output))
        part = (output * library.from_numpy(weights)).sum()
        total = part if total is None else total + part
    first = list(library.autograd.grad(total, inputs, create_graph=double, allow_unused=True))
    if not double:
        return first
    parts = [(g * g).sum() for g in first if g is not None and g.requires_grad]
    if not parts:
        return None
    return list(library.autograd.grad(sum(parts[1:], parts[0]), inputs, allow_unused=True))


def _gradient_difference(expected: list[Any] | None, got: list[Any] | None, loose: float) -> str:
    if expected is None or got is None:
        present = [g for g in expected or got or [] if g is not None]
        return (
            ""
            if not any(np.any(np.abs(_numpy(g)) > NOISE) for g in present)
            else f"gradients are {'missing' if got is None else 'there'}"
        )
    for place, (e, g) in enumerate(zip(expected, got, strict=True)):
        if (e is None) != (g is None):  # zero and none are one where nothing depends
            present = e if e is not None else g
            if np.any(np.abs(_numpy(present)) > NOISE):
                return f"gradient {place} is {'missing' if g is None else 'there'}"
        elif e is not None and (found := difference(e.detach(), g.detach(), loose=loose)):
            return f"gradient {place}: {found}"
    return ""


def check_sample(op: Any, kind: str, theirs: Any, own: Any, sample: Any, what: str, *, double: bool) -> Found | None:
    """Compute one sample by both; None where PyTorch refuses it or where it has no counterpart here."""
    arguments, options = (sample.input, *sample.args), dict(sample.kwargs)
    in_place = kind == "in-place"
    try:
        mine, my_options = to_ours(arguments), to_ours(options)
    except Missing:
        return None
    try:
        expected = _call(theirs, arguments, options, in_place)
        inputs = tensors_in([arguments, options], torch.Tensor)
        graded = _gradients(tensors_in(expected, torch.Tensor), inputs, torch, False)
    except Exception:  # noqa: BLE001  # of any kind: not a sample of this variant
        return None
    if any(t.is_complex() or t.layout is not torch.strided for t in tensors_in(expected, torch.Tensor)):
        return None
    try:
        got = _call(own, mine, my_options, in_place)
        drawn = op.name in DRAWN or bool(options.get("dropout_p"))
        loose = own_tolerance(op, sample.input.dtype) if isinstance(sample.input, torch.Tensor) else 1.0
        if why := difference(expected, got, values=not drawn, loose=loose):
            return Found("wrong", what, why)
        if drawn:
            return Found("right", what, "")
        my_inputs = tensors_in([mine, my_options], ours.Tensor)
        if why := _gradient_difference(
            graded, _gradients(tensors_in(got, ours.Tensor), my_inputs, ours, False), 10 * loose
        ):
            return Found("wrong", what, why)
        if double and graded is not None and op.supports_gradgrad:
            try:
                expected = _call(theirs, arguments, options, in_place)
                second = _gradients(tensors_in(expected, torch.Tensor), inputs, torch, True)
            except Exception:  # noqa: BLE001
                return Found("right", what, "")
            again = _gradients(tensors_in(_call(own, mine, my_options, in_place), ours.Tensor), my_inputs, ours, True)
            if why := _gradient_difference(second, again, 100):
                return Found("wrong", what, f"second {why}")
    except Exception as error:  # noqa: BLE001  # of any kind is a refusal
        return refusal(what, error)
    return Found("right", what, "")


def check_operation(op: Any) -> list[Found]:
    """All samples of one operation."""
    found: list[Found] = []
    title = title_of(op)
    for dtype in DTYPES:
        if dtype not in op.dtypes:
            continue
        try:
            given = samples(op, dtype)
        except Exception:  # noqa: BLE001  # a table that needs what is not installed
            continue
        for kind, theirs, own in variants(op):
            for place, sample in enumerate(given):
                what = f"{title} {_short(dtype)} {kind} {place}"
                double = dtype is torch.float32 and kind == "function" and place < 4
                result = check_sample(op, kind, theirs, own, sample, what, double=double)
                if result is not None:
                    found.append(result)
    return found


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def check_errors(op: Any) -> list[Found]:
    """The inputs that PyTorch's operation refuses. "wrong" are those that ours accepts."""
    found: list[Found] = []
    if op.error_inputs_func is None:
        return found
    own = next((own for kind, _, own in variants(op) if kind != "in-place"), None)
    if own is None:
        return found
    for place, item in enumerate(op.error_inputs("cpu")):
        sample, what = item.sample_input, f"{op.name} error {place}"
        with contextlib.suppress(Exception):  # of any kind
            op.op(sample.input, *sample.args, **sample.kwargs)
            continue  # which PyTorch takes after all
        try:
            mine, options = to_ours((sample.input, *sample.args)), to_ours(dict(sample.kwargs))
        except (Missing, OverflowError):
            continue
        try:
            result = own(*mine, **options)
            for tensor in tensors_in(result, ours.Tensor):
                tensor.detach().numpy()
        except Exception as error:  # noqa: BLE001
            found.append(refusal(what, error))
        else:
            found.append(Found("wrong", what, f"accepted; there: {str(item.error_regex)[:120]}"))
    return found


# --- modules ------------------------------------------------------------------------------------------------------


def check_module(info: Any) -> list[Found]:
    """A module's samples: the result, and the gradients of the inputs and the weights."""
    name = info.name.removeprefix("nn.")
    own = resolve(f"nn.{name}")
    if own is None:
        return []
    found: list[Found] = []
    for training in (True, False):
        torch.manual_seed(0)
        try:
            given = info.module_inputs_func(
                info, device="cpu", dtype=torch.float32, requires_grad=True, training=training
            )
        except Exception:  # noqa: BLE001
            continue
        for place, item in enumerate(given):
            what = f"{name} {'train' if training else 'eval'} {place}"
            if (result := _check_module_sample(info, own, item, training, what)) is not None:
                found.append(result)
    return found


def _check_module_sample(info: Any, own: Any, item: Any, training: bool, what: str) -> Found | None:
    made, call = item.constructor_input, item.forward_input
    if call is None:
        return None
    try:
        theirs = info.module_cls(*made.args, **made.kwargs).train(training)
        mine_made, mine_call = to_ours(made.args), to_ours(call.args)
        options = to_ours(dict(made.kwargs)), to_ours(dict(call.kwargs))
    except Missing:
        return None
    except Exception:  # noqa: BLE001
        return None
    inputs = tensors_in([call.args, dict(call.kwargs)], torch.Tensor)
    drawn = (training and "dropout" in what.lower()) or "RReLU" in what or "FractionalMaxPool" in what
    state = {k: to_ours(v) for k, v in copy.deepcopy(theirs.state_dict()).items()}
    try:
        expected = theirs(*call.args, **call.kwargs)
        weights = [*inputs, *theirs.parameters()]
        graded = _gradients(tensors_in(expected, torch.Tensor), weights, torch, False)
    except Exception:  # noqa: BLE001
        return None
    try:
        module = own(*mine_made, **options[0]).train(training)
        module.load_state_dict(state)
        got = module(*mine_call, **options[1])
        if why := difference(expected, got, values=not drawn, loose=10):
            return Found("wrong", what, why)
        if not drawn:
            mine = [*tensors_in([mine_call, options[1]], ours.Tensor), *module.parameters()]
            got_grads = _gradients(tensors_in(got, ours.Tensor), mine, ours, False)
            if why := _gradient_difference(graded, got_grads, 10):
                return Found("wrong", what, why)
            for key, value in theirs.state_dict().items():
                if why := difference(value, module.state_dict()[key], loose=10):
                    return Found("wrong", what, f"{key}: {why}")
    except Exception as error:  # noqa: BLE001
        return refusal(what, error)
    return Found("right", what, "")


# --- optimizers ---------------------------------------------------------------------------------------------------


def check_optimizer(info: Any) -> list[Found]:
    """Five steps of every configuration on a matrix and a vector."""
    own = resolve(f"optim.{info.optim_cls.__name__}")
    if own is None:
        return []
    found = []
    for item in info.optim_inputs_func(device="cpu"):
        what = f"{info.optim_cls.__name__} {item.desc}"
        options = {
            k: v for k, v in item.kwargs.items() if k not in ("foreach", "fused", "capturable", "differentiable")
        }
        try:
            expected = _trained(torch, info.optim_cls, options)
        except Exception:  # noqa: BLE001
            continue
        try:
            got = _trained(ours, own, to_ours(options))
        except Missing:
            continue
        except Exception as error:  # noqa: BLE001
            found.append(refusal(what, error))
            continue
        near = all(np.allclose(a, b, rtol=1e-4, atol=1e-5) for a, b in zip(expected, got, strict=True))
        found.append(Found("right" if near else "wrong", what, "" if near else "other weights"))
    return found


def _trained(library: Any, kind: Any, options: dict[str, Any]) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    start = [rng.normal(size=shape).astype(np.float32) for shape in ((3, 4), (4,))]
    x = library.from_numpy(rng.normal(size=(5, 3)).astype(np.float32))
    weights = [library.nn.Parameter(library.from_numpy(a.copy())) for a in start]
    optimizer = kind(weights, **options)

    def loss() -> Any:
        optimizer.zero_grad()
        value = ((x @ weights[0] + weights[1]) ** 2).mean()
        value.backward()
        return value

    for _ in range(5):
        if kind.__name__ == "LBFGS":
            optimizer.step(loss)
        else:
            loss()
            optimizer.step()
    return [w.detach().numpy().copy() for w in weights]


# --- all of it ----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """The reference engine, without warnings: where values are compared, it is quicker than a compilation each."""
    before = ours_engine()
    with warnings.catch_warnings(), set_default_dtype(torch.float32):
        warnings.simplefilter("ignore")
        ranvier.set_engine("reference")
        try:
            yield
        finally:
            ranvier.set_engine(before)


def ours_engine() -> str:
    """The engine in use."""
    return str(ranvier.get_engine())


TABLES: dict[str, tuple[list[Any], Callable[[Any], list[Found]]]] = {
    "operations": (common_methods_invocations.op_db, check_operation),
    "errors": (common_methods_invocations.op_db, check_errors),
    "modules": (common_modules.module_db, check_module),
    "optimizers": (common_optimizers.optim_db, check_optimizer),
}


def run(table: str, names: set[str] | None = None, part: slice = slice(None)) -> list[list[Found]]:
    """What comes of each entry of a table, or of those with these names; entries that are not here are left out."""
    entries, check = TABLES[table]
    title = (lambda e: e.optim_cls.__name__) if table == "optimizers" else (lambda e: e.name)
    chosen = [e for e in entries if names is None or title(e) in names]
    with quiet():
        return [found for entry in chosen[part] if (found := check(entry))]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", help="of operations, modules or optimizers")
    for table in TABLES:
        parser.add_argument(f"--{table}", action="store_true")
    parser.add_argument("--part", default="0/1", help="I/N: each N-th entry from I on")
    given = parser.parse_args()
    tables = [t for t in TABLES if getattr(given, t)] or (["operations", "errors"] if given.names else list(TABLES))
    first, step = map(int, given.part.split("/"))
    for table in tables:
        results = run(table, set(given.names) or None, slice(first, None, step))
        counts = Counter(f.kind for found in results for f in found)
        for found in results:
            seen: Counter[str] = Counter()
            for f in found:
                key = f.kind + f.why
                seen[key] += 1
                if f.kind != "right" and seen[key] == 1:
                    print(f"{f.kind:8} {f.what}: {f.why}")
        right = sum(all(f.kind == "right" for f in found) for found in results)
        print(f"\n{table}: {right} of {len(results)} all right; samples: {dict(counts)}\n", flush=True)


if __name__ == "__main__":
    main()
