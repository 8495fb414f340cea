"""The public face: one new user, many new users, new items."""

import inspect
import itertools

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import warmstart as ws
from warmstart.core.errors import ConfigError, DataError, UnknownItemError

PUBLIC = {
    "fit": "(data, *, progress=None, checkpoint=None)",
    "recommend": (
        "(history=(), *, text=None, user=None, dislikes=(), k=10, exclude=(), filter=None, "
        "now=None, explain=True, trust_encoders=False, explore=0.0, rng=None, rules=None)"
    ),
    "recommend_batch": (
        "(histories=None, *, users=None, k=10, exclude=(), exclude_pairs=None, filter=None, "
        "candidates=None, on_bad_rows='raise', explore=0.0, rng=None)"
    ),
    "similar_items": "(item, k=10)",
    "add_items": "(table, *, vectors=None, root=None, trust_encoders=False)",
    "update_items": "(table, *, vectors=None, root=None, trust_encoders=False)",
    "warm_up_items": "(interactions, *, on_bad_rows='raise')",
    "remove_items": "(ids)",
    "save": "(path, *, created=None)",
    "load": "(path)",
}


def test_the_public_surface_is_what_it_was():
    assert sorted(ws.__all__) == [
        "AdRecommender", "Client", "Dataset", "LLMRecommender", "MetaRecommender", "Recommender",
        "__version__", "load", "load_dataset", "maml",
    ]  # fmt: skip
    assert dir(ws) == sorted(ws.__all__)
    for name, wanted in PUBLIC.items():
        signature = inspect.signature(getattr(ws.Recommender, name))
        plain = [
            p.replace(annotation=inspect.Parameter.empty)
            for p in signature.parameters.values()
            if p.name != "self"
        ]
        found = str(inspect.Signature(plain))
        assert found == wanted


def test_a_new_user_is_served_from_nothing_from_features_and_from_likes(model):
    nothing = model.recommend(k=5)
    assert [r.rank for r in nothing] == [1, 2, 3, 4, 5]
    assert all(a.score >= b.score for a, b in itertools.pairwise(nothing))
    young = model.recommend(user={"age": 20, "occupation": "student"}, k=30)
    old = model.recommend(user={"age": 70, "occupation": "farmer"}, k=30)
    assert [r.item for r in young] != [r.item for r in old]
    likes = [nothing[0].item, nothing[3].title]
    after = model.recommend(likes, k=5)
    assert {nothing[0].item, nothing[3].item}.isdisjoint(r.item for r in after)
    assert any("because you liked" in r.reason for r in after)
    assert all(len(r.reason) > 10 for r in nothing + after)


def test_an_unknown_category_or_a_missing_value_is_as_if_untold(model):
    untold = [r.item for r in model.recommend(k=20)]
    assert [r.item for r in model.recommend(user={"occupation": "astronaut"}, k=20)] == untold
    assert [r.item for r in model.recommend(user={"age": None}, k=20)] == untold
    with pytest.raises(DataError, match="agee"):
        model.recommend(user={"agee": 20})


@pytest.mark.parametrize("k", [0, -1, 2.5, True, "3"])
def test_k_must_be_a_whole_number_from_1(model, k):
    with pytest.raises(ConfigError, match="k must be a whole number of at least 1"):
        model.recommend(k=k)


def test_a_k_beyond_the_catalogue_gives_what_there_is(model):
    assert len(model.recommend([1, 2, 3], k=10_000)) == len(model.catalogue) - 3


def test_what_is_unknown_is_never_guessed(model):
    with pytest.raises(UnknownItemError) as caught:
        model.recommend(["Golden"])
    assert caught.value.proposals
    with pytest.raises(UnknownItemError):
        model.recommend([10**9])


def test_filters_and_exclusions_hold(model):
    comedies = model.recommend([5], k=200, filter="genres has Comedy and year >= 1980")
    rows = model.catalogue.table.to_pylist()
    for r in comedies:
        row = rows[int(model.catalogue.items.find([r.item])[0])]
        assert "Comedy" in row["genres"].split("|")
        assert row["year"] >= 1980
    wanted = [r for r in rows if "Comedy" in r["genres"].split("|") and r["year"] >= 1980]
    five = rows[model.catalogue.titles.find(5)]
    assert len(comedies) == len(wanted) - (five in wanted)
    first = comedies[0]
    fewer = model.recommend([5], k=200, filter={"genres": "Comedy", "year": (1980, None)},
                            exclude=[first.title])  # fmt: skip
    assert [r.item for r in fewer] == [r.item for r in comedies[1:]]
    with pytest.raises(ConfigError, match=r"genre\b.*genres"):
        model.recommend(filter="genre has Comedy")


def test_a_later_word_on_an_item_replaces_an_earlier_one(model):
    again = model.recommend([(7, 1), (9, 5), (7, 5)], k=8, explain=False)
    once = model.recommend([(9, 5), (7, 5)], k=8, explain=False)
    assert [r.item for r in again] == [r.item for r in once]
    with pytest.raises(DataError, match="both liked and disliked"):
        model.recommend([7], dislikes=[7])


