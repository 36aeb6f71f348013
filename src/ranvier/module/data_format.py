"""The axis of the channels of images: last in Keras's vocabulary, first in PyTorch's."""

from __future__ import annotations

from collections.abc import Sequence

from ranvier.module.members import ModuleBase

COLOURS = (1, 3)  # channels of a grey image and of a coloured one


def _channels_first(layer: ModuleBase) -> bool | None:
    """Whether a layer takes channels first; None where it has no data format."""
    named = getattr(layer, "data_format", None)
    if named is not None:
        return bool(named == "channels_first")
    return True if ".torch" in type(layer).__module__ else None


def channels_come_first(layer: ModuleBase) -> bool:
    """Whether a layer's channels come first: in PyTorch's vocabulary, and with data_format="channels_first"."""
    return bool(_channels_first(layer))


def images_come_first(model: ModuleBase) -> bool:
    """Whether a model takes images with their channels first: the data format of its first layer that has one."""
    return next((first for first in map(_channels_first, model.modules()) if first is not None), False)


def looks_channels_first(shape: Sequence[int], *maps: Sequence[int]) -> bool:
    """Whether images of this shape have their channels first, by ``maps``, shapes that go with them without channels.

    Where no map tells, by which of the axes is as short as channels are.
    """
    if len(shape) != 4:
        return False
    for extent in (tuple(m)[1:] for m in maps if len(m) == 3):
        if extent in (tuple(shape[1:3]), tuple(shape[2:])):
            return extent != tuple(shape[1:3])
    return shape[1] in COLOURS and shape[3] not in (*COLOURS, 4)
