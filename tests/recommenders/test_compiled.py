"""Compiled loops against the steps that they stand for."""

import sys

import numpy as np
import pytest
from benchmarks.speed import models

from warmstart.core.errors import ConfigError, DataError, MissingExtraError
from warmstart.core.layers import Layers
from warmstart.core.types import Histories
from warmstart.data import Dataset
from warmstart.data.content import Block
from warmstart.recommenders.content import ContentMap
from warmstart.recommenders.default_config import DefaultConfig
from warmstart.recommenders.gates import Gates
from warmstart.recommenders.recommender import Recommender

pytest.importorskip("numba", reason="the extra `compiled` is not installed")

loops = pytest.importorskip("warmstart.recommenders.loops")

N = 1_500
SMALL = {"hidden_dim": 32, "embedding_dim": 16, "memory": {"neighbours": 40}}


def users(n, most=30, seed=1):
    """Users with likes, dislikes, doubts, and items that they met twice; the first have none."""
    rng = np.random.default_rng(seed)
    shots = rng.integers(0, most + 1, n)
    shots[:2] = 0
    values = rng.choice(np.float32([1, 0.4, -1, -0.3]), int(shots.sum()))
    ends = np.concatenate([[0], np.cumsum(shots)])
    return Histories(ends, rng.integers(0, N, len(values)).astype(np.int32), values)


def some_content(n, seed=1):
    return {"text": Block.of_vectors(np.random.default_rng(seed).normal(size=(n, 24)))}


@pytest.fixture(scope="module", params=[6_000, 10], ids=["dense", "sparse"])
def plain(request):
    """A model of drawn weights, of which 50 items are unmet and lent to."""
    rng = np.random.default_rng(0)
    config = DefaultConfig.parse({**SMALL, "dense_items": request.param})
    method = models.drawn(N, config, rng)
    method.content = ContentMap(some_content(N), np.arange(N - 50), {"text": 1.0}, 10.0, 0.0)
    lines = np.float32([[0.5, 0.9, 0.1, 0.8, -0.2], [1.5, 1.1, 0.0, 0.7, 0.3]])
    method.lent_gates = Gates(np.float32([0, 10]), lines)
    return method._placed(np.arange(N - 50, N))


def same(one, two):
    (items, scores), (expected, truth) = one, two
    assert items.shape == expected.shape
    assert items.dtype == expected.dtype
    assert (items == expected).mean() > 0.995  # but for scores that differ by rounding alone
    np.testing.assert_allclose(scores, truth, rtol=1e-5, atol=1e-5)


def test_scores_and_lists_are_the_same(plain):
    compiled, everybody = plain.compiled(), users(80)
    assert compiled.scorer.lent_gates is not None
    truth = plain.score(everybody)
    np.testing.assert_allclose(compiled.score(everybody), truth, rtol=1e-4, atol=1e-4)
    same(compiled.top_k(everybody, 10), plain.top_k(everybody, 10))


@pytest.mark.parametrize("share", [0.5, 0.004, 0.0])
def test_filters_hold_and_short_lists_end_alike(plain, share):
    allowed = np.random.default_rng(3).random(N) < share
    everybody = users(20)
    found = plain.compiled().top_k(everybody, 12, allowed)
    same(found, plain.top_k(everybody, 12, allowed))
    assert share > 0.1 or (found[0] == -1).any()


def test_lists_may_be_as_long_as_the_catalogue(plain):
    everybody = users(3)
    items, _ = plain.compiled().top_k(everybody, 2 * N)
    for user, row in enumerate(items):
        seen = everybody.items[slice(*everybody.indptr[user : user + 2])]
        assert sorted(row[row >= 0]) == sorted(set(range(N)) - set(seen.tolist()))


def test_users_with_more_likes_than_factors(plain):
    everybody = users(6, most=400, seed=4)
    assert everybody.shots.max() > plain.parts.factors[0].factors.shape[1]
    same(plain.compiled().top_k(everybody, 10), plain.top_k(everybody, 10))


def test_indices_of_any_width(plain):
    everybody = users(9)
    wide = Histories(
        everybody.indptr.astype(np.int32), everybody.items.astype(np.int64), everybody.values
    )
    same(plain.compiled().top_k(wide, 10), plain.top_k(everybody, 10))


def test_new_items_are_ranked_by_loops_too(plain):
    grown, truth = (
        method.with_items(some_content(4, seed=5), 4) for method in (plain.compiled(), plain)
    )
    assert type(grown.scorer) is not type(truth.scorer)
    if not isinstance(plain.parts.belief.covariance, np.ndarray):
        assert isinstance(grown.parts.belief.covariance, Layers)
    everybody = users(40)
    everybody.items[::7] = N + 1
    same(grown.top_k(everybody, 10), truth.top_k(everybody, 10))


def test_no_request_waits_for_a_compiler(plain):
    """Whoever comes first, alone or not, before or after items came: all is compiled already."""
    compiled = plain.compiled()
    for method in (compiled, compiled.with_items(some_content(2, seed=6), 2)):
        ready = signatures()
        everybody = users(12)
        allowed = np.ones(len(method.parts.log_popularity), bool)
        for some in (everybody, everybody.take(np.array([7])), Histories.empty(1)):
            method.top_k(some, 5)
            method.top_k(some, 5, allowed)
        assert signatures() == ready


def signatures():
    found = {name: getattr(loop, "signatures", None) for name, loop in vars(loops).items()}
    return {name: list(some) for name, some in found.items() if some is not None}


def test_an_item_that_is_not_there_and_a_score_that_is_no_number(plain):
    compiled, everybody = plain.compiled(), users(5)
    everybody.items[3] = N  # the encoder looks first; behind it are the loops
    with pytest.raises(IndexError, match=f"{N} of a"):
        compiled.top_k(everybody, 5)
    with pytest.raises(IndexError, match=f"{N} of {N}"):
        compiled.scorer.add_moves(everybody, compiled.scorer.asked(users(5)), np.zeros((5, N)))
    broken = plain.compiled()
    broken.scorer.vectors = broken.scorer.vectors.copy()
    broken.scorer.vectors[:, 7] = np.nan
    with pytest.raises(DataError, match="row 0 hold NaN"):
        broken.top_k(users(5), 5)


def test_lists_of_no_length_are_refused(plain):
    with pytest.raises(ConfigError, match="k must be at least 1"):
        plain.compiled().top_k(users(3), 0)


def test_who_has_no_loops_says_so(plain, monkeypatch):
    plain.compiled()
    model = Recommender("popularity").fit(Dataset.from_tables({"user": [1, 2], "item": [1, 1]}))
    with pytest.raises(ConfigError, match="no compiled loops"):
        model.compile()
    for name in ("compiled", "loops"):
        monkeypatch.delitem(sys.modules, f"warmstart.recommenders.{name}")
        monkeypatch.delattr(f"warmstart.recommenders.{name}")
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(MissingExtraError, match=r"warmstart\[compiled\]"):
        plain.compiled()
