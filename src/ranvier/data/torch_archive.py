"""The checkpoints that PyTorch writes: a zip of a short pickle and of raw storages; and the older form, one stream.

They are read as data: `ranvier.data.restricted_pickle` interprets the pickle with the table of this file.
"""

from __future__ import annotations

import functools
import io
import math
import struct
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ranvier.data.convert import Array
from ranvier.data.files import CheckpointError
from ranvier.data.restricted_pickle import PLAIN, Known, PickleError, PickleReader, call, dumps, hashable, name, plain
from ranvier.graph.dtypes import DTYPES, array_dtype, dtype_of

ZIP = b"PK\x03\x04"
OLD = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # the pickle of a magic number
STREAM_VERSION = 1001
ALIGNED = 64  # where storages begin, so that they can be mapped into memory
SLACK = 64 << 20  # bytes that tensors with repeated elements may have beyond those of the file

# By PyTorch's name of a storage class, the element type. Those that have no such class are stored untyped.
STORAGES = {
    "FloatStorage": "float32", "DoubleStorage": "float64", "HalfStorage": "float16", "BFloat16Storage": "bfloat16",
    "CharStorage": "int8", "ShortStorage": "int16", "IntStorage": "int32", "LongStorage": "int64",
    "ByteStorage": "uint8", "BoolStorage": "bool",
    "ComplexFloatStorage": "complex64", "ComplexDoubleStorage": "complex128",
}  # fmt: skip
CLASS_OF = {dtype: kind for kind, dtype in STORAGES.items()}
UNTYPED = "UntypedStorage"
REFUSED = (
    "_rebuild_qtensor", "_rebuild_sparse_tensor", "_rebuild_nested_tensor", "_rebuild_meta_tensor_no_storage",
    "_rebuild_wrapper_subclass", "_rebuild_device_tensor_from_numpy", "_rebuild_device_tensor_from_cpu_tensor",
)  # fmt: skip
SAVE_AGAIN = "In PyTorch, write torch.save(model.state_dict(), path), and read that, instead."

