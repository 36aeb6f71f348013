"""``torch.special``: special functions, most of which `ranvier.torch` has under the same or another name."""

from typing import Any

from ranvier.ops import vocabulary
from ranvier.support.errors import missing

# By the names of `torch.special`, those of the table.
_SHARED = {
    **{
        name: name
        for name in (
            "digamma",
            "erf",
            "erfc",
            "erfinv",
            "exp2",
            "expm1",
            "log1p",
            "logit",
            "logsumexp",
            "round",
            "sinc",
            "xlogy",
        )
    },
    "expit": "sigmoid",
    "gammaln": "lgamma",
    "log_softmax": "log_softmax",
    "multigammaln": "mvlgamma",
    "psi": "digamma",
    "softmax": "softmax",
}
_OWN = vocabulary.names("torch", "special.")

__all__ = sorted([*_SHARED, *_OWN])  # noqa: PLE0605 - names of the table


def _made(name: str) -> Any:
    return vocabulary.find("torch", _SHARED.get(name) or f"special.{name}")


__getattr__, __dir__ = missing("torch.special", __all__, made=_made)
