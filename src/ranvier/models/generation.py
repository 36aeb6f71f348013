"""Writing with a model: one token after the other, drawn, the most likely one, or by a search with beams."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier.data.convert import Array, to_numeric
from ranvier.layers import BytePairEncoding, PositionEmbedding
from ranvier.models.steps import CHUNK, TokenStep, step_of
from ranvier.module import Module
from ranvier.module.calls import in_model_dtype
from ranvier.support.validation import amount, whole
from ranvier.tensor import rng

FIRST_CHUNK = 16  # tokens of a native call where each is waited for


@in_model_dtype
def generate(
    model: Module,
    prompts: Any,
    length: int = 100,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    beams: int = 1,
    stop: Any = (),
    seed: int | None = None,
    sources: Any = None,
    stream: bool = False,
) -> Any:
    """Continue prompts by up to ``length`` tokens each; the model gives (batch, tokens, vocabulary).

    A prompt is a text where the model takes texts, else a list of indices; several in a list may have different
    lengths. The result is of the same kind, without the prompt. With ``stream`` it is an iterator of the tokens of one
    prompt: characters, pieces of text, or numbers.

    Each token is drawn with the probabilities softmax(logits / temperature); 0 takes the most likely one. ``top_k``
    draws from so many most likely tokens, ``top_p`` from the fewest whose probabilities add up to it (Holtzman et al.,
    2020). With ``beams`` the result is the likeliest one that a search finds that keeps so many. It ends before
    a token of ``stop``, a text or index or several. ``seed`` decides what is drawn (None: what `set_seed` did).
    ``sources`` are the other inputs of a model such as `seq2seq`, a row for each prompt, or one for all.

    Recurrent layers keep their states, attention keeps keys and values: each token is computed once, in a compiled
    program, and is what the whole forward pass gives. Raises ValueError for models of which that is not so, for prompts
    without tokens, for tokens that the model lacks, and where there are fewer positions than tokens.
    """
    request = _request(model, prompts, sources, whole("length", length), stop)
    if beams != 1:
        if stream or temperature != 1.0 or top_k is not None or top_p is not None:
            raise ValueError("a search with beams draws nothing, and ends at once. Leave the other arguments out.")
        return request.answer(_with_beams(model, request, whole("beams", beams)))
    temperature = amount(temperature, "generate", "temperature")
    limits: dict[str, float] = {} if top_k is None else {"top_k": whole("top_k", top_k)}
    limits |= {} if top_p is None else {"top_p": amount(top_p, "generate", "top_p", 1)}
    if stream and not request.alone:
        raise ValueError("stream=True is of one prompt. Write generate for each of several.")
    pieces = _drawn(model, request, temperature, limits, _seed(seed), FIRST_CHUNK if stream else CHUNK)
    if stream:
        return request.pieces(pieces)
    return request.answer([np.concatenate(rows) for rows in zip(*pieces, strict=True)])


@dataclass
class Request:
    """What is continued: indices of the prompts, the other inputs with a row for each, and how to give the answer."""

    prompts: list[Array]
    sources: list[Array]
    length: int
    stop: list[int]
    texts: Any  # the layer that maps texts to indices; None for a model of indices
    alone: bool  # one prompt, not a list
    cached: int = 0  # tokens that attention keeps

    def ended(self, tokens: Array) -> int:
        """How many tokens there are before the first one that ends the text, or all."""
        found = np.flatnonzero(np.isin(tokens, self.stop))
        return int(found[0]) if len(found) else len(tokens)

    def written(self, tokens: Array) -> Any:
        """Tokens as the prompts are given."""
        if self.texts is None:
            return tokens
        if isinstance(self.texts, BytePairEncoding):
            return self.texts.decode(tokens)
        words = self.texts.get_vocabulary()
        return ("" if self.texts.split == "character" else " ").join(words[i] for i in tokens)

    def answer(self, rows: Sequence[Array]) -> Any:
        found = [self.written(row[: self.ended(row)]) for row in rows]
        return found[0] if self.alone else found

    def pieces(self, parts: Iterator[list[Array]]) -> Iterator[Any]:
        """The tokens of one prompt as they come. Bytes that are a part of a letter wait for the rest of it."""
        tokens, given = np.empty(0, np.int32), 0
        for (part,) in parts:
            for token in part[: self.ended(part)]:
                if self.texts is None:
                    yield int(token)
                    continue
                tokens = np.append(tokens, token)
                text = self.written(tokens)
                if not text.endswith("\ufffd"):
                    yield text[given:]
                    given = len(text)


def _request(model: Module, prompts: Any, sources: Any, length: int, stop: Any) -> Request:
    layers = model._text_layers()
    texts = layers[-1] if layers else None
    if texts is None:
        alone = np.ndim(prompts[0] if len(prompts) else 0) == 0
        rows = [to_numeric(row, "the prompt") for row in ([prompts] if alone else prompts)]
    else:
        alone = isinstance(prompts, str)
        rows = [_indices(texts, text) for text in ([prompts] if alone else prompts)]
    for row in rows:
        if row.ndim != 1 or not len(row) or row.dtype.kind not in "iu":
            what = f"{row.size} tokens" if row.ndim == 1 else f"shape {row.shape}"
            raise ValueError(f"a prompt of {what} ({row.dtype}). Write a text, or indices, of one token or more.")
    most = max(map(len, rows)) - 1 + length
    known = [m.sequence_length for m in model.modules() if isinstance(m, PositionEmbedding)]
    if known and most > min(known):
        raise ValueError(
            f"a prompt of {most + 1 - length} tokens and length={length} need {most} positions, and {model.name!r} has "
            f"{min(known)}. Write at most length={max(min(known) - most + length, 1)}, or a model of more positions."
        )
    cached = min(known) if known else 1 << max(6, (most - 1).bit_length())
    return Request(rows, _sources(model, sources, layers, len(rows)), length, _ends(texts, stop), texts, alone, cached)


def _ends(texts: Any, stop: Any) -> list[int]:
    """The indices of the tokens that end a text."""
    if texts is None:
        return [int(stop)] if np.ndim(stop) == 0 else [int(end) for end in stop]
    ends = [_indices(texts, text) for text in ([stop] if isinstance(stop, str) else stop)]
    wrong = next((end for end in ends if len(end) != 1), None)
    if wrong is not None:
        raise ValueError(f"stop={stop!r} has a text of {len(wrong)} tokens. Write texts of one token each.")
    return [int(end[0]) for end in ends]


def _indices(texts: Any, text: str) -> Array:
    """The tokens of a text, without padding."""
    found = texts.encode([text])[0]
    return found[: len(np.trim_zeros(found, "b"))]


def _sources(model: Module, sources: Any, layers: Sequence[Any], rows: int) -> list[Array]:
    """The inputs of a model before its tokens, each with a row for each prompt."""
    types = (model._input_types or (model._input_type,))[:-1]
    given = [] if sources is None else [sources] if len(types) == 1 else list(sources)
    if len(given) != len(types):
        what = "Write sources=..., an array or texts for each." if types else "Leave sources out."
        raise ValueError(
            f"{model.name!r} has {len(types)} inputs before its tokens, and {len(given)} are given. {what}"
        )
    found = []
    for value, type_, layer in zip(given, types, (*layers, *types), strict=False):
        if layer is not None and layers:
            array = layer.encode([value] if isinstance(value, str) else value)
        else:
            array = np.asarray(value, type_.dtype)
            array = array[None] if array.ndim < len(type_.shape) else array
        if len(array) not in (1, rows):
            raise ValueError(f"{rows} prompts have {len(array)} sources. Write one for each, or one for all.")
        found.append(np.ascontiguousarray(np.broadcast_to(array, (rows, *array.shape[1:]))))
    return found


def _seed(seed: int | None) -> int:
    """32 bits that decide what is drawn."""
    if seed is not None:
        return rng.fold_seed(rng.check_seed(seed)) ^ zlib.crc32(b"generation")
    return int(rng.numpy_generator("generation").integers(2**32))


def _check_tokens(rows: Sequence[Array], step: TokenStep) -> None:
    """Raise ValueError for tokens that the model does not know."""
    for number, row in enumerate(rows):
        wrong = np.flatnonzero((row < 0) | (row >= step.vocabulary))
        if len(wrong):
            raise ValueError(
                f"prompt {number} has the token {row[wrong[0]]} at position {wrong[0]}, and the model knows 0 to "
                f"{step.vocabulary - 1}. Write the prompt with the vocabulary of its training instead."
            )


def _drawn(
    model: Module, request: Request, temperature: float, limits: dict[str, float], seed: int, most: int
) -> Iterator[list[Array]]:
    """The new tokens of each row, in pieces of at most about ``most``, until all rows have ended."""
    rows, lengths = request.prompts, [len(row) for row in request.prompts]
    step = step_of(model, len(rows), request.cached, "likely" if limits else "draw", request.sources)
    _check_tokens(rows, step)
    steps = max(lengths) - 1 + request.length
    forced = np.full((steps, len(rows)), -1, np.int32)
    for i, row in enumerate(rows):
        forced[: len(row) - 1, i] = row[1:]
    limits = {"top_k": step.vocabulary, "top_p": 1.0} | limits
    named = step.arrays(
        token=[row[0] for row in rows], forced=forced.reshape(-1), temperature=temperature, seed=seed, **limits,
        sources=request.sources,
    )  # fmt: skip
    arrays, count, written = list(named.values()), named["count"], named["written"]
    done, ended = 0, np.zeros(len(rows), bool)
    while done < steps and not ended.all():
        count[...] = 0
        size = min(CHUNK, steps - done, most + (max(lengths) - 1 if done == 0 else 0))
        step.program.run(arrays, (), done, done + size, forced.size)
        parts = []
        for i, first in enumerate(lengths):
            start, stop = max(first - 1 - done, 0), max(first - 1 + request.length - done, 0)
            parts.append(written[start : min(size, stop), i].copy())
            ended[i] |= request.ended(parts[-1]) < len(parts[-1]) or stop <= size
        yield parts
        done += size


def _with_beams(model: Module, request: Request, beams: int) -> list[Array]:
    """The likeliest continuation of each prompt, by the mean of the logarithms of its tokens' probabilities."""
    return [
        _search(model, request, row, [np.repeat(a[i : i + 1], beams, 0) for a in request.sources], beams)
        for i, row in enumerate(request.prompts)
    ]


