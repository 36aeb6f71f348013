"""Rows: what the face declares for lower rooms."""

import inspect

import pytest

from ranvier.support import rows


@pytest.mark.parametrize("kind", ["method", "layer", "get", "criteria", "classes", "registry"])
def test_every_row_leads_to_what_it_names(kind):
    assert rows.names(kind)
    for name in rows.names(kind):
        found = rows.look_up(kind, name)
        assert inspect.ismodule(found) if kind in ("criteria", "classes") else callable(getattr(found, "get", found))


def test_a_row_has_one_place():
    with pytest.raises(
        ValueError, match=r"the row \('method', 'fit'\) is 'ranvier\.training\.loop\.fit:fit', and cannot be"
    ):
        rows.declare({("method", "fit"): "ranvier.training:evaluate"})
    with pytest.raises(KeyError):
        rows.look_up("method", "no_such")
