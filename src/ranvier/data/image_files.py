"""Image files as arrays of pixels. Pillow is imported when a file is opened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.data.class_folders import FileKind, Found, opened

IMAGES = FileKind("images", (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"))
# The formats of these endings. Pillow tries no other format: it would start Ghostscript for a PostScript file.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
COLOR_MODES = {"rgb": "RGB", "grayscale": "L", "rgba": "RGBA"}
CHANNELS = {"rgb": 3, "grayscale": 1, "rgba": 4}
RESIZING = ("nearest", "bilinear", "bicubic", "lanczos")
_ORIENTATION = 0x0112  # the EXIF tag of the orientation


@dataclass(frozen=True)
class Decoder:
    """The conversion of files to pixels. ``image_size`` is (height, width), or None for the size of the file."""

    image_size: tuple[int, int] | None
    color_mode: str
    interpolation: str
    fit: str  # "stretch", "crop" or "pad"

    def upright(self, file: Any) -> Any:
        """The upright image in ``color_mode``. Raises ValueError, or any error of Pillow."""
        from PIL import Image, ImageOps

        image = ImageOps.exif_transpose(Image.open(file, formats=FORMATS))
        if image.mode.startswith("I;16"):
            image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        if image.mode in ("I", "F"):
            raise ValueError("it has 32 bits per pixel; save it with 8 or 16")
        if image.mode == "P" and "transparency" in image.info:
            image = image.convert("RGBA")
        return image.convert(COLOR_MODES[self.color_mode])

    def __call__(self, path: Path) -> npt.NDArray[np.uint8] | str:
        """The pixels (height, width, channels), or the reason why the file cannot be read."""
        from PIL import Image, ImageOps, UnidentifiedImageError

        try:
            with opened(path) as file:
                image = self.upright(file)
            if self.image_size is not None:
                size = self.image_size[::-1]
                method = getattr(Image.Resampling, self.interpolation.upper())
                change: Any = {"crop": ImageOps.fit, "pad": ImageOps.pad}.get(self.fit)
                image = image.resize(size, method) if change is None else change(image, size, method=method)
        except UnidentifiedImageError:
            return f"not an image in a format that is read ({', '.join(FORMATS)})"
        except Exception as error:  # noqa: BLE001  # damaged files make Pillow raise almost any error
            words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            return words.splitlines()[0] if words else type(error).__name__
        pixels = np.asarray(image, np.uint8)
        return pixels.reshape(*pixels.shape[:2], CHANNELS[self.color_mode])


def size_of(path: Path) -> tuple[int, int] | None:
    """Height and width of the upright image, from the header of the file; None for other files."""
    from PIL import Image

    try:
        with opened(path) as file:
            image = Image.open(file, formats=FORMATS)
            width, height = image.size
            rotated = image.getexif().get(_ORIENTATION, 1) >= 5
    except Exception:  # noqa: BLE001  # the decoder reports the reason
        return None
    return (width, height) if rotated else (height, width)


def pillow() -> None:
    """Raise ModuleNotFoundError where Pillow is not installed."""
    try:
        import PIL  # noqa: F401 - a test for the package
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "image files need Pillow. Write: pip install 'ranvier[images]'", name=error.name
        ) from error


def one_size(found: list[Found]) -> tuple[int, int]:
    """The size of all images. Raises ValueError with files and sizes where there are several."""
    sizes: dict[tuple[int, int], list[str]] = {}
    for image in found:
        size = size_of(image.path)
        if size is not None:
            sizes.setdefault(size, []).append(image.name)
    if not sizes:
        raise ValueError("none of these files can be read as an image. Write other files instead.")
    if len(sizes) > 1:
        ordered = sorted(sizes.items(), key=lambda item: -len(item[1]))
        common = ordered[0][0]
        rows = [f"  {h} x {w}: {len(names):,}, such as {names[0]}" for (h, w), names in ordered[:6]]
        rows += [f"  and {len(ordered) - 6:,} more sizes"] if len(ordered) > 6 else []
        raise ValueError(
            "the images are of several sizes (height x width):\n" + "\n".join(rows)
            + f"\nWrite image_size={common} to resize them all."
        )  # fmt: skip
    return next(iter(sizes))
