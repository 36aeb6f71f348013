"""The garbage collector, which is paused while graphs are built."""

import gc
import weakref

from ranvier.support.collector import collect_new, paused_collector


def test_what_is_made_meanwhile_is_not_walked_over_afterwards():
    with paused_collector():
        made: list[list[int]] = [[] for _ in range(100 * gc.get_threshold()[0])]
        assert not gc.isenabled()
    assert gc.isenabled()
    assert gc.get_count()[0] < gc.get_threshold()[0]
    assert not gc.get_freeze_count()
    assert any(item is made[0] for item in gc.get_objects(2))


class Cycle:
    def __init__(self):
        self.itself = self


def test_new_garbage_is_collected_and_older_objects_are_not_walked_over():
    gc.collect()
    older = weakref.ref(Cycle())
    with paused_collector():
        newer = weakref.ref(Cycle())
        collect_new()
        assert newer() is None
        assert older() is not None
    assert not gc.get_freeze_count()
    collect_new()  # outside of a pause it leaves the collector alone
    assert older() is not None
    gc.collect()
    assert older() is None