def _search(model: Module, request: Request, prompt: Array, sources: list[Array], beams: int) -> Array:
    step = step_of(model, beams, request.cached, "beams", sources)
    _check_tokens([prompt], step)
    named = step.arrays(sources=sources)
    arrays, logs = list(named.values()), np.empty((beams, step.vocabulary), step.dtype)

    def advance(tokens: Any, parents: Any) -> None:
        named["token"][...], named["parents"][...] = tokens, parents
        step.program.run(arrays, (logs,), 0, 1, beams)

    for token in prompt:
        advance(token, np.arange(beams))
    scores = np.where(np.arange(beams) == 0, 0.0, -np.inf)  # all rows are the prompt
    kept = np.empty((beams, 0), np.int32)
    best: tuple[float, Array] = (-np.inf, kept[0])
    for count in range(1, request.length + 1):
        totals = (scores[:, None] + logs).reshape(-1)
        wanted = min(beams + beams * len(request.stop), len(totals))
        found = np.argpartition(-totals, wanted - 1)[:wanted]
        found = found[np.lexsort((found, -totals[found]))]
        parents, tokens = np.divmod(found, step.vocabulary)
        ends = np.isin(tokens, request.stop)
        for place in np.flatnonzero(ends[:beams]):
            best = max(best, (totals[found[place]] / count, kept[parents[place]]), key=lambda pair: pair[0])
        going = np.flatnonzero(~ends)[:beams]
        if not len(going):
            break
        going = np.resize(going, beams) if len(going) < beams else going
        scores, parents, tokens = totals[found[going]], parents[going], tokens[going].astype(np.int32)
        kept = np.concatenate([kept[parents], tokens[:, None]], 1)
        if best[0] >= scores[0] / request.length:  # no continuation can have a larger mean
            break
        if count == request.length:
            best = max(best, (scores[0] / count, kept[0]), key=lambda pair: pair[0])
        else:
            advance(tokens, parents)
    return best[1]
