"""The garbage collector, which is paused while graphs are built."""

import gc

from ranvier.support.collector import paused_collector


def test_what_is_made_meanwhile_is_not_walked_over_afterwards():
    with paused_collector():
        made: list[list[int]] = [[] for _ in range(100 * gc.get_threshold()[0])]
        assert not gc.isenabled()
    assert gc.isenabled()
    assert gc.get_count()[0] < gc.get_threshold()[0]
    assert not gc.get_freeze_count()
    assert any(item is made[0] for item in gc.get_objects(2))
