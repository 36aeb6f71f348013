"""PyTorch on sequences, eager: its own recurrent layers, fused attention and embedding bags, fused optimizers.

Padded samples are packed. A trial selects the threads, and for SGD whether the gradients of tables are sparse.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from benchmarks.contestants import Job, most
from benchmarks.contestants.images import CORES, Array, Epochs, fastest, prediction, training
from benchmarks.contestants.pytorch import compiled, epoch, optimizer_of
from benchmarks.contestants.sequences import calls, heads_of, passes, writing
from benchmarks.sequence import (
    EPSILON,
    Bands,
    Block,
    Conv,
    Convs,
    Dense,
    Embed,
    GlobalPool,
    Mean,
    Norm,
    Positions,
    Project,
    Recurrent,
    Sequence,
    Step,
    mel_matrix,
    taken,
)  # fmt: skip
from benchmarks.sequence_networks import SEQUENCES
from benchmarks.workload import Workload

Weights = list[Any]
LAYERS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


def _assigned(module: nn.Module, **values: Any) -> nn.Module:
    """The module with these parameters, in its own order of axes."""
    for name, value in values.items():
        dict(module.named_parameters())[name].data.copy_(torch.from_numpy(np.ascontiguousarray(value)))
    return module


def _linear(kernel: Any, bias: Any) -> nn.Module:
    return _assigned(nn.Linear(*kernel.shape), weight=kernel.T, bias=bias)


def _norm(scale: Any, bias: Any) -> nn.Module:
    return _assigned(nn.LayerNorm(len(scale), EPSILON), weight=scale, bias=bias)


class Vectors(nn.Module):  # type: ignore[misc]  # mypy skips torch
    def __init__(self, vectors: Any) -> None:
        super().__init__()
        self.vectors = nn.Parameter(torch.from_numpy(vectors))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.vectors


class Layer(nn.Module):  # type: ignore[misc]  # mypy skips torch
    """A recurrent layer: all its states, or the last one of each direction. Packed samples remain packed."""

    def __init__(self, part: Recurrent, features: int, weights: Weights) -> None:
        super().__init__()
        self.every = part.every
        self.layer = LAYERS[part.kind](features, part.units, batch_first=True, bidirectional=part.both)
        for i in range(1 + part.both):
            kernel, recurrent, bias = weights[3 * i : 3 * i + 3]
            first, second = bias if bias.ndim == 2 else (bias, np.zeros_like(bias))
            if part.kind == "gru":  # the gates of Keras are z, r and the candidate; here r comes first
                kernel, recurrent, first, second = (
                    np.concatenate([b, a, c], -1)
                    for a, b, c in (np.split(w, 3, -1) for w in (kernel, recurrent, first, second))
                )
            end = "_reverse" if i else ""
            names = {f"weight_ih_l0{end}": kernel.T, f"weight_hh_l0{end}": recurrent.T}
            _assigned(self.layer, **names, **{f"bias_ih_l0{end}": first, f"bias_hh_l0{end}": second})
            if bias.ndim == 1:  # the others have one bias
                getattr(self.layer, f"bias_hh_l0{end}").requires_grad_(False)

    def forward(self, x: Any) -> Any:
        states, last = self.layer(x)
        if self.every:
            return states
        last = last[0] if isinstance(last, tuple) else last
        return last[0] if len(last) == 1 else torch.cat([last[0], last[1]], 1)


class Packed(nn.Module):  # type: ignore[misc]  # mypy skips torch
    """The vectors of tokens, packed up to the last one that is not 0."""

    def __init__(self, table: nn.Module) -> None:
        super().__init__()
        self.table = table

    def forward(self, x: torch.Tensor) -> Any:
        lengths = (x != 0).sum(1)
        return pack_padded_sequence(self.table(x), lengths, batch_first=True, enforce_sorted=False)


class Attending(nn.Module):  # type: ignore[misc]  # mypy skips torch
    """A `Block`, with one product for the queries, the keys and the values."""

    def __init__(self, part: Block, weights: Weights) -> None:
        super().__init__()
        self.heads, self.causal = part.heads, part.causal
        width = len(weights[0])
        self.before, self.between = _norm(*weights[:2]), _norm(*weights[10:12])
        kernels, biases = ([w.reshape(-1, width) for w in weights[i:8:2]] for i in (2, 3))
        self.all = _linear(np.concatenate(kernels, 1), np.concatenate(biases, 1)[0])
        self.out = _linear(weights[8].reshape(width, width), weights[9])
        self.wide, self.narrow = _linear(*weights[12:14]), _linear(*weights[14:])
        self.activation = F.gelu if part.gelu else F.relu

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, steps, width = x.shape
        parts = self.all(self.before(x)).view(batch, steps, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        queries, keys, values = parts.unbind(0)
        y = F.scaled_dot_product_attention(queries, keys, values, is_causal=self.causal)
        x = x + self.out(y.transpose(1, 2).reshape(batch, steps, width))
        return x + self.narrow(self.activation(self.wide(self.between(x))))

    def next(self, x: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, place: int) -> torch.Tensor:
        """What `forward` gives at one place, with the keys and values of those before it, which it adds to."""
        batch, _, width = x.shape
        query, key, value = self.all(self.before(x)).view(batch, 3, self.heads, -1).unbind(1)
        keys[:, :, place], values[:, :, place] = key, value
        seen = slice(place + 1)
        y = F.scaled_dot_product_attention(query[:, :, None], keys[:, :, seen], values[:, :, seen])
        x = x + self.out(y.view(batch, 1, width))
        return x + self.narrow(self.activation(self.wide(self.between(x))))


class Averaged(nn.Module):  # type: ignore[misc]  # mypy skips torch
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(1)


class Widths(nn.Module):  # type: ignore[misc]  # mypy skips torch
    """Convolutions beside each other and the maximum over the steps."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self.parts = nn.ModuleList()
        for kernel, bias in zip(weights[::2], weights[1::2], strict=True):
            size, features, filters = kernel.shape
            layer = nn.Conv1d(features, filters, size)
            self.parts.append(_assigned(layer, weight=kernel.transpose(2, 1, 0), bias=bias))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.transpose(1, 2)
        # The maximum of relu is relu of the maximum, which is of fewer numbers.
        return F.relu(torch.cat([part(x).amax(2) for part in self.parts], 1))


