"""The README as a package index shows it. hatchling runs this file when it builds: see pyproject.toml.

An index serves no file beside the text. Links and pictures lead to the address "Source" of the project's URLs. Without
one they are named by their paths, which the source archive has.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

RELATIVE = re.compile(r"(!?)\[([^]]*)\]\((?![a-z]+:)([^)]*)\)")


def for_index(text: str, address: str) -> str:
    """The text without relative links."""

    def absolute(link: re.Match[str]) -> str:
        picture, label, path = link.groups()
        if address:
            return f"{picture}[{label}]({address}/{'raw' if picture else 'blob'}/HEAD/{path})"
        label = f"*{label}*" if picture else label
        return label if label == path else f"{label} (`{path}`)"

    return RELATIVE.sub(absolute, text)


def get_metadata_hook() -> type:
    """What hatchling asks for."""
    from hatchling.metadata.plugin.interface import MetadataHookInterface  # only a build has it

    class Description(MetadataHookInterface):
        def update(self, metadata: dict[str, Any]) -> None:
            text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
            address = metadata.get("urls", {}).get("Source", "")
            metadata["readme"] = {"content-type": "text/markdown", "text": for_index(text, address)}

    return Description
