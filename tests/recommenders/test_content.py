"""Items that nobody has met: placed by their content, and nothing else moves."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.linear_model import Ridge

from warmstart.core.types import Histories
from warmstart.data.content import Block
from warmstart.recommenders.content import ContentMap, _spread_both, spread_by
from warmstart.recommenders.ials import IALS, IALSConfig


@pytest.fixture(scope="module")
def method(model):
    return model.method


@pytest.fixture(scope="module")
def likes(split):
    return split.train.positives()


def planted_likes(rng, n_users=300, n_items=120):
    """Likes that follow two hidden tastes, which one block of vectors tells and one does not."""
    nature, taste = rng.normal(size=(n_items, 2)), rng.normal(size=(n_users, 2))
    liked = taste @ nature.T + rng.normal(size=(n_users, n_items)) > 1.2
    truth = np.concatenate([nature, 0.3 * rng.normal(size=(n_items, 2))], axis=1)
    return sp.csr_array(liked.astype(np.float32)), truth, rng.normal(size=(n_items, 12))


def test_what_is_lent_is_a_ridge_regression():
    """N times any target is what scikit-learn's ridge predicts from the blocks."""
    rng = np.random.default_rng(0)
    _, truth, noise = planted_likes(rng)
    known = rng.random(120) < 0.8
    content = {"good": Block.of_vectors(truth), "some": Block.of_vectors(noise, known)}
    found = ContentMap(content, np.arange(100), {"good": 1.5, "some": 0.5}, 7.0, 0.0)
    new = {name: block.take(np.arange(100, 120)) for name, block in content.items()}

    def rows(items):
        parts = []
        for name, values in (("good", truth), ("some", noise)):
            mask = content[name].known
            lend = np.flatnonzero(mask[:100])
            mean = values[lend].mean(axis=0)
            length = np.sqrt(np.square(values[lend] - mean).sum(axis=1).mean())
            own = np.where(mask[items][:, None], values[items] - mean, 0)
            parts.append(found.weights[name] / length * own)
        return np.concatenate(parts, axis=1)

    target = rng.normal(size=(100, 3))
    ridge = Ridge(alpha=7.0, fit_intercept=False).fit(rows(np.arange(100)), target)
    np.testing.assert_allclose(
        found.lend(new) @ target, ridge.predict(rows(np.arange(100, 120))), atol=1e-4
    )
    only = found.lend({"good": new["good"]})  # a block that is not there is lacking
    masked = found.lend(new | {"some": Block(new["some"].values * 0, np.zeros(20, bool))})
    np.testing.assert_array_equal(only, masked)


def test_a_block_that_says_nothing_is_weighed_down():
    rng = np.random.default_rng(1)
    liked, truth, noise = planted_likes(rng)
    both = {"good": Block.of_vectors(truth), "noise": Block.of_vectors(noise)}
    found = ContentMap.learn(both, liked)
    assert found.weights["good"] > 2 * found.weights["noise"]
    alone = ContentMap.learn({"noise": both["noise"]}, liked)
    assert found.quality > alone.quality + 0.1
    again = ContentMap.learn(both, liked)
    assert (again.weights, again.penalty) == (found.weights, found.penalty)


def test_nothing_is_learned_from_too_little(likes):
    _, truth, _ = planted_likes(np.random.default_rng(2))
    few = sp.csr_array((np.ones(3, np.float32), ([0, 1, 2], [0, 1, 2])), shape=(5, 120))
    assert ContentMap.learn({"good": Block.of_vectors(truth)}, few) is None
    assert ContentMap.learn({}, likes) is None


def test_what_is_saved_is_what_was_learned():
    rng = np.random.default_rng(3)
    liked, truth, noise = planted_likes(rng)
    onehot = Block(sp.csr_array((noise > 1).astype(np.float32)), (noise > 1).any(axis=1))
    found = ContentMap.learn({"good": Block.of_vectors(truth), "种类": onehot}, liked)
    back = ContentMap.restored(found.about(), found.arrays())
    new = {"good": Block.of_vectors(truth[:7]), "种类": onehot.take(np.arange(7))}
    np.testing.assert_array_equal(back.lend(new), found.lend(new))
    assert ContentMap.restored(None, {}) is None


def test_an_item_with_the_content_of_a_known_one_is_placed_beside_it(method, split):
    features = split.train.item_matrix
    likes = np.asarray(split.train.positives().sum(axis=0)).ravel()
    known = np.flatnonzero(likes > 0)
    twins = {name: block.take(known[:10]) for name, block in split.train.content.items()}
    grown = method.with_items(twins, 10)
    vectors = grown.parts.encoder.items
    genres = features[known].toarray()
    for new, twin in enumerate(known[:10]):
        nearest = np.argsort(-(vectors[known] @ vectors[120 + new]))[:15]
        common = genres[nearest] @ features[[twin]].toarray()[0]
        assert common.mean() > (genres @ features[[twin]].toarray()[0]).mean()


def test_old_items_keep_their_scores(method, split):
    users = split.tasks.at(3)
    before = method.score(users)
    two = {name: block.take(np.arange(2)) for name, block in split.train.content.items()}
    grown = method.with_items(two, 2)
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
    grown = method.with_items({}, 1)
    scores = grown.score(Histories.empty(1))[0]
    assert (scores[:-1] >= scores[-1]).mean() > 0.95


def smoothing(rng, n_known=40, n_new=6):
    """Random weights of some items out of 50, and items that are not at the end."""
    order = rng.permutation(50)
    known, new = np.sort(order[:n_known]), order[n_known : n_known + n_new]
    return rng.normal(size=(n_new, n_known)).astype(np.float32), known, new


