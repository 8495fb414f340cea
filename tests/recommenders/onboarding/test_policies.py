"""Policies: masks, known orders, a slow loop, and the list against brute force."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from warmstart.core.errors import ConfigError
from warmstart.meta.linear_belief import LinearBeliefConfig
from warmstart.recommenders.onboarding.features import NAMES, START, STARTS, features
from warmstart.recommenders.onboarding.greedy_list import forward_search, squared_error_change
from warmstart.recommenders.onboarding.interview import Interview
from warmstart.recommenders.onboarding.knowledge import (
    Knowledge,
    knowledge_of_likes,
    learn_knowledge,
)
from warmstart.recommenders.onboarding.policies import POLICIES, choose, lookup
from warmstart.recommenders.onboarding.respondents import (
    Respondents,
    errors,
    interview,
    respondents,
    stored,
)

CONFIG = LinearBeliefConfig(dim=3, seen_dim=2, reg=2.0)


def planted_ratings(n_users, n_items=25, seed=0):
    """Whole stars of low rank; the first items are seen by most."""
    rng = np.random.default_rng(seed)
    taste = rng.normal(size=(n_users, 2)) @ np.random.default_rng(99).normal(size=(2, n_items))
    stars = np.clip(np.round(3 + taste + rng.normal(0, 0.4, taste.shape)), 1, 5)
    seen = rng.random(stars.shape) < np.linspace(0.9, 0.1, n_items)
    rows, columns = np.nonzero(seen)
    return sp.csr_array((stars[rows, columns], (rows, columns)), shape=stars.shape)


@pytest.fixture(scope="module")
def knowledge():
    found = learn_knowledge(planted_ratings(300), CONFIG)
    listed = np.array([4, 2, 7])
    return Knowledge(
        **{n: getattr(found, n) for n in Knowledge.__slots__ if n not in ("weights", "listed")},
        weights=START + np.float32(0.1), listed=listed,
    )  # fmt: skip


@pytest.fixture(scope="module")
def people():
    return respondents(planted_ratings(40, seed=1), seed=2)


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("world", ["open", "closed"])
def test_nobody_is_asked_twice_or_about_what_is_masked(name, world, knowledge, people):
    allowed = np.ones(25, bool)
    allowed[[0, 3]] = False
    found = interview(
        POLICIES[name], knowledge, people, questions=24, world=world, allowed=allowed,
        rng=np.random.default_rng(3),
    )  # fmt: skip
    for user, items in enumerate(found.items):
        asked = items[items >= 0]
        assert len(np.unique(asked)) == len(asked)
        assert ((asked >= 0) & (asked < 25) & allowed[asked]).all()
        pool = set(people.pool[[user]].indices.tolist()) - {0, 3}
        if world == "closed":
            assert set(asked.tolist()) == pool  # all of it, then nothing is left to ask
        else:
            assert len(asked) == 23
        for item, value in zip(items, found.values[user], strict=True):
            assert np.isfinite(value) == (item in pool)


def test_beliefs_of_all_users_at_once_are_those_of_one_at_a_time(knowledge, people):
    whole = interview(
        POLICIES["information-gain"], knowledge, people, questions=6, rng=np.random.default_rng(0)
    )
    for user in range(0, 40, 7):
        one = interview(
            POLICIES["information-gain"], knowledge, people.take(np.array([user])), questions=6,
            rng=np.random.default_rng(0),
        )  # fmt: skip
        np.testing.assert_array_equal(whole.items[user], one.items[0])
        np.testing.assert_allclose(whole.rmse[user], one.rmse[0], rtol=1e-5)


def test_the_error_is_that_of_a_slow_loop(knowledge, people):
    state = Interview.start(knowledge, len(people))
    asked = np.arange(len(people)) % 25
    state = state.after(knowledge, asked, people.answers(asked))
    found = errors(knowledge.ratings, state.taste, people.query)
    expected = knowledge.ratings.expected(state.taste)
    for user in range(len(people)):
        row = people.query[[user]]
        wrong = [y - expected[user, i] for i, y in zip(row.indices, row.data, strict=True)]
        assert found[user] == pytest.approx(np.sqrt(np.mean(np.square(wrong))), rel=1e-5)


def test_the_static_policies_ask_in_their_order(knowledge):
    state = Interview.start(knowledge, 2)
    rng = np.random.default_rng(0)
    for name, values in (
        ("popularity", knowledge.counts),
        ("entropy", knowledge.entropy),
        ("entropy0", knowledge.entropy0),
        ("helf", knowledge.helf),
    ):
        found = choose(POLICIES[name], knowledge, state, None, rng)
        assert found.tolist() == [int(np.argmax(values))] * 2
    order = np.argsort(-POLICIES["greedy-list"](knowledge, state, rng)[0])
    assert order[:3].tolist() == [4, 2, 7]
    rest = [i for i in np.argsort(-knowledge.counts, kind="stable") if i not in (4, 2, 7)]
    assert order[3:].tolist() == rest


def test_entropies_are_those_of_the_definition():
    columns = [[5, 5, 1, 1], [3, 3, 3, 3], [4, 0, 0, 0]]  # 0: not rated
    matrix = sp.csr_array(np.array(columns, float).T)
    found = learn_knowledge(matrix, LinearBeliefConfig(dim=1, seen_dim=1))
    np.testing.assert_allclose(found.entropy, [np.log(2), 0, 0], atol=1e-6)
    levels = 4  # 1, 3, 4 and 5
    by_hand = [np.log(2), 0, -0.25 * np.log(0.25) - 0.5 * 0.75 * np.log(0.75)]
    np.testing.assert_allclose(found.entropy0, np.array(by_hand) / (levels + 0.5), atol=1e-6)


def test_information_gain_asks_what_lowers_the_expected_error_most(knowledge):
    """By simulation: answers drawn from the belief, the variance of the ratings after each."""
    state, rng = Interview.start(knowledge, 1), np.random.default_rng(4)
    seen = state.chance_seen(knowledge)[0]
    left = []
    for item in range(25):
        after = state.after(knowledge, np.array([item]), rng.normal(3, 1, 1))
        told = np.einsum("de,ed->", after.taste.covariance[0], knowledge.target)
        silent = state.left(knowledge)[0]
        left.append(seen[item] * told + (1 - seen[item]) * silent)
    asked = choose(POLICIES["information-gain"], knowledge, state, None, rng)
    assert asked[0] == int(np.argmin(left))


def test_the_learned_policy_may_begin_as_others_ask(knowledge):
    """After each of some questions, with what was asked out of the way."""
    state, rng = Interview.start(knowledge, 6), np.random.default_rng(3)
    ratings, share = knowledge.ratings, knowledge.counts / knowledge.counts.sum()
    usual, spread = share @ ratings.offset, np.sqrt(share @ ratings.noise)
    for _ in range(4):
        seen, rated = state.chance_seen(knowledge), ratings.expected(state.taste)
        theirs = {
            "information gain": state.value(knowledge),
            "expected rating": seen * np.maximum(rated - (usual - 3 * spread), 0),
            "liked": seen / (1 + np.exp(-1.7 * (rated - usual) / spread)),
        }
        shown = features(knowledge, state)
        assert shown.shape == (6, 25, 2 * len(NAMES))
        assert shown[..., : len(NAMES)].max() == 1
        assert shown[..., : len(NAMES)].min() >= 0
        np.testing.assert_allclose(
            shown[..., len(NAMES) :], shown[..., : len(NAMES)] * state.number / 10, rtol=1e-5
        )
        for name, values in theirs.items():
            best = np.where(state.asked, -np.inf, values).argmax(axis=1)
            ours = np.where(state.asked, -np.inf, shown @ STARTS[name]).argmax(axis=1)
            np.testing.assert_array_equal(ours, best)
        state = state.after(knowledge, best, rng.choice([1.0, 5.0, np.nan], 6))


def test_an_older_learned_policy_is_refused(knowledge):
    old = replace(knowledge, weights=np.zeros(20, np.float32))
    with pytest.raises(ConfigError, match="no learned policy, or an older one; train it anew"):
        POLICIES["reinforce"](old, Interview.start(old, 1), np.random.default_rng(0))


def test_thompson_asks_more_often_about_what_is_likely_to_be_liked(knowledge):
    n = 4_000
    state = Interview.start(knowledge, n)
    asked = choose(POLICIES["thompson"], knowledge, state, None, np.random.default_rng(5))
    again = choose(POLICIES["thompson"], knowledge, state, None, np.random.default_rng(6))
    assert len(np.unique(asked)) > 2
    assert (asked != again).any()
    share = np.bincount(asked, minlength=25) / n
    assert share[:12].sum() > share[12:].sum()  # the first ones are those that people know


def test_the_greedy_list_is_that_of_brute_force(people):
    known = learn_knowledge(planted_ratings(300), CONFIG)
    prior = known.ratings
    tried = np.argsort(-known.counts, kind="stable")[:6]

    def error(sequence):
        """Ask everybody these items, one after the other, and measure."""
        belief = prior.start(len(people))
        for item in sequence:
            asked = np.full(len(people), item)
            said = people.answers(asked)
            belief = prior.told(belief, asked, np.nan_to_num(said), np.isfinite(said))
        return float(np.square(errors(prior, belief, people.query)).mean())

    best = []
    for _ in range(3):
        best.append(min((i for i in tried if i not in best), key=lambda i: error([*best, i])))
    assert forward_search([(known, people)], length=3, most_items=6).tolist() == best
    # and greedy is close to the best of all lists of two
    two = min(itertools.permutations(tried, 2), key=error)
    assert error(best[:2]) <= error(two) + 0.02
    change = squared_error_change(prior, prior.start(len(people)), people, tried)
    by_hand = [error([item]) - error([]) for item in tried]
    np.testing.assert_allclose(change, by_hand, atol=1e-4)


def test_folds_search_together_as_one(people):
    known = learn_knowledge(planted_ratings(300), CONFIG)
    halves = [(known, people.take(np.arange(15))), (known, people.take(np.arange(15, 40)))]
    whole = forward_search([(known, people)], length=5)
    assert forward_search(halves, length=5).tolist() == whole.tolist()


def test_what_judges_is_never_answered():
    ratings = planted_ratings(30, seed=7)
    found = respondents(ratings, query_share=0.3, seed=1)
    both = np.concatenate([found.pool.tocoo().coords, found.query.tocoo().coords], axis=1)
    assert len(np.unique(both, axis=1).T) == both.shape[1] == ratings.nnz
    share = np.diff(found.query.indptr) / np.diff(ratings.indptr)
    assert (np.abs(share - 0.3) < 0.1).all()
    for item in range(25):
        said = stored(found.pool, np.full(30, item))
        judged = stored(found.query, np.full(30, item))
        assert not (np.isfinite(said) & np.isfinite(judged)).any()


def test_a_rating_of_zero_is_an_answer():
    pool = sp.csr_array((np.array([0.0, 3.0]), np.array([1, 0]), np.array([0, 1, 2])), shape=(2, 2))
    one = Respondents(np.arange(2), pool, pool)
    assert one.answers(np.array([1, 1]))[0] == 0
    assert np.isnan(one.answers(np.array([1, 1]))[1])
    assert np.isnan(one.answers(np.array([-1, -1]))).all()


def test_knowledge_survives_arrays_and_new_items(knowledge):
    again = Knowledge.from_arrays(knowledge.arrays())
    for name, array in knowledge.arrays().items():
        np.testing.assert_array_equal(again.arrays()[name], array)
    longer = knowledge.grown(4)
    state = Interview.start(longer, 3)
    assert state.asked.shape == (3, 29)
    for name in POLICIES:
        if name != "random":
            asked = choose(POLICIES[name], longer, state, None, np.random.default_rng(0))
            assert (asked < 25).all()  # nobody knows what is new


def test_likes_alone_are_enough_to_ask_by():
    likes = np.array([3, 50, 20])
    known = knowledge_of_likes(likes, 100)
    state = Interview.start(known, 1)
    rng = np.random.default_rng(0)
    assert choose(POLICIES["popularity"], known, state, None, rng).tolist() == [1]
    assert choose(POLICIES["information-gain"], known, state, None, rng).tolist() == [1]
    assert np.isfinite(state.value(known)).all()


def test_what_is_missing_is_said():
    known = learn_knowledge(planted_ratings(50), CONFIG)
    state, rng = Interview.start(known, 1), np.random.default_rng(0)
    with pytest.raises(ConfigError, match="greedy list"):
        choose(POLICIES["greedy-list"], known, state, None, rng)
    with pytest.raises(ConfigError, match="learned policy"):
        choose(POLICIES["reinforce"], known, state, None, rng)
    with pytest.raises(ConfigError, match="random, popularity, entropy, entropy0, helf"):
        lookup("oracle")
