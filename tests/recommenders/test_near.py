"""Lists by an approximate index: what they hold, what they miss, and what they never do."""

import numpy as np
import pytest
from benchmarks.speed.models import drawn

from warmstart.core.errors import ConfigError
from warmstart.core.types import Histories
from warmstart.data import Ids, Schema
from warmstart.index.approximate import ApproximateConfig
from warmstart.recommenders import near
from warmstart.recommenders.catalogue import Catalogue
from warmstart.recommenders.default_config import DefaultConfig
from warmstart.recommenders.fitted import Fitted
from warmstart.recommenders.memory import MemoryConfig
from warmstart.recommenders.recommender import Recommender

pytest.importorskip("faiss", reason="the extra `ann` is not installed")

N = 5_000
# all directions and all cells: then the index names what has the largest products, and every
# difference from ranking everything is a fault of what is done with its candidates
WHOLE = ApproximateConfig(dim=1_024, cells=8, probes=8)


@pytest.fixture(scope="module")
def exact():
    memory = MemoryConfig(neighbours=20)
    config = DefaultConfig(dense_items=100, memory=memory, embedding_dim=16, hidden_dim=32)
    return drawn(N, config, np.random.default_rng(0))


def users(rng, n, most=12):
    shots = rng.integers(0, most + 1, n)
    items = [rng.choice(N, s, replace=False) for s in shots]
    values = rng.choice([-1.0, 0.5, 1.0], int(shots.sum())).astype(np.float32)
    ends = np.concatenate([[0], np.cumsum(shots)])
    return Histories(ends, np.concatenate(items).astype(np.int32), values)


def same(one, two):
    (items, scores), (expected, truth) = one, two
    assert items.shape == expected.shape
    assert (items == expected).mean() > 0.995  # but for scores that differ by rounding alone
    np.testing.assert_allclose(scores, truth, atol=2e-3)


def test_lists_are_those_of_ranking_everything(exact):
    everybody = users(np.random.default_rng(1), 40)
    approximate = exact.approximated(WHOLE)
    assert approximate.near is not None
    assert exact.near is None
    same(approximate.top_k(everybody, 10), exact.top_k(everybody, 10))


def test_the_lists_need_the_neighbours(exact, monkeypatch):
    """Without them items that the user's own events lift would be missed."""
    everybody = users(np.random.default_rng(2), 40, most=20)
    monkeypatch.setattr(near, "_LEAST", 20)
    monkeypatch.setattr(near, "_PER_PLACE", 2)
    approximate = exact.approximated(WHOLE)
    truth = exact.top_k(everybody, 10)
    same(approximate.top_k(everybody, 10), truth)
    monkeypatch.setattr(near, "_NEIGHBOURS", 1)
    items, _ = approximate.top_k(everybody, 10)
    assert (items == truth[0]).mean() < 0.9


@pytest.mark.parametrize("share", [0.9, 0.5, 0.02, 0.003, 0.0])
def test_filters_hold_exactly_and_lists_are_full(exact, share):
    rng = np.random.default_rng(3)
    allowed, everybody = rng.random(N) < share, users(rng, 20)
    approximate = exact.approximated(WHOLE)
    items, scores = approximate.top_k(everybody, 10, allowed)
    for user, row in enumerate(items):
        seen = everybody.items[everybody.indptr[user] : everybody.indptr[user + 1]]
        left = allowed.copy()
        left[seen] = False
        kept = row[row >= 0]
        assert left[kept].all()
        assert len(set(kept)) == len(kept) == min(10, left.sum())
    same((items, scores), exact.top_k(everybody, 10, allowed))


def test_an_index_that_looks_into_too_few_cells_still_fills_the_lists(exact):
    narrow = exact.approximated(ApproximateConfig(dim=8, cells=100, probes=1))
    everybody = users(np.random.default_rng(4), 30)
    items, scores = narrow.top_k(everybody, 50)
    assert (items >= 0).all()
    whole = exact.score(everybody)  # whatever is listed has its exact score
    np.testing.assert_allclose(scores, np.take_along_axis(whole, items, axis=1), atol=2e-3)


def test_items_that_came_later_are_found(exact):
    approximate = exact.approximated(WHOLE)
    grown, truth = approximate.with_items({}, 3), exact.with_items({}, 3)
    for model in (grown, truth):  # all that everybody wants
        model.parts.encoder.bias[N:] = 50
        model._lay_out(centre=model.scorer.centre)
    everybody = users(np.random.default_rng(5), 15)
    items, _ = grown.top_k(everybody, 10)
    assert all({N, N + 1, N + 2} <= set(row) for row in items)
    np.testing.assert_allclose(
        grown.top_k(everybody, 10)[1], truth.top_k(everybody, 10)[1], atol=2e-3
    )


def test_the_public_face_heeds_filters_and_removed_items(exact):
    catalogue = Catalogue(Ids(list(range(N))), None, np.ones(N, np.int64), 9, Schema())
    model = Recommender._restored("default", 0, exact, Fitted(exact, catalogue))
    truth = model.copy()
    model.approximate(WHOLE)
    for filter in (None, "item < 4000", "item < 12"):
        got = model.recommend([5, 9], k=10, filter=filter, explain=False)
        want = truth.recommend([5, 9], k=10, filter=filter, explain=False)
        assert [one.item for one in got] == [one.item for one in want]
    first = model.recommend([5, 9], k=1, explain=False)[0].item
    model.remove_items([first])
    assert first not in [one.item for one in model.recommend([5, 9], k=50, explain=False)]


def test_small_catalogues_and_other_methods():
    small = drawn(300, DefaultConfig(), np.random.default_rng(0))
    assert small.approximated() is small
    from warmstart.data import Dataset

    model = Recommender("popularity").fit(Dataset.from_tables({"user": [1, 2], "item": [1, 1]}))
    with pytest.raises(ConfigError, match="no approximate index"):
        model.approximate()
