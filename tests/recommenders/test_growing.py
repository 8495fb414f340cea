"""A catalogue grows without being copied, and nobody who holds the model before can tell."""

import tracemalloc
from dataclasses import replace
from threading import Thread

import numpy as np
import pytest
import scipy.sparse as sp
from benchmarks.speed import models

from warmstart.core.layers import Layers
from warmstart.core.types import Histories, State
from warmstart.data.content import Block
from warmstart.recommenders import content as content_module
from warmstart.recommenders.content import ContentMap
from warmstart.recommenders.default import Default
from warmstart.recommenders.default_config import DefaultConfig
from warmstart.recommenders.memory import MemoryConfig

N = 4_000
CONFIG = DefaultConfig.parse(
    {"hidden_dim": 32, "embedding_dim": 16, "memory": {"neighbours": 40}, "dense_items": 10}
)


@pytest.fixture(scope="module")
def state():
    """The state of a model of drawn weights, sparse throughout, of which 50 items lend nothing."""
    rng = np.random.default_rng(0)
    method = models.drawn(N, CONFIG, rng)
    content = {"text": Block.of_vectors(rng.normal(size=(N, 24)))}
    method.content = ContentMap(content, np.arange(N - 50), {"text": 1.0}, 10.0, 0.0)
    method.content.arrays()
    return method.state()


@pytest.fixture
def method(state):
    """A model of its own, with room of its own."""
    arrays = {name: array.copy() for name, array in state.arrays.items()}
    return Default.from_state(State(arrays, state.meta))


def some_content(n, seed=1):
    return {"text": Block.of_vectors(np.random.default_rng(seed).normal(size=(n, 24)))}


