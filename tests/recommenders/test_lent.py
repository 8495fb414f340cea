"""What a user's likes lend to new items directly."""

from functools import partial

import numpy as np
import scipy.sparse as sp

from warmstart.core.types import Histories
from warmstart.data.content import Block
from warmstart.recommenders.content import ContentMap
from warmstart.recommenders.lent import learn_lent_gates, with_lent


def test_order_and_place_are_those_of_the_gates():
    """By hand: two users, three items without likes, of which the last is new."""
    scores = np.float32([[1, 2, 6], [0, 0, 3]])
    lent = np.float32([[10, 0, 0], [0, 0, 1]])
    gates = np.float32([[1, 0.5, 1, 2, 3], [5, 1, 0, 1, 1]])
    found = with_lent(scores, lent, gates, np.array([False, False, True]))
    np.testing.assert_allclose(found, [[6.5, 2, 15], [0, 0, 9]])


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
    shown = blind.shots > 0
    assert (blind.weights[shown, 0] > 0).all()
    assert (blind.weights[~shown, 0] == 0).all()  # without likes nothing is lent
    sighted = learn_lent_gates(content, likes, [(partial(knows, likes, 0.0, rng), users)], seed=0)
    many = np.array([10])
    assert sighted is None or sighted.at(many)[0, 0] < 0.1 * blind.at(many)[0, 0]


def told(gates):
    """What the gates make of a new item's score at ten shots."""
    *_, scale, offset = gates.at(np.array([10]))[0]
    return scale, offset


def shy(likes, rng, smoother, lenders, cold):
    """A model that knows every user, and says little of new items."""
    knowing = knows(likes, 0.2, rng, smoother, lenders, cold)

    def score(histories: Histories):
        scores = knowing(histories)
        scores[:, cold] = 0.4 * scores[:, cold] - 0.4
        return scores

    return score


def test_new_items_get_the_places_that_make_whole_lists_best():
    """Scores that lie too low and too close are lifted; items that were there before stay."""
    likes, content, rng = planted()
    gates = learn_lent_gates(content, likes, [(partial(shy, likes, rng), np.arange(500))], seed=0)
    assert gates is not None
    scale, offset = told(gates)
    wanted, unwanted = offset, offset - 0.4 * scale
    assert unwanted < 0.2 < 0.4 < wanted  # a known item that is liked scores 1, another 0
    _, scale, offset, *_ = gates.at(np.array([10]))[0]
    middle = offset / (1 - scale)  # what the line leaves alone: the mean of all new items
    assert -0.4 < middle < -0.2


def test_new_items_that_stand_right_are_left_there():
    likes, content, rng = planted()
    fair = partial(knows, likes, 0.2, rng)
    gates = learn_lent_gates(content, likes, [(fair, np.arange(500))], seed=0)
    if gates is not None:
        scale, offset = told(gates)
        assert offset < 0.6 < offset + scale


def test_too_little_is_not_learned_from():
    """With a handful of items nothing counts."""
    likes, content, rng = planted()
    few = ContentMap(content.content, content.lenders[:30], {"nature": 1.0}, 1.0, 0.0)
    model = partial(knows, likes, 1.0, rng)
    assert learn_lent_gates(few, likes, [(model, np.arange(500))], seed=0) is None
