"""A run of `fit` as one file, and the same run again from it: nothing that a later step depends on is left out.

Weights and buffers, the optimizer's state and settings, which layers are trainable, the learning rate; where training
stands (epoch, step), the sums of the epoch's results so far; the generator that shuffles, the salt of dropout and
augmentation, the seed and all counters of streams, NumPy's and Python's global generators; history; callbacks.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ranvier.data import files
from ranvier.data.convert import Array
from ranvier.data.files import CheckpointError
from ranvier.tensor import rng
from ranvier.tensor.tensor import Tensor
from ranvier.training.adapters.passes import Passes
from ranvier.training.checkpoint import model_file
from ranvier.training.checkpoint.values import pack, unpack
from ranvier.training.loop.epochs import Arrays, Stream
from ranvier.training.loop.fingerprint import differences, identity, numbers, printed
from ranvier.training.loop.history import History
from ranvier.training.loop.resident_loader import Loaded
from ranvier.training.loop.trainer import Training

__all__ = ["NAME", "AnotherRun", "Run", "remove"]

NAME = "backup.ranvier"  # of the file in a folder of backups


class AnotherRun(CheckpointError):  # noqa: N818  # it reads as what happened
    """A backup that is whole, and of another run than the one that was to go on."""


class Run:
    """One call of `fit` as something that can be saved and resumed; ``settings`` are its arguments that matter."""

    def __init__(
        self,
        training: Training,
        source: Arrays | Loaded | Stream,
        history: History,
        settings: Mapping[str, Any],
        validation: Any = None,
    ) -> None:
        self.training, self.source, self.history = training, source, history
        # An iterator goes on from epoch to epoch, so that its place is a part of the run.
        self.validation = validation if isinstance(validation, Passes) else None
        self.settings = dict(settings)
        self.optimizer = printed(training.compiled.optimizer)  # as it was before callbacks changed anything
        self.seed = rng.chosen_seed()  # likewise
        self._identity: dict[str, Any] | None = None
        self.resumed: Path | None = None

    def identity(self) -> dict[str, Any]:
        """What makes this run this run."""
        if self._identity is None:
            training = self.training
            settings = {**self.settings, "steps": self.source.steps, "seed": self.seed}
            self._identity = identity(
                training.model, training.compiled, training.hooks, self.optimizer, settings
            )
        return self._identity

    # --- saving ---------------------------------------------------------------------------------------------------

    def save(self, path: Any) -> None:
        """Write everything into one file, whole or not at all. Raises OSError where it cannot be written."""
        training, model = self.training, self.training.model
        training.check()  # what is not finite is not worth keeping, and must not replace what is
        tensors: dict[str, Array] = {}
        description: dict[str, Any] = {
            "architecture": None,
            "compiled": None,
            "columns": model._frame_columns,
        }
        # What no file can hold (a class or a function of the user's) makes it no model, and still a run.
        with contextlib.suppress(TypeError, ValueError):
            description["architecture"] = model.architecture()
            description["compiled"] = training.compiled.settings()
        tensors |= model_file.tensors_of(model)
        totals = training.runner.step.totals if training.runner is not None and training.done else []
        tensors |= {f"training/totals/{i}": array for i, array in enumerate(totals)}
        tensors |= {f"training/other/{i}": t.numpy() for i, t in enumerate(self.others())}
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
            "callbacks": training.hooks.states(),
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
        """Tensors that steps write and no state dict holds: buffers that are not persistent, tensors of the user's."""
        if self.training.runner is None:
            return []
        optimizer = self.training.compiled.optimizer
        known = {id(t) for _, t in self.training.model._state()}
        known |= {id(t) for slots in optimizer.slots for t in slots.values()}
        known |= {id(t) for t in optimizer.counts.tensors}
        return [t for t in self.training.runner.step.written if id(t) not in known]

    # --- resuming -------------------------------------------------------------------------------------------------

    def resume(self, path: Any, missing_ok: bool = False) -> None:
        """Go on from a file that `save` wrote. The weights are left alone unless all of it fits.

        Raises CheckpointError for a file that is damaged, holds no run, or another one, saying what differs, or one
        that has passed the last epoch of this run.
        """
        if isinstance(path, bool):
            raise TypeError(
                f"resume={path} is no path. Write resume='backup', the folder that BackupAndRestore wrote, or leave "
                "resume= out: BackupAndRestore goes on by itself."
            )
        source = Path(path)
        if source.is_dir():
            source = source / NAME
        if self.resumed is not None:
            if self.resumed.resolve() == source.resolve():
                return  # by BackupAndRestore
            raise ValueError(
                f"this run goes on from {self.resumed} already, and resume= names {source}. Write one of them instead."
            )
        if not source.exists():
            if missing_ok:
                return
            raise FileNotFoundError(
                f"there is no backup {source} to resume. Leave out resume= to begin a run."
            )
        described, tensors = files.read(source)
        kept = described.get("training")
        if not isinstance(kept, dict):
            raise CheckpointError(
                f"{source} is a saved model and no backup of a run. Write rv.load_model(...) and fit without resume=, "
                "or give the file that BackupAndRestore wrote, instead."
            )
        model = self.training.model
        before = model.get_weights()
        try:
            self.compare(kept["identity"], source)
            self.ahead(kept, source)
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
                + ". Write the same again to go on with it, or remove the file to begin anew."
            )  # fmt: skip
        self._identity = dict(kept)  # with the seed that began it, where this program sets none

    def ahead(self, kept: Mapping[str, Any], source: Path) -> None:
        """Raise AnotherRun where the backup has passed the end of this run, which would not train and not be it."""
        epoch, done, _ = self.position(kept)
        needed, epochs = epoch + (done > 0), self.history.params.get("epochs")
        if epochs is not None and needed > epochs:
            at = f"epoch {epoch + 1}, step {done}" if done else f"the end of epoch {epoch}"
            raise AnotherRun(
                f"{source} stands at {at}, and epochs={epochs} ends before it. Write epochs={needed} or more to go on, "
                "or remove the file to begin anew."
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
        training.hooks.set_states(values["callbacks"])
        self.others_from(kept, tensors, source)

    def totals(self, kept: Mapping[str, Any], tensors: Mapping[str, Array]) -> list[Array]:
        """The sums of the epoch so far. Raises ValueError where they are not those of this run's loss and metrics."""
        totals = [tensors[f"training/totals/{i}"] for i in range(int(kept["totals"]))]
        if not isinstance(self.source, Stream):
            own = self.training.step(self.source.data, self.source.batch).totals
            if [(a.shape, a.dtype) for a in own] != [(a.shape, a.dtype) for a in totals]:
                raise ValueError("its sums are not those of the loss and the metrics")
        return totals

    def position(self, kept: Mapping[str, Any]) -> list[int]:
        """Where training stands. Raises ValueError for no place in this run: native code relies on it."""
        place = [int(kept[n]) for n in ("epoch", "done", "taken")]
        if min(place) < 0 or (self.source.steps is not None and place[1] > self.source.steps):
            raise ValueError(
                f"epoch {place[0]}, step {place[1]} is no place in a run of {self.source.steps} steps"
            )
        return place

    def others_from(self, kept: Mapping[str, Any], tensors: Mapping[str, Array], source: Path) -> None:
        if not int(kept["others"]):
            return
        if isinstance(self.source, Stream):
            raise CheckpointError(
                f"{source} holds {kept['others']} tensors that steps change and that are no part of the model's state. "
                "Register them with register_buffer(name, tensor) to resume a run on batches."
            )
        self.training.bind(self.training.step(self.source.data, self.source.batch))
        for i, tensor in enumerate(self.others()):
            tensor.assign(tensors[f"training/other/{i}"])


def remove(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108  # one system call, whose failure is tested
