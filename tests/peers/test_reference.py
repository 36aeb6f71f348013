"""The reference of the manual, which shows the estimators of scikit-learn too."""

import importlib.util
import re

from tests.test_docs import ROOT


def test_the_reference_describes_every_public_name(tmp_path):
    spec = importlib.util.spec_from_file_location("reference", ROOT / "docs/site/reference.py")
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)
    pages = reference.write(tmp_path, ROOT / "docs/examples")
    assert {"ranvier", "ranvier.layers", "ranvier.ops", "ranvier.torch.nn.functional", "ranvier.torch.optim"} <= set(
        pages
    )
    text = "".join((tmp_path / f"{page}.md").read_text(encoding="utf-8") for page in pages)
    assert len(re.findall(r"^::::{py:(?:class|function)}", text, re.MULTILINE)) > 1200
    assert text.count("Example:") > 150
    assert " at 0x" not in text
