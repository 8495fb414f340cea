"""The click model on planted tastes: cold, warmed, saved; and served as torch trained it."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from warmstart.ads.backbone import Backbone
from warmstart.ads.backbone_training import train_backbone
from warmstart.ads.click_config import BackboneConfig, ClickConfig
from warmstart.ads.click_model import ClickModel
from warmstart.ads.log import AdLog
from warmstart.core.errors import DataError
from warmstart.evaluation.cold_ads import auc
from warmstart.meta.logistic_belief import sigmoid
from warmstart.models.deepfm import DeepFM

N_USERS, N_ADS, N_NEW, DIM = 150, 60, 12, 3


def planted(rows=9_000, seed=0):
    """Users like kinds of ads, and every ad has a quality that no column tells."""
    rng = np.random.default_rng(seed)
    likes = rng.normal(0, 1.2, (N_USERS, 4))
    quality = rng.normal(0, 0.8, N_ADS + N_NEW)
    user = rng.integers(0, N_USERS, rows)
    ad = rng.integers(0, N_ADS + N_NEW, rows)
    logit = likes[user, ad % 4] + quality[ad] - 0.3
    click = (rng.random(rows) < sigmoid(logit)).astype(int)
    kinds = np.array(["a", "b", "c", "d"], object)
    table = {"user": user, "ad": ad, "click": click, "kind": kinds[ad % 4], "age": user % 5}
    return table, sigmoid(logit)


def take(table, rows):
    return {name: np.asarray(values)[rows] for name, values in table.items()}


@pytest.fixture(scope="module")
def fitted():
    table, truth = planted()
    old = table["ad"] < N_ADS
    log = AdLog.from_table(take(table, old), user_columns=["age"], ad_columns=["kind"])
    model = ClickModel().fit(log, seed=1)
    coding = log.coding.with_ads(list(range(N_ADS, N_ADS + N_NEW)))
    new = np.flatnonzero(~old)
    model.add_ads(coding, AdLog.read(take(table, new), coding))
    half = len(new) // 2
    warm, test = (AdLog.read(take(table, part), coding) for part in (new[:half], new[half:]))
    return log, model, warm, test, truth[new[half:]]


def copy_of(model):
    return ClickModel.from_state(
        type(model.state())(
            {n: a.copy() for n, a in model.state().arrays.items()}, model.state().meta
        ),
        model.coding,
    )


def test_cold_ads_are_told_apart_by_taste_and_warm_ones_by_their_rows_as_well(fitted):
    _, model, warm, test, truth = fitted
    ceiling = auc(test.click, truth)
    cold = auc(test.click, model.probabilities(test))
    assert 0.6 < cold < ceiling
    warmed = copy_of(model).update(warm)
    found = warmed.probabilities(test)
    assert auc(test.click, found) > cold + 0.03
    assert abs(found.mean() - test.click.mean()) < 0.05
    assert (warmed.spread(test) < model.spread(test)).mean() > 0.95


def test_labels_of_other_rows_do_not_teach(fitted):
    """Control: with shuffled labels the batch is no better than none."""
    _, model, warm, test, _ = fitted
    lot = np.random.default_rng(0).permutation(len(warm))
    shuffled = copy_of(model).update(warm, targets=warm.click[lot])
    right = copy_of(model).update(warm)
    before = auc(test.click, model.probabilities(test))
    assert auc(test.click, shuffled.probabilities(test)) < before + 0.01
    assert auc(test.click, right.probabilities(test)) > before + 0.03


def test_a_saved_model_says_the_same_and_learns_the_same(fitted):
    _, model, warm, test, _ = fitted
    again = copy_of(model)
    np.testing.assert_array_equal(again.logits(test), model.logits(test))
    other = copy_of(model)
    np.testing.assert_array_equal(again.update(warm).logits(test), other.update(warm).logits(test))


def test_pairs_are_what_rows_are(fitted):
    log, model, *_ = fitted
    rows = log.take(np.arange(0, 400, 20))
    pairs = model.pair_logits(rows.user, rows.ad)
    np.testing.assert_allclose(np.diag(pairs), model.logits(rows), atol=1e-4)


def test_strangers_are_known_by_their_columns(fitted):
    log, model, *_ = fitted
    rows = {"user": ["nobody"] * 4, "ad": ["none"] * 4, "kind": list("abcd"), "age": [1] * 4}
    found = model.probabilities(log.encode(rows))
    assert np.isfinite(found).all()
    assert len(np.unique(found)) == 4


def test_the_same_seed_gives_the_same_model():
    table, _ = planted(2_000)
    log = AdLog.from_table(table, ad_columns=["kind"])
    first, second = (ClickModel().fit(log, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first.logits(log), second.logits(log))


def test_labels_that_are_alike_or_missing_are_refused():
    table, _ = planted(200)
    log = AdLog.from_table(table, ad_columns=["kind"])
    with pytest.raises(DataError, match="needs both kinds"):
        ClickModel().fit(log.take(log.click == 1))
    with pytest.raises(DataError, match="are missing"):
        ClickModel().fit(log, targets=np.full(200, np.nan))
    with pytest.raises(DataError, match="no label"):
        ClickModel().fit(log, label="conversion")


def test_the_network_serves_what_torch_trained():
    torch.manual_seed(0)
    sizes = [5, 4, 7]
    module = DeepFM(sizes, dim=DIM, hidden=(6,)).eval()
    with torch.no_grad():
        for p in module.parameters():
            p.normal_(0, 0.5)
    codes = np.stack([np.random.default_rng(0).integers(0, n, 50) for n in sizes], axis=1)
    served = Backbone.of_module(
        {n: p.detach().numpy() for n, p in module.named_parameters()}, sizes
    )
    expected = module(torch.from_numpy(codes)).detach().numpy()
    left, right = served.side(codes[:, :1], 0), served.side(codes[:, 1:], 1)
    np.testing.assert_allclose(served.logits(left, right), expected, atol=1e-4)
    pairs = served.pair_logits(left, right)
    np.testing.assert_allclose(np.diag(pairs), expected, atol=1e-4)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.7])
def test_a_share_of_a_network_is_that_share_of_its_logits(share):
    rng = np.random.default_rng(1)
    sizes, dim, width = [3, 4], 2, 5
    shapes = {"vectors": (7, dim), "weights": (7,), "bias": (), "layer": (width, 2 * dim),
              "layer_bias": (width,), "out": (width,)}  # fmt: skip
    network = Backbone({n: rng.normal(size=shape) for n, shape in shapes.items()}, sizes)
    codes, more = np.stack([rng.integers(0, n, 40) for n in sizes], axis=1), rng.normal(size=7)
    found = network.times(share, more)
    expected = share * network.logits(network.side(codes, 0))
    expected += more[codes[:, 0]] + more[3 + codes[:, 1]]
    np.testing.assert_allclose(found.logits(found.side(codes, 0)), expected, atol=1e-4)


def test_a_network_learns_what_the_base_leaves():
    rng = np.random.default_rng(0)
    codes = np.stack([rng.integers(1, 5, 12_000), rng.integers(1, 5, 12_000)], axis=1)
    base = np.array([0, -2.0, -1, 0, 1])[codes[:, 0]]
    left = np.array([0, -0.8, 0.8, -0.8, 0.8])[codes[:, 1]]
    label = (rng.random(len(codes)) < sigmoid(base + left)).astype(float)
    network = train_backbone(codes, label, [5, 5], BackboneConfig(epochs=12), rng, offset=base)
    found = network(torch.from_numpy(codes)).detach().numpy()
    assert np.abs(found - left).mean() < 0.15


def test_new_ads_like_the_known_ones_have_their_level():
    """Ads of much traffic are better liked; whether a new one is of little is a setting."""
    rng = np.random.default_rng(4)
    weight = np.geomspace(1, 30, 60)
    ad = rng.choice(60, size=12_000, p=weight / weight.sum())
    rate = 0.05 + 0.3 * ad / 60
    click = (rng.random(len(ad)) < rate).astype(int)
    log = AdLog.from_table({"ad": ad, "click": click, "kind": ad % 3}, user=None,
                           ad_columns=["kind"])  # fmt: skip
    new = {"ad": ["new"] * 3, "kind": [0, 1, 2]}
    little = ClickModel().fit(log).probabilities(log.encode(new)).mean()
    alike = ClickModel(ClickConfig(low_traffic=None)).fit(log).probabilities(log.encode(new))
    assert alike.mean() == pytest.approx(click.mean(), abs=0.03)
    assert little < alike.mean() - 0.05


def test_deepfm_is_its_formula():
    torch.manual_seed(1)
    module = DeepFM([3, 4], dim=2, hidden=(5,)).eval()
    with torch.no_grad():
        module.weights.normal_()
        found = module(torch.tensor([[2, 1]]))[0]
        a, b = module.vectors[2], module.vectors[3 + 1]
        hidden = torch.relu(module.body[0](torch.cat([a, b])))
        expected = module.bias + module.weights[2] + module.weights[4] + a @ b
        expected = expected + module.out(hidden)[0]
    torch.testing.assert_close(found, expected)


def test_serving_needs_no_torch():
    code = (
        "import sys; sys.modules['torch'] = None; "
        "import warmstart.ads.click_model, warmstart.ads.rates"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
