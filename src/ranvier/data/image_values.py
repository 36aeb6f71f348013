"""Single images as arrays and back, in the way of ``keras.utils``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ranvier.data.class_folders import opened
from ranvier.data.convert import Array
from ranvier.data.image_files import COLOR_MODES, FORMATS, pillow
from ranvier.support.source_lines import warn

METHODS = ("nearest", "bilinear", "bicubic", "hamming", "box", "lanczos")


def _channels_first(data_format: str | None) -> bool:
    if data_format not in (None, "channels_last", "channels_first"):
        raise ValueError(f"data_format={data_format!r}. Write 'channels_last' or 'channels_first' instead.")
    return data_format == "channels_first"


def img_to_array(img: Any, data_format: str | None = None, dtype: Any = None) -> Array:
    """A Pillow image as an array (height, width, channels), float32 unless ``dtype`` is another."""
    array = np.asarray(img, dtype or "float32")
    if array.ndim not in (2, 3):
        raise ValueError(f"an image of shape {array.shape}. Write one image, (height, width, channels), instead.")
    array = array[..., None] if array.ndim == 2 else array
    return array.transpose(2, 0, 1) if _channels_first(data_format) else array


def array_to_img(x: Any, data_format: str | None = None, scale: bool = True, dtype: Any = None) -> Any:
    """An array (height, width, channels) as a Pillow image; ``scale`` maps its values to 0 to 255 first."""
    pillow()
    from PIL import Image

    array = np.asarray(x, dtype or "float32")
    array = array.transpose(1, 2, 0) if _channels_first(data_format) and array.ndim == 3 else array
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        raise ValueError(f"x has shape {array.shape}. Write (height, width, channels) with 1, 3 or 4 channels instead.")
    if scale:
        array = array - array.min()
        array = array / (array.max() or 1) * 255
    if array.shape[2] == 1:
        return Image.fromarray(array[..., 0].astype("int32" if array.max() > 255 else "uint8"))
    return Image.fromarray(array.astype("uint8"))


def load_img(
    path: Any,
    color_mode: str = "rgb",
    target_size: tuple[int, int] | None = None,
    interpolation: str = "nearest",
    keep_aspect_ratio: bool = False,
) -> Any:
    """The image of a file as a Pillow image, in ``color_mode``; resized to ``target_size``, (height, width).

    With ``keep_aspect_ratio`` the centre of that shape is resized. Raises ValueError for other arguments, OSError for
    what is no image file.
    """
    pillow()
    from PIL import Image

    if color_mode not in COLOR_MODES:
        raise ValueError(f"color_mode={color_mode!r}. Write one of {', '.join(map(repr, COLOR_MODES))} instead.")
    if interpolation not in METHODS:
        raise ValueError(f"interpolation={interpolation!r}. Write one of {', '.join(map(repr, METHODS))} instead.")
    file = path if hasattr(path, "read") else opened(Path(path.decode() if isinstance(path, bytes) else path))
    image = Image.open(file, formats=FORMATS)
    image.load()
    if not hasattr(path, "read"):
        file.close()
    if not (color_mode == "grayscale" and image.mode in ("I;16", "I")):
        image = image.convert(COLOR_MODES[color_mode])
    if target_size is None or image.size == (size := (target_size[1], target_size[0])):
        return image
    box = None
    if keep_aspect_ratio:
        width, height = image.size
        wide, high = min(width, height * size[0] // size[1]), min(height, width * size[1] // size[0])
        left, top = (width - wide) // 2, (height - high) // 2
        box = (left, top, left + wide, top + high)
    return image.resize(size, getattr(Image.Resampling, interpolation.upper()), box=box)


def save_img(
    path: Any,
    x: Any,
    data_format: str | None = None,
    file_format: str | None = None,
    scale: bool = True,
    **options: Any,
) -> None:
    """Write an array as an image file, of the format that its name ends with, or ``file_format``."""
    if file_format is None and isinstance(path, (str, Path)):
        file_format = Path(path).suffix[1:]
    kind = "jpeg" if (file_format or "").lower() == "jpg" else file_format
    image = array_to_img(x, data_format=data_format, scale=scale)
    if image.mode == "RGBA" and (kind or "").lower() == "jpeg":
        warn("JPEG files have no transparency, and the image is written as RGB. Write a .png file to keep it.")
        image = image.convert("RGB")
    image.save(path, format=kind, **options)
