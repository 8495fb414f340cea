"""Splits: who is cold, what is support and query, and that nothing leaks."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warmstart.core.errors import ConfigError, DataError, LeakageError
from warmstart.data import Dataset, SplitConfig, check_no_leak, make_split, synthetic

SCENARIOS = ("warm", "user-cold", "item-cold", "both-cold")


@pytest.fixture(scope="module")
def data():
    return synthetic(n_users=150, n_items=80, seed=2)


def split_of(data, scenario, **settings):
    chosen = {"test_fraction": 0.25, "max_shots": 4, "min_support": 1} | settings
    return make_split(data, SplitConfig(scenario=scenario, **chosen))


def keys(split, users, items):
    return set((np.asarray(users) * split.train.n_items + np.asarray(items)).tolist())


def query_keys(split):
    query = split.tasks.query.tocoo()
    return keys(split, split.tasks.users[query.row], query.col)


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("by", ["random", "time"])
def test_training_never_meets_what_is_held_out(data, scenario, by):
    split = split_of(data, scenario, by=by)
    trained = split.train.pairs
    assert not np.isin(trained.user, split.tasks.cold_users).any()
    assert not np.isin(trained.item, split.tasks.cold_items).any()
    assert not keys(split, trained.user, trained.item) & query_keys(split)
    support = split.tasks.support
    given = keys(split, split.tasks.users[support.rows], support.items)
    assert not given & query_keys(split)
    assert ("user" in scenario or "both" in scenario) == bool(len(split.tasks.cold_users))
    assert ("item" in scenario or "both" in scenario) == bool(len(split.tasks.cold_items))
    check_no_leak(split)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_query_item_is_a_like_and_a_candidate(data, scenario):
    split = split_of(data, scenario)
    query = split.tasks.query.tocoo()
    assert (data.evidence()[split.tasks.users[query.row], query.col] > 0).all()
    assert (np.diff(split.tasks.query.indptr) >= 1).all()
    if split.tasks.candidates is not None:
        assert split.tasks.candidates[query.col].all()
        assert set(np.flatnonzero(split.tasks.candidates)) == set(split.tasks.cold_items)


def test_supports_are_nested_and_the_query_is_past_the_largest(data):
    split = split_of(data, "user-cold", min_support=4)
    largest = split.tasks.at(4)
    for k in range(5):
        support = split.tasks.at(k)
        assert (support.shots == k).all()
        for user in range(len(support)):
            begin, whole = support.indptr[user], largest.indptr[user]
            events = slice(begin, support.indptr[user + 1])
            np.testing.assert_array_equal(support.items[events], largest.items[whole : whole + k])
    likes = np.asarray(data.positives()[split.tasks.users].sum(axis=1)).ravel()
    np.testing.assert_array_equal(likes, 4 + np.diff(split.tasks.query.indptr))


def test_supports_in_order_of_time_begin_with_the_first_likes(data):
    split = split_of(data, "user-cold", order="time")
    pairs = data.pairs
    for task, user in enumerate(split.tasks.users[:20]):
        own = np.flatnonzero((pairs.user == user) & (pairs.value > 0))
        expected = pairs.item[own[np.argsort(pairs.time[own], kind="stable")]][:4]
        a, b = split.tasks.support.indptr[task : task + 2]
        times = split.tasks.support.times[a:b]
        assert (np.diff(times) >= 0).all()
        assert set(split.tasks.support.items[a:b]) == set(expected) or len(set(times)) < len(times)


def test_a_split_by_time_trains_on_the_past_alone(data):
    split = split_of(data, "user-cold", by="time")
    cold = np.isin(data.interactions.user, split.tasks.cold_users)
    assert split.train.interactions.time.max() < data.interactions.time[cold].min()


@given(st.integers(0, 50), st.sampled_from(SCENARIOS))
@settings(deadline=None, max_examples=15)
def test_the_same_seed_gives_the_same_split_and_another_another(seed, scenario):
    data = synthetic(n_users=60, n_items=40, seed=3)
    first, again = (split_of(data, scenario, seed=seed) for _ in range(2))
    assert first.fingerprint == again.fingerprint
    assert first.fingerprint != split_of(data, scenario, seed=seed + 1).fingerprint
    check_no_leak(first)


def test_listed_users_and_pairs_are_held_out(tmp_path):
    rows = {"user": [u for u in "abcd" for _ in range(4)], "item": [1, 2, 3, 4] * 4}
    data = Dataset.from_tables(rows)
    (tmp_path / "cold.txt").write_text("b\nd\n")
    (tmp_path / "query.csv").write_text("user,item\nb,3\nb,4\nd,1\n")
    files = {"users": tmp_path / "cold.txt", "query": tmp_path / "query.csv"}
    split = split_of(data, "user-cold", by="files", files=files, max_shots=2)
    assert [data.users[int(u)] for u in split.tasks.users] == ["b", "d"]
    assert split.tasks.query.toarray().tolist() == [[0, 0, 1, 1], [1, 0, 0, 0]]
    (tmp_path / "cold.txt").write_text("b\nnobody\n")
    with pytest.raises(DataError, match=r"1 of 2 users of cold\.txt are not in the data"):
        split_of(data, "user-cold", by="files", files=files)


def test_encodings_are_learned_from_training_rows_alone():
    users = {"user": list(range(40)), "job": [f"job {u}" for u in range(40)]}
    rows = {"user": [u for u in range(40) for _ in range(5)], "item": list(range(5)) * 40}
    data = Dataset.from_tables(rows, users=users, schema={"users": {"job": "category"}})
    split = split_of(data, "user-cold", max_shots=2)
    names = set(split.train.user_features.names)
    cold = {f"job=job {data.users[int(u)]}" for u in split.tasks.cold_users}
    assert not names & cold


def test_a_leak_is_refused_and_named(data):
    split = split_of(data, "user-cold")
    with pytest.raises(LeakageError, match=r"held-out users have training rows.*first: user 'u"):
        check_no_leak(data, split.tasks)
    nobody_cold = replace(split.tasks, cold_users=np.zeros(0, np.int64))
    with pytest.raises(LeakageError, match="a query item of a task is in the training rows"):
        check_no_leak(data, nobody_cold)
    told = replace(
        split.tasks, support=data.histories(split.tasks.users), cold_users=np.zeros(0, np.int64)
    )
    with pytest.raises(LeakageError, match="both support and query"):
        check_no_leak(split.train, told)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"by": "time"}, "needs a timestamp column"),
        ({"max_shots": 60, "min_support": 60}, "lower max_shots"),
        ({"by": "files"}, "needs files.users"),
    ],
)
def test_a_split_that_cannot_be_made_says_what_to_do(settings, says):
    rows = {"user": [u for u in range(9) for _ in range(5)], "item": list(range(5)) * 9}
    with pytest.raises((ConfigError, DataError), match=says):
        split_of(Dataset.from_tables(rows), "user-cold", **settings)
