"""Every learner behind the one method: what it learns, saves, lends, resumes and refuses."""

import json
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from tests.recommenders.test_numpy_only import GUARD

import warmstart as ws
from warmstart.core.errors import ConfigError, DivergedError
from warmstart.core.registry import lookup
from warmstart.data import SplitConfig, load_dataset, make_split
from warmstart.evaluation import evaluate
from warmstart.evaluation.significance import paired_permutation
from warmstart.index import top_k
from warmstart.meta.episodes import draw_episodes
from warmstart.meta.outer import outer_loop
from warmstart.meta.settings import OuterConfig
from warmstart.recommenders.batches import over_catalogue, ranking_tasks
from warmstart.recommenders.checkpoint import Checkpoint
from warmstart.recommenders.named import learners
from warmstart.recommenders.popularity import Popularity

LEARNERS = [name for name in learners() if name != "default"]
BY_DESCENT = ["maml", "fomaml", "anil", "meta-sgd", "reptile", "foma"]
OUTER = {"epochs": 16, "batch_size": 96, "outer_lr": 2e-2, "weight_decay": 1e-2, "checks": 2}
QUICK = {"embedding_dim": 12, "shrinkage": 3.0, "outer": OUTER}
ADAPT = {name: {"inner_steps": 1, "inner_lr": 1.5} for name in BY_DESCENT}


@pytest.fixture(scope="module")
def small():
    """400 users, cold ones with up to 8 likes; 77 of 80 items were met."""
    data = load_dataset("synthetic", n_users=400, n_items=80, seed=5)
    return make_split(data, SplitConfig(test_fraction=0.3, max_shots=8, seed=0))


@pytest.fixture(scope="module")
def fitted(small):
    """Every learner, trained once."""
    found = {}
    for name in LEARNERS:
        config = QUICK | {"adapt": ADAPT.get(name, {})}
        model = ws.Recommender(learner=name, config=config, seed=3)
        found[name] = model.fit(small.train, progress=False)
    return found


def quality(method, split, shots):
    found = evaluate(
        method, split.tasks.at(shots), split.tasks.query, ranker=top_k,
        popularity=np.ones(split.train.n_items, np.float32),
    )  # fmt: skip
    return found.per_task["nDCG@10"]


# --------------------------------------------------------------------------------- what is learned


def test_the_learners_are_those_that_are_registered_on_both_sides():
    assert learners()[0] == "default"
    assert set(LEARNERS) == {*BY_DESCENT, "amortised", "closed-form"}
    assert ws.Recommender(learner="default").name == "default"
    for name in LEARNERS:
        assert ws.Recommender(learner=name).name == name
        assert type(ws.Recommender(learner=name).method) is type(ws.Recommender(name).method)


@pytest.mark.parametrize("name", LEARNERS)
def test_a_learner_beats_popularity_from_three_likes_on(fitted, small, name):
    """Error rate: .01 for each learner at each number of shots."""
    popular, method = Popularity().fit(small.train), fitted[name].method
    for shots in (3, 8):
        ours, theirs = quality(method, small, shots), quality(popular, small, shots)
        assert ours.mean() > 1.2 * theirs.mean()
        assert paired_permutation(ours, theirs) < 0.01
    assert quality(method, small, 8).mean() > quality(method, small, 0).mean()


def test_foma_trains_a_start_for_what_is_met_beside_the_one_for_what_is_liked(fitted):
    liking, meeting = fitted["foma"].method.arrays["start/query"]
    assert np.abs(liking).max() > 0.01
    assert np.abs(meeting).max() > 0.01
    assert not np.allclose(liking, meeting)


# ------------------------------------------------------------------------------ saved and served

SERVE = """
import json, sys
{guard}
import warmstart as ws
from warmstart.core.errors import MissingExtraError
found = {{}}
for path in sys.argv[1:]:
    try:
        model = ws.load(path)
    except MissingExtraError as error:
        found["serve " + path.rpartition("/")[2]] = str(error)
        continue
    first = [[r.item, round(r.score, 4)] for r in model.recommend([7, 9], user={{"age": 30}})]
    many = model.recommend_batch({{"user": ["a", "b"], "item": [3, 5]}}, k=4)
    model.add_items({{"item": [901], "genres": ["Drama"]}})
    found[model.name] = [first, [list(items) for items in many], len(model.catalogue)]
for name in ("maml", "pair"):
    try:
        ws.Recommender(name).fit(ws.load_dataset("synthetic", n_users=50, n_items=30))
    except ImportError as error:
        found["train " + name] = str(error)
print(json.dumps([found, [m for m in ("torch", "jaxtyping", "implicit") if m in sys.modules]]))
"""


