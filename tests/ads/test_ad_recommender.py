"""What the ad recommender promises, on impressions whose chances are known."""

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ads.planted import COLUMNS, chances, impressions

import warmstart as ws
from warmstart.ads.auction import Exclusion, FrequencyCap, Shown
from warmstart.ads.log import AdLog
from warmstart.core.errors import (
    ArtifactError,
    ConfigError,
    DataError,
    LeakageError,
    UnknownItemError,
)

QUICK = {"latent": 2, "iterations": 4, "backbone": {"epochs": 12, "batch_size": 128, "lr": 0.01}}
ADS = {ad: 1_000_000 for ad in range(20)}


@pytest.fixture(scope="module")
def model():
    return ws.AdRecommender({"click": QUICK, "conversion": QUICK}, seed=1).fit(
        impressions(), **COLUMNS
    )


@pytest.fixture
def copy(model, tmp_path):
    """The model as it lies on disk, free to be changed."""
    return ws.AdRecommender.load(model.save(tmp_path / "m"))


def test_probabilities_are_those_that_were_planted(model):
    later = impressions(4_000, seed=5)
    scores = model.score(later)
    click, sale = chances(later["side_of_user"], later["ad"] % 2, later["hour"])
    assert np.abs(scores.click - click).mean() < 0.08
    assert np.abs(scores.conversion - sale).mean() < 0.12
    assert np.corrcoef(scores.click, click)[0, 1] > 0.85
    assert abs(scores.click_and_conversion.mean() - later["buy"].mean()) < 0.03


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.integers(-5, 120)), st.integers(-3, 40),
            st.sampled_from(["odd", "even", "neither", None]), st.integers(-4, 30),
        ),
        min_size=1, max_size=12,
    )
)  # fmt: skip
def test_click_and_conversion_is_never_likelier_than_the_click(model, rows):
    user, ad, side, hour = map(list, zip(*rows, strict=True))
    scores = model.score(
        {
            "user": user, "ad": ad, "side": side, "hour": hour, "brand": ["红"] * len(ad),
            "side_of_user": [None if u is None else u % 2 for u in user],
        }
    )  # fmt: skip
    assert (scores.click_and_conversion <= scores.click).all()
    assert ((scores.click >= 0) & (scores.click <= 1)).all()
    assert (scores.click_and_conversion >= 0).all()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 39), st.integers(0, 19), st.sampled_from(["odd", "even", "neither", None]),
    st.sampled_from([0, 1, 15, 23.0, 40, None]), st.sampled_from([0, 1, True, 1.0, None]),
    st.sampled_from([0, None]),
)  # fmt: skip
def test_one_event_is_read_as_a_table_of_it_would_be(model, user, ad, side, hour, click, buy):
    event = {
        "user": user, "ad": ad, "side": side, "hour": hour, "brand": "red", "side_of_user": 1,
        "click": click, "buy": buy,
    }  # fmt: skip
    one = AdLog.of_event(event, model.coding)
    table = AdLog.read({name: [value] for name, value in event.items()}, model.coding)
    assert one is not None
    for name in ("user", "ad", "click", "conversion"):
        np.testing.assert_array_equal(getattr(one, name), getattr(table, name))
    assert {n: c.tolist() for n, c in one.fields.items()} == {
        n: c.tolist() for n, c in table.fields.items()
    }


@pytest.mark.parametrize(
    "change",
    [{"user": 1_000}, {"ad": 99}, {"click": 2}, {"click": "yes"}, {"click": 0, "buy": 1},
     {"user": [3]}, {"ad": None}, {"t": "noon"}, {"t": None}, {"p": 0.5}],
)  # fmt: skip
def test_an_event_of_somebody_new_or_a_wrong_one_takes_the_long_way(model, change):
    event = {
        "user": 1, "ad": 2, "side": "odd", "hour": 3, "brand": "red", "side_of_user": 1,
        "click": 1, "buy": 0,
    }  # fmt: skip
    assert AdLog.of_event(event, model.coding) is not None
    assert AdLog.of_event(event | change, model.coding) is None


def test_a_list_is_ordered_by_bid_times_probability(model):
    rng = np.random.default_rng(3)
    bids = {ad: int(rng.integers(1, 10_000_000)) for ad in range(20)}
    for pays_for in ("impression", "click", "conversion"):
        found = model.rank(3, bids=bids, k=20, pays_for=pays_for, context={"hour": 15})
        table = {
            "user": [3] * 20, "ad": list(range(20)), "side_of_user": [1] * 20, "hour": [15] * 20,
            "side": np.where(np.arange(20) % 2, "odd", "even"),
            "brand": np.array(["红", "蓝", "绿"])[np.arange(20) % 3],
        }  # fmt: skip
        s = model.score(table)
        paid = {"impression": 1.0, "click": s.click, "conversion": s.click_and_conversion}
        worth = np.array([bids[ad] for ad in range(20)]) * paid[pays_for]
        assert [line.ad for line in found] == np.argsort(-worth).tolist()
        assert found[0].expected_value_micros == pytest.approx(worth.max(), rel=1e-5)
        assert [line.rank for line in found] == list(range(1, 21))


