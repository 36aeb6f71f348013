"""How much each word of a text speaks for the prediction."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from ranvier.explain.scores import Scorer
from ranvier.module.calls import in_model_dtype
from ranvier.module.core import Module

Explained = list[list[tuple[str, float]]]


@in_model_dtype
def words(model: Module, texts: Any, target: Any = None, *, logits: bool = True, batch_size: int = 32) -> Explained:
    """The words of each text, each with the drop of the score where the word is left out (Li et al., 2016).

    Positive words speak for the class ``target`` (one for all texts, or one for each; by default the predicted class),
    negative ones against it. Words are what is between white space, whatever the tokens of the network are. ``logits``
    is that of `saliency`. Raises TypeError for a network that takes no strings. `ranvier.pictures.words` draws it.
    """
    if not model._text_layers():
        raise TypeError(f"{model.name!r} takes no strings. Write a network that begins with TextVectorization instead.")
    rows = [str(text).split() for text in np.asarray(texts, object).reshape(-1)]
    without = [" ".join(part) for row in rows for part in (row, *(row[:i] + row[i + 1 :] for i in range(len(row))))]
    scorer = Scorer(model, without, None, logits, batch_size, differentiable=False)
    starts = np.cumsum([0, *(1 + len(row) for row in rows)])
    values = scorer.values(scorer.x)
    chosen = scorer.chosen_outputs(values[starts[:-1]], target)
    found: Explained = []
    for row, (start, end), output in zip(rows, pairwise(starts), chosen, strict=True):
        drops = values[start, output] - values[start + 1 : end, output]
        found.append(list(zip(row, drops.tolist(), strict=True)))
    return found