# What a damaged file may raise.
DAMAGED = (
    ArithmeticError, EOFError, LookupError, NotImplementedError, OSError, RecursionError, RuntimeError, TypeError,
    ValueError, struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


class StoredTensor(NamedTuple):
    """A tensor to write."""

    array: Array
    requires_grad: bool = False
    is_parameter: bool = False


class _Storage(NamedTuple):
    """The elements that tensors are views of: bytes, if ``dtype`` is None."""

    dtype: str | None
    data: Any


def read(data: bytes, source: Any, make: Callable[[Array, bool], Any], own: Callable[[Any, bool], Any]) -> Any:
    """What ``torch.save`` wrote. ``make`` is given the array of each tensor and whether it requires a gradient; ``own``
    what ``make`` returned, where the tensor is a parameter.

    Raises CheckpointError for a file that is damaged, or that holds what is neither a tensor nor a plain value.
    """
    try:
        return _read_zip(data, make, own) if data.startswith(ZIP) else _read_stream(data, make, own)
    except PickleError as error:
        raise CheckpointError(f"{source} cannot be read as a checkpoint of PyTorch: {error}. {SAVE_AGAIN}") from None
    except DAMAGED as error:
        raise CheckpointError(f"{source} is a damaged checkpoint of PyTorch: {error}.") from None


class TensorType(NamedTuple):
    """The shape and the element type of a tensor in a checkpoint."""

    shape: tuple[int, ...]
    dtype: str


def described(file: Any, source: Any) -> Any:
    """What a checkpoint holds, with a `TensorType` in place of each tensor: of the zip, only the pickle is read."""
    rebuilder = _Describer(lambda kind, key, count: _Storage(kind, None), _as_it_is, _as_it_is, 0)
    try:
        with zipfile.ZipFile(file) as archive:
            (title,) = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            entry = archive.getinfo(title)
            if entry.compress_type != zipfile.ZIP_STORED:
                raise PickleError("its data.pkl is compressed, and PyTorch compresses none")
            return PickleReader(archive.read(entry), rebuilder.table(), rebuilder.outside).read()
    except DAMAGED as error:
        raise CheckpointError(f"{source} is a damaged checkpoint of PyTorch: {error}.") from None


def _as_it_is(tensor: Any, grad: bool) -> Any:
    return tensor


def _read_zip(data: bytes, make: Callable[..., Any], own: Callable[..., Any]) -> Any:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        if sum(entry.file_size for entry in entries.values()) > len(data):
            raise PickleError("its parts are larger than the file")
        described = [title for title in entries if title.endswith("/data.pkl")]
        if len(described) != 1:
            raise PickleError("it is a zip without a data.pkl")
        start = described[0].removesuffix("data.pkl")

        def entry(title: str) -> bytes:
            if entries[start + title].compress_type != zipfile.ZIP_STORED:
                raise PickleError(f"its part {title!r} is compressed, and PyTorch compresses none")
            return archive.read(start + title)

        order = entry("byteorder") if f"{start}byteorder" in entries else b"little"
        held: dict[str, bytes] = {}

        def storage(kind: str, key: str, count: int) -> _Storage:
            if key not in held:
                held[key] = entry(f"data/{key}")
            return _storage(kind, held[key], count, ">" if order == b"big" else "<")

        rebuilder = _Rebuilder(storage, make, own, len(data))
        return PickleReader(entry("data.pkl"), rebuilder.table(), rebuilder.outside).read()


def _read_stream(data: bytes, make: Callable[..., Any], own: Callable[..., Any]) -> Any:
    """The form before PyTorch 1.6: a magic number, a version, facts of the machine, the value, the storages' keys, and
    the storages. The value is read twice: first for the places of the storages, which follow it.
    """
    position, sizes, described = 0, dict[str, tuple[str, int]](), 0
    value: Any = None

    def placed(kind: str, key: str, count: int) -> _Storage:
        sizes[key] = kind, count
        return _Storage(None, None)

    first = _Rebuilder(placed, make, own, len(data), dry=True)
    for part in range(5):
        reader = PickleReader(data, first.table(), first.outside, position)
        value = reader.read()
        if part == 1 and value != STREAM_VERSION:
            raise PickleError(f"its form has the version {value}, and {STREAM_VERSION} is known")
        described, position = position if part == 3 else described, reader.position
    held = {}
    if type(value) is not list:
        raise PickleError("it does not list its storages")
    for key in value:
        kind, count = sizes[key]
        (stored,) = struct.unpack_from("<q", data, position)
        size = 1 if kind == UNTYPED else np.dtype(array_dtype_of(STORAGES[kind])).itemsize
        begin, position = position + 8, position + 8 + size * count
        if stored != count or count < 0 or position > len(data):
            raise PickleError(f"the storage {key!r} is truncated")
        held[key] = data[begin:position]
    rebuilder = _Rebuilder(lambda kind, key, count: _storage(kind, held[key], count, "<"), make, own, len(data))
    return PickleReader(data, rebuilder.table(), rebuilder.outside, described).read()


def array_dtype_of(dtype: str) -> Any:
    """The NumPy dtype of an element type. Raises PickleError for one that programs lack."""
    if dtype not in DTYPES:
        raise PickleError(f"it holds {dtype} tensors, and the element types are {', '.join(DTYPES)}")
    return array_dtype(dtype)


def _storage(kind: str, data: bytes, count: int, order: str) -> _Storage:
    dtype = None if kind == UNTYPED else STORAGES[kind]
    known = np.dtype(np.uint8 if dtype is None else array_dtype_of(dtype))
    if len(data) != count * known.itemsize:
        raise PickleError("a storage has another size than its tensors")
    if dtype is None:
        return _Storage(None, data)
    swapped = np.frombuffer(data, np.dtype(np.uint16) if known.names else known)
    if order == ">":
        swapped = swapped.byteswap()
    return _Storage(dtype, swapped.view(known))


class _Rebuilder:
    """What a checkpoint may ask for, and how it is made.

    ``size`` is that of the file in bytes. In a ``dry`` run nothing is made.
    """

    def __init__(
        self,
        storage: Callable[[str, str, int], _Storage],
        make: Callable[[Array, bool], Any],
        own: Callable[[Any, bool], Any],
        size: int,
        dry: bool = False,
    ) -> None:
        self.storage = storage
        self.make = make
        self.own = own
        self.left = size + SLACK
        self.dry = dry

    def table(self) -> dict[str, Known | str]:
        """By name, everything that a checkpoint may ask for."""
        calls: dict[str, Callable[..., Any]] = {
            "collections.OrderedDict": lambda pairs=(): OrderedDict((hashable(k), v) for k, v in pairs),
            "builtins.set": lambda values=(): set(map(hashable, values)),
            "__builtin__.set": lambda values=(): set(map(hashable, values)),
            "torch.Size": tuple,
            "torch.device": lambda kind, index=None: kind if index is None else f"{kind}:{index}",
            "torch._utils._rebuild_tensor": self.tensor,
            "torch._utils._rebuild_tensor_v2": self.tensor,
            "torch._utils._rebuild_tensor_v3": self.untyped,
            "torch._utils._rebuild_parameter": self.parameter,
            "torch._utils._rebuild_parameter_with_state": self.parameter,
            "torch._tensor._rebuild_from_type_v2": self.of_type,
            **{f"torch._utils.{title}": functools.partial(self.refuse, title) for title in REFUSED},
        }
        kinds = {
            **{f"torch.{kind}": kind for kind in STORAGES},
            "torch.storage.UntypedStorage": UNTYPED,
            "torch.Tensor": "",
            "torch.nn.parameter.Parameter": "",
        }
        return {
            **{title: Known(title, function) for title, function in calls.items()},
            **{title: Known(title, kind=kind) for title, kind in kinds.items()},
            **{f"torch.{dtype}": dtype for dtype in (*CLASS_OF, *DTYPES)},
        }

    def outside(self, key: Any) -> _Storage:
        """The storage of a description: ``("storage", class, key, device, number of elements)``."""
        if (
            type(key) is not tuple
            or len(key) < 5
            or key[0] != "storage"
            or not isinstance(key[1], Known)
            or any(key[5:])
        ):
            raise PickleError("a storage has a wrong description")
        kind, name, count = key[1].kind, key[2], key[4]
        if (kind not in STORAGES and kind != UNTYPED) or not isinstance(name, str) or type(count) is not int:
            raise PickleError("a storage has a wrong description")
        return self.storage(kind, name, count)

    def view(self, held: Any, offset: Any, shape: Any, strides: Any, dtype: str | None = None) -> Array:
        """The elements of a tensor, in C order."""
        if not isinstance(held, _Storage):
            raise PickleError("a tensor has no storage")
        data = np.frombuffer(held.data, array_dtype_of(str(dtype))) if held.dtype is None else held.data
        if type(shape) is not tuple or type(strides) is not tuple or not len(shape) == len(strides) <= 64:
            raise PickleError("a tensor has a wrong shape")
        if not all(type(n) is int and n >= 0 for n in (offset, *shape, *strides)):
            raise PickleError("a tensor has a wrong shape")
        elements = math.prod(shape)
        self.left -= elements * data.itemsize
        if self.left < 0:
            raise PickleError("its tensors are larger than the file")
        if not elements:
            return np.empty(shape, data.dtype)
        if offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True)) >= len(data):
            raise PickleError("a tensor is larger than its storage")
        places = [step * data.itemsize for step in strides]
        return np.ascontiguousarray(np.lib.stride_tricks.as_strided(data[offset:], shape, places)).reshape(shape)

    def tensor(
        self,
        held: Any,
        offset: Any,
        shape: Any,
        strides: Any,
        grad: Any = False,
        hooks: Any = None,
        metadata: Any = None,
    ) -> Any:
        if metadata:
            raise PickleError("a tensor is a conjugate or a negative one")
        return None if self.dry else self.make(self.view(held, offset, shape, strides), grad is True)

    def untyped(
        self, held: Any, offset: Any, shape: Any, strides: Any, grad: Any, hooks: Any, dtype: Any, metadata: Any = None
    ) -> Any:
        if metadata or not isinstance(dtype, str):
            raise PickleError("a tensor has no dtype")
        return None if self.dry else self.make(self.view(held, offset, shape, strides, dtype), grad is True)

    def parameter(self, tensor: Any, grad: Any, hooks: Any, state: Any = None) -> Any:
        return None if self.dry else self.own(tensor, grad is True)

    def of_type(self, function: Any, kind: Any, arguments: Any, state: Any) -> Any:
        """A tensor with attributes of its own, which are left out."""
        if not isinstance(function, Known) or function.call is None or type(arguments) is not tuple:
            raise PickleError("a tensor is made by no function")
        return function.call(*arguments)

    def refuse(self, title: str, *_: Any) -> Any:
        raise PickleError(f"it holds a tensor that is not dense ({title})")


