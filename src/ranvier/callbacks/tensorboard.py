"""Logs of a run for TensorBoard."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.callbacks.model_checkpoint import frequency
from ranvier.data.event_files import EventFiles, summary
from ranvier.data.files import make_folder
from ranvier.pictures.event_graph import graph
from ranvier.support import processes
from ranvier.support.validation import is_whole
from ranvier.training.loop.callback import Callback, Logs
from ranvier.training.step.argument_types import FilePath

TRAIN, VALIDATION = "train", "validation"

# Arguments of Keras that are not supported: the value that is allowed, and what to write instead of others.
REFUSED: Mapping[str, tuple[Any, str]] = {
    "write_images": (False, "histogram_freq=1, or rv.pictures.weights(model),"),
    "profile_batch": (0, "write_steps_per_second=True"),
    "embeddings_freq": (0, "histogram_freq=1"),
    "embeddings_metadata": (None, "nothing for it"),
}


class TensorBoard(Callback):
    """Write logs of a run for TensorBoard, which ``tensorboard --logdir logs`` shows while the model trains.

    Into ``log_dir/train`` and ``log_dir/validation``, with Keras's tags:

    - every result by epoch (``epoch_loss``; that of the validation data has the same tag) and the learning rate;
    - by step, where ``update_freq`` is a number of steps instead of "epoch", the means of the epoch so far
      (``batch_loss``), and each evaluation by the optimizer's steps (``evaluation_loss_vs_iterations``);
    - with ``write_steps_per_second`` the speed; every ``histogram_freq`` epochs a histogram of each weight;
    - with ``write_graph`` once the network, a node for each call of a layer, and its summary as text.

    A result that is an array has a tag for each element, such as ``epoch_recall/3``.

    With a number of steps, the steps between run in one native call; "batch" is every step. A run that is resumed from
    a backup continues its log, with each step once. Give each new run its own ``log_dir``, since TensorBoard joins the
    curves of one folder.

    Needs ``pip install 'ranvier[tensorboard]'``, and raises ModuleNotFoundError without it. Raises ValueError for
    images, profiles and embeddings, which are not supported, OSError before training if the folder cannot be written.
    """

    _changes = False

    def __init__(
        self,
        log_dir: FilePath = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: str | int = "epoch",
        profile_batch: int | str | tuple[int, int] = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: Any = None,
    ) -> None:
        given = {
            "write_images": write_images, "profile_batch": profile_batch, "embeddings_freq": embeddings_freq,
            "embeddings_metadata": embeddings_metadata,
        }  # fmt: skip
        for name, (nothing, instead) in REFUSED.items():
            if given[name] != nothing:
                raise ValueError(f"TensorBoard({name}={given[name]!r}): that is not written. Write {instead} instead.")
        if not is_whole(histogram_freq, 0):
            raise ValueError(
                f"TensorBoard(histogram_freq={histogram_freq!r}): write a number of epochs, or 0 for none, instead."
            )
        if find_spec("tensorboard") is None:
            raise ModuleNotFoundError(
                "TensorBoard needs the package tensorboard. Write: pip install 'ranvier[tensorboard]'",
                name="tensorboard",
            )
        self.log_dir, self.histogram_freq, self.write_graph = Path(log_dir), histogram_freq, write_graph
        self.write_steps_per_second, self.update_freq = write_steps_per_second, update_freq
        self.step_interval = frequency("TensorBoard", update_freq, "update_freq", ("epoch", "batch"))
        self._files: EventFiles | None = None  # of the current run
        self._drawn = False
        self._since = (0, 0.0)  # steps and seconds when the epoch began

    def writes_to(self) -> Path:
        return self.log_dir

    # --- events ---------------------------------------------------------------------------------------------------

    def on_train_begin(self, logs: Logs = None) -> None:
        make_folder(self.log_dir, "the log")
        self._files, self._drawn = EventFiles(self.log_dir), not self.write_graph

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self._since = self.steps(), time.monotonic()

    def on_step(self, epoch: int, step: int, logs: Logs = None) -> None:
        self.write(TRAIN, self.steps(), *results("batch_{}", logs or {}))

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        self.draw()
        logs = dict(logs or {})
        held_out = {name[4:]: logs.pop(name) for name in [*logs] if name.startswith("val_")}
        logs["learning_rate"] = self.model.optimizer.current_rate()
        if self.write_steps_per_second:
            steps, seconds = self._since
            logs["steps_per_second"] = (self.steps() - steps) / max(time.monotonic() - seconds, 1e-9)
        self.write(TRAIN, epoch, *results("epoch_{}", logs))
        self.write(VALIDATION, epoch, *results("epoch_{}", held_out))
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            self.write(TRAIN, epoch, *histograms(self.model))

    def on_test_end(self, logs: Logs = None) -> None:
        self.write(VALIDATION, self.steps(), *results("evaluation_{}_vs_iterations", logs or {}))

    def on_train_end(self, logs: Logs = None) -> None:
        self._files = None

    # --- writing --------------------------------------------------------------------------------------------------

    def steps(self) -> int:
        """The steps that the optimizer has taken."""
        return int(self.model.optimizer.iterations.item())

    def write(self, side: str, step: int, *contents: Mapping[str, Any]) -> None:
        if contents and processes.writes():
            files = self._files or EventFiles(self.log_dir)  # evaluate(callbacks=...) writes a separate file
            files.write(side, step, *contents)

    def draw(self) -> None:
        """Write the network, once."""
        if self._drawn:
            return
        from ranvier.module.summary import COLUMNS, rows_of, totals_of
        from ranvier.pictures.diagram import Drawing

        self._drawn = True
        rows = [COLUMNS, ("---",) * len(COLUMNS), *rows_of(self.model)]
        table = "\n".join(f"| {' | '.join(cell.replace('|', ' ') for cell in row)} |" for row in rows)
        text = "\n\n".join([table, *totals_of(self.model)])
        self.write(TRAIN, 0, graph(Drawing(self.model).boxes), summary("text", "summary", text))

    # --- what a backup keeps --------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """The length of the log of a run; nothing when the run is over."""
        return {} if self._files is None else {"drawn": self._drawn, **self._files.state()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        if state and self._files is not None:
            self._files.set_state(state)
            self._drawn = bool(state["drawn"])
        self._since = self.steps(), time.monotonic()


def results(tag: str, logs: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """An event for each number in the logs."""
    for name, value in logs.items():
        for place, number in np.ndenumerate(np.asarray(value)):
            yield summary("scalar", "/".join([tag.format(name), *map(str, place)]), float(number))


def histograms(model: Any) -> Iterator[dict[str, Any]]:
    """An event for each weight, and for each statistic that a layer keeps."""
    from ranvier.pictures.diagram import scopes

    names = scopes(model)
    for _, module in model.named_modules():
        kept = {**module._parameters, **{n: b for n, b in module._buffers.items() if n not in module._non_persistent}}
        place = names[id(module)] if module is model else f"{model.name}/{names[id(module)]}"
        for name, tensor in kept.items():
            if tensor is not None:
                values = np.asarray(tensor.numpy(), np.float64)
                yield summary("histogram", f"{place}/{name}/histogram", values)
