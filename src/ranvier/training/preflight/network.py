"""Checks of the network: its last layer against its loss, and layers that do nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ranvier.data.convert import Array
from ranvier.graph.node import BATCH
from ranvier.layers.convolution_base import Convolution
from ranvier.layers.core import Rescaling
from ranvier.layers.preprocessing import Normalization
from ranvier.module import Module, Parameter
from ranvier.ops.arrays.promotion import axis_of
from ranvier.tensor.tensor import Tensor
from ranvier.tensor.trace import TraceNode
from ranvier.training.preflight.report import Fault
from ranvier.training.preflight.seen import AFFINE, LINEAR, Seen, name_of, through

__all__ = [
    "channels_elsewhere",
    "clipped_logits",
    "colours_out_of_range",
    "dropout_at_the_end",
    "dropout_of_few",
    "log_probabilities_expected",
    "logarithm_of_negative",
    "logits_expected",
    "no_nonlinearity",
    "not_adapted",
    "one_unit",
    "outside",
    "probabilities_expected",
    "sigmoid_for_classes",
    "softmax_across_samples",
    "softmax_for_several",
    "symmetric",
    "unused",
]  # fmt: skip

UNBOUNDED = (
    *LINEAR, "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "softplus", "tanh", "relu6",
)  # fmt: skip
NEGATIVE = tuple(name for name in UNBOUNDED if name not in ("relu", "relu6", "softplus"))
COLOURS = (1, 3)  # channels of images
SIDE = 8  # of the smallest square that is taken for an image
SMALL = 1 / 32  # a scale that makes bytes small
EMPTY = 0.1  # the chance that dropout leaves nothing of a layer, from which it is told


def logits_expected(seen: Seen) -> Iterator[Fault]:
    for end in seen.ends:
        if not end.wants_logits or end.last not in ("softmax", "sigmoid", "log_softmax"):
            continue
        if end.function == "cross_entropy" and end.last == "log_softmax":
            continue  # softmax of log probabilities gives them back
        fix = "no activation in the last layer" if end.function else "from_logits=False in the loss"
        yield seen.fault(
            f"the loss {end.loss.name!r} expects logits, and the model ends with {end.last}",
            f"Write {fix} instead.",
            seen.blame(end.trace_node),
        )


def probabilities_expected(seen: Seen) -> Iterator[Fault]:
    for end in seen.ends:
        keras = getattr(end.loss, "maker", None)
        if end.wants_logits or end.last not in UNBOUNDED:
            continue
        if not keras and end.function != "binary_cross_entropy":
            continue
        fix = (
            f"activation={keras!r} in the last layer, or from_logits=True in the loss,"
            if keras
            else "torch.sigmoid at the end of the model, or BCEWithLogitsLoss,"
        )
        yield seen.fault(
            f"the loss {end.loss.name!r} expects probabilities, and the model ends with {end.last!r}, whose values are "
            "none",
            f"Write {fix} instead.",
            seen.blame(end.trace_node),
        )


def log_probabilities_expected(seen: Seen) -> Iterator[Fault]:
    for end in seen.ends:
        if end.function == "nll_loss" and end.last in (*UNBOUNDED, "softmax", "sigmoid"):
            yield seen.fault(
                f"NLLLoss expects log probabilities, and the model ends with {end.last!r}: there is no smallest loss",
                "Write log_softmax at the end of the model, or CrossEntropyLoss, instead.",
                seen.blame(end.trace_node),
            )


def sigmoid_for_classes(seen: Seen) -> Iterator[Fault]:
    for end in seen.ends:
        if (
            end.loss.maker == "softmax"
            and not end.wants_logits
            and end.last == "sigmoid"
            and end.output.shape[-1] != 1
        ):
            yield seen.fault(
                f"the loss {end.loss.name!r} expects probabilities that add up to 1, and the model ends with sigmoid",
                "Write activation='softmax' for one class of several, or loss='binary_crossentropy' for independent "
                "yes or no, instead.",
                seen.blame(end.trace_node),
            )


def softmax_for_several(seen: Seen) -> Iterator[Fault]:
    for end in seen.ends:
        if end.binary and not end.wants_logits and end.last == "softmax" and end.output.shape[-1] != 1:
            one = (
                "CrossEntropyLoss without the softmax" if end.function else "loss='categorical_crossentropy'"
            )
            yield seen.fault(
                f"the loss {end.loss.name!r} asks each output for a yes or no of its own, and the model ends with "
                "softmax, whose outputs share 1 among them",
                f"Write {one} for one class of several, or sigmoid at the end for independent yes or no, instead.",
                seen.blame(end.trace_node),
            )


def logarithm_of_negative(seen: Seen) -> Iterator[Fault]:
    for end in seen.ends:
        if end.kind == "Poisson" and end.last in NEGATIVE:
            yield seen.fault(
                f"the loss {end.loss.name!r} takes the logarithm of the outputs, and the model ends with {end.last!r}, "
                "which puts out negative numbers too",
                "Write activation='exponential' or 'softplus' in the last layer instead.",
                seen.blame(end.trace_node),
            )


def one_unit(seen: Seen) -> Iterator[Fault]:
    for end in seen.ends:
        if end.categorical and end.output.shape[-1:] == (1,):
            yield seen.fault(
                "the model has one output, and a categorical loss compares several: it learns nothing",
                "Write loss='binary_crossentropy' with activation='sigmoid', or one output for each class, instead.",
                seen.blame(end.trace_node),
            )
        elif end.trace_node is not None and end.last in ("softmax", "log_softmax"):
            axis = dict(end.trace_node.options).get("axis", -1)
            if end.trace_node.type.shape[axis] == 1:
                yield seen.fault(
                    f"the model ends with {end.last} over one output, which is always {int(end.last == 'softmax')}: it "
                    "learns nothing",
                    "Write activation='sigmoid' in the last layer for a yes or no, or one output for each class, "
                    "instead.",
                    seen.blame(end.trace_node),
                )


def clipped_logits(seen: Seen) -> Iterator[Fault]:
    for end in seen.ends:
        if (
            end.wants_logits
            and end.last in ("relu", "relu6", "tanh", "softsign")
            and end.output.shape[-1] != 1
        ):
            yield seen.fault(
                f"the loss {end.loss.name!r} expects logits of any size, and the model ends with {end.last!r}, which "
                "cuts them off",
                "Write a last layer without activation instead.",
                seen.blame(end.trace_node),
            )


def softmax_across_samples(seen: Seen) -> Iterator[Fault]:
    for node in seen.trace_nodes:
        if name_of(node) not in ("softmax", "log_softmax") or node.type.shape[:1] != (BATCH,):
            continue
        axis = dict(node.options).get("axis", -1)
        if axis_of(axis, len(node.type.shape)) == 0 and len(node.type.shape) > 1:
            yield seen.fault(
                f"{name_of(node)} over axis {axis} makes the samples of a batch compete with each other",
                "Write axis=-1 (dim=-1) instead.",
                seen.blame(node),
            )


def mixes(node: TraceNode) -> bool:
    """Whether a call mixes all features by weights. A convolution of groups is half of one that does."""
    return name_of(node) in LINEAR and dict(node.options).get("groups", 1) == 1


def extent(node: TraceNode) -> tuple[int, int]:
    """How many features a result has, and how many numbers a sample: of an image more."""
    sizes = [d for d in node.type.shape[1:] if isinstance(d, int)]
    return (sizes[-1] if sizes else 0), math.prod(sizes)


def bottleneck(before: TraceNode, after: TraceNode) -> bool:
    """Whether the first of two layers gives fewer features than it takes and the second gives: both together say more
    of what they keep than one layer could, with fewer weights.
    """
    ends = zip(extent(before.inputs[0]), extent(before), extent(after), strict=True)
    return all(middle < first and middle < last for first, middle, last in ends)


def no_nonlinearity(seen: Seen) -> Iterator[Fault]:
    pairs: list[tuple[Module, Module]] = []
    for node in filter(mixes, seen.trace_nodes):
        before = through(node.inputs[0])
        if mixes(before) and not bottleneck(before, node):
            pairs.append((seen.blame(before), seen.blame(node)))
    for first, second in reversed(pairs):  # nodes go from the output to the input
        yield seen.fault(
            f"there is no nonlinearity between {seen.name(first)!r} and {seen.name(second)!r}, so that both together "
            "compute no more than one linear layer",
            "Write activation='relu' in the first, or a ReLU between them, instead.",
            first,
        )


def ending(seen: Seen, node: TraceNode | None) -> set[TraceNode]:
    """The calls from the last layer with weights to the output."""
    found: set[TraceNode] = set()
    while node is not None and node.function is not None:
        found.add(node)
        if seen.weights(node):
            break
        node = node.inputs[0] if node.inputs else None
    return found


def dropouts(seen: Seen) -> Iterator[tuple[Module, TraceNode, float]]:
    """Each call of a dropout layer: what it drops, and its rate."""
    for module, node in seen.calls:
        rate = getattr(module, "rate", getattr(module, "p", None))
        if type(module).__name__ == "Dropout" and isinstance(rate, float) and node is not None:
            yield module, node, rate


def dropout_at_the_end(seen: Seen) -> Iterator[Fault]:
    for end in seen.ends:
        last = ending(seen, end.output.trace_node)
        for module, node, rate in dropouts(seen):
            if node in last and rate:
                yield seen.fault(
                    f"dropout comes after the last layer, so {rate:.0%} of the outputs are zero whatever it learns",
                    "Write it before the last layer instead.",
                    module,
                    rate,
                )


def dropout_of_few(seen: Seen) -> Iterator[Fault]:
    for module, node, rate in dropouts(seen):
        units = node.type.shape[-1] if len(node.type.shape) == 2 else 0
        if isinstance(units, int) and units and rate < 1 and rate**units > EMPTY:
            yield seen.fault(
                f"dropout of {rate:g} on {units} unit{'s' * (units != 1)} sets all units to zero in {rate**units:.0%} "
                "of the samples",
                "Write a smaller rate, or more units in the layer before it, instead.",
                module,
                rate**units,
            )


def kernel(seen: Seen, node: TraceNode) -> Array | None:
    """The kernel, (in, out), of the call of a dense layer."""
    weights = seen.weights(node)[:1] if name_of(node) in AFFINE else []
    if not weights or weights[0].segment is not None or len(weights[0].shape) != 2:
        return None
    array: Array = weights[0]._value
    return array if name_of(node) == "affine" else array.T


def reads(reader: TraceNode, node: TraceNode) -> bool:
    """Whether a layer's call takes what ``node`` gives, with no other such layer between them."""
    pending, known = list(reader.inputs), set[TraceNode]()
    while pending:
        before = pending.pop()
        if before is node:
            return True
        if before not in known and name_of(before) not in LINEAR:
            known.add(before)
            pending.extend(before.inputs)
    return False


