"""The network of an estimator: made from ``hidden_layer_sizes`` or by the user, and its state in pickles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ranvier import layers
from ranvier.module import Module, Sequential, from_architecture
from ranvier.module.serialization import classes_of

ENDS = ("softmax", "sigmoid")  # activations whose outputs are probabilities
MOMENTUM = 0.9  # of running statistics, for a fit with few steps
SKLEARN_NAMES = {"identity": "linear", "logistic": "sigmoid"}


def per_layer(value: Any, count: int, name: str) -> list[Any]:
    """A list with a value for each hidden layer, from one value or a list."""
    if not isinstance(value, (list, tuple)):
        return [value] * count
    if len(value) != count:
        raise ValueError(
            f"{name} has {len(value)} entries for {count} hidden layer{'s' * (count != 1)}. Write one for each, or a "
            "single one for all, instead."
        )
    return list(value)


def hidden_network(
    shape: Sequence[int], sizes: Sequence[int], width: int, end: str | None, *, activation: Any, dropout: Any,
    batch_norm: bool,
) -> Sequential:  # fmt: skip
    """Dense layers with these sizes, each followed by batch normalization, activation and dropout."""
    activations = per_layer(activation, len(sizes), "activation")
    rates = per_layer(dropout, len(sizes), "dropout")
    network = Sequential([layers.Input(tuple(shape), name="input")])
    for i, (size, rate) in enumerate(zip(sizes, rates, strict=True), 1):
        chosen = activations[i - 1]
        if isinstance(chosen, str):
            chosen = SKLEARN_NAMES.get(chosen, chosen)
        if batch_norm:
            network.add(layers.Dense(size, use_bias=False, name=f"hidden_{i}"))
            network.add(layers.BatchNormalization(momentum=MOMENTUM, name=f"normalization_{i}"))
            network.add(layers.Activation(chosen, name=f"activation_{i}"))
        else:
            network.add(layers.Dense(size, activation=chosen, name=f"hidden_{i}"))
        if rate:
            network.add(layers.Dropout(float(rate), name=f"dropout_{i}"))
    network.add(layers.Dense(width, activation=end, name="output"))
    return network


def _unbuilt(described: Any) -> Any:
    """The configuration of a network without its input shapes and floating dtypes."""
    if isinstance(described, list):
        return [_unbuilt(value) for value in described]
    if not isinstance(described, dict):
        return described
    given = described.get("input")
    floats = isinstance(given, list) and str(given[-1]).startswith("float")
    skipped = {"built", "input"} if floats else {"built"}
    return {key: _unbuilt(value) for key, value in described.items() if key not in skipped}


def check_description(model: Module, shape: Sequence[int]) -> None:
    """Raise ValueError where a network has another input shape, or adapted layers, which a copy would not have."""
    # The input type that the first layer of a Sequential declares.
    declared = model._input_type if getattr(model, "_end", None) is not None else None
    if declared is not None and declared.shape[1:] != tuple(shape):
        raise ValueError(
            f"model= takes inputs of shape {declared.shape[1:]}, and X has samples of {tuple(shape)}. Write "
            f"rv.Input({tuple(shape)}) in it, omit the shape, or write a function (n_features, n_outputs) -> "
            "network, instead."
        )
    for layer in model.modules():
        if isinstance(layer, layers.Normalization) and layer.adapted:
            raise ValueError(
                f"model= contains {layer.name!r}, which was adapted to data: each fit makes a new network without its "
                "statistics. Write model= as a function (n_features, n_outputs) -> network that makes the layer and "
                "calls its adapt(x), or a StandardScaler before the estimator in a pipeline, instead."
            )


def custom_network(
    model: Any, options: dict[str, Any] | None, shape: Sequence[int], widths: Sequence[int], end: str | None
) -> tuple[Module, int]:
    """A new network from the user's ``model`` for inputs of this shape, and the number of its outputs.

    ``model`` is a function (inputs, outputs, **options), or a network, which is copied without its weights. ``end`` is
    its last activation ("logits" for none, None for any), and ``widths`` are the numbers of outputs that it may have.
    Raises TypeError for other objects, and ValueError for a network with other outputs.
    """
    if isinstance(model, Module):
        if options:
            raise ValueError("model_options are arguments of a function. Write model=that function instead.")
        check_description(model, shape)
        network: Any = from_architecture(_unbuilt(model.architecture()), classes_of(model))
    elif callable(model):
        inputs = shape[0] if len(shape) == 1 else tuple(shape)
        network = model(inputs, widths[0], **(options or {}))
        if not isinstance(network, Module):
            raise TypeError(
                f"model={getattr(model, '__name__', model)!r} returned a {type(network).__name__}. Write a function "
                "that returns a network, such as rv.Sequential([...]), instead."
            )
    else:
        raise TypeError(
            f"model is {model!r}. Write a function (n_features, n_outputs) -> network, or a Sequential, instead."
        )
    network.build((None, *shape))
    output = network._trace()
    if len(output.shape) != 2 or output.shape[1] not in widths:
        wanted = " or ".join(map(str, widths))
        raise ValueError(
            f"the network has outputs of shape {tuple(output.shape[1:])}, and y needs ({wanted},). Write a last "
            f"layer of {widths[0]} units instead."
        )
    made_by = output.trace_node.function.name if output.trace_node is not None and output.trace_node.function else ""
    if output.shape[1] > 1 and end == "sigmoid" and len(widths) > 1:
        end = "softmax"  # two classes with one output each
    if end is None or (end == "logits" and made_by not in ENDS) or made_by == end:
        return network, output.shape[1]
    if made_by in ENDS:
        raise ValueError(
            f"the network ends with {made_by}, and these targets need {end}. Write a last layer without activation "
            "instead."
        )
    return Sequential([network, layers.Activation(end, name="probabilities")]), output.shape[1]


def optimizer_state(network: Module) -> dict[str, Any] | None:
    """The class and the arrays of the network's optimizer; None without an optimizer."""
    compiled = network._compiled
    if compiled is None or not compiled.optimizer.parameters:
        return None
    return {"kind": type(compiled.optimizer).__name__, "arrays": compiled.optimizer.state()}


def resume(network: Module, state: dict[str, Any] | None) -> None:
    """Restore the result of `optimizer_state` in the network's new optimizer, if it has the same class."""
    optimizer = network._compiled.optimizer
    if state is not None and state["kind"] == type(optimizer).__name__:
        optimizer.attach(network.parameters())
        optimizer.set_state(state["arrays"])


def to_state(network: Module, resumed: dict[str, Any] | None) -> dict[str, Any]:
    """Architecture (None where a class is not registered), weights and the optimizer's state.

    ``resumed`` is the optimizer's state of an earlier pickle that was not used.
    """
    try:
        architecture = None if classes_of(network) else network.architecture()
    except TypeError:
        architecture = None
    return {
        "architecture": architecture,
        "shape": tuple(network._input_type.shape[1:]) if network._input_type is not None else (),
        "weights": {name: tensor.numpy() for name, tensor in network.state_dict().items()},
        "optimizer": optimizer_state(network) or resumed,
    }


def from_state(state: dict[str, Any], make: Callable[[], Module]) -> Module:
    """The network of `to_state`. ``make`` makes one whose class is not registered."""
    described = state["architecture"]
    network = make() if described is None else from_architecture(described)
    network.load_state_dict(state["weights"])
    return network
