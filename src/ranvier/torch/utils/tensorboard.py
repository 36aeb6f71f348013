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

from ranvier.data.event_files import EventFiles, record, summary
from ranvier.data.files import make_folder
from ranvier.pictures.diagram import Drawing
from ranvier.pictures.event_graph import graph
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


def _histogram(values: Any) -> Any:
    """The values counted between limits each of which is a tenth larger than the one before, of either sign."""
    from tensorboard.compat.proto.summary_pb2 import HistogramProto

    if not values.size or not np.isfinite(values).all():
        raise ValueError("a histogram needs numbers, and no NaN or infinity. Write values[values.isfinite()].")
    exponents = np.arange(math.ceil(math.log(1e32, 1.1)))
    above = 1e-12 * 1.1**exponents
    limits = np.concatenate([[-np.finfo(float).max], -above[::-1], [0.0], above, [np.finfo(float).max]])
    counts, _ = np.histogram(values, limits)
    some = np.flatnonzero(counts)
    first, end = max(int(some[0]) - 1, 0), int(some[-1]) + 1  # an empty one before them shows where they begin
    return HistogramProto(
        min=values.min(), max=values.max(), num=values.size, sum=values.sum(), sum_squares=np.square(values).sum(),
        bucket_limit=limits[first + 1 : end + 1].tolist(), bucket=counts[first:end].tolist(),
    )  # fmt: skip


def _grid(images: list[Any]) -> Any:
    """Images of one size beside and below each other, as near to a square as they fit."""
    across = math.ceil(math.sqrt(len(images)))
    rows = [images[i : i + across] for i in range(0, len(images), across)]
    rows[-1] = rows[-1] + [np.zeros_like(images[0])] * (across - len(rows[-1]))
    return np.concatenate([np.concatenate(row, 1) for row in rows], 0)


class SummaryWriter(CheckedConstructor):
    """Writes into ``log_dir``; without one, into a new folder below ``runs``. Each call writes its record at once.

    Needs ``pip install 'ranvier[tensorboard]'``, and raises ModuleNotFoundError without it. Embeddings
    are not written. For ``fit`` there is `rv.callbacks.TensorBoard`.
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

    def add_scalar(
        self,
        tag: str,
        scalar_value: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        new_style: bool = False,
        double_precision: bool = False,
    ) -> None:
        """A number: a tensor of one element, an array, or Python's. ``new_style``: as TensorFlow 2 writes it.

        Raises ValueError for ``new_style`` with ``double_precision``: numbers are written as float32.
        """
        if new_style and double_precision:
            raise ValueError("new_style numbers are float32 here. Write double_precision=False instead.")
        number = float(scalar_value)
        content = summary("scalar", tag, number) if new_style else record(tag, simple_value=number)
        self._write(".", global_step, content, walltime)

    def add_scalars(
        self,
        main_tag: str,
        tag_scalar_dict: Mapping[str, Any],
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """Several numbers in one diagram: each in a folder of its own, ``log_dir/main_tag_name``."""
        for name, value in tag_scalar_dict.items():
            side = f"{main_tag.replace('/', '_')}_{name}"
            self._write(side, global_step, record(main_tag, simple_value=float(value)), walltime)

    def add_histogram(
        self,
        tag: str,
        values: Any,
        global_step: int | None = None,
        bins: str = "tensorflow",
        walltime: float | None = None,
        max_bins: int | None = None,
    ) -> None:
        """The distribution of the values of a tensor, between TensorBoard's own limits.

        Raises ValueError for values that are not finite, for none, and for other ``bins``.
        """
        if bins != "tensorflow" or max_bins is not None:
            raise ValueError(f"bins={bins!r}, max_bins={max_bins!r}. Write bins='tensorflow' instead.")
        self._write(".", global_step, record(tag, histo=_histogram(np.asarray(values, np.float64))), walltime)

    def add_text(
        self, tag: str, text_string: str, global_step: int | None = None, walltime: float | None = None
    ) -> None:
        """A text in Markdown."""
        self._write(".", global_step, summary("text", f"{tag}/text_summary", text_string), walltime)

    def add_graph(
        self, model: Any, input_to_model: Any = None, verbose: bool = False, use_strict_trace: bool = True
    ) -> None:
        """The network as it is called with ``input_to_model``, a tensor or several: a node for each call of a layer."""
        del verbose, use_strict_trace
        if input_to_model is None:
            raise ValueError("add_graph needs an example. Write add_graph(model, images), of one batch.")
        given = input_to_model if isinstance(input_to_model, (list, tuple)) else (input_to_model,)
        self._write(".", 0, graph(Drawing(model, *given).boxes))

    def add_image(
        self,
        tag: str,
        img_tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        dataformats: str = "CHW",
    ) -> None:
        """An image: floats from 0 to 1, or uint8. ``dataformats`` names the dimensions: "CHW", "HWC" or "HW".

        Raises ValueError for other dimensions, and for other numbers of channels than 1, 3 and 4.
        """
        self._write(".", global_step, summary("image", tag, _pixels(img_tensor, dataformats)), walltime)

    def add_images(
        self,
        tag: str,
        img_tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        dataformats: str = "NCHW",
    ) -> None:
        """Images beside each other; see `add_image`."""
        if dataformats[:1] != "N":
            raise ValueError(f"dataformats={dataformats!r}. Write 'NCHW', 'NHWC' or 'NHW', or add_image, instead.")
        images = [_pixels(image, dataformats[1:]) for image in np.asarray(img_tensor)]
        self._write(".", global_step, summary("image", tag, _grid(images)), walltime)

    def add_figure(
        self, tag: str, figure: Any, global_step: int | None = None, close: bool = True, walltime: float | None = None
    ) -> None:
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
        self._write(".", global_step, summary("image", tag, _grid(images)), walltime)

    def add_hparams(
        self,
        hparam_dict: Mapping[str, Any],
        metric_dict: Mapping[str, Any],
        hparam_domain_discrete: Mapping[str, Any] | None = None,
        run_name: str | None = None,
        global_step: int | None = None,
    ) -> None:
        """The settings of a run and its results, in a folder of its own, for TensorBoard's table of settings."""
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.plugins.hparams import api_pb2, summary_v2
        from tensorboard.plugins.hparams.summary import session_end_pb

        domains = {name: summary_v2.Discrete(list(values)) for name, values in (hparam_domain_discrete or {}).items()}
        settings = {k: v if isinstance(v, (bool, int, float, str)) else str(v) for k, v in hparam_dict.items()}
        described = summary_v2.hparams_config_pb(
            [summary_v2.HParam(name, domains.get(name)) for name in settings],
            [summary_v2.Metric(name) for name in metric_dict],
        )
        side = run_name or str(time.time())
        for content in (described, summary_v2.hparams_pb(settings), session_end_pb(api_pb2.STATUS_SUCCESS)):
            # Where TensorFlow is installed, these are messages of its own.
            self._write(side, None, {"summary": Summary.FromString(content.SerializeToString())})
        for name, value in metric_dict.items():
            self._write(side, global_step, record(name, simple_value=float(value)))

    def _write(self, side: str, step: int | None, content: Mapping[str, Any], walltime: float | None = None) -> None:
        self._files.write(side, 0 if step is None else int(step), content, now=walltime)

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
                f"SummaryWriter.{name} does not exist: add_scalar, add_histogram, add_text, add_image, add_figure, "
                "add_graph and add_hparams do."
            )
        raise AttributeError(f"'SummaryWriter' object has no attribute {name!r}")


__getattr__, __dir__ = missing("torch.utils.tensorboard", __all__)
