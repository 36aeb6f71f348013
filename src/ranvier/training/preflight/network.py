"""Checks of the network: layers that have no effect, or another effect than was meant."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ranvier.data.convert import Array
from ranvier.graph.node import BATCH
from ranvier.layers.convolution import Convolution
from ranvier.layers.core import Rescaling
from ranvier.layers.preprocessing import Normalization
from ranvier.module import Module, Parameter
from ranvier.ops.arrays.promotion import axis_of
from ranvier.tensor.tensor import Tensor
from ranvier.tensor.trace import TraceNode
from ranvier.training.preflight.inspection import AFFINE, LINEAR, Inspection, name_of, skip_transparent
from ranvier.training.preflight.report import Fault

COLOURS = (1, 3)  # channels of images
SIDE = 8  # pixels of the side of the smallest image
SMALL = 1 / 32  # a layer that multiplies pixels by less rescales them
EMPTY = 0.1  # the least fraction of samples in which dropout sets a whole layer to zero


def softmax_across_samples(view: Inspection) -> Iterator[Fault]:
    for node in view.trace_nodes:
        if name_of(node) not in ("softmax", "log_softmax") or node.type.shape[:1] != (BATCH,):
            continue
        axis = dict(node.options).get("axis", -1)
        if axis_of(axis, len(node.type.shape)) == 0 and len(node.type.shape) > 1:
            yield Fault(
                f"{name_of(node)} over axis {axis} normalizes over the samples of a batch, so the result for a sample "
                "depends on the others",
                "Write axis=-1 (dim=-1) instead.",
                view.layer_of(node),
            )


def mixes(node: TraceNode) -> bool:
    """Whether a call combines all features by weights, which a convolution of groups does not."""
    return name_of(node) in LINEAR and dict(node.options).get("groups", 1) == 1


def extent(node: TraceNode) -> tuple[int, int]:
    """The number of features of a result, and of numbers in a sample, which for an image are more."""
    sizes = [d for d in node.type.shape[1:] if isinstance(d, int)]
    return (sizes[-1] if sizes else 0), math.prod(sizes)


def bottleneck(before: TraceNode, after: TraceNode) -> bool:
    """Whether the first of two layers has fewer outputs than its inputs and the second's outputs: both together have
    fewer weights than one layer.
    """
    ends = zip(extent(before.inputs[0]), extent(before), extent(after), strict=True)
    return all(middle < first and middle < last for first, middle, last in ends)


def no_nonlinearity(view: Inspection) -> Iterator[Fault]:
    pairs: list[tuple[Module, Module]] = []
    for node in filter(mixes, view.trace_nodes):
        before = skip_transparent(node.inputs[0])
        if mixes(before) and not bottleneck(before, node):
            pairs.append((view.layer_of(before), view.layer_of(node)))
    for first, second in reversed(pairs):  # nodes go from the output to the input
        yield Fault(
            f"there is no nonlinearity between {view.name(first)!r} and {view.name(second)!r}, so both together "
            "compute no more than one linear layer",
            "Write activation='relu' in the first, or a ReLU between them, instead.",
            first,
        )


def ending(view: Inspection, node: TraceNode | None) -> set[TraceNode]:
    """The calls from the last layer with weights to the output."""
    found: set[TraceNode] = set()
    while node is not None and node.function is not None:
        found.add(node)
        if view.weights(node):
            break
        node = node.inputs[0] if node.inputs else None
    return found


def dropouts(view: Inspection) -> Iterator[tuple[Module, TraceNode, float]]:
    """Each call of a dropout layer: the layer, the call that made its input, and its rate."""
    for module, node in view.calls:
        rate = getattr(module, "rate", getattr(module, "p", None))
        if type(module).__name__ == "Dropout" and isinstance(rate, float) and node is not None:
            yield module, node, rate


def dropout_at_the_end(view: Inspection) -> Iterator[Fault]:
    for output in view.outputs:
        last = ending(view, output.tensor.trace_node)
        for module, node, rate in dropouts(view):
            if node in last and rate:
                yield Fault(
                    f"dropout comes after the last layer, so {rate:.0%} of the outputs are always zero",
                    "Write it before the last layer instead.",
                    module,
                    rate,
                )


def dropout_of_few(view: Inspection) -> Iterator[Fault]:
    for module, node, rate in dropouts(view):
        units = node.type.shape[-1] if len(node.type.shape) == 2 else 0
        if isinstance(units, int) and units and rate < 1 and rate**units > EMPTY:
            yield Fault(
                f"dropout of {rate:g} on {units} unit{'s' * (units != 1)} sets all units to zero in {rate**units:.0%} "
                "of the samples",
                "Write a smaller rate, or more units in the layer before it, instead.",
                module,
                rate**units,
            )


def kernel(view: Inspection, node: TraceNode) -> Array | None:
    """The kernel, (in, out), of the call of a dense layer."""
    weights = view.weights(node)[:1] if name_of(node) in AFFINE else []
    if not weights or weights[0].segment is not None or len(weights[0].shape) != 2:
        return None
    array: Array = weights[0]._value
    return array if name_of(node) == "affine" else array.T


def reads(reader: TraceNode, node: TraceNode) -> bool:
    """Whether a layer's call takes the result of ``node``, with no other such layer between them."""
    pending, known = list(reader.inputs), set[TraceNode]()
    while pending:
        before = pending.pop()
        if before is node:
            return True
        if before not in known and name_of(before) not in LINEAR:
            known.add(before)
            pending.extend(before.inputs)
    return False


