"""Keras's ``dtype_policies``: the dtype of the weights and of the computation of layers, which is one dtype here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ranvier.support.custom_objects import construct, custom_object_scope
from ranvier.support.errors import missing
from ranvier.support.registry import Configured
from ranvier.tensor.context import get_dtype, set_dtype

__all__ = [
    "DTypePolicy", "FloatDTypePolicy", "deserialize", "dtype_policy", "get", "serialize", "set_dtype_policy",
]  # fmt: skip

DTYPES = "float32", "float64"


class DTypePolicy(Configured):
    """The dtype that a layer computes in: ``name`` is "float32" or "float64", by default that of `ranvier.get_dtype`.

    Layers take a policy, or its name, as ``dtype``. Raises ValueError for mixed and half precision, which Keras
    computes on a processor too: nothing here does. Source: Keras.

    Example:
        >>> import ranvier as rv
        >>> rv.layers.Dense(3, dtype=rv.DTypePolicy("float64")).dtype_policy
        <DTypePolicy "float64">
    """

    def __init__(self, name: str | None = None) -> None:
        name = get_dtype() if name is None else name
        if not isinstance(name, str):
            raise TypeError(f"DTypePolicy({name!r}): write a name, such as 'float32', instead.")
        if "float16" in name or name.startswith(("int", "float8", "gptq", "awq")):
            raise ValueError(
                f"the dtype policy {name!r}: there is no half precision and no quantized arithmetic, layers compute in "
                "float32 or float64. Write 'float32', or leave the policy out, instead."
            )
        if name not in DTYPES:
            raise ValueError(f"the dtype policy {name!r} does not exist. Write 'float32' or 'float64' instead.")
        self.name = name

    quantization_mode = None

    @property
    def compute_dtype(self) -> str:
        """The dtype that layers compute in."""
        return self.name

    @property
    def variable_dtype(self) -> str:
        """The dtype of weights."""
        return self.name

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"name": self.name}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DTypePolicy) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f'<DTypePolicy "{self.name}">'


FloatDTypePolicy = DTypePolicy


def dtype_policy() -> DTypePolicy:
    """The policy of layers that are given none."""
    return DTypePolicy(get_dtype())


def set_dtype_policy(policy: str | DTypePolicy) -> None:
    """Let all layers that are made from now on, and the data, have this dtype: `ranvier.set_dtype`.

    Raises ValueError for mixed and half precision. Source: Keras, whose losses keep the dtype of `config.floatx`; here
    they have that of the policy.

    Example:
        >>> import ranvier as rv
        >>> rv.config.set_dtype_policy("float32")
    """
    set_dtype(get(policy).name)


def get(identifier: Any) -> DTypePolicy:
    """The policy of this name or dtype, or of ``{"class_name": "DTypePolicy", "config": {...}}``; None is the present.

    Raises ValueError for a dtype that layers cannot compute in.
    """
    if isinstance(identifier, DTypePolicy):
        return identifier
    if isinstance(identifier, Mapping):
        return deserialize(identifier)
    if identifier is None or isinstance(identifier, str):
        return DTypePolicy(identifier)
    try:
        return DTypePolicy(np.dtype(identifier).name)
    except TypeError:
        name = getattr(identifier, "name", None)
        if isinstance(name, str):
            return DTypePolicy(name)
        raise ValueError(f"{identifier!r} is no dtype policy. Write 'float32' or 'float64' instead.") from None


def serialize(dtype_policy: DTypePolicy) -> dict[str, Any]:
    """The policy as plain values in Keras's form."""
    config = dtype_policy.get_config()
    return {"module": "keras", "class_name": "DTypePolicy", "config": config, "registered_name": None}


def deserialize(config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> DTypePolicy:
    """The policy of which `serialize` made ``config``."""
    with custom_object_scope(custom_objects or {}):
        found: DTypePolicy = construct(DTypePolicy, config["config"])
    return found


__getattr__, __dir__ = missing("ranvier.dtype_policies", __all__)