def symmetric(seen: Seen) -> Iterator[Fault]:
    """Units with equal weights into them stay equal if those out of them are equal too, or relu lets nothing back."""
    kernels = {node: array for node in seen.trace_nodes if (array := kernel(seen, node)) is not None}
    last = set[TraceNode]().union(*(ending(seen, end.output.trace_node) for end in seen.ends))
    for node, array in kernels.items():
        into = [array, *(w._value.reshape(1, -1) for w in seen.weights(node)[1:])]
        if node in last or array.shape[1] == 1 or any((w != w[:, :1]).any() for w in into):
            continue
        onward = [other for reader, other in kernels.items() if reads(reader, node)]
        alike = bool(onward) and all((other == other[:1]).all() for other in onward)
        readers = [name_of(call) for call in seen.trace_nodes if node in call.inputs]
        silent = not any(w.any() for w in into) and any(name in ("relu", "relu6") for name in readers)
        if alike or silent:
            yield seen.fault(
                f"all {array.shape[1]} units start with the same weights, so they stay equal and act as one unit",
                "Write kernel_initializer='glorot_uniform' instead.",
                seen.blame(node),
                array.shape[1],
            )


def unused(seen: Seen) -> Iterator[Fault]:

    def idle(module: Module, leaves: list[Tensor], ran: list[Module]) -> bool:
        own = [p for p in module._parameters.values() if p is not None]
        waiting = module._builds and not module.built and not module._modules
        if not (own or waiting) or any(module is other for other in ran):
            return False
        return not any(p is leaf for p in own for leaf in leaves)

    called = [module for module, _ in seen.calls]
    found = [module for module in seen.model.modules() if idle(module, seen.leaves, called)]
    trained = seen.training_calls() if found else ([], [])  # a layer may serve in training alone
    for module in (m for m in found if idle(m, *trained)):
        yield seen.fault(
            "the layer belongs to the model, and nothing calls it: its weights never change",
            "Call it in forward, or take it out of the model, instead.",
            module,
        )


