"""LetterRecognition: a table of printed letters."""

from __future__ import annotations

import string

from ranvier.datasets.dataset import Features
from ranvier.datasets.loading import load_table
from ranvier.datasets.rda import Table

__all__ = ["classes", "load_data"]

classes = tuple(string.ascii_uppercase)
_TABLE = Table("LetterRecognition", "lettr", classes, "uint8", 16, (16_000, 4_000))
_LETTERS = _TABLE.dataset(
    "letter-recognition", "letters", "111c717790adb653a75298b74eb5766a0a0b0f9c67ab6fd843616e118264ebfd",
    ("f1fae82908f8e21562866e3af1b7dac1ecd32aae040665357ebd7f3c6512e646", "6a106f5b"),
    ("ecc737b7957c14d36df005c233835cde5bc08d6ae57cd1de60c1faa6ecdad281", "0ecdb4fb"),
    ("5fbce0835e138bfc9cc351b4e9fdd51b9c8a1ba6aa40c9c072b86e8ef45df88f", "46e904d7"),
    ("77ad7c3ee2c002000a2ded603694d969fb3b09657480b4e07ef6c7a65bb34a4d", "01aa7bd4"),
)  # fmt: skip


def load_data() -> Features:
    """Load LetterRecognition: 16,000 + 4,000 rows of 16 numbers (0 to 15) that describe a printed letter, 26 classes.

    P. W. Frey, D. J. Slate (1991), *Letter Recognition Using Holland-Style Adaptive Classifiers*; D. Slate, *Letter
    Recognition*, UCI Machine Learning Repository, CC BY 4.0; from R's package mlbench. The last 4,000 rows are the test
    set, as in the article. The first call needs pyreadr, from the extra ``datasets``. Raises ``DatasetUnavailable``.
    """
    return load_table(_LETTERS)
