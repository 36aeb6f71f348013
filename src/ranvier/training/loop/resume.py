"""A run of `fit` saved in one file and resumed from it, with everything that a later step depends on.

Weights and buffers, the optimizer's state and settings, which layers are trainable, the learning rate; the position
(epoch, step), the sums of the epoch's results so far; the generator that shuffles, the salt of dropout and
augmentation, the seed and all counters of streams, the global generators of NumPy and Python; history; callbacks.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.data import files
from ranvier.data.convert import Array
from ranvier.data.files import CheckpointError
from ranvier.support import processes
from ranvier.tensor import rng
from ranvier.tensor.tensor import Tensor
from ranvier.training.adapters.passes import Passes
from ranvier.training.checkpoint import model_file
from ranvier.training.checkpoint.values import pack, unpack
from ranvier.training.loop.epochs import ArrayEpochs, StreamEpochs
from ranvier.training.loop.fingerprint import differences, identity, numbers, printed
from ranvier.training.loop.history import History
from ranvier.training.loop.resident_loader import LoaderEpochs
from ranvier.training.loop.trainer import Training

Source = ArrayEpochs | LoaderEpochs | StreamEpochs  # the epochs of a run

NAME = "backup.ranvier"  # the name of the file in a folder of backups


class AnotherRun(CheckpointError):  # noqa: N818  # it reads as what happened
    """A backup that is undamaged, but of another run than the one to resume."""


class Run:
    """One call of `fit`, to be saved and resumed; ``settings`` are the arguments that its results depend on."""

    def __init__(
        self,
        training: Training,
        source: Source,
        history: History,
        settings: Mapping[str, Any],
        validation: Passes | None = None,
    ) -> None:
        self.training, self.source, self.history = training, source, history
        self.validation = validation
        self.settings = dict(settings)
        self.optimizer = printed(training.compiled.optimizer)  # as it was before callbacks changed anything
        self.seed = rng.chosen_seed()  # likewise
        self._identity: dict[str, Any] | None = None
        self.resumed: Path | None = None

    def identity(self) -> dict[str, Any]:
        """Everything by which this run differs from other runs: see `fingerprint`."""
        if self._identity is None:
            training = self.training
            settings = {**self.settings, "steps": self.source.steps, "seed": self.seed}
            self._identity = identity(training.model, training.compiled, training.callbacks, self.optimizer, settings)
        return self._identity

    # --- saving ---------------------------------------------------------------------------------------------------

    def save(self, path: Any) -> None:
        """Write everything into one file, whole or not at all. Raises OSError where it cannot be written."""
        training, model = self.training, self.training.model
        training.check_finite()  # a backup with NaN must not replace a good one
        tensors: dict[str, Array] = {}
        description: dict[str, Any] = {"architecture": None, "compiled": None, "columns": model._frame_columns}
        # A class or function that no file can hold: the file is then a run that cannot be loaded as a model.
        with contextlib.suppress(TypeError, ValueError):
            description["architecture"] = model.architecture()
            description["compiled"] = training.compiled.settings()
        tensors |= model_file.tensors_of(model)
        totals = training.runner.step.totals if training.runner is not None and training.done else []
        tensors |= {f"training/totals/{i}": array for i, array in enumerate(totals)}
        tensors |= {f"training/other/{i}": np.array(t) for i, t in enumerate(self.others())}
        position = {"epoch": training.epoch, "done": training.done, "taken": training.taken}
        values = {
            "optimizer": numbers(training.compiled.optimizer),
            "trainable": {path: m._trainable for path, m in model.named_modules()},
            "frozen": [name for name, p in model.named_parameters() if not p.requires_grad],
            "salt": int(training.salt),
            "source": self.source.state(),
            "validation": None if self.validation is None else self.validation.state(0),
            "random": rng.get_state(),
            "results": training.logs() if training.done else {},
            "history": self.history.state(),
            "callbacks": training.callbacks.states(),
        }
        description["training"] = {
            **position,
            "stopped": bool(training.model.stop_training),
            "identity": self.identity(),
            "totals": len(totals),
            "others": len(self.others()),
            **{name: pack(value, f"training/{name}", tensors) for name, value in values.items()},
        }
        files.store(path, tensors, description)

    def others(self) -> list[Tensor]:
        """Tensors that steps write and no state dict holds: buffers that are not persistent, and tensors of yours.

        Of a step that is a method of the model's, also the state of its optimizers.
        """
        if self.training.runner is None:
            return []
        optimizer = self.training.compiled.optimizer
        known = {id(t) for _, t in self.training.model._state()}
        if not self.training.compiled.calls_methods:
            known |= {id(t) for slots in optimizer.slots for t in slots.values()}
            known |= {id(t) for t in optimizer.counts.tensors}
        return [t for t in self.training.runner.step.written if id(t) not in known]

    # --- resuming -------------------------------------------------------------------------------------------------

    def resume(self, path: Any, missing_ok: bool = False) -> None:
        """Continue from a file that `save` wrote. The weights are unchanged unless the whole file fits.

        Raises CheckpointError for a file that is damaged, that holds no run or another one (naming the differences),
        or that has passed the last epoch of this run.
        """
        if isinstance(path, bool):
            raise TypeError(
                f"resume={path} is no path. Write resume='backup', the folder that BackupAndRestore wrote, or leave "
                "resume= out: BackupAndRestore resumes by itself."
            )
        source = Path(path)
        if source.is_dir():
            source = source / NAME
        if self.resumed is not None:
            if self.resumed.resolve() == source.resolve():
                return  # by BackupAndRestore
            raise ValueError(
                f"this run was resumed from {self.resumed}, and resume= names {source}. Write one of them instead."
            )
        if not exists(source):
            if missing_ok:
                return
            raise FileNotFoundError(f"there is no backup {source} to resume. Leave out resume= to begin a run.")
        described, tensors = read(source)
        kept = described.get("training")
        if not isinstance(kept, dict):
            raise CheckpointError(
                f"{source} is a saved model and no backup of a run. Write rv.load_model(...) and fit without resume=, "
                "or the file that BackupAndRestore wrote, instead."
            )
        model = self.training.model
        before = model.get_weights()
        try:
            self.compare(kept["identity"], source)
            self.check_position(kept, source)
            self.restore(kept, tensors, source)
        except model_file.MALFORMED as error:
            model.set_weights(before)
            if isinstance(error, CheckpointError):
                raise
            raise CheckpointError(f"{source} does not fit this run: {error}") from error
        self.resumed = source

    def compare(self, kept: Mapping[str, Any], source: Path) -> None:
        wrong = list(differences(kept, self.identity()))
        if wrong:
            raise AnotherRun(
                f"{source} is the backup of another run: " + "; ".join(wrong)
                + ". Write the same arguments to resume it, or remove the file to start from the beginning."
            )  # fmt: skip
        self._identity = dict(kept)  # with the seed of its beginning if this program sets none

    def check_position(self, kept: Mapping[str, Any], source: Path) -> None:
        """Raise AnotherRun if the backup has passed the end of this run, which would then train nothing."""
        epoch, done, _ = self.position(kept)
        needed, epochs = epoch + (done > 0), self.history.params.get("epochs")
        if epochs is not None and needed > epochs:
            at = f"epoch {epoch + 1}, step {done}" if done else f"the end of epoch {epoch}"
            raise AnotherRun(
                f"{source} is at {at}, and epochs={epochs} ends before it. Write epochs={needed} or more to resume it, "
                "or remove the file to start from the beginning."
            )

    def restore(self, kept: Mapping[str, Any], tensors: dict[str, Array], source: Path) -> None:
        training, model, optimizer = self.training, self.training.model, self.training.compiled.optimizer
        values = {
            name: unpack(kept[name], tensors)
            for name in (
                "optimizer", "trainable", "frozen", "salt", "source", "validation", "random", "results", "history",
                "callbacks",
            )
        }  # fmt: skip
        model.load_state_dict(model_file.part(tensors, "weights/"))
        modules, frozen = dict(model.named_modules()), set(values["frozen"])
        for path, trainable in values["trainable"].items():
            modules[path].__dict__["_trainable"] = bool(trainable)
        for name, parameter in model.named_parameters():
            parameter.requires_grad = name not in frozen
        if not training.compiled.calls_methods:
            optimizer.attach(model.parameters())
            optimizer.set_state(model_file.part(tensors, "optimizer/"))
        for name, value in values["optimizer"].items():
            setattr(optimizer, name, value)
        training.salt[...] = values["salt"]
        training.epoch, training.done, training.taken = self.position(kept)
        training.results = values["results"]
        if training.done:
            training.totals = self.totals(kept, tensors)
        self.history.set_state(values["history"])
        model.stop_training = bool(kept["stopped"])
        training.halted = bool(kept["stopped"]) and training.done > 0
        if self.validation is not None:
            self.validation.set_state(values["validation"], training.epoch)
        self.source.set_state(values["source"], values["random"])
        training.callbacks.set_states(values["callbacks"])
        self.others_from(kept, tensors, source)

    def totals(self, kept: Mapping[str, Any], tensors: Mapping[str, Array]) -> list[Array]:
        """The sums of the epoch so far. Raises ValueError if they are not those of this run's loss and metrics."""
        totals = [tensors[f"training/totals/{i}"] for i in range(int(kept["totals"]))]
        if not isinstance(self.source, StreamEpochs):
            expected = self.training.step(self.source.data, self.source.batch).totals
            if [(a.shape, a.dtype) for a in expected] != [(a.shape, a.dtype) for a in totals]:
                raise ValueError("its sums are not those of the loss and the metrics")
        return totals

    def position(self, kept: Mapping[str, Any]) -> list[int]:
        """The position in training. Raises ValueError if this run has no such position, which native code relies on."""
        found = [int(kept[n]) for n in ("epoch", "done", "taken")]
        if min(found) < 0 or (self.source.steps is not None and found[1] > self.source.steps):
            raise ValueError(f"a run of {self.source.steps} steps has no epoch {found[0]}, step {found[1]}")
        return found

    def others_from(self, kept: Mapping[str, Any], tensors: Mapping[str, Array], source: Path) -> None:
        if not int(kept["others"]):
            return
        if isinstance(self.source, StreamEpochs):
            raise CheckpointError(
                f"{source} holds {kept['others']} tensors that steps change and that are not in the model's state. "
                "Write register_buffer(name, tensor) for each of them to resume a run on batches."
            )
        self.training.bind(self.training.step(self.source.data, self.source.batch))
        for i, tensor in enumerate(self.others()):
            tensor.assign(tensors[f"training/other/{i}"])


def exists(path: Path) -> bool:
    """Whether a backup is there: for the first process, which writes it. The others may have no such disk."""
    return bool(processes.of_first("a backup", path.exists()))


def read(path: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """The backup of the first process, which sends it to the others."""
    if processes.group is None:
        return files.read(path)
    if processes.writes():
        files.check_source(path)
    return files.read(path, processes.group.from_first(path.read_bytes() if processes.writes() else b""))


def remove(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108  # one system call, whose failure is tested