def outside(seen: Seen) -> Iterator[Fault]:
    ends = [end.output.trace_node for end in seen.ends if end.output.trace_node is not None]
    reached = [seen.leaves[place] for place in sorted({place for node in ends for place in node.grad_leaves})]
    known = {*seen.holders, *map(id, seen.state.optimizer.parameters)}
    strays = {id(p): p for p in reached if isinstance(p, Parameter) and id(p) not in known}
    for module in (module for module, _ in seen.calls):
        own = [id(p) for p in module._parameters.values() if id(p) in strays]
        if own:
            yield seen.fault(
                "the model calls the layer, and has it not among its own: its weights are neither trained nor saved",
                "Write self.name = layer in __init__, for several nn.ModuleList([...]), instead of a list or a call "
                "that makes a layer.",
                module,
            )
        for key in own:
            del strays[key]
    for parameter in strays.values():
        yield seen.fault(
            f"the model reads a parameter of shape {tuple(parameter.shape)}, and has it not among its own: it is "
            "neither trained nor saved",
            "Write self.name = parameter in __init__, for several nn.ParameterList([...]), instead.",
        )


def not_adapted(seen: Seen) -> Iterator[Fault]:
    for module, _ in seen.calls:
        if isinstance(module, Normalization) and module.built and module.given is None and not module.adapted:
            yield seen.fault(
                "the layer knows no mean and variance of the data, so it changes nothing",
                "Write layer.adapt(x) before fit instead.",
                module,
            )


