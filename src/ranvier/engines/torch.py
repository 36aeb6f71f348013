"""The engine on PyTorch: the functions of a step run one after another, on the tensors of any device."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch

from ranvier.engines.contractions import plain_positions, with_padding
from ranvier.engines.eager import grouped
from ranvier.engines.planned import get_planned_passes
from ranvier.engines.tables import Interpreter, TableProgram
from ranvier.engines.torch_compiled import Compiled, divided, is_available, is_worthwhile, seconds
from ranvier.engines.torch_functions import traced_rows, with_functions
from ranvier.engines.torch_lstm import has_recurrence
from ranvier.engines.torch_table import OWN, TABLE, adapted, interpreter, takes, traced
from ranvier.engines.torch_updates import Flat, FlatUpdate
from ranvier.graph.clip_slices import clip_slices
from ranvier.graph.dtypes import array_dtype
from ranvier.graph.graph import Graph

Array = Any
MOST = 3000  # operations in all turns of the loops of a step that is compiled, some seconds for every hundred

# Programs write only the arrays that they update, which are writable.
warnings.filterwarnings("ignore", message="The given NumPy array is not writable", category=UserWarning)


def to_torch(array: Any) -> Array:
    """An array of NumPy as a tensor that shares its memory, if its layout can be PyTorch's."""
    array = np.asarray(array)
    if any(step < 0 for step in array.strides):
        array = np.ascontiguousarray(array).reshape(array.shape)
    return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16) if array.dtype.names else torch.from_numpy(array)


def to_numpy(tensor: Array) -> Any:
    tensor = tensor.cpu()
    return (
        tensor.view(torch.int16).numpy().view(array_dtype("bfloat16"))
        if tensor.dtype is torch.bfloat16
        else tensor.numpy()
    )


