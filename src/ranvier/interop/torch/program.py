"""The text of a network of PyTorch: imports, classes, the module."""

from __future__ import annotations

import re

from ranvier.interop.program_text import statement
from ranvier.interop.torch.networks import Network


def imports(text: str) -> str:
    """The lines that import what a text names."""
    known = {"torch": "import torch", "F": "import torch.nn.functional as F", "nn": "from torch import nn"}
    lines = [line for name, line in known.items() if re.search(rf"(?<![\w.]){name}\.", text)]
    standard = [f"import {name}\n" for name in ("base64", "math", "zlib") if re.search(rf"(?<![\w.]){name}\.", text)]
    return "".join(standard) + "\n" * bool(standard) + "\n".join(lines)


def definition(found: Network, rest: str = "") -> str:
    """The program that defines a network as ``model``, and what follows it."""
    model = statement("model = ", found.made) + "\n" + rest
    text = "\n\n\n".join([*found.classes.values(), model])
    return imports(text) + ("\n\n\n" if found.classes else "\n\n") + text
