"""Arrays that grow where they lie, for one successor alone."""

from threading import Barrier, Thread

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warmstart.core.room import empty_with_room, longer, roomy, with_room


@pytest.mark.parametrize("axis", [0, 1])
def test_growing_shares_memory_until_the_room_is_spent(axis):
    first = with_room(np.arange(200, dtype=np.float32).reshape(20, 10), axis=axis)
    before, grown, shared = first.copy(), first, 0
    for _ in range(200):
        longest = longer(grown, 3, axis=axis)
        shared += np.shares_memory(longest, grown)
        new = (slice(None),) * axis + (slice(grown.shape[axis], None),)
        assert not longest[new].any()
        longest[new] = 7
        grown = longest
    assert 190 < shared < 200  # room grows with the array, so copies become rare
    np.testing.assert_array_equal(first, before)
    old = (slice(None),) * axis + (slice(first.shape[axis]),)
    np.testing.assert_array_equal(grown[old], before)
    assert grown.size - before.size == 600 * before.shape[1 - axis]


def test_a_second_successor_copies():
    first = with_room(np.ones((4, 2), np.float32))
    one = longer(first, 1)
    one[4] = 5
    other = longer(first, 2)
    other[4:] = 9
    assert np.shares_memory(one, first)
    assert not np.shares_memory(other, first)
    assert one.tolist() == [[1, 1]] * 4 + [[5, 5]]
    assert other.tolist() == [[1, 1]] * 4 + [[9, 9]] * 2
    assert longer(one, 1)[4].tolist() == [5, 5]


def test_of_many_threads_one_gets_the_room():
    for _ in range(20):
        first, start, found = with_room(np.zeros((3, 2), np.float32)), Barrier(8), {}

        def grow(name, first=first, start=start, found=found):
            start.wait()
            found[name] = longer(first, 1)
            found[name][3] = name

        threads = [Thread(target=grow, args=(name,)) for name in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(np.shares_memory(a, first) for a in found.values()) == 1
        assert all(a[3].tolist() == [name, name] for name, a in found.items())


def test_only_the_beginning_of_a_memory_grows_there():
    whole = with_room(np.arange(12, dtype=np.float32).reshape(6, 2))
    for part in (whole[:3], whole[1:], whole[:, :1], whole[::-1], whole.T, whole.copy()):
        grown = longer(part, 1)
        assert not np.shares_memory(grown, whole)
        np.testing.assert_array_equal(grown[:-1], part)
    assert np.shares_memory(longer(whole, 1), whole)


def test_whoever_has_room_is_not_copied():
    bare = np.ones((5, 3), np.float32)
    first = roomy(bare)
    assert first is not bare
    assert roomy(first) is first
    longer(first, 1)
    assert roomy(first) is not first  # somebody else has it
    assert empty_with_room((0, 3), np.float32).shape == (0, 3)
    assert longer(np.zeros((0, 3), np.float32), 2).tolist() == [[0, 0, 0]] * 2


@given(st.lists(st.integers(0, 90), max_size=6), st.integers(0, 9))
@settings(deadline=None)
def test_it_equals_concatenating(steps, n):
    grown = with_room(np.arange(n * 2, dtype=np.int64).reshape(n, 2))
    expected = grown.copy()
    for size in steps:
        more = np.full((size, 2), size)
        grown = longer(grown, size)
        grown[len(grown) - size :] = more
        expected = np.concatenate([expected, more])
        np.testing.assert_array_equal(grown, expected)
