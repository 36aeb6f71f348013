"""Shuttle: a table with seven very unequal classes."""

from __future__ import annotations

from ranvier.datasets.dataset import Features
from ranvier.datasets.loading import load_table
from ranvier.datasets.rda import Table

__all__ = ["classes", "load_data"]

classes = ("Rad.Flow", "Fpv.Close", "Fpv.Open", "High", "Bypass", "Bpv.Close", "Bpv.Open")
_TABLE = Table("Shuttle", "Class", classes, "int16", 9, (43_500, 14_500))
_SHUTTLE = _TABLE.dataset(
    "shuttle", "shuttle", "d20cfb936447898102778fb1e6c1d163357dd4e0e14e5ffaf9bb9b664b6153f6",
    ("f363afd494dd159d075246df552c980e4c45f1ac30007aec5053627fb2641287", "6bc27b62"),
    ("4bac75463581235a64d13ac1db15623d321809b87a2f95172513e37d3067eb19", "16dcc87e"),
    ("c4d3aa8b80a5516f0b503c6baeb1d9dc3356b106f745bf53c692465cab8228eb", "5f503a06"),
    ("d9b993a707452080fb0fb2a77061a25e38dde7ac39698ab967fe143820fd38f4", "8168237b"),
)  # fmt: skip


def load_data() -> Features:
    """Load Shuttle: 43,500 + 14,500 rows of 9 integers from a space shuttle's radiators, 7 very unequal classes.

    Class 0 has four rows of five, and the test set has 2 rows of class 6, so accuracy means little here. J. Catlett
    (1992), *Statlog (Shuttle)*, UCI Machine Learning Repository, CC BY 4.0. Order and split are those of Statlog, from
    R's package mlbench. The first call needs pyreadr, from the extra ``datasets``. Raises ``DatasetUnavailable``.
    """
    return load_table(_SHUTTLE)
