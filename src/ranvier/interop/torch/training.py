"""The text of a training loop of PyTorch: optimizer, loss, and the loop over batches."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ranvier.interop.foreign import refuse
from ranvier.interop.program_text import INDENT, Call, Code, call, flat, statement
from ranvier.interop.torch.builder import Value, tidy
from ranvier.interop.torch.classes import broken
from ranvier.interop.torch.networks import Network
from ranvier.module import Module
from ranvier.regularizers import L1, L1L2, L2
from ranvier.training.step.compiled import Compiled

# By optimizer, PyTorch's name, and its arguments with the settings that they have here.
OPTIMIZERS: dict[str, tuple[str, dict[str, str]]] = {
    "SGD": ("SGD", {"momentum": "momentum", "nesterov": "nesterov", "dampening": "dampening"}),
    "Adam": ("Adam", {"betas": "beta_1 beta_2", "eps": "epsilon", "amsgrad": "amsgrad"}),
    "AdamW": ("AdamW", {"betas": "beta_1 beta_2", "eps": "epsilon", "amsgrad": "amsgrad"}),
    "Adamax": ("Adamax", {"betas": "beta_1 beta_2", "eps": "epsilon"}),
    "NAdam": ("NAdam", {"betas": "beta_1 beta_2", "eps": "epsilon"}),
    "RMSprop": ("RMSprop", {"alpha": "rho", "eps": "epsilon", "momentum": "momentum", "centered": "centered"}),
    "Adagrad": ("Adagrad", {
        "lr_decay": "lr_decay", "initial_accumulator_value": "initial_accumulator_value", "eps": "epsilon",
    }),
    "Adadelta": ("Adadelta", {"rho": "rho", "eps": "epsilon"}),
}  # fmt: skip
DEFAULTS: dict[str, Any] = {
    "momentum": 0.0, "nesterov": False, "dampening": 0.0, "betas": (0.9, 0.999), "amsgrad": False, "centered": False,
    "lr_decay": 0.0,
}  # fmt: skip
SMALL = {"Adagrad": 1e-10, "Adadelta": 1e-06}  # PyTorch's eps, which is 1e-08 in all others
WITHOUT = ("use_ema", "gradient_accumulation_steps", "maximize", "loss_scale_factor")
ACCURACIES = ("accuracy", "acc", "binary_accuracy", "categorical_accuracy", "sparse_categorical_accuracy")


class LossRow(NamedTuple):
    """A loss of PyTorch: how it is made, and the expressions of what it is given, of ``{p}`` and ``{y}``."""

    made: Any
    prediction: str = "{p}"
    target: str = "{y}"
    sparse: bool = False  # whether targets are class numbers


def training(model: Module, found: Network, names: Sequence[str]) -> str:
    """The text behind the definition of ``model``, as it was compiled; nothing of a model that was not.

    Raises UnsupportedError naming an optimizer or a loss that PyTorch lacks.
    """
    state = model.__dict__.get("_compiled")
    if not isinstance(state, Compiled):
        return ""
    try:
        settings = state.settings()
    except ValueError as error:
        raise refuse(f"{error} has no text") from None
    rows = _losses(settings["loss"], found.outputs, names)
    if not any(rows):
        return ""
    lines = [f"model{_path(key)}.requires_grad_(False)" for key in found.untrained]
    lines += [f"model{_path(key)}.requires_grad_(False)  # zero: the layer lacks it" for key in found.frozen]
    config = settings["optimizer"]["config"]
    lines += [statement("optimizer = ", _optimizer(settings["optimizer"]["class_name"], config))]
    factor = _factor(config["learning_rate"])
    if factor:
        made = call("torch.optim.lr_scheduler.LambdaLR", Code("optimizer"), Code(f"lambda step: {factor}"))
        lines.append(statement("scheduler = ", made))
    weights = _weights(settings["loss_weights"], names)
    many = sum(row is not None for row in rows) > 1
    titles = [f"loss_of_{name}" if many else "loss_fn" for name in names]
    lines += [statement(f"{title} = ", row.made) for title, row in zip(titles, rows, strict=True) if row is not None]
    step = ["optimizer.zero_grad()", *_loss_lines(rows, titles, weights, names, found), *_penalties(found)]
    step += ["loss.backward()", *_clips(config), "optimizer.step()", *(["scheduler.step()"] if factor else [])]
    return "\n" + "\n".join(lines) + "\n\n\n" + _loop(step, found, names, _accuracy(settings, rows, found)) + "\n"


# --- optimizers ---------------------------------------------------------------------------------------------------


def _optimizer(title: str, config: Mapping[str, Any]) -> Call:
    if title not in OPTIMIZERS:
        raise refuse(f"its optimizer {title} has no counterpart in PyTorch")
    for key in WITHOUT:
        if config.get(key):
            raise refuse(f"its optimizer has {key}={config[key]!r}, which PyTorch's have not")
    rate = config["learning_rate"]
    if isinstance(rate, Mapping):
        rate = rate["config"]["initial_learning_rate"]
    kind, arguments = OPTIMIZERS[title]
    options: dict[str, Any] = {"lr": float(rate)}
    for key, source in arguments.items():
        parts = tuple(config[name] for name in source.split())
        value: Any = parts if len(parts) > 1 else parts[0]
        if kind == "RMSprop" and key == "eps" and config["formula"] == "keras":
            value = tidy(value**0.5, 4)  # it is within the root there
        if (SMALL.get(kind, 1e-08) if key == "eps" else DEFAULTS.get(key, ...)) != value:
            options[key] = value
    decay = config.get("weight_decay") or 0.0
    if kind == "NAdam":
        options["momentum_decay"] = config["momentum_decay"] if config["formula"] == "torch" else 1.0
    if title == "Adam" and decay and not config["coupled"]:
        kind = "AdamW"
    elif decay and title != "AdamW" and not config["coupled"] and (title != "SGD" or config["momentum"]):
        raise refuse(f"its optimizer {title} has weight_decay, which PyTorch's adds to the gradient")
    if (decay or kind == "AdamW") and (kind, decay) != ("AdamW", 0.01):
        options["weight_decay"] = decay
    return Call(f"torch.optim.{kind}", (Code("model.parameters()"),), options)


# By schedule, what multiplies the first rate at a step, with the settings' names in capitals.
SCHEDULES = {
    "ExponentialDecay": "DECAY_RATE ** (step DIVIDED DECAY_STEPS)", "StepDecay": "DECAY_RATE ** (step // DECAY_STEPS)",
    "InverseTimeDecay": "1 / (1 + DECAY_RATE * (step DIVIDED DECAY_STEPS))",
    "PolynomialDecay": "LEAST + REST * (1 - min(step / DECAY_STEPS, 1)) ** POWER",
    "CosineDecay": "LEAST + REST * (1 + math.cos(math.pi * min(step / DECAY_STEPS, 1))) / 2",
}  # fmt: skip


def _factor(rate: Any) -> str:
    """The expression of a schedule; "" of a number."""
    if not isinstance(rate, Mapping):
        return ""
    title, config = rate["class_name"], dict(rate["config"])
    if title not in SCHEDULES or config.get("cycle") or config.get("warmup_target") or config.get("warmup_steps"):
        raise refuse(f"its learning rate is the schedule {title}, or has a warm-up or cycles; write a number")
    config["divided"] = Code("//" if config.get("staircase") else "/")
    least = config.get("alpha", config.get("end_learning_rate", 0.0) / config["initial_learning_rate"])
    config["least"], config["rest"] = tidy(least), tidy(1 - least)
    known = {key.upper(): part for key, part in config.items() if key != "name"}
    words = SCHEDULES[title].split(" ")
    text = " ".join(re.sub(r"[A-Z_]{3,}", lambda m: flat(known[m[0]]), word) for word in words)
    return text.removeprefix("0.0 + 1.0 * ")


def _clips(config: Mapping[str, Any]) -> list[str]:
    if config.get("global_clipnorm"):
        return [f"nn.utils.clip_grad_norm_(model.parameters(), {config['global_clipnorm']})"]
    if config.get("clipvalue"):
        return [f"nn.utils.clip_grad_value_(model.parameters(), {config['clipvalue']})"]
    if config.get("clipnorm"):
        inner = f"{INDENT}nn.utils.clip_grad_norm_(parameter, {config['clipnorm']})"
        return ["for parameter in model.parameters():", inner]
    return []


# --- losses -------------------------------------------------------------------------------------------------------


def _shaped(y: str, value: Value) -> str:
    """Targets in the shape of predictions of one number each."""
    return f"{y}.view_as({{p}})" if value.shape[-1:] == (1,) else y


def _plain(made: str) -> Callable[..., LossRow]:
    return lambda value, config: LossRow(call(made), target=_shaped("{y}", value))


def _huber(value: Value, config: Mapping[str, Any]) -> LossRow:
    return LossRow(call("nn.HuberLoss", delta=config["delta"]), target=_shaped("{y}", value))


def _logarithmic(value: Value, config: Mapping[str, Any]) -> LossRow:
    return LossRow(call("nn.MSELoss"), "{p}.log1p()", f"{_shaped('{y}', value)}.log1p()")


def _poisson(value: Value, config: Mapping[str, Any]) -> LossRow:
    return LossRow(Call("nn.PoissonNLLLoss", (), {"log_input": False, "eps": 1e-07}), target=_shaped("{y}", value))


def _binary(value: Value, config: Mapping[str, Any]) -> LossRow:
    target = _shaped("{y}.float()", value)
    if config["label_smoothing"]:
        target = f"{target} * {1 - config['label_smoothing']} + {config['label_smoothing'] / 2}"
    return LossRow(call("nn.BCEWithLogitsLoss" if config["from_logits"] else "nn.BCELoss"), target=target)


def _categorical(value: Value, config: Mapping[str, Any]) -> LossRow:
    sparse = "label_smoothing" not in config
    options = {"label_smoothing": config.get("label_smoothing"), "ignore_index": config.get("ignore_class")}
    options = {key: part for key, part in options.items() if part or (key == "ignore_index" and part is not None)}
    prediction = "{p}" if config["from_logits"] else "{p}.clamp(min=1e-07).log()"
    target = "{y}.long()" if sparse else "{y}"
    if value.ndim > 2 and not value.first:  # classes are the second axis there
        prediction, target = (
            f"{prediction}.flatten(0, -2)",
            f"{target}.flatten()" if sparse else f"{target}.flatten(0, -2)",
        )
    elif sparse and value.ndim == 2:
        target = "{y}.flatten().long()"
    return LossRow(Call("nn.CrossEntropyLoss", (), options), prediction, target, sparse)


LOSSES: dict[str, Callable[..., LossRow]] = {
    "MeanSquaredError": _plain("nn.MSELoss"), "MeanAbsoluteError": _plain("nn.L1Loss"), "Huber": _huber,
    "MeanSquaredLogarithmicError": _logarithmic, "Poisson": _poisson, "BinaryCrossentropy": _binary,
    "CategoricalCrossentropy": _categorical, "SparseCategoricalCrossentropy": _categorical,
}  # fmt: skip
CRITERIA = "torch."  # the start of the names of PyTorch's criteria
CRITERIA_DEFAULTS: dict[str, Any] = {
    "reduction": "mean", "ignore_index": -100, "label_smoothing": 0.0, "delta": 1.0, "beta": 1.0, "log_input": True,
    "full": False, "eps": 1e-08, "log_target": False, "margin": None,
}  # fmt: skip


def _losses(described: Any, outputs: Sequence[Value], names: Sequence[str]) -> list[LossRow | None]:
    """The loss of each output."""
    each = by_output(described, names)
    return [None if part is None else _loss(part, value) for part, value in zip(each, outputs, strict=True)]


def by_output(described: Any, names: Sequence[str]) -> list[Any]:
    """What each output has, of a description for all of them, a list, or a dict by name."""
    if isinstance(described, Mapping) and set(described) != {"class_name", "config"}:
        return [described.get(name) for name in names]
    if isinstance(described, (list, tuple)):
        return [*described, *[None] * (len(names) - len(described))]
    return [described] * len(names)


def _loss(words: Any, value: Value) -> LossRow:
    title, config = words["class_name"], words["config"]
    if title.startswith(CRITERIA):
        options = {key: part for key, part in config.items() if CRITERIA_DEFAULTS.get(key, ...) != part}
        return LossRow(Call(f"nn.{title.removeprefix(CRITERIA)}", (), options), sparse=True)
    if title not in LOSSES:
        raise refuse(f"its loss {title} has no counterpart in PyTorch")
    if config.get("reduction", "sum_over_batch_size") not in ("sum_over_batch_size", "mean"):
        raise refuse(f"its loss {title} has reduction={config['reduction']!r}")
    return LOSSES[title](value, config)


def _weights(described: Any, names: Sequence[str]) -> list[float]:
    found = by_output(described, names) if described is not None else []
    return [1.0 if part is None else float(part) for part in [*found, *[None] * (len(names) - len(found))]]


def _loss_lines(
    rows: Sequence[LossRow | None], titles: Sequence[str], weights: Sequence[float], names: Sequence[str],
    found: Network,
) -> list[str]:  # fmt: skip
    single = len(names) == 1
    predictions = ["prediction"] if single else [f"{name}_prediction" for name in names]
    terms: list[tuple[str, str, float]] = []
    for row, title, weight, p, name in zip(rows, titles, weights, predictions, names, strict=True):
        if row is None:
            continue
        y = "y" if single else f'y["{name}"]'
        given = [text.replace("{p}", p).replace("{y}", y) for text in (row.prediction, row.target)]
        terms.append((f"{name}_loss", f"{title}({', '.join(given)})", weight))
    called = "model(x)" if found.inputs == 1 else "model(*x)"
    lines = [f"{', '.join(predictions)} = {called}"]
    if found.keys:
        lines = [f"predictions = {called}"]
        lines += [f'{p} = predictions["{key}"]' for p, key in zip(predictions, found.keys, strict=True)]
    if len(terms) == 1 and terms[0][2] == 1:
        return [*lines, f"loss = {terms[0][1]}"]
    lines += [f"{title} = {text}" for title, text, _ in terms]
    return [*lines, f"loss = {' + '.join(t if w == 1 else f'{w} * {t}' for t, _, w in terms)}"]


def _penalties(found: Network) -> list[str]:
    lines = []
    for key, penalty in found.penalties:
        weight = f"model{_path(key)}"
        if not isinstance(penalty, (L1, L2, L1L2)):
            raise refuse(f"its regularizer {type(penalty).__name__} has no text")
        one, two = float(getattr(penalty, "l1", 0.0)), float(getattr(penalty, "l2", 0.0))
        lines += [f"loss = loss + {one} * {weight}.abs().sum()"] if one else []
        lines += [f"loss = loss + {two} * {weight}.square().sum()"] if two else []
    return lines


def _path(key: str) -> str:
    """An attribute of a module by its name in a state dict: ``head.0.weight`` is ``.head[0].weight``."""
    return "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in key.split("."))


def _fixed(found: Network) -> list[str]:
    """The batch normalizations that are not trained, which use their running statistics in training too."""
    ends = (key.removesuffix(".running_mean") for key in found.weights if key.endswith("running_mean"))
    return [key for key in ends if any(f"{key}.".startswith(f"{part}.") for part in found.untrained)]


# --- the loop -----------------------------------------------------------------------------------------------------


def _accuracy(settings: Mapping[str, Any], rows: Sequence[LossRow | None], found: Network) -> str:
    """The expression of the predictions that are right; "" where none is asked for."""
    metrics = settings["metrics"]
    while isinstance(metrics, (list, tuple)) and len(metrics) == 1 and isinstance(metrics[0], (list, tuple)):
        (metrics,) = metrics
    asked = metrics if isinstance(metrics, (list, tuple)) else [metrics]
    if len(rows) != 1 or rows[0] is None or not any(part in ACCURACIES for part in asked if isinstance(part, str)):
        return ""
    kind, value = flat(rows[0].made), found.outputs[0]
    if value.ndim != 2:
        return ""
    if kind.startswith("nn.BCE"):
        limit = 0 if "Logits" in kind else 0.5
        return f"((prediction > {limit}) == y.view_as(prediction).bool()).sum()" if value.shape[-1] == 1 else ""
    if kind.startswith("nn.CrossEntropy"):
        kinds = {"y": "y", "y.flatten().long()": "y.flatten()"} if rows[0].sparse else {}
        right = kinds.get(rows[0].target.format(y="y"), "y.argmax(-1)")
        return f"(prediction.argmax(-1) == {right}).sum()"
    return ""


def _loop(step: Sequence[str], found: Network, names: Sequence[str], accuracy: str) -> str:
    """The function that trains. Batches are pairs, of inputs and targets."""
    x = "inputs" if found.inputs == 1 else "a list of inputs"
    y = "targets" if len(names) == 1 else "a dict of targets"
    one = "x" if found.inputs == 1 else "x[0]"
    more = [f"right += {accuracy}.item()"] if accuracy else []
    shown = "loss {total / count:.4f}" + (", accuracy {right / count:.4f}" if accuracy else "")
    lines = [
        "def train(batches, epochs=1):",
        f'{INDENT}"""Train on batches: pairs of {x} and {y}."""',
        f"{INDENT}model.train()",
        *(f"{INDENT}model{_path(key)}.eval()  # it is not trained" for key in _fixed(found)),
        f"{INDENT}for epoch in range(1, epochs + 1):",
        f"{INDENT * 2}total, {'right, ' if accuracy else ''}count = 0.0, {'0, ' if accuracy else ''}0",
        f"{INDENT * 2}for x, y in batches:",
        *(broken(line, INDENT * 3) for line in step),
        f"{INDENT * 3}total += loss.item() * len({one})",
        *(broken(line, INDENT * 3) for line in more),
        f"{INDENT * 3}count += len({one})",
        f'{INDENT * 2}print(f"epoch {{epoch}}: {shown}")',
        f"{INDENT}model.eval()",
        f"{INDENT}return total / count",
    ]
    return "\n".join(lines)