@pytest.fixture(scope="module")
def pair(small):
    config = {"embedding_dim": 2, "hidden": (4,), "outer": {"epochs": 1}}
    return ws.Recommender("pair", learner="maml", config=config).fit(small.train, progress=False)


@pytest.fixture(scope="module")
def saved(fitted, pair, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    return {n: m.save(folder / n) for n, m in [*fitted.items(), ("pair", pair)]}


def lists_of(model):
    first = model.recommend([7, 9], user={"age": 30})
    many = model.recommend_batch({"user": ["a", "b"], "item": [3, 5]}, k=4)
    return first, [list(items) for items in many]


@pytest.mark.parametrize("name", [*LEARNERS, "pair"])
def test_a_saved_model_gives_equal_lists(fitted, pair, saved, name):
    model, again = fitted.get(name, pair), ws.load(saved[name])
    assert lists_of(again) == lists_of(model)
    assert again.config == model.config
    users = {"user": ["a", "b"], "age": [20, 60], "occupation": ["student", "doctor"]}
    found, wanted = (m.recommend_batch(None, users=users, k=80).table() for m in (again, model))
    assert found.equals(wanted)


def test_serving_needs_no_torch_but_pairs_and_training_name_the_line_to_install(
    fitted, saved, tmp_path
):
    code = SERVE.format(guard=GUARD)
    command = [sys.executable, "-c", code, *map(str, saved.values())]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    found, heavy = json.loads(done.stdout)
    assert heavy == []
    for name, model in fitted.items():
        first, many = lists_of(model)
        served, batch, size = found[name]
        assert [item for item, _ in served] == [r.item for r in first]
        np.testing.assert_allclose([s for _, s in served], [r.score for r in first], atol=2e-3)
        assert batch == many
        assert size == 81
    for name in ("serve pair", "train maml", "train pair"):
        assert 'is not installed; run: pip install "warmstart[train]"' in found[name]


# ------------------------------------------------------------------------- items nobody has met


@pytest.mark.parametrize("name", LEARNERS)
def test_unmet_and_new_items_borrow_around_the_mean_of_those_who_lend(fitted, small, name):
    method, train = fitted[name].method, small.train
    met = np.flatnonzero(np.asarray(train.positives().sum(axis=0)).ravel() > 0)
    unmet = np.setdiff1d(np.arange(80), met)
    assert len(unmet) >= 3
    np.testing.assert_array_equal(method.content.lenders, met)

    def described(items):
        return {name: block.take(items) for name, block in train.content.items()}

    grown = method.with_items(described(met[:3]), 3)
    lent = method.content.lend(described(np.concatenate([unmet, met[:3]])))
    new = np.concatenate([unmet, [80, 81, 82]])
    for array in {"items", "bias", "events"} & method.arrays.keys():
        known = method.arrays[array][met].astype(float)
        mean = known.mean(axis=0)
        expected = mean + lent @ (known - mean)
        np.testing.assert_allclose(grown.arrays[array][new], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", LEARNERS)
def test_a_new_item_is_the_better_placed_the_more_somebody_likes_its_genre(fitted, saved, name):
    found = ws.load(saved[name])
    found.add_items({"item": [901, 902], "genres": ["Western", "Musical"]})

    def lead(genre):
        """Return by how much the Western leads for somebody who likes films of a genre alone."""
        likes = found.recommend(k=100, filter={"genres": [genre]}, exclude=[901, 902])[:8]
        listed = found.recommend([r.item for r in likes], k=100, explain=False)
        scores = {r.item: r.score for r in listed}
        return scores[901] - scores[902]

    assert lead("Western") > lead("Musical")


# ----------------------------------------------------------------------------- what is refused


def test_an_unknown_learner_or_setting_is_refused_by_name():
    with pytest.raises(ConfigError, match="no learner is called 'mamml'") as error:
        ws.Recommender(learner="mamml")
    assert all(name in str(error.value) for name in learners())
    with pytest.raises(ConfigError, match=r"no learner is called 'mamml'.*closed-form"):
        ws.Recommender("pair", learner="mamml")
    with pytest.raises(ConfigError, match="'itemknn' takes no learner"):
        ws.Recommender("itemknn", learner="maml")


@pytest.mark.parametrize(
    ("learner", "config", "says"),
    [
        ("closed-form", {"adapt": {"inner_lr": 1}}, r"adapt\.inner_lr: .*adapt\.prior_scale"),
        ("maml", {"adapt": {"hidden_dim": 8}}, r"adapt\.hidden_dim: .*adapt\.inner_steps"),
        ("amortised", {"adapt": {"inner_steps": 8}}, r"adapt\.inner_steps: .*adapt\.hidden_dim"),
        ("reptile", {"adapt": {"kinds": 2}}, r"adapt\.kinds: .*adapt\.inner_lr"),
        ("maml", {"meeting_share": 0.2}, "meeting_share: .*embedding_dim"),
        ("foma", {"meeting_share": 1.2}, r"meeting_share: .*got 1\.2"),
        ("maml", {"outer": {"epoch": 3}}, r"outer\.epoch: .*outer\.epochs"),
        ("maml", {"embedding_dim": 0}, "embedding_dim: .*got 0"),
        ("maml", {"folds": 3}, "MAMLConfig: folds: .*embedding_dim"),
    ],
)
def test_a_setting_that_a_learner_lacks_is_refused_by_name(learner, config, says):
    with pytest.raises(ConfigError, match=says):
        ws.Recommender(learner=learner, config=config)


# ------------------------------------------------------------------------------ running away


@pytest.mark.parametrize("learner", ["maml", "reptile"])
def test_a_step_size_that_runs_away_names_a_user_the_step_size_and_the_mend(small, learner):
    config = QUICK | {"adapt": {"inner_lr": 1e20}}
    with pytest.raises(DivergedError) as error:
        ws.Recommender(learner=learner, config=config).fit(small.train, progress=False)
    said = str(error.value)
    assert "inner_lr=1e+20" in said
    assert "lower inner_lr or inner_steps" in said
    named = said.partition("the task of user '")[2].partition("'")[0]
    user = int(small.train.users.find([named])[0])
    assert 0 <= user < small.train.n_users
    assert user not in small.tasks.users


@pytest.mark.parametrize("learner", ["closed-form", "amortised"])
def test_an_outer_step_size_that_runs_away_says_so_instead(small, learner):
    config = {"embedding_dim": 4, "outer": {"outer_lr": 1e6, "epochs": 20, "batch_size": 32}}
    with pytest.raises(DivergedError, match="lower outer_lr"):
        ws.Recommender(learner=learner, config=config).fit(small.train, progress=False)


def test_what_is_kept_of_a_training_that_diverged_is_finite(small, tmp_path):
    config = lookup("methods", "maml").config_type.parse(QUICK | {"adapt": {"inner_lr": 1e20}})
    with pytest.raises(DivergedError):
        lookup("methods", "maml")(config).fit(small.train, checkpoint=tmp_path)
    kept = Checkpoint(tmp_path).stored("maml")
    assert kept.step == 0
    assert all(torch.isfinite(w).all() for w in kept.weights.values())


def test_weights_that_are_no_longer_finite_are_not_kept():
    weight, kept = torch.nn.Parameter(torch.ones(2)), []

    def step(rng):
        if not torch.isfinite(weight).all():
            raise DivergedError("weight is no longer finite")
        weight.grad = torch.full((2,), np.inf if len(kept) == 3 else 1.0)
        return 0.0

    config = OuterConfig(epochs=10, batch_size=1, checks=5)
    rng = np.random.default_rng(0)
    with pytest.raises(DivergedError):
        outer_loop({"weight": weight}, step, 1, config, rng=rng, on_check=kept.append)
    finite = [bool(torch.isfinite(state.weights["weight"]).all()) for state in kept]
    assert [state.step for state in kept] == [1, 2, 3, 3]  # the last as it diverged
    assert all(finite)


# --------------------------------------------------------------------------------- interrupted


class Stop(Exception):
    """Somebody pressed Ctrl-C."""


@pytest.mark.parametrize("name", ["maml", "amortised", "closed-form", "pair"])
def test_a_resumed_training_ends_where_an_undisturbed_one_does(small, tmp_path, name):
    kind = lookup("methods", name)
    quick = {"embedding_dim": 4, "outer": {"epochs": 4, "batch_size": 64}}
    more = {"pair": {"hidden": (4,)}, "maml": {"adapt": {"inner_steps": 2}}}
    config = kind.config_type.parse(quick | more.get(name, {}))
    whole = kind(config).fit(small.train, seed=1).state()
    for share in (0.3, 0.9):

        def progress(done, total, message, share=share):
            if done >= share * total:
                raise Stop

        folder = tmp_path / str(share)
        with pytest.raises(Stop):
            kind(config).fit(small.train, seed=1, progress=progress, checkpoint=folder)
        for _ in ("goes on", "is done already"):
            state = kind(config).fit(small.train, seed=1, checkpoint=folder).state()
            assert state.meta == whole.meta
            assert state.arrays.keys() == whole.arrays.keys()
            for array, values in whole.arrays.items():
                np.testing.assert_array_equal(state.arrays[array], values, err_msg=array)


# ------------------------------------------------------------------------------- hardly any data

TINY = {
    "three users": {"user": [1, 1, 1, 2, 2, 3], "item": ["a", "b", "c", "a", "b", "a"]},
    "one event each": {"user": [1, 2, 3], "item": ["a", "b", "c"]},
    "one event": {"user": [1], "item": ["a"]},
    "nobody likes two": {
        "user": [1, 1, 2, 2],
        "item": ["a", "b", "a", "c"],
        "rating": [5, 1, 5, 1],
    },
    "one able user": {"user": [1, 1, 1, 2, 3], "item": ["a", "b", "c", "b", "c"]},
}


@pytest.mark.parametrize("name", [*LEARNERS, "pair"])
@pytest.mark.parametrize("rows", TINY)
def test_hardly_any_data_makes_a_model_that_ranks_what_there_is(name, rows):
    config = {"embedding_dim": 3, "outer": {"epochs": 2}}
    data = ws.Dataset.from_tables(TINY[rows])
    model = ws.Recommender(name, config=config).fit(data, progress=False)
    for history in ([], ["a"]):
        found = model.recommend(history, k=9)
        assert {r.item for r in found} == set(data.items) - set(history)
        assert np.isfinite([r.score for r in found]).all()


# ------------------------------------------------------------------------------ nDCG as objective


def test_the_query_over_the_catalogue_holds_every_item_that_is_not_shown():
    likes = sp.csr_array((np.random.default_rng(0).random((6, 9)) < 0.6).astype(np.float32))
    rng = np.random.default_rng(1)
    episodes = draw_episodes(likes, np.arange(6), rng, max_shots=2)
    tasks = over_catalogue(ranking_tasks(episodes, 0.3, rng, most=9), 9)
    seen = episodes.support.matrix(9).toarray() != 0
    np.testing.assert_array_equal(tasks.query.mask.numpy(), ~seen)
    np.testing.assert_array_equal(tasks.query.labels.numpy(), episodes.query.toarray())
    assert tasks.query.inputs[0].tolist() == [list(range(9))] * 6


@pytest.mark.parametrize("name", [n for n in LEARNERS if n != "reptile"])
def test_every_learner_with_an_outer_loss_can_have_ndcg_for_one(small, fitted, name):
    config = QUICK | {"adapt": ADAPT.get(name, {}), "objective": "ndcg"}
    config["policy"] = {"epochs": 2, "samples": 4, "outer_lr": 5e-3}
    model = ws.Recommender(learner=name, config=config, seed=3).fit(small.train, progress=False)
    before = fitted[name].method
    assert not np.array_equal(model.method.arrays["items"], before.arrays["items"])
    ours, softmax = (np.mean([quality(m, small, k).mean() for k in (1, 8)])
                     for m in (model.method, before))  # fmt: skip
    assert ours > softmax - 0.02  # it goes on from there, and does not forget
    assert ours > quality(Popularity().fit(small.train), small, 8).mean()


def test_a_sampled_catalogue_has_the_policy_gradient_too(small):
    outer = OUTER | {"epochs": 4, "sampled_items": 40}
    config = QUICK | {"outer": outer, "objective": "ndcg", "policy": {"epochs": 2, "samples": 4}}
    model = lookup("methods", "amortised")
    found = model(model.config_type.parse(config)).fit(small.train, seed=1)
    assert np.isfinite(found.arrays["items"]).all()
    assert set(found.quality) == {"1", "3", "10", "20"}


def test_reptile_has_no_outer_loss_to_exchange():
    with pytest.raises(ConfigError, match="reptile follows its inner loop"):
        ws.Recommender(learner="reptile", config={"objective": "ndcg"})


def test_an_interrupted_policy_gradient_goes_on_to_the_same_model(small, tmp_path):
    kind = lookup("methods", "closed-form")
    policy = {"epochs": 4, "samples": 4}
    outer = OUTER | {"epochs": 4}
    config = kind.config_type.parse(QUICK | {"outer": outer, "objective": "ndcg", "policy": policy})
    whole = kind(config).fit(small.train, seed=1).state()
    told = []

    def progress(done, total, message):
        told.append(message)
        if Checkpoint(tmp_path).stored("closed-form-ndcg") is not None:
            raise Stop

    with pytest.raises(Stop):
        kind(config).fit(small.train, seed=1, progress=progress, checkpoint=tmp_path)
    state = kind(config).fit(small.train, seed=1, checkpoint=tmp_path).state()
    assert state.meta == whole.meta
    for array, values in whole.arrays.items():
        np.testing.assert_array_equal(state.arrays[array], values, err_msg=array)