def users_of(n_items, seed=2, shots=6):
    """Sixty users, who like and dislike items of which half are the last ones."""
    rng = np.random.default_rng(seed)
    late = rng.integers(N - 10, n_items, (60, shots // 2))
    items = np.concatenate([rng.integers(0, N, (60, shots - shots // 2)), late], axis=1)
    values = rng.choice(np.float32([1, 1, -1]), items.size)
    return Histories(
        np.arange(61) * shots, rng.permuted(items, axis=1).ravel().astype(np.int32), values
    )


def large(method):
    """Everything of a model that has a row for each item, and the trained weights."""
    parts = method.parts
    found = {
        "events": parts.encoder.events,
        "items": parts.encoder.items,
        "vectors": method.scorer.vectors,
        "content": method.content.content["text"].values,
    }
    for i, factors in enumerate(parts.factors):
        found |= {f"factors {i}": factors.factors, f"spread {i}": factors.spread}
    for name, matrix in (*parts.memories.items(), ("covariance", parts.belief.covariance)):
        trained = matrix.trained if isinstance(matrix, Layers) else matrix
        found |= {f"{name} data": trained.data, f"{name} indices": trained.indices}
    return found


def bits(method):
    """A copy of everything that scores."""
    found = {name: array.copy() for name, array in large(method).items()}
    small = {name: a.copy() for name, a in method.parts.arrays().items()}
    return found | {f"arrays {n}": a for n, a in small.items()}


def same(first, second):
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


def test_adding_copies_nothing_of_the_size_of_the_catalogue(method):
    trained = sum(array.nbytes for array in large(method).values())
    for _ in range(3):
        tracemalloc.start()
        grown = method.with_items(some_content(1), 1)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        for name, array in large(grown).items():
            assert np.shares_memory(array, large(method)[name]), name
        assert peak < trained / 10
        method = grown


def test_the_model_before_keeps_every_bit(method):
    before, score = bits(method), method.score(users_of(N))
    one = method.with_items(some_content(3), 3)
    one.with_items(some_content(2, 5), 2)
    same(bits(method), before)
    np.testing.assert_array_equal(method.score(users_of(N)), score)
    np.testing.assert_array_equal(one.scorer.vectors[:, :N], method.scorer.vectors)


def test_two_successors_do_not_disturb_each_other(method, state):
    first, second = some_content(2, 3), some_content(3, 4)
    one, expected = method.with_items(first, 2), bits(method.with_items(second, 3))
    before = bits(one)
    other = method.with_items(second, 3)
    same(bits(other), expected)
    same(bits(one), before)
    longer = one.with_items(second, 3)
    same(bits(one), before)
    assert np.shares_memory(longer.scorer.vectors, one.scorer.vectors)
    alone = Default.from_state(state)
    same(bits(alone.with_items(second, 3)), expected)


def test_one_by_one_is_at_once(monkeypatch):
    """Nothing is cut off here; products of 20 are made of panels, which a single item's are not."""
    monkeypatch.setattr(content_module, "_PANEL", 70)
    rng = np.random.default_rng(3)
    config = CONFIG.model_copy(update={"memory": MemoryConfig(neighbours=1_000)})
    method = models.drawn(300, config, rng)
    known = {"text": Block.of_vectors(rng.normal(size=(300, 24)))}
    method.content = ContentMap(known, np.arange(290), {"text": 1.0}, 10.0, 0.0)
    content = some_content(20)
    at_once, one_by_one = method.with_items(content, 20), method
    for i in range(20):
        one_by_one = one_by_one.with_items({"text": content["text"].take(np.array([i]))}, 1)
    items = rng.integers(0, 320, 240).astype(np.int32)
    users = Histories(np.arange(61) * 4, items, np.ones(240, np.float32))
    np.testing.assert_allclose(at_once.score(users), one_by_one.score(users), rtol=1e-3, atol=2e-4)


def test_what_is_saved_in_one_layer_scores_to_the_last_bit_like_two(method):
    grown = method.with_items(some_content(30), 30).with_items(some_content(2, 7), 2)
    assert isinstance(grown.parts.belief.covariance, Layers)
    loaded = Default.from_state(grown.state())
    assert not isinstance(loaded.parts.belief.covariance, Layers)
    users = users_of(N + 32)
    np.testing.assert_array_equal(loaded.scorer.vectors, grown.scorer.vectors)
    np.testing.assert_array_equal(loaded.score(users), grown.score(users))
    one, items = users.take(np.array([0])), np.arange(N - 5, N + 32)
    found = grown.contributions(one, items)
    np.testing.assert_array_equal(loaded.contributions(one, items), found)
    assert found[-32:].any()


def test_what_is_described_anew_is_placed_the_same_in_one_layer_and_in_two(method):
    grown = method.with_items(some_content(5), 5)
    loaded = Default.from_state(grown.state())
    items = np.array([N - 3, N + 1, N + 4])  # one never lent, two came later
    before = bits(grown)
    found, expected = (m.with_content(some_content(3, 8), items) for m in (grown, loaded))
    same(bits(grown), before)
    users = users_of(N + 5)
    np.testing.assert_allclose(found.score(users), expected.score(users), rtol=1e-4, atol=1e-5)
    assert np.abs(found.score(users) - grown.score(users))[:, items].max() > 1e-3


def test_models_with_wide_indices_load(state, method):
    wide = {n: a.astype(np.int64) if a.dtype == np.int32 else a for n, a in state.arrays.items()}
    assert any(n.endswith("indices") for n, a in wide.items() if a.dtype == np.int64)
    older = Default.from_state(State(wide, state.meta))
    assert all(m.indices.dtype == np.int32 for m in older.parts.memories.values())
    np.testing.assert_array_equal(older.score(users_of(N)), method.score(users_of(N)))


def test_content_that_does_not_fit_takes_no_room(method):
    with pytest.raises(Exception, match="24"):
        method.with_items({"text": Block.of_vectors(np.ones((1, 7)))}, 1)
    grown = method.with_items(some_content(1), 1)
    assert np.shares_memory(grown.scorer.vectors, method.scorer.vectors)
    assert np.shares_memory(grown.parts.encoder.events, method.parts.encoder.events)


def test_vectors_of_dislikes_stand_beside_those_of_likes(method):
    """In memory by item, in the file by kind, and a query is the sum of what was met."""
    encoder = method.parts.encoder
    rng = np.random.default_rng(9)
    likes, dislikes = rng.normal(size=(2, N, encoder.events.shape[2])).astype(np.float32)
    arrays = encoder.arrays() | {"events": np.concatenate([likes, dislikes])}
    both = type(encoder).from_arrays(arrays)
    np.testing.assert_array_equal(both.arrays()["events"], arrays["events"])
    users = users_of(N)
    hidden = np.zeros((60, likes.shape[1]), np.float32)
    for user, item, value in zip(users.rows, users.items, users.values, strict=True):
        hidden[user] += (likes if value > 0 else dislikes)[item] / np.sqrt(np.float32(6))
    told = type(encoder).from_arrays(arrays | {"events": np.zeros_like(likes)})
    plain = replace(told, user_features=np.eye(likes.shape[1], dtype=np.float32))
    expected = plain.queries(replace(users, features=sp.csr_array(hidden)))
    np.testing.assert_allclose(both.queries(users), expected, rtol=1e-3, atol=1e-5)
    grown = both.roomy().grown(2)
    assert not grown.events[N:].any()
    np.testing.assert_array_equal(grown.queries(users), both.queries(users))


def test_running_calls_finish_on_the_old_catalogue(method):
    users = users_of(N)
    expected, seen, over = method.score(users), [], []

    def serve():
        while not over:
            seen.append(np.array_equal(method.score(users), expected))

    servers = [Thread(target=serve) for _ in range(2)]
    for thread in servers:
        thread.start()
    found = {}

    def add(seed):
        found[seed] = method.with_items(some_content(2, seed), 2)

    adders = [Thread(target=add, args=(seed,)) for seed in range(5)]
    for thread in adders:
        thread.start()
    for thread in adders:
        thread.join()
    over.append(True)
    for thread in servers:
        thread.join()
    assert seen
    assert all(seen)
    for seed, grown in found.items():
        same(bits(grown), bits(method.with_items(some_content(2, seed), 2)))
