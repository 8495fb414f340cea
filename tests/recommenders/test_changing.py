"""Items go, come back and are described anew; a change is whole, or it does not happen."""

import numpy as np
import pyarrow as pa
import pytest
from tests.recommenders.small import SMALL

import warmstart as ws
from warmstart.core.errors import ConfigError, DataError, UnknownItemError
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


# ---------------------------------------------------------------------------- what warms up

HEARS = ("default", "closed-form")


def first_users(model, item, n, genre="Western", start=0):
    """Return a table of `n` users who like films of a genre and a new item."""
    table = model.catalogue.table
    fits = [genre in (g.as_py() or "") for g in table["genres"]]
    liked = np.flatnonzero(np.array(fits) & (model.catalogue.likes > 0))[:6]
    rows = {"user": [], "item": []}
    for user in range(start, start + n):
        rows["user"] += [f"u{user}"] * 4
        rows["item"] += [item, *model.catalogue.items.take(np.roll(liked, user)[:3])]
    return rows


def both(*tables):
    return {name: [x for t in tables for x in t[name]] for name in ("user", "item")}


@pytest.mark.parametrize("name", HEARS)
def test_an_item_comes_to_stand_where_its_first_users_tell(fitted, split, name):
    """Twins of met items, told by users of these alone, come nearer to them than to each other."""
    model = ws.load(fitted[name])
    likes = split.train.positives()
    met = np.argsort(-model.catalogue.likes)[:12]
    table = {"user": [], "item": []}
    for twin, item in enumerate(met):
        for user in np.flatnonzero(likes[:, [item]].toarray()[:, 0])[:40]:
            others = np.setdiff1d(likes[[user]].indices, met)
            table["user"] += [f"{twin} {user}"] * (len(others) + 1)
            table["item"] += [901 + twin, *model.catalogue.items.take(others)]
    model.add_items({"item": list(range(901, 913))})
    model.warm_up_items(table)
    vectors = model.method.item_vectors()
    vectors = vectors - vectors[: -len(met)].mean(axis=0)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    alike = vectors[-len(met) :] @ vectors[met].T
    alike -= alike.mean(axis=0)
    assert np.diag(alike).mean() > 0.05


@pytest.mark.parametrize("name", HEARS)
def test_nobody_but_the_new_items_moves_and_the_old_method_is_left_alone(fitted, name):
    model = ws.load(fitted[name])
    model.add_items({"item": [901, 902], "genres": ["Drama", "Western"]})
    old, before, nobody = model.fitted.method, model.fitted, Histories.empty(2)
    scores, vectors = old.score(nobody), old.item_vectors().copy()
    model.warm_up_items(first_users(model, 901, 5))
    np.testing.assert_array_equal(old.score(nobody), scores)
    np.testing.assert_array_equal(old.item_vectors(), vectors)
    assert (old.first_users.n[-2:] == 0).all()
    assert model.fitted is not before
    assert model.method.first_users.n[-2:].tolist() == [5, 0]
    moved = (model.method.item_vectors() != vectors).any(axis=1)
    assert np.flatnonzero(moved).tolist() == [len(model.catalogue) - 2]


@pytest.mark.parametrize("name", HEARS)
def test_what_was_heard_is_saved_and_heard_again_replaces_it(fitted, name, tmp_path):
    model = ws.load(fitted[name])
    model.add_items({"item": [901], "genres": ["Drama"]})
    model.warm_up_items(first_users(model, 901, 3, "Musical"))
    again = ws.load(model.save(tmp_path / "warm"))
    assert again.recommend([5, 9], k=200) == model.recommend([5, 9], k=200)
    direct = ws.load(fitted[name]).add_items({"item": [901], "genres": ["Drama"]})
    for one in (again, direct):
        one.warm_up_items(first_users(one, 901, 7))
    one, two = (everything(m, [5, 9]) for m in (again, direct))
    np.testing.assert_allclose([one[i] for i in two], list(two.values()), atol=1e-4)
    again.update_items({"item": [901], "genres": ["Western"]})  # and is heard still
    west = ws.load(fitted[name]).add_items({"item": [901], "genres": ["Western"]})
    west.warm_up_items(first_users(west, 901, 7))
    one, two = (everything(m, [5, 9]) for m in (again, west))
    np.testing.assert_allclose([one[i] for i in two], list(two.values()), atol=1e-4)
    again.add_items({"item": [902]})
    assert again.method.first_users.n[-2:].tolist() == [7, 0]
    reasons = {r.item: r.reason for r in again.recommend(k=200)}
    assert reasons[901] == "new in the catalogue, liked by its first users (7)"
    assert reasons[902] == "new in the catalogue, known by its description only"


def test_what_cannot_warm_up_is_refused_as_a_whole(model):
    model.add_items({"item": [901], "genres": ["Drama"]})
    before = model.fitted
    rows = first_users(model, 901, 3)
    if model.name not in HEARS:
        with pytest.raises(ConfigError, match="cannot hear the first users"):
            model.warm_up_items(rows)
        return
    known = {"user": ["a", "b"], "item": [rows["item"][1], rows["item"][2]]}
    for table, error, says in (
        (known, DataError, "none of the 2 events on known items likes a new one"),
        (both(known, {"user": [None], "item": [901]}), DataError, "user"),
        ({"user": ["a"]}, DataError, "item"),
    ):
        with pytest.raises(error, match=says):
            model.warm_up_items(table)
    assert model.fitted is before
    with pytest.warns(UserWarning, match="1 events name items outside the catalogue"):
        model.warm_up_items(both(rows, {"user": ["u0"], "item": [77_777]}))
    dropped = both(rows, {"user": [None], "item": [901]})
    model.warm_up_items(dropped, on_bad_rows="drop")
    assert model.method.first_users.n[-1] == 3
    if model.name == "default":
        old = ws.Recommender._restored("default", 0, model.method, model.fitted)
        old.method.first_users = None
        with pytest.raises(ConfigError, match="train it again"):
            old.warm_up_items(rows)


def test_a_removed_item_that_was_heard_stays_away(fitted):
    model = ws.load(fitted["default"])
    model.add_items({"item": [901], "genres": ["Drama"]}).remove_items([901])
    model.warm_up_items(first_users(model, 901, 5))
    assert 901 not in everything(model)
    model.update_items({"item": [901]})
    assert model.method.first_users.n[-1] == 5
    assert 901 in everything(model)
