"""Build the manual: ``python docs/site/build.py FOLDER``. It needs ``ranvier[docs]`` and no network.

The pages are those of docs/ in the order of docs/index.md, the lessons, the gallery with its pictures, and a reference
of all public names.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import reference

ROOT = Path(__file__).parents[2]
COPIED = (
    "*.md", "docs/*.md", "docs/*.png", "docs/*.svg", "docs/lessons/*.ipynb", "docs/examples/*.md", "benchmarks/*.md",
    "examples/*.py",
)  # fmt: skip
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PICTURE = re.compile(r"'([\w-]+\.(?:png|svg))'")


def collect(source: Path) -> None:
    """Copy the documents, with the same paths, so that the links between them hold."""
    for pattern in COPIED:
        for path in ROOT.glob(pattern):
            target = source / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


def draw_gallery(page: Path) -> None:
    """Run the programs of the gallery, and put the pictures that they write after them."""
    text = page.read_text(encoding="utf-8")
    program = "\n".join(BLOCK.findall(text))
    subprocess.run([sys.executable, "-c", program], cwd=page.parent, check=True, env=os.environ | {"MPLBACKEND": "agg"})

    def with_pictures(match: re.Match[str]) -> str:
        return match[0] + "".join(f"\n\n![]({name})" for name in PICTURE.findall(match[1]))

    page.write_text(BLOCK.sub(with_pictures, text), encoding="utf-8")


def write_contents(index: Path, pages: list[str]) -> None:
    """Add the tables of contents to the index page: the links of each part in their order, and the reference."""
    text = index.read_text(encoding="utf-8")
    trees = []
    for title, part in re.findall(r"^## ([^\n]*)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL):
        links = re.findall(r"\]\(([^)#:]+)\.(?:md|ipynb)\)", part)
        chinese = [link for link in links if ".zh" in link]
        trees.append(_tree(title, [link for link in links if link not in chinese]))
        if chinese:
            trees.append(_tree(f"{title} (中文)", chinese))
    trees.append(_tree("All names", [f"reference/{page}" for page in pages]))
    index.write_text("\n".join([text, *trees]), encoding="utf-8")


def _tree(title: str, links: list[str]) -> str:
    return "\n".join(["", "```{toctree}", ":hidden:", f":caption: {title}", "", *links, "```", ""])


def build(target: Path) -> None:
    """Build the manual into ``target``/html."""
    source = target / "source"
    shutil.rmtree(source, ignore_errors=True)
    collect(source)
    draw_gallery(source / "docs" / "gallery.md")
    pages = reference.write(source / "docs" / "reference", ROOT / "docs" / "examples")
    write_contents(source / "docs" / "index.md", pages)
    from sphinx.cmd.build import build_main

    code = build_main(["-q", "-W", "--keep-going", "-c", str(Path(__file__).parent), str(source), str(target / "html")])
    if code:
        raise SystemExit(code)
    print(f"open {target / 'html' / 'docs' / 'index.html'}")


if __name__ == "__main__":
    build(Path(sys.argv[1] if len(sys.argv) > 1 else "build/manual").resolve())
