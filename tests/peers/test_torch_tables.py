"""A sample of PyTorch's own tables in each run: `python -m tests.peers.torch_tables` runs them whole."""

import os

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]

PARTS = {"optimizers": slice(None)}


@pytest.mark.parametrize("table", PARTS)
def test_samples_of_pytorchs_tables_agree(table: str) -> None:
    from tests.peers import torch_tables

    results = torch_tables.run(table, part=PARTS[table])
    assert results
    assert [f for found in results for f in found if f.kind != "right"] == []
