"""Pairs of users and items: how tasks are cut, and what is predicted of planted structure."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import warmstart as ws
from warmstart.core.errors import ConfigError, DataError, DivergedError
from warmstart.core.types import Histories
from warmstart.data import Dataset, SplitConfig, make_split
from warmstart.evaluation import evaluate
from warmstart.evaluation.rated import evaluate_rated
from warmstart.evaluation.significance import paired_permutation
from warmstart.index import top_k
from warmstart.recommenders import pair, pair_training
from warmstart.recommenders.behaviours import Behaviour, Behaviours, BehavioursConfig
from warmstart.recommenders.itemmean import ItemMean
from warmstart.recommenders.pair_tasks import PairKind, draw_pair_tasks, together
from warmstart.recommenders.popularity import Popularity

OUTER = {"epochs": 15, "batch_size": 64, "outer_lr": 2e-2, "weight_decay": 0.3, "checks": 2}
QUICK = {"embedding_dim": 8, "hidden": (16,), "max_shots": 10, "query_pairs": 10, "outer": OUTER}

# ------------------------------------------------------------------------------ cutting the tasks


def labels_of(rng, n_who=9, n_what=15):
    """Return a sparse matrix whose rows have two labels at least; each label tells its place."""
    chosen = rng.random((n_who, n_what)) < 0.4
    chosen[:, :2] = True
    rows, columns = np.nonzero(chosen)
    return sp.csr_array(((100 * rows + columns).astype(np.float32), (rows, columns)))


def drawn(kind, who, seed=0, **more):
    how = {"known": None, "n_other_features": 0, "max_shots": 4, "query_pairs": 3}
    how |= {"offsets": np.zeros((len(who), 2, 1 + kind.labels.shape[1]), np.float32)} | more
    return draw_pair_tasks(kind, who, np.random.default_rng(seed), **how)


def pairs(examples, task, side=1):
    """Return the real pairs of a task as {index of the other: label}."""
    real = examples.mask[task]
    others = examples.inputs[side][task][real].numpy() - 1
    found = dict(zip(others.tolist(), examples.labels[task][real].tolist(), strict=True))
    assert len(found) == int(real.sum())
    return found


@given(st.integers(0, 10**6), st.integers(0, 6), st.integers(1, 6))
@settings(deadline=None, max_examples=25)
def test_support_and_query_are_disjoint_parts_of_what_is_known_of_each(seed, most, n_query):
    rng = np.random.default_rng(seed)
    labels = labels_of(rng)
    who = rng.permutation(9)[:6]
    tasks = drawn(PairKind(labels), who, seed, max_shots=most, query_pairs=n_query)
    for task, row in enumerate(who):
        support, query = pairs(tasks.support, task), pairs(tasks.query, task)
        own = {int(c): float(100 * row + c) for c in labels[[row]].indices}
        assert not support.keys() & query.keys()
        assert support.items() | query.items() <= own.items()
        assert len(support) <= min(most, len(own) - 1)
        assert len(query) == min(n_query, len(own) - len(support))
    assert not tasks.support.inputs[0].any()  # whose task it is, is a stranger
    np.testing.assert_allclose(tasks.weight, 1 / 6)


@pytest.mark.parametrize("shots", [0, 1, 4])
def test_a_number_of_shots_that_is_asked_for_is_given(shots):
    labels = labels_of(np.random.default_rng(3))
    tasks = drawn(PairKind(labels), np.arange(9), shots=shots)
    counts = np.diff(labels.indptr)
    np.testing.assert_array_equal(tasks.support.mask.sum(dim=1), np.minimum(shots, counts - 1))


def test_shots_are_drawn_evenly_and_every_pair_is_as_likely_a_support():
    labels = sp.csr_array(np.arange(1, 13, dtype=np.float32)[None])
    tasks = drawn(PairKind(labels), np.zeros(4000, np.int64), max_shots=4, query_pairs=12)
    shots = np.bincount(tasks.support.mask.sum(dim=1), minlength=5)
    np.testing.assert_allclose(shots / 4000, 1 / 5, atol=0.03)  # five standard errors
    items = tasks.support.inputs[1][tasks.support.mask]
    np.testing.assert_allclose(np.bincount(items)[1:] / len(items), 1 / 12, atol=0.02)


def test_tasks_of_items_are_tasks_of_users_of_the_transposed_matrix():
    rng = np.random.default_rng(1)
    labels = sp.csr_array(labels_of(rng).T)
    known = sp.csr_array(rng.random((labels.shape[0], 2)).astype(np.float32))
    who = np.flatnonzero(np.diff(labels.indptr) >= 2)
    same = {"known": known, "n_other_features": 3}
    of_users = drawn(PairKind(labels, "user", number=1), who, **same)
    of_items = drawn(PairKind(labels, "item", number=1), who, **same)
    for one, other in ((of_users.support, of_items.support), (of_users.query, of_items.query)):
        stranger, met, told, untold, said, kind = one.inputs
        swapped = (met, stranger, untold, told, said, kind)
        for found, wanted in zip(other.inputs, swapped, strict=True):
            np.testing.assert_array_equal(found, wanted)
        np.testing.assert_array_equal(other.labels, one.labels)
        np.testing.assert_array_equal(other.mask, one.mask)
        assert (kind == 1).all()
        assert not untold.any()
        np.testing.assert_allclose(told, known[who].toarray())


def test_every_pair_carries_what_is_said_of_its_item_in_the_eyes_of_its_task():
    labels = labels_of(np.random.default_rng(3))
    offsets = np.random.default_rng(4).random((9, 2, 16)).astype(np.float32)
    tasks = drawn(PairKind(labels, negatives=1.0), np.arange(9), offsets=offsets, id_dropout=0.3)
    for examples in (tasks.support, tasks.query):
        items, said = examples.inputs[1].numpy(), examples.inputs[4].numpy()
        assert (items < 0).any()
        for task, place in np.argwhere(examples.mask.numpy()):
            seen = offsets[task][:, max(items[task, place], 0)]
            np.testing.assert_array_equal(said[task, place], seen)


def test_no_task_finds_its_own_labels_in_what_is_said():
    rng = np.random.default_rng(5)
    labels, stars = labels_of(rng, 40, 6), labels_of(rng, 6, 40)
    labels.data = (labels.data % 3 == 0).astype(np.float32)
    kinds = [PairKind(labels, binary=True), PairKind(stars, "item", number=1)]
    rows = [np.arange(38), np.arange(6)]
    folds = {"user": rng.integers(1, 4, 40), "item": rng.integers(1, 4, 6)}
    folds["user"][38:] = 0
    found = pair_training._offsets(kinds, rows, folds, 2.0)
    assert found["user"].shape == (1 + pair_training._FOLDS, 2, 7)
    dense, known = labels.toarray(), np.zeros((40, 6), bool)
    known[np.repeat(np.arange(40), np.diff(labels.indptr)), labels.indices] = True
    for fold in range(4):
        left = (np.arange(40) < 38) & ((folds["user"] != fold) | (fold == 0))
        mean = dense[left].sum() / known[left].sum()
        share = (dense[left].sum(0) + 3 * mean) / (known[left].sum(0) + 3)
        np.testing.assert_allclose(
            found["user"][fold, 0, 1:], np.log(share / (1 - share)), rtol=1e-4, atol=1e-6
        )
        others = (folds["item"] != fold) | (fold == 0)
        at = stars.toarray()[others]
        means = at.sum(0) / ((at != 0).sum(0) + 2.0)
        np.testing.assert_allclose(found["item"][fold, 1, 2:], means[1:], rtol=1e-5)
    assert not found["user"][:, :, 0].any()  # nothing is said of a stranger
    assert not found["user"][:, 1].any()


def test_negatives_are_drawn_evenly_and_say_zero():
    labels = sp.csr_array((np.random.default_rng(0).random((300, 20)) < 0.5).astype(np.float32))
    kind = PairKind(labels, negatives=1.5, binary=True)
    tasks = drawn(kind, np.arange(300), max_shots=6, query_pairs=4)
    seen = np.zeros(20)
    for examples, width in ((tasks.support, 6), (tasks.query, 4)):
        own, against = examples.mask[:, :width], examples.mask[:, width:]
        wanted = np.ceil(1.5 * own.sum(1).numpy())
        if examples is tasks.support:  # half of them show only what happened
            alone = (against.sum(1) == 0).numpy() & (wanted > 0)
            assert 0.4 < alone[wanted > 0].mean() < 0.6
            wanted[alone] = 0
        missing = wanted - against.sum(1).numpy()  # who met half of all cannot always be served
        assert missing.min() >= 0
        assert missing.sum() < 0.01 * wanted.sum()
        row, column = np.nonzero(against.numpy())
        hit = examples.inputs[1][:, width:][row, column].numpy() - 1
        assert not (labels.toarray()[row, hit] > 0).any()
        assert (examples.labels[:, :width][own] == 1).all()
        assert (examples.labels[:, width:] == 0).all()
        seen += np.bincount(examples.inputs[1][:, width:][against] - 1, minlength=20)
    np.testing.assert_allclose(seen / seen.sum(), 1 / 20, atol=0.02)


def test_kinds_together_keep_their_pairs_and_count_as_they_should():
    rng = np.random.default_rng(2)
    labels = labels_of(rng)
    kinds = [PairKind(labels), PairKind(sp.csr_array(labels.T), "item", number=1)]
    batches = [
        drawn(kinds[0], np.arange(9), max_shots=5, query_pairs=2),
        drawn(kinds[1], np.arange(2), max_shots=3, query_pairs=4),
    ]
    both = together(batches, [1.0, 0.25])
    assert both.query.inputs[4].shape == (11, 4, 2)
    assert both.support.labels.shape == (11, 5)
    assert both.query.labels.shape == (11, 4)
    assert both.support.kind.tolist() == [0] * 9 + [1] * 2
    for task in range(9):
        assert pairs(both.query, task) == pairs(batches[0].query, task)
    for task in range(2):
        assert pairs(both.support, 9 + task, side=0) == pairs(batches[1].support, task, side=0)
    np.testing.assert_allclose(both.weight[:9].sum(), 0.8)
    np.testing.assert_allclose(both.weight[9:].sum(), 0.2)


# ---------------------------------------------------------------------------------------- ratings

N_TRAINED, N_COLD, N_ITEMS = 200, 80, 40


@pytest.fixture(scope="module")
def world():
    """Stars of taste times taste around item means: those of the trained users as a dataset.

    With it: (users, items) all stars in the dataset's order of the items; zero where not rated.
    """
    rng = np.random.default_rng(0)
    taste, nature = rng.normal(size=(N_TRAINED + N_COLD, 2)), rng.normal(size=(N_ITEMS, 2))
    liking = 0.5 * rng.normal(size=N_ITEMS) + taste @ nature.T / 1.4
    rated = np.clip(np.round(3 + liking + 0.3 * rng.normal(size=liking.shape)), 1, 5)
    known = rng.random(rated.shape) < 0.5
    known[:, :18] = True
    stars = rated * known
    user, item = np.nonzero(stars[:N_TRAINED])
    rows = {"user": user, "item": item, "rating": stars[user, item]}
    data = Dataset.from_tables(rows, {"item": np.arange(N_ITEMS)})
    return data, stars[:, list(data.items)]


@pytest.fixture(scope="module")
def ratings(world):
    return world[0]


@pytest.fixture(scope="module")
def stars(world):
    return world[1]


def cold(stars, shots):
    """Return what cold users show, the evidence on the rest, and the stars of the rest."""
    said = np.array([np.nan, -1, -0.7, -0.4, 0.5, 1])  # of no, one, … five stars
    own = stars[N_TRAINED:]
    order = np.argsort(np.random.default_rng(5).random(own.shape) - (own > 0), axis=1)[:, :8]
    first = order[:, :shots]
    values = said[np.take_along_axis(own, first, 1).astype(int)].astype(np.float32)
    indptr = np.arange(N_COLD + 1) * shots
    support = Histories(indptr, first.ravel().astype(np.int32), values.ravel())
    rest = own.copy()
    np.put_along_axis(rest, order, 0, axis=1)
    return support, said[rest.astype(int)], sp.csr_array(rest.astype(np.float32))


def squared_error(method, centre, support, truth):
    off = method.score(support) + centre - truth
    return np.nanmean(off**2, axis=1)


@pytest.fixture(scope="module")
def rated(ratings):
    def fit(learner, block="all"):
        steps = {} if learner == "closed-form" else {"inner_steps": 2, "inner_lr": 0.3}
        config = QUICK | {"block": block, "adapt": steps}
        model = ws.Recommender("pair", learner=learner, config=config, seed=1)
        return model.fit(ratings, progress=False).method

    return {
        "closed-form": fit("closed-form"),
        "foma": fit("foma"),
        "maml": fit("maml"),
        "maml, head": fit("maml", "head"),
    }


@pytest.mark.parametrize("name", ["closed-form", "foma", "maml", "maml, head"])
def test_ratings_of_new_users_are_predicted_better_than_by_item_means(rated, ratings, stars, name):
    method, evidence = rated[name], ratings.evidence()
    assert method.about["target"] == "rating"
    centre = method.about["centre"]
    assert centre == pytest.approx(evidence.data.mean(), abs=1e-6)
    means = evidence.sum(axis=0) / np.diff(evidence.tocsc().indptr)
    error = {}
    for shots in (0, 3, 8):
        support, truth, _ = cold(stars, shots)
        error[shots] = squared_error(method, centre, support, truth)
    by_means = np.nanmean((means - truth) ** 2, axis=1)
    # before any rating it is the item means, more or less; then it learns the two tastes
    assert error[0].mean() == pytest.approx(by_means.mean(), rel=0.1)
    assert error[8].mean() < error[3].mean() < 0.9 * by_means.mean()
    assert paired_permutation(error[8], by_means) < 0.01


@pytest.mark.parametrize("name", ["closed-form", "foma", "maml", "maml, head"])
def test_rated_items_are_ordered_better_than_by_item_means(rated, ratings, stars, name):
    support, _, rest = cold(stars, 8)
    means = ItemMean().fit(ratings)
    ours, theirs = (
        evaluate_rated(m, support, rest, ranker=top_k, rng=np.random.default_rng(1))["nDCG@5"]
        for m in (rated[name], means)
    )
    assert ours.mean() > theirs.mean() > 0.6  # chance is one half
    assert paired_permutation(ours, theirs) < 0.01


def test_somebody_elses_ratings_do_not_help(rated, stars):
    support, truth, _ = cold(stars, 8)
    method = rated["closed-form"]
    centre = method.about["centre"]
    own = squared_error(method, centre, support, truth).mean()
    others = squared_error(method, centre, support, np.roll(truth, 1, axis=0)).mean()
    assert others > 1.5 * own


def test_a_block_says_what_a_task_moves(rated, stars):
    support = cold(stars, 3)[0]

    def moved(name):
        return set(rated[name]._adapt(support)[0])

    assert moved("maml, head") == moved("foma") == moved("closed-form") == {"weight"}
    assert moved("maml") > {"weight", "stranger_user", "body.0.weight"}
    assert not moved("maml") & {"users", "items", "item_offset"}
    with pytest.raises(ConfigError, match=r"block: .*'all' or 'head'"):
        ws.Recommender("pair", config={"block": "body"})


def test_a_big_catalogue_goes_through_the_network_in_parts(rated, stars, monkeypatch):
    support, method = cold(stars, 3)[0], rated["closed-form"]
    whole = method.score(support)
    monkeypatch.setattr(pair, "_ROOM", 3 * N_ITEMS)
    np.testing.assert_allclose(method.score(support), whole, rtol=1e-4, atol=1e-5)


# ----------------------------------------------------------------------------------------- clicks


@pytest.fixture(scope="module")
def clicked():
    """Clicks without dislikes: a user clicks on items of one kind in four, on some the more."""
    rng = np.random.default_rng(0)
    kind = rng.integers(4, size=280)
    chance = np.where(np.arange(N_ITEMS) % 4 == kind[:, None], 0.5, 0.04)
    chance *= rng.uniform(0.4, 1.6, N_ITEMS)
    user, item = np.nonzero(rng.random(chance.shape) < chance)
    data = Dataset.from_tables({"user": user, "item": item}, {"item": np.arange(N_ITEMS)})
    return make_split(data, SplitConfig(test_fraction=0.3, max_shots=4, seed=0))


def quality(method, split, shots):
    found = evaluate(
        method, split.tasks.at(shots), split.tasks.query, ranker=top_k,
        popularity=np.ones(N_ITEMS, np.float32),
    )  # fmt: skip
    return found.per_task["nDCG@10"]


@pytest.mark.parametrize("learner", ["closed-form", "foma"])
def test_clicks_are_learned_where_nothing_is_disliked(clicked, learner):
    steps = {} if learner == "closed-form" else {"inner_steps": 2, "inner_lr": 2.0}
    model = ws.Recommender("pair", learner=learner, config=QUICK | {"adapt": steps}, seed=1)
    method = model.fit(clicked.train, progress=False).method
    assert method.about["target"] == "click"
    popular = Popularity().fit(clicked.train)
    zero, four = quality(method, clicked, 0), quality(method, clicked, 4)
    assert four.mean() > 1.3 * zero.mean()
    assert paired_permutation(four, quality(popular, clicked, 4)) < 0.01
    likes = clicked.train.positives().sum(axis=0)
    prior = method.score(Histories.empty(1))[0]
    assert np.corrcoef(prior, np.log(likes + 1))[0, 1] > 0.7


def test_ratings_can_be_taken_as_clicks_but_clicks_not_as_ratings(ratings, clicked):
    config = QUICK | {"outer": {"epochs": 1}}
    method = ws.Recommender("pair", config=config | {"target": "click"})
    assert method.fit(ratings, progress=False).method.about["target"] == "click"
    with pytest.raises(ConfigError, match=r"target='rating' needs .*pass target='click'"):
        ws.Recommender("pair", config=config | {"target": "rating"}).fit(clicked.train)


def test_what_a_pair_learner_lacks_or_cannot_bear_is_named(ratings):
    with pytest.raises(ConfigError, match=r"noise: .*the settings it knows are: inner_steps"):
        ws.Recommender("pair", learner="maml", config={"adapt": {"noise": 1}})
    with pytest.raises(ConfigError, match=r"inner_lr: .*the settings it knows are: prior_scale"):
        ws.Recommender("pair", learner="closed-form", config={"adapt": {"inner_lr": 1}})
    wild = QUICK | {"adapt": {"inner_lr": 1e12}}
    with pytest.raises(DivergedError, match=r"inner_lr=1e\+12 .*task of user \d+\); lower inner"):
        ws.Recommender("pair", learner="maml", config=wild).fit(ratings, progress=False)


# ------------------------------------------------------------------------------ several behaviours

BEHAVIOURS = BehavioursConfig.parse(
    {
        "embedding_dim": 8,
        "hidden": (16,),
        "max_shots": 10,
        "query_pairs": 10,
        "outer": OUTER | {"epochs": 10, "weight_decay": 1.0},
    }
)


@pytest.fixture(scope="module")
def behaviours():
    """Half of all ratings are known, and of one pair in twenty whether it became a sale.

    Both follow the same two tastes. With them: the sales of 60 users who are kept aside.
    """
    rng = np.random.default_rng(0)
    liking = rng.normal(size=(260, 2)) @ rng.normal(size=(2, 50)) / 1.4
    sold = (liking > 0).astype(np.float32)

    def known(share, values):
        user, item = np.nonzero(rng.random((200, 50)) < share)
        return sp.csr_array((values[user, item], (user, item)), shape=(200, 50))

    stars = (liking + 0.2 * rng.normal(size=liking.shape)).astype(np.float32)
    given = {
        "rating": Behaviour(known(0.5, stars), "rating"),
        "sale": Behaviour(known(0.05, sold), "binary"),
    }
    return given, sold[200:]


def log_loss(model, sold, shots):
    items = np.argsort(np.random.default_rng(1).random(sold.shape), axis=1)
    labels = np.take_along_axis(sold, items, axis=1)
    found = model.predict("sale", items[:, :shots], labels[:, :shots], items[:, 10:])
    return (np.logaddexp(0, found) - labels[:, 10:] * found).mean(axis=1)


def test_a_sparse_behaviour_borrows_from_a_dense_one_that_shares_its_structure(behaviours):
    given, sold = behaviours
    both = Behaviours(BEHAVIOURS).fit(given, seed=0)
    alone = Behaviours(BEHAVIOURS).fit({"sale": given["sale"]}, seed=0)
    assert both.names == ["rating", "sale"]
    ours, theirs = log_loss(both, sold, 10), log_loss(alone, sold, 10)
    assert ours.mean() < min(theirs.mean(), np.log(2))  # and better than a coin
    assert ours.mean() < log_loss(both, sold, 0).mean()
    assert paired_permutation(ours, theirs) < 0.01


def test_the_same_seed_gives_the_same_behaviours(behaviours):
    given, _ = behaviours
    outer = BEHAVIOURS.outer.model_copy(update={"epochs": 1, "checks": 1})
    quick = BEHAVIOURS.model_copy(update={"outer": outer, "roles": ("user",)})
    first, again = (Behaviours(quick).fit(given, seed=3) for _ in range(2))
    asked = ("sale", [[1, 2], []], [[1.0, 0.0], []], [[3, 4], [3, 4]])
    np.testing.assert_array_equal(again.predict(*asked), first.predict(*asked))
    with pytest.raises(ConfigError, match="no behaviour is called 'gift'; there are: rating, sale"):
        first.predict("gift", *asked[1:])


def test_behaviours_that_do_not_fit_together_are_refused(behaviours):
    given, _ = behaviours
    odd = Behaviour(sp.csr_array((3, 4), dtype=np.float32))
    with pytest.raises(DataError, match=r"shapes .*'odd': \(3, 4\)"):
        Behaviours().fit(given | {"odd": odd})
    with pytest.raises(DataError, match="shapes"):
        Behaviours().fit({})
    with pytest.raises(ConfigError, match="roles must hold 'user'"):
        Behaviours(BehavioursConfig(roles=("item",)))


def test_a_pair_that_did_not_happen_speaks_against_an_item():
    """A click that was withheld must not draw an unpopular item towards even odds."""
    data = ws.load_dataset("synthetic", n_users=200, n_items=60)
    config = pair.PairConfig.parse(
        {"target": "click", "embedding_dim": 4, "hidden": (8,), "outer": {"epochs": 15}}
    )
    method = pair.Pair(config).fit(data)
    before = method.score(Histories.empty(1))[0]
    items = np.arange(60)
    said = Histories(np.arange(61), items.astype(np.int32), np.full(60, -1, np.float32))
    after = method.predict(said, items[:, None])[:, 0]
    assert (after < before).mean() > 0.8
