"""The roles exchanged: items act, users are recommended, and what belongs to either moves along."""

import numpy as np
import pytest

from warmstart.data import Dataset, SplitConfig, check_no_leak, make_split, synthetic

ROWS = {
    "user": ["ann", "ann", "bo", "cy", "cy"],
    "item": [1, 2, 1, 3, 1],
    "rating": [5, 1, 4, 3, 5],
    "timestamp": [10, 20, 30, 40, 50],
}
FILMS = {"item": [1, 2, 3, 4], "title": ["Alien", "Brazil", "Casablanca", "Dune"]}
PEOPLE = {"user": ["ann", "bo", "cy", "di"], "age": [20, 30, 40, 50]}


@pytest.fixture(scope="module")
def data():
    return synthetic(n_users=120, n_items=50, seed=2)


def test_by_hand():
    found = Dataset.from_tables(ROWS, FILMS, PEOPLE).exchanged()
    assert list(found.users) == [1, 2, 3, 4]
    assert list(found.items) == ["ann", "bo", "cy", "di"]
    np.testing.assert_allclose(
        found.evidence().toarray(), [[1, 0.5, 1, 0], [-1, 0, 0, 0], [0, 0, -0.4, 0], [0] * 4]
    )
    assert found.user_table["title"].to_pylist() == FILMS["title"]
    assert found.item_table["age"].to_pylist() == PEOPLE["age"]
    assert found.titles == ["ann", "bo", "cy", "di"]


def test_everything_has_changed_sides(data):
    found = data.exchanged()
    assert (found.n_users, found.n_items) == (data.n_items, data.n_users)
    assert (found.evidence() != data.evidence().T).nnz == 0
    assert (found.positives() != data.positives().T).nnz == 0
    np.testing.assert_array_equal(found.interactions.user, data.interactions.item)
    np.testing.assert_array_equal(found.interactions.item, data.interactions.user)
    np.testing.assert_array_equal(found.interactions.time, data.interactions.time)
    assert found.user_table.equals(data.item_table)
    assert found.item_table.equals(data.user_table)
    assert found.schema.users == data.schema.items
    assert found.schema.items == data.schema.users
    content = data.item_features.transform(data.item_table)
    assert (found.user_matrix != content).nnz == 0
    known = found.item_features.transform(found.item_table)
    assert (known != data.user_matrix).nnz == 0
    assert found.fingerprint != data.fingerprint
    assert "roles exchanged" in found.name


def test_twice_is_the_identity(data):
    again = data.exchanged().exchanged()
    assert again.fingerprint == data.fingerprint
    assert (again.schema.users, again.schema.items) == (data.schema.users, data.schema.items)
    assert (again.user_matrix != data.user_matrix).nnz == 0
    assert list(again.items) == list(data.items)


def test_without_tables_there_is_nothing_but_ids_to_exchange():
    found = Dataset.from_tables({n: ROWS[n] for n in ("user", "item")}).exchanged()
    assert found.user_table is found.item_table is found.user_matrix is None
    np.testing.assert_array_equal(found.evidence().toarray(), [[1, 1, 1], [1, 0, 0], [0, 0, 1]])


@pytest.mark.parametrize("scenario", ["warm", "user-cold", "item-cold", "both-cold"])
@pytest.mark.parametrize("by", ["random", "time"])
def test_splits_work_on_it(data, scenario, by):
    config = SplitConfig(scenario=scenario, by=by, test_fraction=0.25, max_shots=4, min_support=1)
    split = make_split(data.exchanged(), config)
    check_no_leak(split)
    assert len(split.tasks)
    trained = split.train.positives().toarray()
    query = split.tasks.query.toarray()
    assert not trained[split.tasks.users][query > 0].any()
    liked = data.positives().toarray().T[split.tasks.users]
    assert (liked[query > 0] > 0).all()
    if scenario == "user-cold":  # a cold film: nobody's like of it was trained on
        assert not trained[split.tasks.users].any()
        support = split.tasks.support.matrix(data.n_users).toarray()
        assert (liked[support > 0] > 0).all()
        assert not query[support > 0].any()
