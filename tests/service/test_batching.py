"""Users who are ranked together get what each gets alone."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import warmstart as ws
from warmstart.core.errors import DataError
from warmstart.core.types import Histories
from warmstart.service.batching import Batches, joined


@pytest.fixture(scope="module")
def fitted(shelf):
    return ws.load(shelf / "first").fitted


def people(fitted, rng, n):
    known = fitted.catalogue.known_of({"age": 30})
    for shots in rng.integers(0, 9, n):
        items = rng.choice(len(fitted.catalogue), shots, replace=False).astype(np.int32)
        values = rng.choice([-1.0, 1.0], shots).astype(np.float32)
        yield Histories(np.array([0, shots]), items, values, None, known)


def test_together_is_as_alone(fitted):
    rng = np.random.default_rng(0)
    everybody = list(people(fitted, rng, 40))
    ks = rng.integers(1, 30, 40).tolist()
    sizes = []

    async def all_at_once():
        with ThreadPoolExecutor(1) as pool:
            batches = Batches(pool, 1, sizes.append)
            asked = (batches.rank(fitted, h, k) for h, k in zip(everybody, ks, strict=True))
            return await asyncio.gather(*asked)

    found = asyncio.run(all_at_once())
    assert sum(sizes) == 40
    assert max(sizes) > 20
    for (items, scores), history, k in zip(found, everybody, ks, strict=True):
        alone, alone_scores = fitted.rank(history, k)
        assert len(items) == k
        np.testing.assert_allclose(scores, alone_scores[0], atol=1e-4)
        assert set(items.tolist()) == set(alone[0].tolist())


def test_a_batch_that_fails_fails_for_those_in_it_alone(fitted):
    bad = Histories(np.array([0, 1]), np.array([10**6]), np.ones(1, np.float32))
    good = next(people(fitted, np.random.default_rng(1), 1))

    async def both():
        with ThreadPoolExecutor(1) as pool:
            batches = Batches(pool, 1)
            wrong = asyncio.create_task(batches.rank(fitted, bad, 3))
            right = asyncio.create_task(batches.rank(fitted, good, 3))
            return await asyncio.gather(wrong, right, return_exceptions=True)

    wrong, right = asyncio.run(both())
    assert isinstance(wrong, DataError)
    assert len(right[0]) == 3


def test_joined_users_are_who_they_were(fitted):
    everybody = list(people(fitted, np.random.default_rng(2), 5))
    whole = joined(everybody)
    for row, one in enumerate(everybody):
        mine = whole.take(np.array([row]))
        assert mine.items.tolist() == one.items.tolist()
        assert mine.values.tolist() == one.values.tolist()
        assert (mine.features != one.features).nnz == 0
