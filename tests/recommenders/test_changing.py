"""Items go, come back and are described anew; a change is whole, or it does not happen."""

import numpy as np
import pyarrow as pa
import pytest
from tests.recommenders.small import SMALL

import warmstart as ws
from warmstart.core.errors import DataError, UnknownItemError
from warmstart.core.types import Histories

QUICK = SMALL.model_copy(update={"training": SMALL.training.model_copy(update={"epochs": 4})})
METHODS = ("default", "closed-form", "itemknn")


@pytest.fixture(scope="module")
def fitted(split, tmp_path_factory):
    """A saved model of each kind: the default, a learner, a method without item content."""
    folder = tmp_path_factory.mktemp("models")
    found = {}
    for name in METHODS:
        settings = {"default": QUICK, "closed-form": {"outer": {"epochs": 3}}}.get(name)
        model = ws.Recommender(name, config=settings).fit(split.train, progress=False)
        found[name] = model.save(folder / name)
    return found


@pytest.fixture(params=METHODS)
def model(request, fitted):
    return ws.load(fitted[request.param])


def everything(model, history=(), **options):
    """Return the scores of all that is recommended."""
    listed = model.recommend(history, k=1_000, explain=False, **options)
    return {r.item: r.score for r in listed}


# ------------------------------------------------------------------------------ what is removed


def test_a_removed_item_leaves_nothing_again(model):
    likes = [r.item for r in model.recommend(k=3)]
    whole = everything(model, likes)
    gone = list(whole)[:4]
    model.remove_items(gone)
    left = everything(model, likes)
    assert left == {item: score for item, score in whole.items() if item not in gone}
    asked = np.isin(list(model.catalogue.items), gone)
    assert everything(model, likes, filter=asked) == {}
    genre = model.catalogue.table["genres"][int(np.flatnonzero(asked)[0])].as_py()
    kept = everything(model, likes, filter={"genres": genre})
    assert kept
    assert not set(gone) & kept.keys()
    assert everything(model, likes, filter="not title is missing") == left
    rows = {"user": ["a", "b", "b"], "item": [likes[0], likes[0], gone[0]]}
    lists = model.recommend_batch(rows, k=1_000)
    assert not set(gone) & {item for row in lists for item in row}
    alone = model.recommend_batch(rows, k=5, candidates=asked)
    assert (alone.items == -1).all()
    barred = model.recommend_batch(rows, k=1_000, exclude_pairs={"user": ["a"], "item": [likes[1]]})
    assert not set(gone) & {item for row in barred for item in row}
    for item in (likes[0], gone[0]):
        assert not set(gone) & {r.item for r in model.similar_items(item, k=1_000)}


def test_a_history_may_name_what_was_removed_and_no_reason_does(model):
    liked = model.catalogue.titles.title(7)
    before = everything(model, [liked])
    item = model.catalogue.items[7]
    model.remove_items([item])
    assert everything(model, [liked]) == before
    reasons = [r.reason for r in model.recommend([liked, 9], k=20)]
    assert all(len(reason) > 10 and liked[:-7] not in reason for reason in reasons)


def test_items_are_removed_as_a_whole_or_not_at_all(model):
    before = everything(model)
    with pytest.raises(
        UnknownItemError, match=r"10077 is not in the catalogue; did you mean: 77"
    ) as error:
        model.remove_items([3, 4, 10077])
    assert error.value.query == 10077
    with pytest.raises(DataError, match=r"ids is a list of items, got 'ab'; write \['ab'\]"):
        model.remove_items("ab")
    assert everything(model) == before
    assert model.catalogue.removed is None
    model.remove_items([])
    assert model.catalogue.removed is None
    model.remove_items(["3"]).remove_items([3, 4])
    assert set(model.catalogue.items.take(np.flatnonzero(model.catalogue.removed))) == {3, 4}


