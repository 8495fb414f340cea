"""The approximate index against all products."""

import numpy as np
import pytest

from warmstart.core.errors import ConfigError
from warmstart.index.approximate import Approximate, ApproximateConfig

pytest.importorskip("faiss", reason="the extra `ann` is not installed")


def clustered(n, rng, width=40, inner=6):
    """Vectors around many centres, of which queries ask for a few directions alone."""
    seen = rng.standard_normal((inner, width)).astype(np.float32)
    centres = rng.standard_normal((n // 50, inner)).astype(np.float32)
    where = centres[rng.integers(0, len(centres), n)]
    where = where + 0.3 * rng.standard_normal((n, inner)).astype(np.float32)
    noise = 0.3 * rng.standard_normal((n, width)).astype(np.float32)
    queries = rng.standard_normal((400, inner)).astype(np.float32) @ np.linalg.pinv(seen).T
    return (where @ seen + noise).T, queries.astype(np.float32)


def best(queries, vectors, k, allowed=None):
    scores = queries @ vectors
    if allowed is not None:
        scores[:, ~allowed] = -np.inf
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


def recall(found, truth):
    pairs = zip(found, truth, strict=True)
    return np.mean([len(set(f) & set(t)) / len(t) for f, t in pairs])


def test_candidates_hold_the_best_of_queries_that_it_has_not_seen():
    vectors, queries = clustered(6_000, np.random.default_rng(0))
    index = Approximate.of(vectors, queries[:200], ApproximateConfig(dim=16))
    asked = queries[200:]
    assert recall(index.search(asked, 100), best(asked, vectors, 10)) > 0.98
    # and they are few: candidates drawn by lot would hold next to none
    drawn = np.random.default_rng(1).integers(0, 6_000, (200, 100))
    assert recall(drawn, best(asked, vectors, 10)) < 0.05


def test_with_all_dimensions_and_cells_nothing_is_approximate():
    rng = np.random.default_rng(2)
    vectors = rng.standard_normal((20, 900)).astype(np.float32)
    queries = rng.standard_normal((60, 20)).astype(np.float32)
    config = ApproximateConfig(dim=20, cells=9, probes=9)
    found = Approximate.of(vectors, queries[:30], config).search(queries, 25)
    assert (found == best(queries, vectors, 25)).mean() > 0.995  # but for rounding


def test_a_filter_is_heeded_and_what_is_missing_is_said():
    rng = np.random.default_rng(3)
    vectors, queries = clustered(3_000, rng)
    index = Approximate.of(vectors, queries)
    for share in (0.5, 0.05, 0.001):
        allowed = rng.random(3_000) < share
        found = index.search(queries, 40, allowed)
        kept = found[found >= 0]
        assert allowed[kept].all()
        assert all(len(set(row[row >= 0])) == (row >= 0).sum() <= allowed.sum() for row in found)
    assert (found == -1).any()


def test_the_same_seed_gives_the_same_index():
    vectors, queries = clustered(2_000, np.random.default_rng(4))
    one, two = (Approximate.of(vectors, queries[:50]).search(queries, 30) for _ in range(2))
    assert (one == two).all()


@pytest.mark.parametrize("wrong", [{"dim": 0}, {"probes": 0}, {"cells": 0}, {"speed": 1}])
def test_settings_are_checked(wrong):
    with pytest.raises(ConfigError):
        ApproximateConfig.parse(wrong)
