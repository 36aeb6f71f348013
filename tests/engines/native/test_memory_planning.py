"""Values that are live at the same time never share memory; others may."""

from hypothesis import given
from hypothesis import strategies as st

from ranvier.engines.native.schedule.memory_planning import LINE, pack

LIVES = st.tuples(st.integers(0, 9), st.integers(0, 9)).map(lambda pair: (min(pair), max(pair)))


@given(st.lists(st.tuples(st.integers(1, 500), LIVES), max_size=30))
def test_none_overlaps_another_that_lives(values):
    sizes = {i: size for i, (size, _) in enumerate(values)}
    lives = {i: life for i, (_, life) in enumerate(values)}
    offsets, total = pack(sizes, lives)
    assert offsets.keys() == sizes.keys()
    assert all(at % LINE == 0 and at + sizes[i] <= total for i, at in offsets.items())
    for i in range(len(values)):
        for j in range(i):
            apart = offsets[i] + sizes[i] <= offsets[j] or offsets[j] + sizes[j] <= offsets[i]
            assert apart or lives[i][1] < lives[j][0] or lives[j][1] < lives[i][0]


def test_a_chain_takes_the_room_of_two():
    offsets, total = pack(dict.fromkeys(range(10), 100), {i: (i, i + 1) for i in range(10)})
    assert total == 2 * 2 * LINE
    assert len(set(offsets.values())) == 2


def test_what_lives_longest_may_come_first():
    """By size the one that lives throughout would lie in the middle, where the largest ends."""
    sizes = {"throughout": 2 * LINE, "first": 3 * LINE, "second": 2 * LINE, "largest": 4 * LINE}
    lives = {"throughout": (0, 4), "first": (0, 1), "second": (0, 1), "largest": (2, 3)}
    assert pack(sizes, lives)[1] == 7 * LINE


def test_what_lives_when_most_is_live_may_come_first():
    """The last two leave no gap then; by size, or by time, what lives before them lies between."""
    sizes = {"first": 3 * LINE, "between": 2 * LINE, "last": 3 * LINE, "largest": 4 * LINE}
    lives = {"first": (0, 1), "between": (1, 3), "last": (3, 4), "largest": (4, 4)}
    assert pack(sizes, lives)[1] == 7 * LINE


def test_thousands_are_packed_in_no_time():
    """As many as a network of a thousand layers keeps: a walk over all of them for each took a minute."""
    count = 4000
    offsets, total = pack(dict.fromkeys(range(count), 64), {i: (i, 2 * count - i) for i in range(count)})
    assert sorted(offsets.values()) == [LINE * i for i in range(count)]
    assert total == LINE * count
