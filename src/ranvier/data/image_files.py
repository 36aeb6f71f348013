"""Image files: search in folders, and conversion to arrays of pixels. Pillow is imported when a file is opened."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from ranvier.support.source_lines import warn

EXTENSIONS = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
# The formats of these endings. Pillow tries no other format: it would start Ghostscript for a PostScript file.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
COLOR_MODES = {"rgb": "RGB", "grayscale": "L", "rgba": "RGBA"}
CHANNELS = {"rgb": 3, "grayscale": 1, "rgba": 4}
RESIZING = ("nearest", "bilinear", "bicubic", "lanczos")
_ORIENTATION = 0x0112  # the EXIF tag of the orientation


@dataclass(frozen=True)
class Found:
    """An image file: its class, its path, and its name relative to the folder. The suffix identifies images."""

    label: int
    path: Path
    name: str


def opened(path: Path) -> IO[bytes]:
    """Open a regular file. Raises OSError for anything else: a named pipe would block, and a device has no end."""

    def without_blocking(name: str, flags: int) -> int:
        handle = os.open(name, flags | getattr(os, "O_NONBLOCK", 0))
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise OSError("not a regular file")
        return handle

    return open(path, "rb", opener=without_blocking)


def visible(folder: Path, follow_links: bool) -> Iterator[Path]:
    """The files in a folder and its subfolders, sorted by name, without hidden files and repeated folders."""
    seen: set[tuple[int, int]] = set()

    def walk(folder: Path) -> Iterator[Path]:
        status = folder.stat()
        if (status.st_dev, status.st_ino) in seen:  # a link to a folder above it
            return
        seen.add((status.st_dev, status.st_ino))
        for entry in sorted(os.scandir(folder), key=lambda e: e.name):
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=follow_links):
                yield from walk(Path(entry.path))
            elif not entry.is_dir():
                yield Path(entry.path)

    yield from walk(folder)


def found_in(root: Path, class_names: list[str] | None, follow_links: bool) -> tuple[list[str], list[Found]]:
    """The classes, which are the folders in ``root``, and their images. Raises OSError or ValueError."""
    if not root.is_dir():
        raise NotADirectoryError(f"{root} is not a folder. Write a folder with a subfolder for each class.")
    folders = sorted((e for e in os.scandir(root) if e.is_dir() and e.name[:1] != "."), key=lambda e: e.name)
    entries = [entry.name for entry in folders if entry.is_dir(follow_symlinks=follow_links)]
    linked = [entry.name for entry in folders if entry.name not in entries]
    if refused := linked if not entries else [name for name in class_names or () if name in linked]:
        raise ValueError(f"the folders {refused} in {root} are links. Write follow_links=True to read them.")
    if not entries:
        raise ValueError(
            f"{root} has no subfolders. Put the images of each class into a subfolder with the name of the class."
        )
    missing = [name for name in class_names or () if name not in entries]
    if missing or len(set(class_names or ())) < len(class_names or ()):
        raise ValueError(f"class_names={class_names}: {root} has the folders {entries}. Write some of these instead.")
    if linked and class_names is None:
        warn(
            f"the folders {linked} in {root} are links and are not read. Write follow_links=True to read them, "
            f"or class_names={entries} if they are not classes."
        )
    names = entries if class_names is None else class_names
    images: list[Found] = []
    others: Counter[str] = Counter()
    for label, name in enumerate(names):
        before = len(images)
        for path in visible(root / name, follow_links):
            if path.suffix.lower() in EXTENSIONS:
                images.append(Found(label, path, path.relative_to(root).as_posix()))
            else:
                others[path.suffix.lower() or path.name] += 1
        if len(images) == before:
            kinds = f" Its other files, {', '.join(sorted(others))}, are not images." if others else ""
            raise ValueError(
                f"the folder {name!r} has no images ({', '.join(EXTENSIONS)}).{kinds} Remove it, or write "
                "class_names=[...] without it."
            )
    return names, images


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
