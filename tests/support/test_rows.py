"""Rows: what the face declares for lower rooms."""

import pytest

from ranvier.support import rows


def test_every_row_leads_to_what_it_names():
    for kind in ("method", "criteria", "classes", "get"):
        assert rows.names(kind)
        for name in rows.names(kind):
            found = rows.look_up(kind, name)
            assert callable(found) or kind in ("criteria", "classes")


def test_a_row_has_one_place():
    with pytest.raises(
        ValueError, match=r"the row \('method', 'fit'\) is 'ranvier\.training\.loop\.fit:fit', and cannot be"
    ):
        rows.declare({("method", "fit"): "ranvier.training:evaluate"})
    with pytest.raises(KeyError):
        rows.look_up("method", "no_such")
