"""The mixture of content and first users against slow loops, and its two ends."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from warmstart.data.content import Block
from warmstart.recommenders.content import ContentMap
from warmstart.recommenders.first_users import FirstUsers, _met


def likes_of(rng, n_users=400, n_items=90):
    """Likes that follow three hidden tastes, of which content knows one."""
    nature, taste = rng.normal(size=(n_items, 3)), rng.normal(size=(n_users, 3))
    liked = taste @ nature.T + rng.normal(size=(n_users, n_items)) > 1.5
    return sp.csr_array(liked.astype(np.float32)), Block.of_vectors(nature[:, :1]), nature


@pytest.fixture(scope="module")
def world():
    """Eighty items that were met and ten that were not, with likes of both."""
    whole, block, nature = likes_of(np.random.default_rng(0))
    old = whole.toarray()
    old[:, 80:] = 0
    old = sp.csr_array(old)
    content = ContentMap.learn({"one": block}, old)
    found = FirstUsers.learn(
        content, old, lambda h: h.matrix(90).toarray() @ (nature @ nature.T).astype(np.float32)
    )
    return whole, old, content, found


def test_an_item_is_the_mean_of_those_who_like_it_by_what_else_they_like(world):
    _, old, _, found = world
    dense = old.toarray() > 0
    for item in (0, 7, 79):
        means = []
        for user in np.flatnonzero(dense[:, item]):
            others = [i for i in np.flatnonzero(dense[user]) if i != item]
            if others:
                means.append(found.embedding[others].mean(axis=0))
        np.testing.assert_allclose(found.vectors[item], np.mean(means, axis=0), atol=1e-5)
        assert found.n[item] == len(means)
    alone = sp.csr_array(np.float32([[1, 0], [0, 1]]))
    vectors, n = _met(alone, np.ones((2, 3), np.float32))
    assert n.tolist() == [0, 0]
    assert (vectors == 0).all()


def test_n_users_count_n_against_tau(world):
    """N is the mixture that the definition says, one item and one ridge regression at a time."""
    whole, _, content, found = world
    new, heard_by = np.array([81, 85, 89]), np.array([4, 1, 0])
    rows = whole.toarray()
    chosen = np.zeros_like(rows)
    for item, n in zip(new, heard_by, strict=True):
        users = np.flatnonzero(rows[:, item])[:n]
        chosen[users, item] = 1
        chosen[users, :80] = rows[users, :80]
    warm = found.heard(new, sp.csr_array(chosen.astype(np.float32)))
    assert warm.n[new].tolist() == heard_by.tolist()
    lent = warm.lend(new, content)
    lenders = found.lenders
    centre = found.vectors[lenders].mean(axis=0)
    length = np.sqrt(np.square(found.vectors[lenders] - centre).sum(axis=1).mean())

    def block(vectors):
        return found.weight * (vectors - centre) / length

    known = np.concatenate([content.rows(lenders), block(found.vectors[lenders])], axis=1)
    for row, (item, n) in enumerate(zip(new, heard_by, strict=True)):
        by_content = content.lend(content.of(np.array([item])))[0]
        if n == 0:
            np.testing.assert_array_equal(lent[row], by_content)
            continue
        users = np.flatnonzero(chosen[:, item])
        said = np.mean(
            [found.embedding[np.flatnonzero(rows[u, :80])].mean(axis=0) for u in users], axis=0
        )
        trust = n / (n + found.tau)
        own = np.concatenate([content.rows(np.array([item]))[0],
                              block(centre + trust * (said - centre))])  # fmt: skip
        gram = known @ known.T + content.penalty * np.eye(len(lenders))
        by_both = np.linalg.solve(gram, known @ own)
        wanted = (found.tau * by_content + n * by_both) / (n + found.tau)
        np.testing.assert_allclose(lent[row], wanted, atol=1e-4)


def test_nobody_heard_is_content_and_many_are_their_own_word(world):
    whole, _, content, found = world
    new = np.arange(80, 90)
    np.testing.assert_array_equal(found.lend(new, content), content.lend(content.of(new)))
    heard = found.heard(new, whole)
    crowd = replace(heard, n=np.where(heard.n > 0, 10**9, 0))
    sure = replace(heard, tau=1e-9)
    np.testing.assert_allclose(crowd.lend(new, content), sure.lend(new, content), atol=1e-5)
    far = np.abs(crowd.lend(new, content) - found.lend(new, content)).max()
    few = np.abs(replace(heard, n=np.minimum(heard.n, 1)).lend(new, content)
                 - found.lend(new, content)).max()  # fmt: skip
    assert far > 2 * few > 0


def test_users_tell_what_content_does_not(world):
    """Where content knows one taste of three, twenty users place an item far better."""
    whole, _, content, found = world
    new = np.arange(80, 90)
    rows = whole.toarray()
    half = sp.csr_array(rows[:200])
    warm = found.heard(new, half)
    shown = rows[200:, :80]
    truth = rows[200:, 80:]

    def quality(lent):
        scores = shown[:, found.lenders] @ lent.T
        return np.mean([np.corrcoef(scores[:, j], truth[:, j])[0, 1] for j in range(10)])

    by_content, by_both = quality(found.lend(new, content)), quality(warm.lend(new, content))
    assert by_both > by_content + 0.05
    assert found.quality["20"] > found.quality["0"]
    users_alone = quality(warm.lend(new, None))
    assert users_alone > 0.1


def test_what_is_saved_is_what_was_learned_and_damage_is_refused(world):
    found = world[3]
    again = FirstUsers.restored(found.about(), found.arrays(), 90)
    assert (again.weight, again.tau, again.quality) == (found.weight, found.tau, found.quality)
    np.testing.assert_array_equal(again.vectors, found.vectors)
    assert FirstUsers.restored(None, {}, 90) is None
    for name, value in (
        ("lenders", found.lenders + 50),
        ("lenders", found.lenders - 1),
        ("embedding", found.embedding[:-1]),
        ("vectors", found.vectors[:-1]),
        ("vectors", found.vectors[:, :-1]),
        ("n", found.n - 10**6),
    ):
        with pytest.raises(ValueError, match="first users"):
            FirstUsers.restored(found.about(), found.arrays() | {f"first_users.{name}": value}, 90)


def test_the_same_seed_learns_the_same_and_too_little_teaches_nothing(world):
    _, old, content, found = world
    score = lambda h: h.matrix(90).toarray()  # noqa: E731
    one, two = (FirstUsers.learn(content, old, score, seed=3) for _ in range(2))
    assert one.about() == two.about()
    np.testing.assert_array_equal(one.vectors, two.vectors)
    assert FirstUsers.learn(content, sp.csr_array(old[:, :10]), score) is None
    grown = found.grown(3)
    assert grown.n[-3:].tolist() == [0, 0, 0]
    assert len(grown.vectors) == 93
