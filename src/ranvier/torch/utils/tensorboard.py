"""``torch.utils.tensorboard``: numbers, histograms, texts and images of a loop, for ``tensorboard --logdir runs``."""

from __future__ import annotations

import math
import os
import socket
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import numpy as np

from ranvier.data.event_files import EventFiles, summary
from ranvier.data.files import make_folder
from ranvier.support.constructors import CheckedConstructor
from ranvier.support.errors import missing

__all__ = ["SummaryWriter"]


def _pixels(image: Any, dimensions: str) -> Any:
    """An image as uint8 (h, w, c)."""
    array = np.asarray(image)
    order = [dimensions.find(d) for d in "HWC"]
    if sorted(dimensions) not in (sorted("HWC"), sorted("HW")) or array.ndim != len(dimensions):
        raise ValueError(
            f"an image of shape {array.shape} with dataformats={dimensions!r}. Write 'CHW', 'HWC' or 'HW'."
        )
    array = array.transpose([d for d in order if d >= 0])
    array = array if array.ndim == 3 else array[..., None]
    if array.shape[-1] not in (1, 3, 4):
        raise ValueError(f"{array.shape[-1]} channels, where {dimensions!r} has C. Write images of 1, 3 or 4 channels.")
    return array if array.dtype == np.uint8 else (array * 255).clip(0, 255).astype(np.uint8)


def _grid(images: list[Any]) -> Any:
    """Images of one size beside and below each other, as near to a square as they fit."""
    across = math.ceil(math.sqrt(len(images)))
    rows = [images[i : i + across] for i in range(0, len(images), across)]
    rows[-1] = rows[-1] + [np.zeros_like(images[0])] * (across - len(rows[-1]))
    return np.concatenate([np.concatenate(row, 1) for row in rows], 0)


class SummaryWriter(CheckedConstructor):
    """Writes into ``log_dir``; without one, into a new folder below ``runs``. Each call writes its record at once.

    Needs ``pip install 'ranvier[tensorboard]'``, and raises ModuleNotFoundError without it. Graphs and
    embeddings are not written. For ``fit`` there is `rv.callbacks.TensorBoard`.
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str] | None = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 10,
        flush_secs: int = 120,
        filename_suffix: str = "",
    ) -> None:
        if purge_step is not None:
            raise ValueError(f"purge_step={purge_step!r}: nothing is purged. Write into a new log_dir instead.")
        if find_spec("tensorboard") is None:
            raise ModuleNotFoundError(
                "SummaryWriter needs the package tensorboard. Write: pip install 'ranvier[tensorboard]'",
                name="tensorboard",
            )
        if log_dir is None:
            log_dir = Path("runs", f"{time.strftime('%b%d_%H-%M-%S')}_{socket.gethostname()}{comment}")
        self.log_dir = str(log_dir)
        make_folder(Path(log_dir), "the log")
        self._files = EventFiles(Path(log_dir))

    def get_logdir(self) -> str:
        """The folder."""
        return self.log_dir

    def add_scalar(self, tag: str, scalar_value: Any, global_step: int | None = None, *_: Any, **__: Any) -> None:
        """A number: a tensor of one element, an array, or Python's."""
        self._write(".", global_step, summary("scalar", tag, float(scalar_value)))

    def add_scalars(self, main_tag: str, tag_scalar_dict: Mapping[str, Any], global_step: int | None = None) -> None:
        """Several numbers in one diagram: each in a folder of its own, ``log_dir/main_tag_name``."""
        for name, value in tag_scalar_dict.items():
            side = f"{main_tag.replace('/', '_')}_{name}"
            self._write(side, global_step, summary("scalar", main_tag, float(value)))

    def add_histogram(self, tag: str, values: Any, global_step: int | None = None, *_: Any, **__: Any) -> None:
        """The distribution of the values of a tensor."""
        self._write(".", global_step, summary("histogram", tag, np.asarray(values, np.float64)))

    def add_text(self, tag: str, text_string: str, global_step: int | None = None) -> None:
        """A text in Markdown."""
        self._write(".", global_step, summary("text", tag, text_string))

    def add_image(self, tag: str, img_tensor: Any, global_step: int | None = None, *, dataformats: str = "CHW") -> None:
        """An image: floats from 0 to 1, or uint8. ``dataformats`` names the dimensions: "CHW", "HWC" or "HW".

        Raises ValueError for other dimensions, and for other numbers of channels than 1, 3 and 4.
        """
        self._write(".", global_step, summary("image", tag, _pixels(img_tensor, dataformats)))

    def add_images(
        self, tag: str, img_tensor: Any, global_step: int | None = None, *, dataformats: str = "NCHW"
    ) -> None:
        """Images beside each other; see `add_image`."""
        if dataformats[:1] != "N":
            raise ValueError(f"dataformats={dataformats!r}. Write 'NCHW', 'NHWC' or 'NHW', or add_image, instead.")
        images = [_pixels(image, dataformats[1:]) for image in np.asarray(img_tensor)]
        self._write(".", global_step, summary("image", tag, _grid(images)))

    def add_figure(self, tag: str, figure: Any, global_step: int | None = None, close: bool = True) -> None:
        """A figure of matplotlib, or several beside each other, which are closed then."""
        figures = figure if isinstance(figure, list) else [figure]
        images = []
        for drawn in figures:
            drawn.canvas.draw()
            images.append(np.array(drawn.canvas.buffer_rgba()))
            if close:
                drawn.clear()
                import matplotlib.pyplot as plt

                plt.close(drawn)
        self._write(".", global_step, summary("image", tag, _grid(images)))

    def add_hparams(self, hparam_dict: Mapping[str, Any], metric_dict: Mapping[str, Any]) -> None:
        """The settings of a run as a table of text, and its results as numbers."""
        rows = "\n".join(f"| {name} | {value} |" for name, value in hparam_dict.items())
        self.add_text("hparams", f"| setting | value |\n| --- | --- |\n{rows}", 0)
        for name, value in metric_dict.items():
            self.add_scalar(name, value, 0)

    def _write(self, side: str, step: int | None, content: Mapping[str, Any]) -> None:
        self._files.write(side, 0 if step is None else int(step), content)

    def flush(self) -> None:
        """No effect: every record is in its file."""

    def close(self) -> None:
        """No effect: every record is in its file."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("add_"):
            raise AttributeError(
                f"SummaryWriter.{name} does not exist: add_scalar, add_histogram, add_text, add_image, add_figure do. "
                "rv.callbacks.TensorBoard also writes the network."
            )
        raise AttributeError(f"'SummaryWriter' object has no attribute {name!r}")


__getattr__, __dir__ = missing("torch.utils.tensorboard", __all__)
