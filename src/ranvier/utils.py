"""The ``utils`` of Keras."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.config import disable_interactive_logging, enable_interactive_logging, is_interactive_logging_enabled
from ranvier.data.batched import BatchedDataset, timeseries_dataset_from_array
from ranvier.data.convert import Array, to_numeric
from ranvier.data.directories import (
    audio_dataset_from_directory,
    image_dataset_from_directory,
    text_dataset_from_directory,
)
from ranvier.data.image_values import array_to_img, img_to_array, load_img, save_img
from ranvier.data.targets import as_labels
from ranvier.layers.feature_space import FeatureSpace
from ranvier.module.core import restart_names
from ranvier.module.registered import (
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)
from ranvier.module.symbolic import Operators
from ranvier.ops.keras.elementwise import dtype_name
from ranvier.pictures.network import network
from ranvier.support.constructors import CheckedConstructor
from ranvier.support.custom_objects import custom_object_scope
from ranvier.support.errors import missing
from ranvier.support.serialized import deserialize_keras_object, serialize_keras_object
from ranvier.tensor import rng as seeds
from ranvier.tensor.context import get_dtype
from ranvier.tensor.tensor import Tensor

__all__ = [
    "BatchedDataset", "CustomObjectScope", "FeatureSpace",
    "Progbar",  # noqa: F822 - loaded when it is first used
    "PyDataset", "Sequence", "array_to_img", "audio_dataset_from_directory", "clear_session", "custom_object_scope",
    "deserialize_keras_object", "disable_interactive_logging", "enable_interactive_logging", "get_custom_objects",
    "get_file", "get_registered_name", "get_registered_object", "image_dataset_from_directory", "img_to_array",
    "is_interactive_logging_enabled", "is_keras_tensor", "load_img", "normalize", "pack_x_y_sample_weight",
    "pad_sequences", "plot_model", "register_keras_serializable", "save_img", "serialize_keras_object",
    "set_random_seed", "split_dataset", "standardize_dtype", "text_dataset_from_directory",
    "timeseries_dataset_from_array",
    "to_categorical", "to_code",  # noqa: F822 - loaded when it is first used
    "unpack_x_y_sample_weight",
]  # fmt: skip

CustomObjectScope = custom_object_scope


class PyDataset(CheckedConstructor):
    """The base class of data sets of batches by index, as in Keras. A subclass has ``__len__`` and ``__getitem__``.

    ``on_epoch_begin`` and ``on_epoch_end`` are called before and after each epoch of ``fit``, and each validation,
    ``evaluate`` and ``predict``. With ``fit(shuffle=True)``, the default, the order of batches changes in each pass.
    ``workers`` and the other arguments have no effect: batches are made one by one.
    """

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10, **_: Any) -> None:
        self.workers, self.max_queue_size = workers, max_queue_size
        self.use_multiprocessing = use_multiprocessing

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} does not define the number of batches: write __len__.")

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define its batches: write __getitem__.")

    def __iter__(self) -> Iterator[Any]:
        """The batches in order; without end where their number is unlimited."""
        number = self.num_batches
        return map(self.__getitem__, count() if number is None else range(number))

    @property
    def num_batches(self) -> int | None:
        """The number of batches; None where it is unlimited."""
        return len(self)

    def on_epoch_begin(self) -> None:
        """Called when an epoch begins."""

    def on_epoch_end(self) -> None:
        """Called when an epoch ends, for example to shuffle the samples."""


Sequence = PyDataset  # its name in Keras 2


def clear_session(free_memory: bool = True) -> None:
    """Restart automatic names (``dense``, ``dense_1``, ...). Models do not change."""
    restart_names()


def get_file(
    fname: str | None = None,
    origin: str | None = None,
    untar: bool = False,
    md5_hash: str | None = None,
    file_hash: str | None = None,
    cache_subdir: str = "datasets",
    hash_algorithm: str = "auto",
    extract: bool = False,
    archive_format: str = "auto",
    cache_dir: Any = None,
    force_download: bool = False,
) -> str:
    """The path of a file in the cache of Keras. Nothing is downloaded.

    With ``extract`` or ``untar`` it is the folder of its contents. Raises FileNotFoundError, with where to put the
    file, if it is not there, and ValueError if it has not the hash.
    """
    name = fname or (origin or "").rstrip("/").rpartition("/")[2]
    if not name:
        raise ValueError("get_file was given no name. Write fname='data.csv', or an origin that ends with one.")
    folder = Path(cache_dir).expanduser() if cache_dir is not None else Path.home() / ".keras"
    path = folder / cache_subdir / (f"{name}_extracted" if extract or untar else name)
    if not path.exists():
        source = origin or "the file"
        what = f"Download {source}, and unpack it as that folder" if extract or untar else f"Save {source} there"
        raise FileNotFoundError(f"{path} is not there, and nothing is downloaded. {what}.")
    wanted = file_hash or md5_hash
    if wanted is not None and path.is_file():
        code = hashlib.sha256() if len(wanted) == 64 else hashlib.md5(usedforsecurity=False)
        code.update(path.read_bytes())
        if code.hexdigest() != wanted.lower():
            raise ValueError(f"{path} has the hash {code.hexdigest()}, not {wanted}. Save the file again.")
    return str(path)


def normalize(x: Any, axis: int = -1, order: float = 2) -> Any:
    """Divide ``x`` by its norms along an axis: a tensor of one, else a NumPy array. Vectors of zeros stay 0."""
    values = to_numeric(x, "x").astype(get_dtype())
    length = np.linalg.norm(values, order, axis, keepdims=True)
    scaled = values / np.where(length == 0, 1, length)
    return Tensor(scaled) if isinstance(x, Tensor) else scaled


def pad_sequences(
    sequences: Any,
    maxlen: int | None = None,
    dtype: str = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: float = 0.0,
) -> Array:
    """Pad or truncate sequences to one array (sequences, maxlen, ...). Missing elements are ``value``.

    ``maxlen`` is by default the length of the longest sequence. ``padding`` and ``truncating`` are the end that
    changes, "pre" or "post". Raises ValueError for other values, and for sequences whose elements differ in shape.
    """
    for what, end in (("padding", padding), ("truncating", truncating)):
        if end not in ("pre", "post"):
            raise ValueError(f"{what}={end!r}. Write 'pre' or 'post' instead.")
    if not hasattr(sequences, "__len__") or not all(hasattr(row, "__len__") for row in sequences):
        raise ValueError("sequences are not a list of lists. Write [[1, 2], [3]], for example, instead.")
    rows = [np.asarray(row) for row in sequences]
    size = max((len(row) for row in rows), default=0) if maxlen is None else maxlen
    inner = next((row.shape[1:] for row in rows if len(row)), ())
    result = np.full((len(rows), size, *inner), value, dtype)
    for place, row in zip(result, rows, strict=True):
        if not len(row) or not size:
            continue
        if row.shape[1:] != inner:
            raise ValueError(
                f"the elements of the sequences have shapes {inner} and {row.shape[1:]}. Write one shape instead."
            )
        kept = row[-size:] if truncating == "pre" else row[:size]
        place[slice(len(kept)) if padding == "post" else slice(size - len(kept), None)] = kept
    return result


def plot_model(
    model: Any,
    to_file: Any = "model.png",
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = False,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    **_: Any,
) -> Any:
    """Draw a network to a file (.png, .svg, .pdf), from its inputs down, and return the figure: see `pictures`.

    Boxes always have names, shapes and numbers of parameters. Raises ValueError for another ``rankdir``.
    """
    if rankdir != "TB":
        raise ValueError(f"rankdir={rankdir!r}, and networks are drawn from top to bottom. Leave rankdir out.")
    return network(model, to_file)


def split_dataset(
    dataset: Any,
    left_size: float | None = None,
    right_size: float | None = None,
    shuffle: bool = False,
    seed: int | None = None,
) -> tuple[Any, Any]:
    """Split the rows of an array, or of a tuple or list of arrays with the same number of rows, in two parts.

    Sizes are fractions (floats) or numbers of rows. One of them is sufficient. ``shuffle`` permutes the rows first, by
    ``seed``. Raises ValueError for invalid sizes.
    """
    several = isinstance(dataset, (tuple, list))
    arrays = [to_numeric(part, "dataset") for part in (dataset if several else [dataset])]
    total = len(arrays[0])
    if any(len(array) != total for array in arrays):
        raise ValueError(
            f"the arrays have {', '.join(str(len(a)) for a in arrays)} rows. Write the same number instead."
        )
    given = _rows(left_size, total), _rows(right_size, total)
    left = total - (given[1] or 0) if given[0] is None else given[0]
    right = total - left if given[1] is None else given[1]
    if not (left > 0 and right > 0 and left + right <= total):
        raise ValueError(
            f"left_size={left_size!r} and right_size={right_size!r} do not split {total} rows. Write left_size=0.8, "
            "for example, instead."
        )
    order = np.arange(total)
    if shuffle:
        order = np.random.default_rng(None if seed is None else seeds.check_seed(seed)).permutation(total)
    parts = [[array[rows] for array in arrays] for rows in (order[:left], order[left : left + right])]
    first, second = ((type(dataset)(part) if several else part[0]) for part in parts)
    return first, second


def _rows(size: Any, total: int) -> int | None:
    """A number of rows, from a number or a fraction."""
    return None if size is None else round(size * total) if isinstance(size, float) else int(size)


def set_random_seed(seed: int) -> None:
    """Seed all random generators: Ranvier (`ranvier.set_seed`), Python's ``random`` and NumPy's global generator.

    Raises ValueError unless it is an integer from 0 to 2**32 - 1.
    """
    seed = seeds.check_seed(seed, "set_random_seed(0)", bits=32)  # the range of NumPy's seeds
    seeds.set_seed(seed)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  # user code may draw from it


def to_categorical(x: Any, num_classes: int | None = None) -> Any:
    """One-hot vectors of class numbers: (..., num_classes), in float32 (float64 in float64 mode); of a tensor a tensor.

    A last dimension of 1 is removed first, as in Keras. ``num_classes`` is by default the largest class number plus 1.
    Raises ValueError for values that are not class numbers.
    """
    given = to_numeric(x, "x")
    squeezed = given.ndim > 1 and given.shape[-1] == 1
    labels = as_labels(given, name="x", sample_shape=given.shape[1 : -1 if squeezed else None])
    largest = int(labels.max())
    classes = largest + 1 if num_classes is None else num_classes
    if largest >= classes:
        raise ValueError(
            f"x contains the class number {largest}, and num_classes={classes} has 0 to {classes - 1}. Write "
            f"num_classes={largest + 1}, or np.unique(x, return_inverse=True)[1] for numbers without gaps, instead."
        )
    vectors = (labels[..., None] == np.arange(classes)).astype(get_dtype())
    return Tensor(vectors) if isinstance(x, Tensor) else vectors


def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """Inputs, targets and weights as ``fit`` gives them to ``train_step``: x alone, (x, y) or (x, y, sample_weight)."""
    if y is None:
        return (x,) if isinstance(x, (tuple, list)) else x
    return (x, y) if sample_weight is None else (x, y, sample_weight)


def unpack_x_y_sample_weight(data: Any) -> tuple[Any, Any, Any]:
    """What `pack_x_y_sample_weight` made, as three values, of which those that are not there are None.

    Raises ValueError for a tuple of more. Source: Keras.

    Example:
        >>> import ranvier as rv
        >>> rv.utils.unpack_x_y_sample_weight((1, 2))
        (1, 2, None)
    """
    parts = tuple(data) if isinstance(data, (tuple, list)) else (data,)
    if not 1 <= len(parts) <= 3:
        raise ValueError(f"data of {len(parts)} parts. Write x, (x, y) or (x, y, sample_weight) instead.")
    x, y, weight = (*parts, None, None)[:3]
    return x, y, weight


def is_keras_tensor(x: Any) -> bool:
    """Whether this is a symbolic value of a functional model, such as an `Input`."""
    return isinstance(x, Operators)


def standardize_dtype(dtype: Any) -> str:
    """The name of a dtype: "float32" of ``np.float32`` and of None. Raises ValueError for one that no tensor has."""
    return str(dtype_name(dtype))


__getattr__, __dir__ = missing(
    "ranvier.utils",
    __all__,
    {"to_code": "ranvier.interop.code:to_code", "Progbar": "ranvier.training.loop.progbar:Progbar"},
    {"model_to_dot": "utils.plot_model"},
)