class TorchProgram(TableProgram):
    """A graph whose functions PyTorch runs one after another, or, in passes of many steps, torch.compile's program."""

    def __init__(self, graph: Graph, batch: int | None, device: torch.device) -> None:
        super().__init__(graph, batch, OWN, adapted)
        self.device, self.compiled = device, Compiled()
        # Inductor drops what is written into inputs without dimensions, float64 ones at least.
        self.numbers = [i for i in self.updated if not graph.inputs[i].shape]

    def lowered(self, graph: Graph) -> Graph:
        return with_padding(clip_slices(graph), takes)

    @cached_property
    def with_functions(self) -> Graph:
        """The graph with what PyTorch has one function for."""
        return with_functions(self.graph, has_recurrence=has_recurrence(self.device))

    @cached_property
    def in_loops(self) -> int:
        """What torch.compile sees of loops, of which it sees every turn."""
        loops = [node.attrs for node in self.with_functions.of("scan")]
        return sum(loop["length"] * len(loop["body"].nodes()) for loop in loops)

    @cached_property
    def eager(self) -> tuple[Interpreter, list[FlatUpdate]]:
        """The functions of a step that run one after another, without those of the updates that are computed flat."""
        rest, groups = grouped(self.with_functions)
        return interpreter(rest), [FlatUpdate(group, interpreter) for group in groups]

    def run(
        self, arrays: Sequence[Array], outputs: Sequence[Array], start: int = 0, stop: int = 1, total: int | None = None
    ) -> None:
        # Not the measured time decides, so that a run that is repeated or resumed computes the same.
        steps = 0 if total is None or outputs else total // self.batch
        work = steps * self.seconds * get_planned_passes()
        self.held.is_long = is_worthwhile(work, self.convolves) and is_available(self.device)
        super().run(arrays, outputs, start, stop, total)

    @cached_property
    def seconds(self) -> float:
        return seconds(self.graph, self.batch)

    @cached_property
    def convolves(self) -> bool:
        """Whether a step has convolutions of images that the processor computes."""
        return self.device.type == "cpu" and any(plain_positions(node) == 2 for node in self.graph.of("contract"))

    def run_equal(self, arrays: Sequence[Array], outputs: Sequence[Array], start: int, stop: int, rows: int) -> int:
        is_long = self.held.is_long and rows == self.batch
        mode = torch.no_grad() if is_long else torch.inference_mode()
        with mode, self.device if self.device.type != "cpu" else contextlib.nullcontext():
            held = self.placed(arrays, lambda a: to_torch(a).to(self.device))
            if is_long and self.in_loops <= MOST:
                done = self._run_compiled(held, start, stop, rows)
            else:
                done = self._run_steps(held, outputs, start, stop, rows)
            for i in self.updated:
                if not np.may_share_memory(found := to_numpy(held[i]), arrays[i]):
                    np.copyto(arrays[i], found)
            return done

    def _run_steps(self, held: list[Array], outputs: Sequence[Array], start: int, stop: int, rows: int) -> int:
        interpret, updates = self.eager
        flats = [Flat(update, held) for update in updates]
        grouped_ = {i for update in updates for place in update.group.places for i in place}
        updated = [i for i in self.updated if i not in grouped_]
        own = {held[i].untyped_storage().data_ptr() for i in self.updated}
        count = len(self.graph.outputs)
        for step in range(start, stop):
            given = self.given(held, step, rows)
            found, new = interpret(given, self.extents(given, rows))
            results, more = found[:count], found[count:]
            if self.has_flag and results.pop() > 0:
                return step
            self.write(outputs, [to_numpy(r) for r in results], step, rows)
            # A new value may be (a view of) another updated input.
            new = [v.clone() if v.untyped_storage().data_ptr() in own else v for v in new]
            joined = [flat.joined(more) for flat in flats]
            for i, value in zip(updated, new, strict=True):
                given[i].copy_(value)
            for flat, leaves in zip(flats, joined, strict=True):
                flat.apply(leaves)
        return stop

    @cached_property
    def divided(self) -> tuple[Interpreter, Interpreter]:
        """See `ranvier.engines.torch_compiled.divided`."""
        on_processor = self.device.type == "cpu"
        numbers, rest = divided(self.with_functions, draws=on_processor)
        table = {**OWN, **traced_rows()} if on_processor else OWN
        return Interpreter(numbers, TABLE, adapted), Interpreter(rest, table, traced)

    def _run_compiled(self, held: list[Array], start: int, stop: int, rows: int) -> int:
        def given_at(step: int) -> list[Array]:
            given = self.given(held, step, rows)
            return [*given, *numbers(given, extents)[0]]

        numbers, _ = self.divided
        extents = self.extents(self.given(held, start, rows), rows)
        given = given_at(start)
        run = self.compiled.get(lambda: self._step(extents), given)
        if run is None:
            return self._run_steps(held, (), start, stop, rows)
        for step in range(start, stop):
            given = given_at(step)
            flag, *new = run(*given)
            if flag > 0:
                return step
            for i, value in zip(self.numbers, new, strict=True):
                given[i].copy_(value)
        return stop

    def _step(self, extents: dict[str, int]) -> Callable[..., Array]:
        """The function of a step: whether a value is out of range, and new values of `numbers`. It writes those of
        other updated inputs, if no value is out of range.
        """
        _, interpret = self.divided

        def step(*arrays: Array) -> list[Array]:
            results, new = interpret(arrays, extents)
            flag = results[-1] if self.has_flag else 0
            own = {arrays[i].untyped_storage().data_ptr() for i in self.updated}
            if self.has_flag:
                new = [torch.where(flag > 0, arrays[i], value) for i, value in zip(self.updated, new, strict=True)]
            new = [v.clone() if v.untyped_storage().data_ptr() in own else v for v in new]
            for i, value in zip(self.updated, new, strict=True):
                if i not in self.numbers:
                    arrays[i].copy_(value)
            return [flag, *(value for i, value in zip(self.updated, new, strict=True) if i in self.numbers)]

        return step


def device_of(name: str) -> torch.device:
    """PyTorch's device of this name. Raises ValueError if it is not there."""
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError):
        known = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
        raise ValueError(
            f"PyTorch has no device {name!r} here. Write one of {', '.join(map(repr, known))} instead."
        ) from None
    return device


def compile(graph: Graph, batch: int | None = None, device: str = "cpu") -> TorchProgram:
    """A program of PyTorch."""
    return TorchProgram(graph, batch, device_of(device))