def colours_out_of_range(seen: Seen) -> Iterator[Fault]:
    """Layers of colours that were told of 0 to 255, after a layer that made the pixels small."""
    small: Module | None = None
    for module, _ in seen.calls:
        if isinstance(module, Normalization) or (isinstance(module, Rescaling) and module.largest < SMALL):
            small = module
        limits = getattr(module, "value_range", None)
        if small is not None and limits is not None and limits[1] - limits[0] > 1 / SMALL:
            low, high = limits
            yield seen.fault(
                f"value_range=({low:g}, {high:g}) is not that of pixels after {seen.name(small)!r}: they change by "
                "far more than they are",
                "Write value_range=(0, 1) instead, or put the layer before it.",
                module,
            )


def channels_elsewhere(seen: Seen) -> Iterator[Fault]:
    """A first convolution that slides along the channels of square images."""
    first = next((m for m, _ in seen.calls if isinstance(m, Convolution)), None)
    if first is None or first.dimensions != 2 or len(first._built_shape) != 4:
        return
    given, form = first._built_shape, first.form
    turned = form.turned(given)
    height, width = form.positions(turned)
    if form.channels(turned) in COLOURS and height == width >= SIDE and form.channels(given) == width:
        axes, other = (0, 3, 1, 2) if first.first else (0, 2, 3, 1), "last" if first.first else "first"
        yield seen.fault(
            f"it takes {form}, and samples of {given[1:]} look like images of {height}x{width} with channels {other}",
            f"Write x.transpose{axes}, or data_format='channels_{other}', instead.",
            first,
        )
