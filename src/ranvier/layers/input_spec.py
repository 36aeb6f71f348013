"""What a layer of your own requires of its inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ranvier.support.registry import Configured


class InputSpec(Configured):
    """What a layer requires of an input: assign it to ``self.input_spec``, a list of them for several inputs.

    ``shape`` has the batch's dimension too, and None for any size; ``axes`` maps axes to their sizes; ``ndim``,
    ``min_ndim`` and ``max_ndim`` are of the number of dimensions. With ``allow_last_axis_squeeze`` inputs may lack a
    last axis of 1, or have one more. An ``optional`` input may be None. Source: Keras.

    Example:
        >>> import ranvier as rv
        >>> rv.layers.InputSpec(min_ndim=2, axes={-1: 3})
        InputSpec(min_ndim=2, axes={-1: 3})
    """

    def __init__(
        self,
        dtype: str | None = None,
        shape: Sequence[int | None] | None = None,
        ndim: int | None = None,
        max_ndim: int | None = None,
        min_ndim: int | None = None,
        axes: Mapping[int, int | None] | None = None,
        allow_last_axis_squeeze: bool = False,
        name: str | None = None,
        optional: bool = False,
    ) -> None:
        self.dtype, self.name, self.optional = dtype, name, optional
        self.shape = None if shape is None else tuple(shape)
        self.ndim = ndim if self.shape is None else len(self.shape)
        self.max_ndim, self.min_ndim = max_ndim, min_ndim
        self.allow_last_axis_squeeze = allow_last_axis_squeeze
        self.axes = {int(axis): size for axis, size in (axes or {}).items()}
        most = self.ndim or self.max_ndim
        if self.axes and most is not None and max(self.axes) >= most:
            raise ValueError(f"InputSpec(axes={axes!r}) has an axis that inputs of {most} dimensions lack.")

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        names = "dtype", "shape", "ndim", "max_ndim", "min_ndim", "axes", "optional"
        return {name: getattr(self, name) for name in names}

    def __repr__(self) -> str:
        names = "dtype", "shape", "ndim", "max_ndim", "min_ndim", "axes"
        return f"InputSpec({', '.join(f'{n}={getattr(self, n)}' for n in names if getattr(self, n))})"

    def lack_of(self, shape: tuple[int | None, ...], dtype: str) -> str | None:
        """What inputs of this shape lack; None if they fit."""
        wanted, sizes = self.shape, list(shape)
        if wanted is not None and self.allow_last_axis_squeeze:
            if len(sizes) == len(wanted) + 1 and sizes[-1] == 1:
                sizes = sizes[:-1]
            elif len(sizes) == len(wanted) - 1 and wanted[-1] == 1:
                wanted = wanted[:-1]
        ndim = self.ndim if wanted is None else len(wanted)
        if ndim is not None and len(sizes) != ndim:
            return f"{ndim} dimensions"
        if self.max_ndim is not None and len(sizes) > self.max_ndim:
            return f"{self.max_ndim} dimensions at most"
        if self.min_ndim is not None and len(sizes) < self.min_ndim:
            return f"{self.min_ndim} dimensions at least"
        if self.dtype is not None and dtype != self.dtype:
            return f"the dtype {self.dtype}"
        for axis, size in {**dict(enumerate(wanted or ())), **self.axes}.items():
            known = sizes[axis] if -len(sizes) <= axis < len(sizes) else -1
            if size is not None and isinstance(known, int) and known != size:
                return f"{size} along axis {axis}"
        return None


def check_specs(specs: Any, inputs: Any, label: str) -> None:
    """Raise ValueError naming the layer where an input does not fit its `InputSpec`."""
    several = (
        list(specs.values()) if isinstance(specs, Mapping) else specs if isinstance(specs, (list, tuple)) else [specs]
    )
    if isinstance(inputs, Mapping):
        given = [inputs.get(spec.name) for spec in several] if all(s.name for s in several) else list(inputs.values())
    else:
        given = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
    if len(given) != len(several):
        raise ValueError(f"layer {label} takes {len(several)} inputs, and was given {len(given)}.")
    pairs: list[tuple[Any, Any]] = list(zip(several, given, strict=True))
    for spec, x in pairs:
        if spec is None or (x is None and spec.optional) or not hasattr(x, "shape"):
            continue
        lacks = spec.lack_of(tuple(x.shape), x.dtype)
        if lacks is not None:
            raise ValueError(
                f"layer {label} was given {x.dtype!s} of shape {tuple(x.shape)}, and its input_spec asks for {lacks}."
            )