class _Describer(_Rebuilder):
    """Says which tensors there are, without their numbers."""

    def view(self, held: Any, offset: Any, shape: Any, strides: Any, dtype: str | None = None) -> Any:
        if type(shape) is not tuple or not all(type(n) is int and n >= 0 for n in shape):
            raise PickleError("a tensor has a wrong shape")
        return TensorType(shape, dtype or STORAGES.get(held.dtype, "unknown"))


# --- writing ------------------------------------------------------------------------------------------------------


def to_bytes(
    value: Any, tensor: Callable[[Any], StoredTensor | None], refuse: Callable[[Any, str], Exception]
) -> bytes:
    """The bytes of a checkpoint. ``tensor`` gives what a value stores, and None for one that is no tensor.

    ``refuse`` makes the error for a value that no checkpoint holds, and its place. Tensors that share all their memory
    share a storage.
    """
    storages: list[Array] = []
    numbers: dict[Any, tuple[int, Array]] = {}

    def leaf(part: Any, path: str) -> bytes | None:
        if isinstance(part, np.generic):
            part = part.item()
        stored = tensor(part)
        if stored is not None:
            return _pickled(stored, storages, numbers)
        if isinstance(part, PLAIN):
            return plain(part)
        if not isinstance(part, (dict, list, tuple, OrderedDict)):
            raise refuse(part, path)
        return None

    described = dumps(value, leaf)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for title, data in (
            ("data.pkl", described),
            ("byteorder", b"little"),
            *((f"data/{i}", array.tobytes()) for i, array in enumerate(storages)),
            ("version", b"3\n"),
        ):
            entry = zipfile.ZipInfo(f"archive/{title}")
            begin = file.tell() + 30 + len(entry.filename)
            gap = -(begin + 4) % ALIGNED
            entry.extra = b"FB" + struct.pack("<H", gap) + b"Z" * gap
            archive.writestr(entry, data)
    return file.getvalue()


