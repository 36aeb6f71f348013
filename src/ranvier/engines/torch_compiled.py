"""Steps on PyTorch that torch.compile makes one program of.

The step is traced to PyTorch's own operations first, so that torch.compile sees neither our table nor Python's control
flow. On processors it needs a C++ compiler. Where it fails, the operations run one after another, with one warning.
"""

from __future__ import annotations

import math
import os
import shutil
import threading
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch

from ranvier.graph.graph import Graph, input_node
from ranvier.graph.node import Node
from ranvier.support.exits import calls
from ranvier.support.source_lines import warn

Array = Any
Step = Callable[..., Any]
LONG = 20.0  # seconds of all passes whose step is compiled, which takes some ten seconds, and once for a network
# Seconds of a step, roughly: for each operation, element and multiplication.
OPERATION, ELEMENT, MULTIPLICATION = 5e-6, 3e-10, 2e-11
COMPILERS = ("g++", "clang++", "c++", "cl")

_lock = threading.Lock()
_reported = False


def is_worthwhile(seconds: float, convolves: bool) -> bool:
    """Whether steps that take so long in all are compiled. RANVIER_TORCH_COMPILE=1 says yes of all.

    Convolutions are the same functions of PyTorch in a compiled step, which may copy what they read: it takes longer.
    """
    return (seconds >= LONG and not convolves) or (seconds > 0 and os.environ.get("RANVIER_TORCH_COMPILE") == "1")


def is_available(device: torch.device) -> bool:
    """Whether steps are compiled for a device. TORCH_COMPILE_DISABLE=1, a variable of PyTorch's own, says no."""
    if os.environ.get("TORCH_COMPILE_DISABLE") == "1":
        return False
    return device.type == "cuda" or (device.type == "cpu" and _has_compiler())


@cache
def _has_compiler() -> bool:
    named = os.environ.get("CXX")
    if any(map(shutil.which, (named,) if named else COMPILERS)):
        return True
    _report("no C++ compiler is installed")
    return False


def _report(reason: str) -> None:
    """Warn, once in a process, that steps are not compiled."""
    global _reported
    if not _reported:
        _reported = True
        warn(
            f"PyTorch runs one operation after another, which is slower, because torch.compile fails: {reason}. "
            "Install g++ if there is no C++ compiler. TORCH_COMPILE_DISABLE=1 goes on without this warning."
        )


def compiled(step: Step, arrays: Sequence[Array]) -> Step | None:
    """A step, which takes tensors and may write them, compiled for tensors like these. None where that fails."""
    from torch.fx.experimental.proxy_tensor import make_fx

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what PyTorch says of its own parts
            graph = make_fx(step)(*(a.clone() for a in arrays))
            made: Step = torch.compile(graph, dynamic=False, fullgraph=True)
            made(*(a.clone() for a in arrays))
    except Exception as error:  # noqa: BLE001 - compilers and torch.compile raise errors of many classes
        calls.check()  # they start threads, which an interpreter that ends refuses
        _report(f"{type(error).__name__}: {error}".splitlines()[0])
        return None
    return made


def seconds(graph: Graph, batch: int) -> float:
    """The seconds of a step, roughly, by the shapes alone. An extent that is open counts as a batch."""
    total = 0.0
    for node in graph.nodes():
        loops = node.attrs["loops"] if node.op.name == "contract" else node.shape
        count = math.prod(n if isinstance(n, int) else batch for n in loops)
        total += OPERATION + count * (MULTIPLICATION if node.op.name == "contract" else ELEMENT)
    return total


def divided(graph: Graph, draws: bool) -> tuple[Graph, Graph]:
    """The numbers of a step that depend on numbers alone, such as the rate of a step of Adam, and the rest of the step,
    with these numbers as its last inputs. With ``draws`` they include random arrays.

    Inductor computes a number again for each element that it meets, and not in vectors.
    """
    numbers, drawn = set[Node](), set[Node]()
    for node in graph.nodes():
        if node.op.name == "constant" or not all(i in numbers or _is_number(i) for i in node.inputs):
            continue
        if not node.shape:
            numbers.add(node)
        elif draws and node.op.name == "random":
            drawn.add(node)
    known = {node for node in numbers if node.op.name != "input"} | drawn
    used = {*graph.roots(), *(i for node in graph.nodes() if node not in known for i in node.inputs)}
    found = [node for node in graph.nodes() if node in known and node in used]
    given = {node: input_node(f"number{i}", node.shape, node.dtype) for i, node in enumerate(found)}
    rest = graph.changed(lambda node, old: given.get(old, node))
    return Graph(graph.inputs, tuple(found)), Graph((*graph.inputs, *given.values()), rest.outputs, rest.updates)


def _is_number(node: Node) -> bool:
    return node.op.name == "constant" and not node.shape


class Compiled:
    """Steps by the shapes of their tensors. Each is compiled when it first runs."""

    def __init__(self) -> None:
        self.made: dict[Any, Step | None] = {}

    def get(self, make: Callable[[], Step], arrays: Sequence[Array]) -> Step | None:
        """What ``make`` returns, compiled for tensors like these. None where that fails."""
        key = tuple((a.shape, a.stride(), a.dtype) for a in arrays)
        if key not in self.made:
            with _lock:
                if key not in self.made:
                    self.made[key] = compiled(make(), arrays)
        return self.made[key]