def test_a_stranger_is_known_by_columns(model):
    odd = model.rank(None, bids=ADS, k=6, user_columns={"side_of_user": 1})
    even = model.rank("nobody", bids=ADS, k=6, user_columns={"side_of_user": 0})
    assert np.mean([line.ad % 2 for line in odd]) > 0.6
    assert np.mean([line.ad % 2 for line in even]) < 0.4


def test_caps_and_exclusions_hold(model):
    first = [line.ad for line in model.rank(3, bids=ADS, k=3)]
    seen = [Shown(first[0], 50.0), Shown(first[0], 90.0), Shown(first[1], 95.0)]
    cap = [FrequencyCap(most=2, within_seconds=60)]
    found = [line.ad for line in model.rank(3, bids=ADS, k=20, shown=seen, caps=cap, now=100.0)]
    assert first[0] not in found
    assert first[1] in found
    later = [line.ad for line in model.rank(3, bids=ADS, k=20, shown=seen, caps=cap, now=111.0)]
    assert first[0] in later
    rule = [Exclusion(ad={"brand": ("红",), "side": ("odd",)}, when={"hour": ("15",)})]
    barred = {ad for ad in range(20) if ad % 3 == 0 and ad % 2}
    at = model.rank(3, bids=ADS, k=20, context={"hour": 15}, exclusions=rule)
    assert {line.ad for line in at} == set(range(20)) - barred
    free = model.rank(3, bids=ADS, k=20, context={"hour": 3}, exclusions=rule)
    assert len(free) == 20
    explored = [
        line.ad
        for draw in range(30)
        for line in model.rank(
            3, bids=ADS, k=5, context={"hour": 15}, exclusions=rule, explore_share=0.9,
            rng=np.random.default_rng(draw),
        )
    ]  # fmt: skip
    assert not barred & set(explored)


def test_propensities_are_how_often_an_ad_stands_where_it_stands(model):
    bids = {ad: 1_000_000 for ad in range(6)}
    counts, said = {}, {}
    for draw in range(400):
        rng = np.random.default_rng(draw)
        (line,) = model.rank(3, bids=bids, k=1, explore_share=0.5, rng=rng)
        counts[line.ad] = counts.get(line.ad, 0) + 1
        assert said.setdefault(line.ad, line.propensity) == pytest.approx(line.propensity)
    assert sum(said.values()) == pytest.approx(1, abs=0.02)
    for ad, n in counts.items():
        assert n / 400 == pytest.approx(said[ad], abs=0.08)


def test_events_are_learned_at_once_and_new_ones_are_met(copy):
    before = copy.rank(3, bids={4: 1}, k=1)[0].click
    event = {"side_of_user": 1, "side": "even", "brand": "蓝", "hour": 15}
    copy.update([{"user": 3, "ad": 4, "click": 1, **event}] * 5)
    assert copy.rank(3, bids={4: 1}, k=1)[0].click > before
    events = [{"user": "fresh", "ad": 777, "click": 0, **event}] * 40
    copy.update(events)
    assert 777 in copy.coding.ads
    poor = copy.rank("fresh", bids={777: 1, 8: 1}, k=2)
    assert poor[0].ad == 8
    copy.add_ads({"ad": [900], "side": ["odd"], "brand": ["红"]})
    top = copy.rank(3, bids={900: 1, 777: 1}, k=1, context={"hour": 15})
    assert top[0].ad == 900


def test_a_conversion_told_later_counts_no_click_twice(copy):
    event = {"user": 3, "ad": 4, "side_of_user": 1, "side": "even", "brand": "蓝", "hour": 15}
    click = copy.rank(3, bids={4: 1}, k=1)[0].click
    copy.update([event | {"click": None, "buy": 1}] * 10)
    line = copy.rank(3, bids={4: 1}, k=1)[0]
    assert line.click == click
    assert line.conversion > 0.25


