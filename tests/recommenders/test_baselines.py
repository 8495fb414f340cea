"""Each baseline against a slow loop, a closed form, or the library it was fitted with."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp

from warmstart.core.errors import ConfigError
from warmstart.core.types import Histories
from warmstart.evaluation import evaluate
from warmstart.index import top_k
from warmstart.recommenders.chance import Chance
from warmstart.recommenders.ease import EASE, EASEConfig
from warmstart.recommenders.ials import IALS, IALSConfig
from warmstart.recommenders.itemknn import ItemKNN, ItemKNNConfig
from warmstart.recommenders.itemmean import ItemMean, ItemMeanConfig
from warmstart.recommenders.multvae import MultVAE, MultVAEConfig
from warmstart.recommenders.popularity import Popularity, liked

ITEMS = 60
SMALL_VAE = MultVAEConfig(hidden=32, latent=8, epochs=30, batch_users=50, learning_rate=5e-3)
METHODS = {
    "popularity": Popularity,
    "random": Chance,
    "itemknn": ItemKNN,
    "ease": lambda: EASE(EASEConfig(reg=20)),
    "ials": lambda: IALS(IALSConfig(factors=6, reg=5, alpha=5)),
    "multvae": lambda: MultVAE(SMALL_VAE),
    "itemmean": ItemMean,
}
POPULAR_FIRST = ("popularity", "itemknn", "ease", "ials", "multvae")


class Likes:
    """As much of a Dataset as the baselines look at."""

    def __init__(self, matrix, ratings=None):
        self.matrix = sp.csr_array(matrix.astype(np.float32))
        self.n_users, self.n_items = matrix.shape
        coo = self.matrix.tocoo()
        self.interactions = SimpleNamespace(
            user=coo.coords[0], item=coo.coords[1], value=coo.data, rating=ratings
        )

    def positives(self):
        return self.matrix


def tastes(n_users, seed):
    """Users of three tastes over sixty items, with some items popular in every taste."""
    rng = np.random.default_rng(seed)
    taste = rng.integers(0, 3, n_users)
    chance = np.where(np.arange(ITEMS) % 3 == taste[:, None], 0.45, 0.05)
    chance = chance * np.linspace(1.3, 0.5, ITEMS)
    return (rng.random((n_users, ITEMS)) < chance).astype(np.float32)


@pytest.fixture(scope="module")
def data():
    matrix = tastes(300, seed=0)
    matrix[17] = 0  # a cold user: present in the index, absent from the rows
    return Likes(matrix)


@pytest.fixture(scope="module")
def fitted(data):
    return {name: build().fit(data, seed=1) for name, build in METHODS.items()}


@pytest.fixture(scope="module")
def users():
    """No like, one, some, some and a dislike, and more likes than iALS has factors."""
    return histories([[], [3], [3, 6, 9], [5, 2, 4], list(range(0, 60, 3))], dislikes={(3, 2)})


def histories(lists, dislikes=()):
    values = [-1.0 if (u, i) in dislikes else 1.0 for u, row in enumerate(lists) for i in row]
    return Histories(
        np.cumsum([0, *map(len, lists)]),
        np.array([i for row in lists for i in row], np.int32),
        np.array(values, np.float32),
    )


@pytest.mark.parametrize("name", METHODS)
def test_scores_survive_the_state_and_do_not_depend_on_the_batch(fitted, users, name):
    method = fitted[name]
    scores = method.score(users)
    assert scores.shape == (5, ITEMS)
    assert scores.dtype == np.float32
    again = type(method).from_state(method.state())
    np.testing.assert_array_equal(again.score(users), scores)
    alone = np.concatenate([method.score(users.take(np.array([u]))) for u in range(5)])
    np.testing.assert_allclose(alone, scores, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_the_same_seed_fits_the_same_method(data, fitted, users, name):
    np.testing.assert_allclose(
        METHODS[name]().fit(data, seed=1).score(users), fitted[name].score(users), rtol=1e-5
    )


@pytest.mark.parametrize("name", POPULAR_FIRST)
def test_a_user_without_likes_gets_what_is_popular(data, fitted, users, name):
    order = np.argsort(-data.matrix.sum(axis=0), kind="stable")
    nobody = fitted[name].score(histories([[], [7]], dislikes={(1, 7)}))
    for row in nobody:
        np.testing.assert_array_equal(np.argsort(-row, kind="stable"), order)


@pytest.mark.parametrize("name", ["itemknn", "ease", "ials", "multvae"])
def test_beats_popularity_on_planted_tastes(fitted, name):
    new = tastes(200, seed=9)
    new = new[new.sum(axis=1) >= 6]
    rng, lists, query = np.random.default_rng(0), [], np.zeros_like(new)
    for user, row in enumerate(new):
        items = rng.permutation(np.flatnonzero(row))
        lists.append(items[:3].tolist())
        query[user, items[3:]] = 1

    def quality(method):
        result = evaluate(
            method, histories(lists), sp.csr_array(query), ranker=top_k,
            popularity=np.ones(ITEMS, np.float32),
        )  # fmt: skip
        return result.per_task["nDCG@10"].mean()

    assert quality(fitted[name]) > 1.5 * quality(fitted["popularity"])


def test_item_knn_equals_the_double_loop(data):
    x, method = data.matrix.toarray(), ItemKNN(ItemKNNConfig(shrinkage=7)).fit(data)
    expected = np.zeros((ITEMS, ITEMS))
    for i in range(ITEMS):
        for j in range(ITEMS):
            norm = np.sqrt(x[:, i].sum() * x[:, j].sum()) + 7
            expected[i, j] = 0 if i == j else (x[:, i] * x[:, j]).sum() / norm
    np.testing.assert_allclose(method.similarity.toarray(), expected, rtol=1e-5)
    scores = method.score(histories([[3, 8, 8]]))  # a repeated like counts once
    np.testing.assert_allclose(scores[0], expected[3] + expected[8], atol=1e-5)


def test_item_knn_keeps_the_nearest_neighbours(data):
    whole = ItemKNN(ItemKNNConfig(shrinkage=7)).fit(data).similarity.toarray()
    few = ItemKNN(ItemKNNConfig(shrinkage=7, neighbours=5)).fit(data).similarity.toarray()
    for all_of, kept in zip(whole, few, strict=True):
        nearest = np.argsort(-all_of, kind="stable")[:5]
        np.testing.assert_array_equal(np.flatnonzero(kept), np.sort(nearest))
        np.testing.assert_array_equal(kept[nearest], all_of[nearest])


def test_ease_equals_its_constrained_least_squares(data):
    x, method = data.matrix.toarray().astype(float), EASE(EASEConfig(reg=20)).fit(data)
    for item in (0, 31, 59):  # column j: ridge regression of item j on all the others
        others = np.delete(np.arange(ITEMS), item)
        a = x[:, others]
        expected = np.linalg.solve(a.T @ a + 20 * np.eye(ITEMS - 1), a.T @ x[:, item])
        np.testing.assert_allclose(method.weights[others, item], expected, rtol=1e-4, atol=1e-6)
        assert method.weights[item, item] == 0


def test_ease_in_float32_and_on_the_most_liked_items_only(data, monkeypatch):
    exact = EASE(EASEConfig(reg=20)).fit(data).weights
    monkeypatch.setattr("warmstart.recommenders.ease._EXACT_ITEMS", 1)
    np.testing.assert_allclose(EASE(EASEConfig(reg=20)).fit(data).weights, exact, atol=1e-4)
    few = EASE(EASEConfig(reg=20, max_items=10)).fit(data)
    counts = data.matrix.sum(axis=0)
    assert set(few.items) == set(np.argsort(-counts, kind="stable")[:10])
    rare = int(np.argsort(-counts, kind="stable")[-1])
    np.testing.assert_array_equal(few.score(histories([[rare]]))[0], counts)


def test_ials_folds_in_by_the_normal_equations_and_as_implicit_does(data, fitted, users):
    method = fitted["ials"]
    y, c = method.factors.astype(float), method.config
    likes = liked(users, ITEMS)
    for user, row in enumerate(likes.toarray()):
        confidence = np.where(row > 0, c.alpha, 1.0)
        a = y.T @ (confidence[:, None] * y) + c.reg * np.eye(c.factors)
        expected = np.linalg.solve(a, y.T @ (confidence * row))
        np.testing.assert_allclose(method.fold_in(likes)[user], expected, rtol=2e-3, atol=1e-5)


def test_ials_folds_a_training_user_in_where_implicit_put_them(data):
    from implicit.cpu.als import AlternatingLeastSquares
    from threadpoolctl import threadpool_limits

    method = IALS(IALSConfig(factors=6, reg=5, alpha=5)).fit(data, seed=1)
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(factors=6, regularization=5, alpha=5, random_state=1)
        model.item_factors, model.user_factors = method.factors, np.zeros((300, 6), np.float32)
        expected = model.recalculate_user(np.arange(300), sp.csr_matrix(data.matrix))
    np.testing.assert_allclose(method.fold_in(data.matrix), expected, rtol=2e-3, atol=1e-5)


def test_mult_vae_serves_in_numpy_what_torch_computes(data, users):
    torch = pytest.importorskip("torch")
    from warmstart.models.multvae import MultVAE as Network
    from warmstart.recommenders.multvae import _export

    network = Network(ITEMS, 32, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():  # no noise: the mean is decoded, as in serving
        network.encoder_out.weight[8:] = 0
        network.encoder_out.bias[8:] = -100
        network.encoder_bias += 0.1
        network.decoder_out.bias += torch.arange(ITEMS) / ITEMS
    method = MultVAE(SMALL_VAE)
    method.arrays = _export(network, np.zeros(ITEMS, np.float32))
    likes = liked(users, ITEMS)
    shots = np.diff(likes.indptr)
    logits, _ = network(
        torch.from_numpy(likes.indices.astype(np.int64)),
        torch.from_numpy(np.repeat(shots, shots).astype(np.float32) ** -0.5),
        torch.from_numpy(likes.indptr[:-1].astype(np.int64)),
        torch.Generator().manual_seed(0),
    )
    some = shots > 0
    np.testing.assert_allclose(
        method.score(users)[some], logits.detach().numpy()[some], rtol=1e-4, atol=1e-5
    )


def test_mult_vae_trains_on_few_shot_histories_too(data, fitted):
    config = SMALL_VAE.model_copy(update={"few_shot": True})
    method = MultVAE(config).fit(data, seed=0)
    items, _ = top_k(method.score(histories([[0, 3]])), 5, seen=histories([[0, 3]]))
    assert (items % 3 == 0).mean() >= 0.8  # the taste to which both likes belong


def test_item_mean_by_hand():
    matrix = np.array([[1, 1, 0], [1, 0, 0]])
    data = Likes(matrix, ratings=np.array([5.0, 2.0, 3.0]))  # item 0: 5 and 3, item 1: 2
    method = ItemMean(ItemMeanConfig(shrinkage=2)).fit(data)
    overall = 10 / 3
    expected = [(8 + 2 * overall) / 4, (2 + 2 * overall) / 3, overall]
    np.testing.assert_allclose(method.score(Histories.empty(2)), [expected] * 2, rtol=1e-6)


def test_chance_is_uniform_and_follows_history_and_seed(data):
    many = histories([[i, j] for i in range(ITEMS) for j in range(ITEMS) if i < j])
    scores = Chance().fit(data, seed=0).score(many)
    assert 0 <= scores.min() < scores.max() < 1
    # 106,200 draws in ten equal bins: chi² with nine degrees of freedom, 27.9 at p = .001
    counts = np.histogram(scores, bins=10, range=(0, 1))[0]
    assert ((counts - scores.size / 10) ** 2 / (scores.size / 10)).sum() < 27.9
    assert abs(np.corrcoef(scores[0], scores[1])[0, 1]) < 0.5
    assert not np.allclose(Chance().fit(data, seed=1).score(many), scores)


def test_likes_ignore_dislikes_and_repeats():
    events = histories([[1, 1, 2], [], [0]], dislikes={(0, 2)})
    assert liked(events, 3).toarray().tolist() == [[0, 1, 0], [0, 0, 0], [1, 0, 0]]


def test_unknown_settings_are_refused_by_name():
    with pytest.raises(ConfigError, match=r"shrink: .*shrinkage"):
        ItemKNNConfig.parse({"shrink": 3})


def test_importing_the_baselines_loads_neither_torch_nor_implicit():
    code = (
        "import sys; from warmstart.recommenders import chance, ease, ials, itemknn, itemmean, "
        "multvae, popularity; print(sorted({'torch', 'implicit', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