def support(rng, n_users, n_items):
    users = [f"new {u}" for u in range(n_users) for _ in range(rng.integers(1, 6))]
    return {"user": users, "item": rng.integers(1, n_items + 1, len(users)).tolist()}


@given(st.integers(0, 10**6), st.integers(1, 30))
@settings(deadline=None, max_examples=20)
def test_many_users_get_what_each_would_get_alone(seed, k):
    model = test_many_users_get_what_each_would_get_alone.model
    rng = np.random.default_rng(seed)
    rows = support(rng, 6, 116)
    lists = model.recommend_batch(pa.table(rows), k=k)
    table = lists.table().to_pandas()
    assert set(table.columns) == {"user", "item", "rank", "score"}
    for user, own in pd.DataFrame(rows).groupby("user", sort=False):
        found = table[table.user == user]
        assert found["rank"].tolist() == list(range(1, k + 1))
        assert not set(found.item) & set(own.item)
        assert set(found.item) <= set(range(1, 121))
        alone = model.recommend(list(dict.fromkeys(own.item)), k=k, explain=False)
        np.testing.assert_allclose(found.score, [r.score for r in alone], atol=2e-3)


@pytest.fixture(autouse=True)
def _for_hypothesis(model):
    test_many_users_get_what_each_would_get_alone.model = model


def test_users_without_events_and_events_outside_the_catalogue(model):
    rows = {"user": ["a", "a", "b"], "item": [3, 9999, 8888]}
    users = {"user": ["c", "a"], "age": [20, 30], "occupation": ["student", "artist"]}
    lists = model.recommend_batch(rows, users=users, k=3)
    found = lists.table().to_pydict()
    assert list(dict.fromkeys(found["user"])) == ["a", "b", "c"]
    assert (lists.n_unknown_events, lists.n_unknown_users) == (2, 1)
    zero = [r.item for r in model.recommend(user={"age": 20, "occupation": "student"}, k=3)]
    assert found["item"][-3:] == zero
    unknown = [r.item for r in model.recommend(k=3)]
    assert found["item"][3:6] == unknown


def test_barred_pairs_do_not_come_back(model):
    rows = {"user": ["a", "b"], "item": [3, 3]}
    best = next(iter(model.recommend_batch(rows, k=1)))[0]
    lists = model.recommend_batch(rows, k=3, exclude_pairs={"user": ["a"], "item": [best]})
    first, second = (list(items) for items in lists)
    assert best not in first
    assert second[0] == best


def test_nobody_is_refused(model):
    with pytest.raises(DataError, match="nobody to recommend to"):
        model.recommend_batch()


def test_a_new_item_is_served_at_once_and_the_old_model_is_left_alone(split):
    from tests.recommenders.small import SMALL

    quick = SMALL.model_copy(update={"training": SMALL.training.model_copy(update={"epochs": 8})})
    model = ws.Recommender(config=quick, seed=0).fit(split.train, progress=False)
    before = model.recommend([5, 9], k=120, explain=False)
    new = {
        "item": [501, 502],
        "title": ["霸王别姬 (1993)", "Dust (2026)"],
        "genres": ["Drama", "Western|Comedy"],
    }
    model.add_items(new)
    after = model.recommend([5, 9], k=200, explain=False)
    assert len(after) == len(before) + 2
    old = [r.item for r in after if r.item < 500]
    assert old == [r.item for r in before]
    mine = model.recommend(["霸王别姬"], k=3)
    assert all(r.item != 501 for r in mine)
    assert model.similar_items("霸王别姬", k=5)[0].item != 501
    with pytest.raises(DataError, match="501"):
        model.add_items({"item": [501]})
    assert len(model.catalogue) == 122


def test_similar_items_are_the_nearest_by_angle(model):
    vectors = model.method.item_vectors()
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    for item in (1, 40, 116):
        cosine = unit @ unit[model.catalogue.titles.find(item)]
        found = model.similar_items(item, k=10)
        nearest = np.argsort(-cosine)[1:11]
        assert [r.item for r in found] == model.catalogue.items.take(nearest)
        np.testing.assert_allclose([r.score for r in found], np.sort(cosine)[::-1][1:11], rtol=1e-4)


def test_a_method_without_vectors_says_what_those_who_like_an_item_get(split):
    model = ws.Recommender("ease").fit(split.train, progress=False)
    similar, recommended = model.similar_items(7, k=5), model.recommend([7], k=5)
    assert [r.item for r in similar] == [r.item for r in recommended]


def test_a_recommender_that_is_not_fitted_says_so():
    with pytest.raises(ConfigError, match="not fitted"):
        ws.Recommender().recommend()
    with pytest.raises(ConfigError, match=r"no method is called 'magic'.*default"):
        ws.Recommender("magic")
    with pytest.raises(ConfigError, match="foldz"):
        ws.Recommender(config={"foldz": 3})
