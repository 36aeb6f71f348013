"""Every form of data as checked arrays: of what is given whole (`gate`), and of what gives batches (`sources`)."""

from ranvier.training.adapters.arrays import features, gate, split, traced
from ranvier.training.adapters.generators import (
    Batches,
    Resident,
    batch_of,
    evaluated,
    is_source,
    parted,
    resident,
    told,
)

__all__ = [
    "Batches", "Resident", "batch_of", "evaluated", "features", "gate", "is_source", "parted", "resident",
    "split", "told", "traced",
]  # fmt: skip
