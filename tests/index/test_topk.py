import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmstart.core.errors import ConfigError, DataError
from warmstart.core.types import Histories
from warmstart.index import top_k


def slow_top_k(scores, k, barred):
    """Sort everything: best score first, then lower index; barred items fall out."""
    lists = []
    for row, out in zip(scores, barred, strict=True):
        left = [i for i in range(len(row)) if i not in out and row[i] > -np.inf]
        left = sorted(left, key=lambda i: (-row[i], i))[:k]
        lists.append(left + [-1] * (min(k, len(row)) - len(left)))
    return lists


@given(st.data())
def test_equals_a_full_sort_with_many_ties_and_masks(data):
    n_users, n_items = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 9))
    cell = st.sampled_from([-np.inf, -1.0, 0.0, 1.0, 2.0])
    scores = np.float32([[data.draw(cell) for _ in range(n_items)] for _ in range(n_users)])
    seen = [data.draw(st.lists(st.integers(0, n_items - 1), max_size=4)) for _ in range(n_users)]
    candidates = np.array([data.draw(st.booleans()) for _ in range(n_items)])
    k = data.draw(st.integers(1, 12))
    histories = Histories(
        np.cumsum([0, *map(len, seen)]),
        np.array([i for s in seen for i in s], np.int32),
        np.ones(sum(map(len, seen)), np.float32),
    )
    before = scores.copy()
    items, best = top_k(scores, k, seen=histories, candidates=candidates)
    barred = [set(s) | set(np.flatnonzero(~candidates)) for s in seen]
    assert items.tolist() == slow_top_k(scores, k, barred)
    for row in range(n_users):
        expected = [scores[row, i] if i >= 0 else -np.inf for i in items[row]]
        assert best[row].tolist() == expected
    np.testing.assert_array_equal(scores, before)


def test_a_list_does_not_depend_on_its_batch():
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 50, (700, 2000)).astype(np.float32)  # two blocks, many ties
    items, _ = top_k(scores, 10)
    for row in (0, 1, 523, 524, 699):
        assert items[row].tolist() == top_k(scores[row : row + 1], 10)[0][0].tolist()
        assert items[row].tolist() == np.argsort(-scores[row], kind="stable")[:10].tolist()


def test_k_above_the_catalogue_returns_the_whole_catalogue():
    items, _ = top_k(np.float32([[3, 1, 2]]), 50)
    assert items.tolist() == [[0, 2, 1]]


def test_refuses_what_cannot_be_ranked():
    with pytest.raises(ConfigError, match="k must be at least 1, got 0"):
        top_k(np.zeros((1, 3), np.float32), 0)
    with pytest.raises(DataError, match="row 1 hold NaN"):
        top_k(np.float32([[1, 2, 3], [1, np.nan, 3]]), 2)
    with pytest.raises(DataError, match="2 rows of scores but 1 histories"):
        top_k(np.zeros((2, 3), np.float32), 1, seen=Histories.empty(1))
