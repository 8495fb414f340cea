"""What a user's likes lend to new items directly."""

from functools import partial

import numpy as np
import scipy.sparse as sp

from warmstart.core.types import Histories
from warmstart.data.content import Block
from warmstart.recommenders.content import ContentMap
from warmstart.recommenders.lent import learn_lent_gates, with_lent


def test_order_and_scale_are_those_of_the_gates():
    """By hand: two users, three new items; w, c and m of each user."""
    scores = np.float32([[1, 2, 6], [0, 0, 3]])
    lent = np.float32([[10, 0, 0], [0, 0, 0]])
    gates = np.float32([[1, 0.5, 2], [5, 1, 7]])
    found = with_lent(scores, lent, gates)
    np.testing.assert_allclose(found, [[6.5, 2, 4], [0, 0, 3]])


def planted():
    """Likes that follow a taste of each user's own, which content tells."""
    rng = np.random.default_rng(0)
    nature, taste = rng.normal(size=(200, 6)), rng.normal(size=(500, 6))
    likes = sp.csr_array((taste @ nature.T > 2.0).astype(np.float32))
    content = {"nature": Block.of_vectors(nature)}
    lenders = np.flatnonzero(likes.sum(axis=0) > 0)
    return likes, ContentMap(content, lenders, {"nature": 1.0}, 1.0, 0.0), rng


def knows(likes, noise, rng, smoother, lenders, cold):
    """A model that knows every user by what they show, as far as the noise lets it."""
    dense = likes.toarray()

    def score(histories: Histories):
        shown = histories.matrix(likes.shape[1]).toarray()
        best = (shown @ dense.T).argmax(axis=1)
        return dense[best] + noise * rng.normal(size=shown.shape).astype(np.float32)

    return score


def test_it_counts_where_the_parts_know_nothing_and_not_where_they_know_all():
    """The gates are those that rank best on items made cold."""
    likes, content, rng = planted()
    users = np.arange(500)
    blind = learn_lent_gates(content, likes, [(partial(knows, likes, 100.0, rng), users)], seed=0)
    assert blind is not None
    weight, shrink, _ = blind.weights[1:].T  # behind that of nobody's likes
    assert (weight > 0).all()
    assert ((shrink > 0) & (shrink < 1)).all()
    sighted = learn_lent_gates(content, likes, [(partial(knows, likes, 0.0, rng), users)], seed=0)
    many = np.array([10])
    assert sighted is None or sighted.at(many)[0, 0] < 0.1 * blind.at(many)[0, 0]


def test_too_little_is_not_learned_from():
    """With a handful of items nothing counts."""
    likes, content, rng = planted()
    few = ContentMap(content.content, content.lenders[:30], {"nature": 1.0}, 1.0, 0.0)
    model = partial(knows, likes, 1.0, rng)
    assert learn_lent_gates(few, likes, [(model, np.arange(500))], seed=0) is None