class LogMel(nn.Module):  # type: ignore[misc]  # mypy skips torch
    """torchaudio's formula: `torch.stft`, power, mel bands, logarithm."""

    def __init__(self, part: Bands) -> None:
        super().__init__()
        self.size, self.apart = part.size, part.apart
        self.register_buffer("window", torch.hann_window(part.size))
        self.register_buffer("bands", torch.from_numpy(mel_matrix(part).T.copy()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        spectrum = torch.stft(x, self.size, self.apart, window=self.window, return_complex=True)
        power = torch.matmul(self.bands, spectrum.real.square() + spectrum.imag.square())
        return (10 * torch.log10(power.clamp(min=1e-6)))[:, None]


def _modules(step: Step, weights: Weights, sparse: bool) -> list[nn.Module]:
    match step.part:
        case Embed(masked=masked):
            table = _assigned(nn.Embedding(*weights[0].shape, sparse=sparse), weight=weights[0])
            return [Packed(table) if masked else table]
        case Project() | Dense():
            return [_linear(*weights)]
        case Positions():
            return [Vectors(*weights)]
        case Recurrent() as part:
            return [Layer(part, step.given[-1], weights)]
        case Block() as part:
            return [Attending(part, weights)]
        case Norm():
            return [_norm(*weights)]
        case Mean():
            return [Averaged()]
        case Convs():
            return [Widths(weights)]
        case Bands() as part:
            return [LogMel(part)]
        case Conv():
            kernel, bias = weights
            layer = nn.Conv2d(*kernel.shape[2:], 3, padding=1)
            layer = _assigned(layer, weight=kernel.transpose(3, 2, 0, 1), bias=bias)
            return [layer, nn.ReLU(inplace=True), nn.MaxPool2d(2)]
        case GlobalPool():
            return [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    raise TypeError(f"this contestant has no row for {step.part}")


def build(sequence: Sequence, *, trained: bool = False, sparse: bool = False) -> nn.Sequential:
    """The network with its weights; its outputs are logits. The mean of an embedding is one bag."""
    modules: list[nn.Module] = []
    for step, weights in taken(sequence, trained=trained):
        if isinstance(step.part, Mean) and isinstance(modules[-1], nn.Embedding):
            table = modules.pop()
            modules.append(nn.EmbeddingBag.from_pretrained(table.weight, freeze=False, mode="mean", sparse=sparse))
        else:
            modules += _modules(step, weights, sparse)
    return nn.Sequential(*modules)


class CrossEntropy(nn.Module):  # type: ignore[misc]  # mypy skips torch
    """Of a sample or of every step."""

    def forward(self, logits: torch.Tensor, answers: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(logits.flatten(0, -2), answers.flatten())


def _epoch(workload: Workload, x: Array, y: Array, sparse: bool = False) -> Callable[[int], float]:
    """(samples, the first of which are trained on) -> mean loss of an epoch."""
    model = compiled(build(SEQUENCES[workload.network], sparse=sparse))
    # The fused form takes no sparse gradients.
    plain = torch.optim.SGD(model.parameters(), lr=workload.learning_rate) if sparse else None
    optimizer = plain or optimizer_of(workload, model)
    labels = torch.from_numpy(y.astype(np.int64))
    inputs = torch.from_numpy(x)

    def of(count: int) -> float:
        def batches() -> Any:
            order = torch.randperm(count) if workload.batch < count else torch.arange(count)
            return ((inputs[index], labels[index]) for index in order.split(workload.batch))

        return epoch(model, CrossEntropy(), optimizer, batches, metrics=False)

    return of


def _epochs(of: Callable[[int], float], threads: int = 0) -> Epochs:
    def epochs(count: int, number: int) -> tuple[list[float], float]:
        if threads:
            torch.set_num_threads(threads)  # another workload may have changed it
        times, loss = [time.perf_counter()], 0.0
        for _ in range(number):
            loss = of(count)
            times.append(time.perf_counter())
        return times, loss

    return epochs


def memory(workload: Workload, x: Array, y: Array) -> Epochs:
    """The program without trials."""
    if workload.network == "attention":
        return passes(_attending(workload, x))
    return _epochs(_epoch(workload, x, y))


def _said(threads: int, sparse: bool = False) -> str:
    return f"{'sparse gradients, ' * sparse}{threads} thread{'s' * (threads > 1)}"


def sequences(workload: Workload, x: Array, y: Array) -> Job:
    few = min(len(x), most(workload, 20) * workload.batch)
    sequence = SEQUENCES[workload.network]
    ways = (False, True) if workload.optimizer == "sgd" and sequence.vocabulary else (False,)
    scratch = {sparse: _epoch(workload, x[:few], y[:few], sparse) for sparse in ways}

    def trial(sparse: bool, threads: int) -> float:
        torch.set_num_threads(threads)
        begin = time.perf_counter()
        scratch[sparse](few)
        return time.perf_counter() - begin

    tried = [(sparse, threads) for sparse in ways for threads in {1, CORES}]
    sparse, threads = fastest({key: partial(trial, *key) for key in tried})
    epochs = _epochs(_epoch(workload, x, y, sparse), threads)
    return training(workload, epochs, _said(threads, sparse), untimed=0)


def infer(workload: Workload, x: Array, y: Array) -> Job:
    model = build(SEQUENCES[workload.network], trained=True).eval()

    def predict(batch: Array) -> Any:
        with torch.inference_mode():
            return model(torch.from_numpy(batch)).numpy()

    job = prediction(workload, x, y, predict, logits=True)

    def run(threads: int, count: int) -> float:
        torch.set_num_threads(threads)
        return job.run(count)

    threads = fastest({n: partial(run, n, 100) for n in {1, CORES}})
    return Job(job.begin, partial(run, threads), _said(threads))


def _next(model: nn.Sequential, token: torch.Tensor, states: list[Any], place: int) -> torch.Tensor:
    """The logits after a token, with the states of recurrent layers and the keys and values of attention."""
    x = token.view(1, 1)
    for i, module in enumerate(model):
        if isinstance(module, Layer):
            x, states[i] = module.layer(x, states[i])
        elif isinstance(module, Attending):
            keys, values = states[i]
            x = module.next(x, keys, values, place)
        elif isinstance(module, Vectors):
            x = x + module.vectors[place]
        else:
            x = module(x)
    return x[0, 0]


def generate(workload: Workload, x: Array, y: Array) -> Job:
    sequence = SEQUENCES[workload.network]
    model = build(sequence, trained=True).eval()

    def kept(module: nn.Module) -> Any:
        """The state before the first token."""
        if not isinstance(module, Attending):
            return None
        shape = (1, module.heads, sequence.shape[0], module.out.in_features // module.heads)
        return torch.zeros(shape), torch.zeros(shape)

    def write(first: int, count: int, drawn: bool) -> Array:
        states, token, tokens = [kept(module) for module in model], torch.tensor([first]), []
        with torch.inference_mode():
            for place in range(count):
                logits = _next(model, token, states, place)
                token = logits.softmax(0).multinomial(1) if drawn else logits.argmax(0, keepdim=True)
                tokens.append(token)
            return np.asarray(torch.cat(tokens))

    job = writing(workload, x, write)

    def run(threads: int, count: int) -> float:
        torch.set_num_threads(threads)
        return job.run(count)

    threads = fastest({n: partial(run, n, 2) for n in {1, CORES}})
    return Job(job.begin, partial(run, threads), _said(threads))


def _attending(workload: Workload, x: Array) -> Callable[[], float]:
    queries, keys, values = (torch.from_numpy(part).requires_grad_() for part in heads_of(workload, x))

    def attend() -> float:
        queries.grad = keys.grad = values.grad = None
        F.scaled_dot_product_attention(queries, keys, values, is_causal=True).square().sum().backward()
        return float(queries.grad[..., ::64, :].abs().mean())

    return attend


def attention(workload: Workload, x: Array, y: Array) -> Job:
    torch.set_num_threads(CORES)
    return calls(_attending(workload, x), _said(CORES))
