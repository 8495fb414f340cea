"""Items that nobody has met: placed by their content, and nothing else moves."""

import numpy as np
import pytest

from warmstart.core.types import Histories
from warmstart.recommenders.content import ContentMap


@pytest.fixture(scope="module")
def method(model):
    return model.method


def test_the_penalty_is_chosen_by_leaving_each_item_out(method, split):
    """Allen's formula against refitting without the item."""
    features = split.train.item_features.transform(split.train.item_table)
    likes = np.asarray(split.train.positives().sum(axis=0)).ravel()
    known = np.flatnonzero(likes > 0)
    target = method.parts.encoder.items[known]
    target = target - target.mean(axis=0)
    x = features[known].toarray()
    x = x - x.mean(axis=0)
    weight = likes[known] / likes[known].sum()
    errors = {}
    for penalty in (1.0, 3.0, 10.0, 30.0, 100.0, 300.0):
        off = []
        for left in range(len(known)):
            rest = np.arange(len(known)) != left
            ridge = x[rest].T @ x[rest] + penalty * np.eye(x.shape[1])
            guess = x[left] @ np.linalg.solve(ridge, x[rest].T @ target[rest])
            off.append(np.square(target[left] - guess).sum())
        errors[penalty] = weight @ np.array(off)
    found = ContentMap.learn(features, method.parts.encoder.items, likes)
    assert found.penalty == min(errors, key=errors.get)


def test_an_item_with_the_content_of_a_known_one_is_placed_beside_it(method, split):
    features = split.train.item_features.transform(split.train.item_table)
    likes = np.asarray(split.train.positives().sum(axis=0)).ravel()
    known = np.flatnonzero(likes > 0)
    grown = method.with_items(features[known[:10]], 10)
    vectors = grown.parts.encoder.items
    genres = features[known].toarray()
    for new, twin in enumerate(known[:10]):
        nearest = np.argsort(-(vectors[known] @ vectors[120 + new]))[:15]
        common = genres[nearest] @ features[[twin]].toarray()[0]
        assert common.mean() > (genres @ features[[twin]].toarray()[0]).mean()


def test_old_items_keep_their_scores(method, split):
    features = split.train.item_features.transform(split.train.item_table)
    users = split.tasks.at(3)
    before = method.score(users)
    grown = method.with_items(features[[0, 1]], 2)
    after = grown.score(users)
    assert after.shape == (len(users), 122)
    shift = (after[:, :120] - before).mean(axis=1, keepdims=True)
    np.testing.assert_allclose(after[:, :120], before + shift, atol=1e-3 * np.ptp(before))
    assert np.isfinite(after).all()


def test_cold_items_with_content_rank_above_chance(method, split):
    """Items without any training like, judged by the planted taste of the users."""
    genres = split.train.item_features
    likes = np.asarray(split.train.positives().sum(axis=0)).ravel()
    cold = np.flatnonzero(likes == 0)
    assert len(cold) >= 4
    matrix = genres.transform(split.train.item_table).toarray()
    columns = [i for i, name in enumerate(genres.names) if name.startswith("genres=")]
    taste = split.train.positives()  # of the training users: their favourite genres
    users = np.flatnonzero(np.diff(taste.indptr) >= 10)[:100]
    favour = taste[users] @ matrix[:, columns]
    favour = favour / favour.sum(axis=1, keepdims=True) - favour.sum(axis=0) / favour.sum()
    planted = favour @ matrix[cold][:, columns].T
    items = [taste[[u]].indices for u in users]
    histories = Histories(
        np.concatenate([[0], np.cumsum([len(i) for i in items])]),
        np.concatenate(items).astype(np.int32),
        np.ones(sum(map(len, items)), np.float32),
    )
    scores = method.score(histories)[:, cold]
    scores = scores - scores.mean(axis=0)
    planted = planted - planted.mean(axis=0)
    agreement = np.corrcoef(scores.ravel(), planted.ravel())[0, 1]
    assert agreement > 0.4


def test_an_item_of_which_nothing_is_known_ranks_last(method):
    grown = method.with_items(None, 1)
    scores = grown.score(Histories.empty(1))[0]
    assert (scores[:-1] >= scores[-1]).mean() > 0.95
