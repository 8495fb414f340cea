"""The default method: its arithmetic, its honesty, and that it adapts."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.recommenders.small import SMALL

from warmstart.core.types import Histories
from warmstart.evaluation import evaluate, shuffled_support
from warmstart.index import top_k
from warmstart.recommenders import Recommender, load
from warmstart.recommenders.default import Default, plain
from warmstart.recommenders.ials import IALS, IALSConfig
from warmstart.recommenders.popularity import Popularity, likes_per_item
from warmstart.recommenders.training import _choose_factors


@pytest.fixture(scope="module")
def method(model):
    return model.method


def ndcg(scorer, split, k, support=None):
    result = evaluate(
        scorer,
        split.tasks.at(k) if support is None else support,
        split.tasks.query,
        ranker=top_k,
        popularity=likes_per_item(split.train.positives()),
        seen=split.tasks.at(k),
    )
    return result.per_task["nDCG@10"]


def likes_as_ones(histories):
    """A like counts 1 however strong it was."""
    return replace(histories, values=np.where(histories.values > 0, 1, histories.values))


def one(items, values=None, features=None):
    values = np.ones(len(items)) if values is None else values
    return Histories(
        np.array([0, len(items)]),
        np.array(items, np.int32),
        np.array(values, np.float32),
        features=features,
    )


def test_the_score_is_the_gated_sum_of_the_parts(method, split):
    method = without_lent(method)
    users = likes_as_ones(split.tasks.support)
    for k in (0, 1, 2, 5, 8):
        shown = users.first(k)
        gates = method.gates.at(shown.shots)
        expected = sum(gates[:, [i]] * part for i, part in enumerate(method.parts.scores(shown)))
        found = method.score(shown)
        shift = (expected - found).mean(axis=1, keepdims=True)  # the scale of a list is its own
        np.testing.assert_allclose(found + shift, expected, atol=2e-4 * np.ptp(expected))


def without_lent(method):
    bare = method._copy()
    bare.lent_gates = None
    bare._lay_out()
    return bare


def test_likes_lend_to_unmet_items_and_to_no_others(method, split):
    shown = likes_as_ones(split.tasks.support)
    unmet = likes_per_item(split.train.positives()) == 0
    assert method.lent_gates is not None
    before, found = without_lent(method).score(shown), method.score(shown)
    np.testing.assert_allclose(found[:, ~unmet], before[:, ~unmet], atol=1e-4)
    lent = (shown.matrix(120) @ method.parts.lent).toarray()[:, unmet]
    weight, scale, offset, *_ = method.lent_gates.at(shown.shots).T[:, :, None]
    expected = offset + scale * (before[:, unmet] + weight * lent)
    np.testing.assert_allclose(found[:, unmet], expected, atol=1e-3 * np.ptp(expected))


def test_an_average_item_scores_nothing_and_a_recommended_one_more(method, split):
    nobody = method.score(split.tasks.at(0))
    np.testing.assert_allclose(nobody.mean(axis=1), 0, atol=1e-4)
    _, best = method.top_k(split.tasks.support, 10)
    assert (best > 0).all()


@given(st.lists(st.integers(0, 119), max_size=12, unique=True), st.integers(1, 40))
@settings(deadline=None, max_examples=30)
def test_top_k_is_what_sorting_the_scores_gives(items, k):
    method = test_top_k_is_what_sorting_the_scores_gives.method
    user = one(items)
    scores = method.score(user)[0].astype(np.float64)
    scores[items] = -np.inf
    found, values = method.top_k(user, k)
    expected = np.lexsort((np.arange(len(scores)), -scores))[:k]
    np.testing.assert_array_equal(found[0], expected)
    np.testing.assert_allclose(values[0], scores[expected])


@pytest.fixture(autouse=True)
def _for_hypothesis(method):
    test_top_k_is_what_sorting_the_scores_gives.method = method


def test_a_batch_longer_than_a_block_is_scored_like_its_users(method, split):
    many = split.tasks.support.take(np.arange(9_000) % len(split.tasks))
    few = method.score(split.tasks.support)
    np.testing.assert_allclose(method.score(many)[-5:], few[np.arange(8_995, 9_000) % len(few)],
                               atol=1e-3)  # fmt: skip


def test_it_beats_popularity_on_planted_tastes_and_a_wrong_history_does_not_help(method, split):
    popularity = Popularity().fit(split.train)
    shots = {k: ndcg(method, split, k).mean() for k in (0, 1, 3, 8)}
    popular = {k: ndcg(popularity, split, k).mean() for k in (0, 3)}
    assert shots[0] > 0.98 * popular[0]
    assert shots[3] > 1.15 * popular[3]
    assert shots[8] > shots[3] > shots[1]
    wrong = shuffled_support(split.tasks.at(8), np.random.default_rng(0))
    fallen = ndcg(method, split, 8, support=wrong).mean()
    assert fallen < shots[0] + 0.35 * (shots[8] - shots[0])


def test_the_same_seed_gives_the_same_model_and_another_another(split):
    quick = SMALL.model_copy(update={"training": SMALL.training.model_copy(update={"epochs": 3})})
    first, again, other = (Default(quick).fit(split.train, seed=s) for s in (1, 1, 2))
    arrays = first.state().arrays
    assert all(np.array_equal(a, again.state().arrays[name]) for name, a in arrays.items())
    assert not np.array_equal(arrays["encoder.items"], other.state().arrays["encoder.items"])


def test_a_disliked_film_moves_the_list_away_from_its_like(planted, split):
    method = Default(SMALL).fit(split.train, seed=0)
    genres = planted.item_features.transform(planted.item_table)
    alike = (genres @ genres.T).toarray()
    film = int(np.argmax(likes_per_item(split.train.positives())))
    alike[film, film] = -1
    near = np.argsort(-alike[film], kind="stable")[:5]
    liked, disliked = (method.score(one([film], [v])).astype(float)[0] for v in (1.0, -1.0))
    rank = [np.argsort(np.argsort(-scores))[near].mean() for scores in (liked, disliked)]
    assert rank[0] < rank[1]


def test_how_strong_a_like_is_does_not_matter():
    evidence = sp.csr_array(np.array([[0.5, -0.4, 0, 1]], np.float32))
    assert (plain(evidence).toarray() > 0).tolist() == [[True, False, False, True]]
    assert set(plain(evidence).data[[0, 2]].tolist()) == {1.0}


def test_contributions_add_up_to_what_the_events_changed(method, split):
    task = int(np.argmax(split.tasks.support.shots))
    history = likes_as_ones(split.tasks.support.take(np.array([task])))
    items = np.arange(40)
    by_event = method.contributions(history, items)
    assert by_event.shape == (40, len(history.items))
    gates = method.gates.at(history.shots)[0]
    parts = [part[0][items] for part in method.parts.scores(history)]
    nothing = [part[0][items] for part in method.parts.scores(Histories.empty(1, history.features))]
    split_up = [i for i, name in enumerate(method.parts.names)
                if name.startswith(("closed", "cosine", "ease", "content"))]  # fmt: skip
    changed = sum(gates[i] * (parts[i] - nothing[i]) for i in split_up)
    np.testing.assert_allclose(by_event.sum(axis=1), changed, atol=1e-3 * np.ptp(changed) + 1e-5)


def test_its_report_says_what_the_gates_learned(method):
    report = method.report()
    assert set(report["gates"]) == {"0", "1", "3", "8"}
    assert all(set(weights) == set(method.parts.names) for weights in report["gates"].values())
    for row in report["quality"]:  # on users that no part was fitted on
        assert row["users"] <= 420  # of 600, whom several supports do not multiply
        parts = [row[name] for name in method.parts.names]
        assert row["ndcg@10"] >= max(parts) - 0.02


def test_factors_that_rank_best_are_kept_once_if_they_do_so_at_few_shots_and_at_many(split):
    likes = split.train.positives()
    users = np.flatnonzero(np.diff(likes.indptr) >= 2)
    held = [(None, users[::2]), (None, users[1::2])]
    kept = [~np.isin(np.arange(likes.shape[0]), judged) for _, judged in held]
    good, blind = IALSConfig(factors=16, reg=10.0), IALSConfig(factors=16, reg=1e9)
    for wanted, expected in (((blind, good), [good]), ((good,), [good]), ((), [])):
        config = SMALL.model_copy(update={"factors": wanted})
        chosen, of_folds = _choose_factors(held, kept, likes, config, seed=0)
        assert chosen == expected
        assert [len(factors) for factors in of_folds] == [len(expected)] * 2
    one_kind = SMALL.model_copy(update={"factors": (good,)})
    _, of_folds = _choose_factors(held, kept, likes, one_kind, seed=0)
    for (factors,), rows in zip(of_folds, kept, strict=True):
        alone = IALS(good).fit_likes(likes[rows], seed=0)  # without the users it is judged on
        np.testing.assert_array_equal(factors.factors, alone.factors)


def test_a_saved_model_scores_to_the_last_bit_like_the_one_that_was_saved(model, split, tmp_path):
    loaded = load(model.save(tmp_path / "model"))
    for shown in (split.tasks.at(0), split.tasks.at(1), split.tasks.support):
        np.testing.assert_array_equal(loaded.method.score(shown), model.method.score(shown))


def test_too_few_users_are_served_without_training():
    rows = {"user": [1, 1, 2, 2, 3], "item": ["a", "b", "a", "c", "a"]}
    from warmstart.data import Dataset

    model = Recommender(seed=0).fit(Dataset.from_tables(rows), progress=False)
    assert [r.item for r in model.recommend(["b"], k=2)] == ["a", "c"]
    assert model.recommend(k=1)[0].item == "a"