def _pickled(stored: StoredTensor, storages: list[Array], numbers: dict[Any, tuple[int, Array]]) -> bytes:
    """The opcodes of a tensor, whose storage is added unless it is there."""
    array = stored.array
    place = (array.__array_interface__["data"][0], array.shape, array.strides, array.dtype.str)
    number, _ = numbers.get(place, (None, array))
    if number is None or not array.size:
        number = len(storages)
        numbers[place] = number, array  # kept, so that no other array takes its place in memory
        plain_order = array.dtype if array.dtype.names else array.dtype.newbyteorder("<")
        storages.append(np.ascontiguousarray(array, plain_order).reshape(-1).view(np.uint8))
    dtype = dtype_of(array)
    typed = dtype in CLASS_OF
    kind = name("torch", CLASS_OF[dtype]) if typed else name("torch.storage", UNTYPED)
    count = array.size if typed else array.nbytes
    parts = (plain("storage"), kind, plain(str(number)), plain("cpu"), plain(count))
    strides = [math.prod(array.shape[i + 1 :]) for i in range(array.ndim)]
    grad = plain(stored.requires_grad)
    hooks = call(name("collections", "OrderedDict"))
    arguments = [
        b"(" + b"".join(parts) + b"tQ",
        plain(0),
        *(b"(" + b"".join(map(plain, n)) + b"t" for n in (array.shape, strides)),
    ]
    held = plain(False) if stored.is_parameter else grad
    if typed:
        made = call(name("torch._utils", "_rebuild_tensor_v2"), *arguments, held, hooks)
    else:
        made = call(name("torch._utils", "_rebuild_tensor_v3"), *arguments, held, hooks, name("torch", dtype))
    return call(name("torch._utils", "_rebuild_parameter"), made, grad, hooks) if stored.is_parameter else made