def symmetric(view: Inspection) -> Iterator[Fault]:
    """Units with equal incoming weights stay equal if their outgoing weights are equal, or relu blocks gradients."""
    kernels = {node: array for node in view.trace_nodes if (array := kernel(view, node)) is not None}
    last = set[TraceNode]().union(*(ending(view, output.tensor.trace_node) for output in view.outputs))
    for node, array in kernels.items():
        into = [array, *(w._value.reshape(1, -1) for w in view.weights(node)[1:])]
        if node in last or array.shape[1] == 1 or any((w != w[:, :1]).any() for w in into):
            continue
        onward = [other for reader, other in kernels.items() if reads(reader, node)]
        alike = bool(onward) and all((other == other[:1]).all() for other in onward)
        readers = [name_of(call) for call in view.trace_nodes if node in call.inputs]
        silent = not any(w.any() for w in into) and any(name in ("relu", "relu6") for name in readers)
        if alike or silent:
            yield Fault(
                f"all {array.shape[1]} units start with the same weights, so they stay equal and act as one unit",
                "Write kernel_initializer='glorot_uniform' instead.",
                view.layer_of(node),
                array.shape[1],
            )


def unused(view: Inspection) -> Iterator[Fault]:

    def idle(module: Module, leaves: list[Tensor], ran: list[Module]) -> bool:
        own = [p for p in module._parameters.values() if p is not None]
        waiting = module._builds and not module.built and not module._modules
        if not (own or waiting) or any(module is other for other in ran):
            return False
        return not any(p is leaf for p in own for leaf in leaves)

    called = [module for module, _ in view.calls]
    found = [module for module in view.model.modules() if idle(module, view.leaves, called)]
    trained = view.training_calls() if found else ([], [])  # a layer may be used in training alone
    for module in (m for m in found if idle(m, *trained)):
        yield Fault(
            "the layer belongs to the model, and nothing calls it, so its weights never change",
            "Call it in forward, or remove it from the model, instead.",
            module,
        )


def unowned(view: Inspection) -> Iterator[Fault]:
    ends = [output.tensor.trace_node for output in view.outputs if output.tensor.trace_node is not None]
    reached = [view.leaves[place] for place in sorted({place for node in ends for place in node.grad_leaves})]
    known = {*view.holders, *map(id, view.state.optimizer.parameters)}
    strays = {id(p): p for p in reached if isinstance(p, Parameter) and id(p) not in known}
    for module in (module for module, _ in view.calls):
        own = [id(p) for p in module._parameters.values() if id(p) in strays]
        if own:
            yield Fault(
                "the model calls the layer, and the layer is not part of the model, so its weights are neither trained "
                "nor saved",
                "Write self.name = layer in __init__, for several nn.ModuleList([...]), instead of a list or a call "
                "that makes a layer.",
                module,
            )
        for key in own:
            del strays[key]
    for parameter in strays.values():
        yield Fault(
            f"the model reads a parameter of shape {tuple(parameter.shape)} that is not part of the model, so it is "
            "neither trained nor saved",
            "Write self.name = parameter in __init__, for several nn.ParameterList([...]), instead.",
        )


def not_adapted(view: Inspection) -> Iterator[Fault]:
    for module, _ in view.calls:
        if isinstance(module, Normalization) and module.built and module.given is None and not module.adapted:
            yield Fault(
                "the layer has no mean and variance of the data, so it changes nothing",
                "Write layer.adapt(x) before fit instead.",
                module,
            )


def colours_out_of_range(view: Inspection) -> Iterator[Fault]:
    """Layers for pixels from 0 to 255, after a layer that rescales the pixels."""
    small: Module | None = None
    for module, _ in view.calls:
        if isinstance(module, Normalization) or (isinstance(module, Rescaling) and module.largest < SMALL):
            small = module
        limits = getattr(module, "value_range", None)
        if small is not None and limits is not None and limits[1] - limits[0] > 1 / SMALL:
            low, high = limits
            yield Fault(
                f"value_range=({low:g}, {high:g}) is not the range of the pixels after {view.name(small)!r}, so the "
                "layer changes them by far more than their size",
                "Write value_range=(0, 1) instead, or put the layer before it.",
                module,
            )


def channels_elsewhere(view: Inspection) -> Iterator[Fault]:
    """A first convolution that takes the channels of square images for a spatial axis."""
    first = next((m for m, _ in view.calls if isinstance(m, Convolution)), None)
    if first is None or first.dimensions != 2 or len(first._built_shape) != 4:
        return
    given, form = first._built_shape, first.layout
    turned = form.turned(given)
    height, width = form.positions(turned)
    if form.channels(turned) in COLOURS and height == width >= SIDE and form.channels(given) == width:
        axes, other = (0, 3, 1, 2) if first.first else (0, 2, 3, 1), "last" if first.first else "first"
        yield Fault(
            f"the layer takes {form}, and samples of {given[1:]} look like images of {height}x{width} with channels "
            f"{other}",
            f"Write x.transpose{axes}, or data_format='channels_{other}', instead.",
            first,
        )