def test_with_everything_removed_the_lists_are_empty(model, tmp_path):
    everyone = list(model.catalogue.items)
    model.remove_items(everyone)
    again = ws.load(model.save(tmp_path / "empty"))
    for one in (model, again):
        assert one.recommend([3], k=5) == []
        assert one.similar_items(3) == []
        assert (one.recommend_batch({"user": [1], "item": [3]}).items == -1).all()


def test_only_an_update_brings_an_item_back(model):
    whole = everything(model, [9])
    model.remove_items([3, 4])
    with pytest.raises(DataError, match=r"first: 4\); it was removed, and update_items brings it"):
        model.add_items({"item": [4]})
    model.add_items({"item": [901], "genres": ["Drama"]})
    assert everything(model, [9]).keys() == whole.keys() - {3, 4} | {901}
    model.update_items({"item": [4]})
    model.remove_items([901])
    assert everything(model, [9]).keys() == whole.keys() - {3}
    model.update_items({"item": [3, 901]})
    assert model.catalogue.removed is None
    old = everything(model, [9])
    assert old.pop(901)
    np.testing.assert_allclose(*([s[i] for i in whole] for s in (old, whole)), rtol=1e-4, atol=0.05)


def test_what_was_removed_is_saved(model, tmp_path):
    model.add_items({"item": [901], "genres": ["Drama"]}).remove_items([5, 901])
    again = ws.load(model.save(tmp_path / "less"))
    np.testing.assert_array_equal(again.catalogue.removed, model.catalogue.removed)
    assert again.recommend([9], k=200) == model.recommend([9], k=200)
    assert "| of these removed | 2 |" in (tmp_path / "less" / "README.md").read_text("utf8")


# ----------------------------------------------------------------------------- what is updated


def test_titles_and_filters_change_and_what_is_not_given_stays(model):
    model.add_items({"item": [901], "title": ["Ghost"], "genres": ["Drama"], "year": [1990]})
    before = model.catalogue.table.to_pydict()
    model.update_items({"item": [901, 7], "title": ["Phantom (1991)", "Seventh (2001)"]})
    after = model.catalogue.table.to_pydict()
    places = model.catalogue.items.find([901, 7])
    changed = [after["title"][i] for i in places]
    assert changed == ["Phantom (1991)", "Seventh (2001)"]
    for name in before:
        for i, value in enumerate(before[name]):
            if name != "title" or i not in places:
                assert after[name][i] == value
    assert model.catalogue.titles.find("phantom") == places[0]
    with pytest.raises(UnknownItemError, match="Ghost"):
        model.catalogue.titles.find("Ghost")
    assert set(everything(model, filter='title contains "phantom"')) == {901}
    model.update_items({"item": [7], "year": [None], "colour": ["red"]})
    assert 7 in everything(model, filter="year is missing")


def test_an_update_is_whole_or_nothing(model):
    before, scores = model.fitted, everything(model)
    for table, error, says in (
        ({"item": [3, 10077], "title": ["a", "b"]}, UnknownItemError, "10077"),
        ({"item": [3, 3], "title": ["a", "b"]}, DataError, "occurs twice"),
        ({"item": [3], "year": ["late"]}, DataError, "column 'year' of the items"),
    ):
        with pytest.raises(error, match=says):
            model.update_items(table)
    with pytest.raises(DataError, match="2 vectors 'sound' for 1 items"):
        model.update_items({"item": [3]}, vectors={"sound": np.ones((2, 3))})
    assert model.fitted is before
    assert everything(model) == scores


def test_an_unmet_item_described_anew_stands_where_it_would_have_stood(model):
    """Adding with the wrong genre and mending it is adding with the right one."""
    wrong = {"item": [901, 902], "genres": ["Drama", "Musical"]}
    right = {"item": [901, 902], "genres": ["Western", "Musical"]}
    model.add_items(wrong)
    first = model.fitted
    model.update_items({"item": [901], "genres": ["Western"]})
    mended = everything(model, [5, 9])
    model._fitted = first
    drama = everything(model, [5, 9])
    assert drama[901] != mended[901]
    np.testing.assert_allclose(mended[902], drama[902], rtol=0.05, atol=0.05)
    name = model.name
    fresh = ws.Recommender._restored(name, 0, first.method, first)
    fresh.update_items(right)
    np.testing.assert_allclose(
        [everything(fresh, [5, 9])[i] for i in mended], list(mended.values()), atol=1e-4
    )