@pytest.mark.parametrize("width", [(), (7,)])
def test_what_is_lent_lies_around_the_mean_of_the_known(width):
    rng = np.random.default_rng(4)
    smoother, known, new = smoothing(rng)
    values = rng.normal(size=(50, *width)).astype(np.float32)
    before = values.copy()
    found = spread_by(smoother, known, new, values)
    mean = before[known].mean(axis=0)
    expected = before.copy()
    for row, item in enumerate(new):
        lent = sum(smoother[row, j] * (before[i] - mean) for j, i in enumerate(known))
        expected[item] = mean + lent
    np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_array_equal(values, before)
    assert spread_by(smoother, known, new, values, in_place=True) is values
    np.testing.assert_array_equal(values, found)


@pytest.mark.parametrize("empty", [False, True])
def test_rows_and_columns_of_new_items_equal_dense_products(empty):
    """Of each new item the largest few are kept, in its row and in its column."""
    rng = np.random.default_rng(5)
    smoother, known, new = smoothing(rng)
    matrix = np.where(rng.random((50, 50)) < 0.3, rng.normal(size=(50, 50)), 0).astype(np.float32)
    if empty:
        matrix[new] = matrix[:, new] = 0
    old = np.setdiff1d(np.arange(50), new)
    expected = np.zeros((50, 50))
    expected[np.ix_(old, old)] = matrix[np.ix_(old, old)]
    rows, columns = np.zeros((6, 50)), np.zeros((50, 6))
    rows[:, old] = smoother @ matrix[np.ix_(known, old)]
    columns[old] = matrix[np.ix_(old, known)] @ smoother.T
    corner = smoother @ matrix[np.ix_(known, known)] @ smoother.T
    whole = expected.copy()
    whole[new], whole[:, new] = rows, columns
    whole[np.ix_(new, new)] = corner
    dense = _spread_both(smoother, known, new, 9, matrix)
    np.testing.assert_allclose(dense[np.ix_(new, known)], whole[np.ix_(new, known)], atol=1e-3)
    rows[:, new] = corner
    for place, item in enumerate(new):
        largest = np.argsort(-np.abs(rows[place]))[:9]
        expected[item, largest] = rows[place, largest]
        largest = np.argsort(-np.abs(columns[:, place]))[:9]
        expected[largest, item] = columns[largest, place]
    stored = sp.csr_array(matrix)
    found = _spread_both(smoother, known, new, 9, stored)
    np.testing.assert_allclose(found.toarray(), expected, atol=1e-4)
    np.testing.assert_array_equal(stored.toarray(), matrix)
    if empty:
        known_empty = _spread_both(smoother, known, new, 9, stored, appended=True)
        np.testing.assert_array_equal(known_empty.toarray(), found.toarray())
        dense_again = _spread_both(smoother, known, new, 9, matrix, appended=True)
        np.testing.assert_array_equal(dense_again, dense)


def test_only_the_factors_that_changed_are_solved_for(likes):
    method = IALS(IALSConfig(factors=8, iterations=2)).fit_likes(likes)
    more = np.random.default_rng(6).normal(size=(125, 8)).astype(np.float32)
    more[:120] = method.factors
    more[7] = 1
    changed = np.array([7, 120, 121, 122, 123, 124])
    users = sp.csr_array((np.random.default_rng(7).random((9, 125)) < 0.03).astype(np.float32))
    found, expected = method.extended(more, changed), method.extended(more)
    np.testing.assert_array_equal(found.fold_in(users), expected.fold_in(users))


def test_adding_items_leaves_the_model_before_as_it_was(method, split):
    before = {name: array.copy() for name, array in method.state().arrays.items()}
    two = {name: block.take(np.arange(2)) for name, block in split.train.content.items()}
    one = method.with_items(two, 2)
    again = one.with_items(two, 2)
    for name, array in method.state().arrays.items():
        np.testing.assert_array_equal(array, before[name], err_msg=name)
    assert len(again.parts.log_popularity) == len(one.parts.log_popularity) + 2
    users = split.tasks.at(3)
    np.testing.assert_allclose(
        again.scorer.vectors[:, :120], method.scorer.vectors, rtol=1e-4, atol=1e-6
    )
    loaded = type(again).from_state(again.state())
    np.testing.assert_array_equal(loaded.scorer.vectors, again.scorer.vectors)
    np.testing.assert_allclose(  # twins of the first two
        again.score(users)[:, 122:], again.score(users)[:, 120:122], atol=1e-3
    )


def test_a_restored_map_lends_the_same_without_solving_again():
    """The factor is kept, and one of another size is refused."""
    rng = np.random.default_rng(0)
    _, truth, _ = planted_likes(rng)
    content = {"good": Block.of_vectors(truth)}
    found = ContentMap(content, np.arange(100), {"good": 1.0}, 7.0, 0.0)
    new = {"good": content["good"].take(np.arange(100, 120))}
    expected, arrays = found.lend(new), found.arrays()
    again = ContentMap.restored(found.about(), arrays)
    assert again is not None
    assert "_factor" in again.__dict__
    np.testing.assert_array_equal(again.lend(new), expected)
    without = {name: a for name, a in arrays.items() if name != "content.factor"}
    older = ContentMap.restored(found.about(), without)
    assert older is not None
    np.testing.assert_allclose(older.lend(new), expected, atol=1e-5)
    with pytest.raises(ValueError, match="factor"):
        ContentMap.restored(found.about(), arrays | {"content.factor": np.eye(2)})