def test_save_and_load_give_the_same_and_numpy_suffices(model, tmp_path):
    folder = model.save(tmp_path / "m")
    again = ws.AdRecommender.load(folder)
    later = impressions(200, seed=5)
    for name in ("click", "conversion"):
        np.testing.assert_array_equal(
            getattr(again.score(later), name), getattr(model.score(later), name)
        )
    code = (
        "import sys, json\n"
        "class Barrier:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in ('torch', 'jaxtyping', 'beartype', 'sklearn'):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Barrier())\n"
        "import warmstart as ws\n"
        "m = ws.AdRecommender.load(sys.argv[1])\n"
        "e = {'side_of_user': 1, 'side': 'odd', 'brand': '红', 'hour': 15}\n"
        "m.update([{'user': 3, 'ad': 4, 'click': 1, **e}])\n"
        "print([r.ad for r in m.rank(7, bids={4: 5, 5: 5}, k=2)])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[5, 4]"


def test_a_damaged_folder_is_refused(model, tmp_path):
    folder = model.save(tmp_path / "m")
    coding = folder / "coding.json"
    whole = coding.read_bytes()
    coding.write_bytes(whole.replace(b"odd", b"odx"))
    with pytest.raises(ArtifactError, match="differs from what the manifest says"):
        ws.AdRecommender.load(folder)
    coding.write_bytes(whole)
    manifest = json.loads((folder / "manifest.json").read_text("utf8"))
    manifest["seed"] = 99
    (folder / "manifest.json").write_text(json.dumps(manifest), "utf8")
    with pytest.raises(ArtifactError, match="was changed after it was written"):
        ws.AdRecommender.load(folder)
    (folder / "extra.pkl").write_bytes(b"")
    with pytest.raises(ArtifactError, match=r"unexpected \['extra.pkl'\]"):
        ws.AdRecommender.load(folder)
    with pytest.raises(ArtifactError, match="no saved model"):
        ws.AdRecommender.load(tmp_path / "none")


def test_the_report_claims_what_the_log_allows_and_no_more(model):
    from warmstart.ads.off_policy import judge

    scarce = judge(model, impressions(80, seed=8), effect=0.01, top=3)
    assert scarce.sentence.startswith("insufficient data: about ")
    assert "raises" not in scarce.sentence
    rich = judge(model, impressions(20_000, seed=9), effect=0.01, top=3)
    assert rich.sentence == "raises the click rate"
    # the truth: one of the three ads that the model likes best, by lot, at the planted chances
    log = model.encode(impressions(2_000, seed=9))
    rng = np.random.default_rng(0)
    user, hour = rng.integers(80, size=300), rng.integers(24, size=300)
    earned = []
    for u, h in zip(user, hour, strict=True):
        best = model.rank(int(u), bids=ADS, k=3, context={"hour": int(h)})
        earned += [chances(u % 2, line.ad % 2, h)[0] for line in best]
    assert len(log) == 2_000
    for estimate in rich.estimates:
        assert estimate.ci_low - 0.02 < np.mean(earned) < estimate.ci_high + 0.02
    with pytest.raises(LeakageError, match="log of the training"):
        judge(model, impressions(), effect=0.01)
    table = {n: v for n, v in impressions(80, seed=8).items() if n != "p"}
    with pytest.raises(DataError, match="no propensities"):
        judge(model, table, effect=0.01)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        ({"bids": {4: -1}}, DataError, "the bid of ad 4 is -1; give millionths"),
        ({"bids": {4: float("nan")}}, DataError, "the bid of ad 4 is nan"),
        ({"bids": {}}, DataError, "no ad has a bid"),
        ({"bids": {"杯子": 1}}, UnknownItemError, "杯子"),
        ({"k": 0}, ConfigError, "k must be at least 1"),
        ({"context": {"weather": "rain"}}, DataError, "not seen a context column 'weather'"),
        ({"user_columns": {"shoe": 4}}, DataError, "not seen a user column 'shoe'"),
        ({"explore_share": 1.0}, ConfigError, "from 0 to below 1"),
        ({"caps": [FrequencyCap(most=1, within_seconds=9)]}, ConfigError, "need now="),
        ({"exclusions": [Exclusion(ad={"x": ("y",)})]}, ConfigError, "the ad column 'x'"),
        ({"exclusions": [Exclusion(ad={"brand": ("y",)})]}, ConfigError, "brand='y'"),
    ],
)
def test_what_cannot_be_ranked_is_refused(model, call, error, says):
    with pytest.raises(error) as found:
        model.rank(3, **({"bids": {4: 1}} | call))
    assert says in str(found.value)


def test_without_conversions_none_are_asked_for():
    log = {n: v for n, v in impressions(800).items() if n in ("user", "ad", "click")}
    model = ws.AdRecommender().fit(log)
    assert model.score(log).conversion is None
    with pytest.raises(ConfigError, match="a model of conversions"):
        model.rank(3, bids={4: 1}, pays_for="conversion")
    with pytest.raises(ConfigError, match="nothing is fitted"):
        ws.AdRecommender().score(log)