@pytest.mark.parametrize("name", ["default", "closed-form"])
def test_an_update_is_what_adding_it_so_would_have_been(fitted, name):
    mended, straight = ws.load(fitted[name]), ws.load(fitted[name])
    mended.add_items({"item": [901, 902], "genres": ["Drama", "Musical"], "year": [1990, 1950]})
    mended.update_items({"item": [901], "genres": ["Western"]})
    straight.add_items({"item": [901, 902], "genres": ["Western", "Musical"], "year": [1990, 1950]})
    for history in ([], [5, 9]):
        a, b = everything(mended, history), everything(straight, history)
        np.testing.assert_allclose([a[i] for i in b], list(b.values()), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["default", "closed-form"])
def test_a_met_item_keeps_what_was_learned_and_lends_by_what_it_is_now(fitted, name):
    model, other = ws.load(fitted[name]), ws.load(fitted[name])
    met = model.catalogue.items.take(model.method.content.lenders[:40])
    before = everything(model, [5, 9])
    model.update_items({"item": met, "genres": ["Western"] * 40})
    assert everything(model, [5, 9]) == before
    for one in (model, other):
        one.add_items({"item": [901], "genres": ["Western"]})
    a, b = (one.method.item_vectors()[-1] for one in (model, other))
    assert not np.allclose(a, b, atol=1e-3)
    again = everything(ws.load(fitted[name]), [5, 9])
    assert again == before


def test_an_update_leaves_the_old_method_alone_and_is_saved(model, tmp_path):
    model.add_items({"item": [901], "genres": ["Drama"]})
    old, nobody = model.method, Histories.empty(3)
    old = model.fitted.method
    scores = old.score(nobody)
    unmet = model.catalogue.items.take(np.flatnonzero(model.catalogue.likes == 0))
    model.update_items({"item": unmet, "genres": ["Western|Musical"] * len(unmet)})
    np.testing.assert_array_equal(old.score(nobody), scores)
    again = ws.load(model.save(tmp_path / "more"))
    assert again.recommend([5], k=200) == model.recommend([5], k=200)
    again.update_items({"item": unmet, "genres": pa.array([None] * len(unmet), pa.string())})
    assert everything(again).keys() == everything(model).keys()


def test_vectors_are_updated_as_they_were_added():
    rng = np.random.default_rng(1)
    kinds = np.eye(3)[np.arange(60) % 3] + 0.1 * rng.normal(size=(60, 3))
    favour = rng.integers(3, size=200)
    user, item = np.nonzero(rng.random((200, 60)) < np.where(np.arange(60) % 3 == favour[:, None],
                                                             0.5, 0.03))  # fmt: skip
    data = ws.Dataset.from_tables({"user": user, "item": item})
    data = data.with_item_vectors("sound", np.arange(60), kinds)
    config = {"folds": 2, "training": {"epochs": 4}, "embedding_dim": 16, "hidden_dim": 32}
    model = ws.Recommender(config=config).fit(data, progress=False)
    model.add_items({"item": [100, 101]}, vectors={"sound": np.eye(3)[[2, 0]]})
    model.update_items({"item": [101, 100]}, vectors={"sound": np.eye(3)[[2, 0]]})
    ranked = [r.item for r in model.recommend([0, 3, 6], k=62) if r.item >= 100]
    assert ranked == [100, 101]
    with pytest.raises(DataError, match="vectors of 2 numbers, the others have 3"):
        model.update_items({"item": [100]}, vectors={"sound": np.ones((1, 2))})
    with pytest.raises(DataError, match="vectors of 2 numbers, the others have 3"):
        model.add_items({"item": [102]}, vectors={"sound": np.ones((1, 2))})
