"""A report's figures against what the model's own lists say, and who is judged."""

import json
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from warmstart.core.errors import ConfigError, DataError
from warmstart.data import SplitConfig, load_dataset, make_split
from warmstart.data.content import EncodedColumn
from warmstart.encoders.text import SentenceEncoder
from warmstart.evaluation.bias import long_tail
from warmstart.evaluation.metrics import percentiles
from warmstart.recommenders import Recommender
from warmstart.recommenders.content import ContentMap
from warmstart.recommenders.reporting.groups import by_taste, groups_of
from warmstart.recommenders.reporting.page import page_of
from warmstart.recommenders.reporting.people import ReportConfig, judged_people
from warmstart.recommenders.reporting.probabilities import reading_of
from warmstart.recommenders.reporting.report import report_on
from warmstart.recommenders.reporting.text_prior import masked, text_prior_of
from warmstart.recommenders.reporting.words import say

QUICK = ReportConfig(shots=(0, 2, 6), baselines=("ease",), tune="no")


@pytest.fixture(scope="module")
def data():
    return load_dataset("synthetic", n_users=300, n_items=120, n_events=25, seed=3)


@pytest.fixture(scope="module")
def split(data):
    return make_split(data, SplitConfig(seed=0, test_fraction=0.25, max_shots=6))


@pytest.fixture(scope="module")
def model(split):
    return Recommender("itemknn").fit(split.train, progress=False)


@pytest.fixture(scope="module")
def found(model, data):
    return report_on(model, data, QUICK)


def test_nobody_whom_the_model_has_met_is_judged(model, data, split):
    people = judged_people(model.fitted, data, QUICK)
    trained = set(np.unique(split.train.interactions.user))
    assert not trained & set(people.tasks.users)
    assert people.n_met == len(trained)
    able = {u for u in range(data.n_users) if u not in trained and (data.pairs.value > 0)[
        data.pairs.user == u].sum() > 6}  # fmt: skip
    assert set(people.tasks.users) == able
    assert people.split is not None  # the table holds exactly what the model was trained on
    assert len(people.split.train.interactions) == len(split.train.interactions)


def test_the_record_of_whom_it_has_met_is_saved(model, data, tmp_path):
    again = Recommender.load(model.save(tmp_path / "model"))
    before = judged_people(model.fitted, data, QUICK)
    after = judged_people(again.fitted, data, QUICK)
    np.testing.assert_array_equal(before.tasks.users, after.tasks.users)
    assert "met_users" not in again.fitted.origin


def test_training_users_and_models_that_do_not_tell_are_refused(model, data, split):
    with pytest.raises(DataError, match=r"trained on all 2\d\d people of synthetic"):
        report_on(model, split.train, QUICK)
    silent = model.copy()
    silent._fitted = replace(model.fitted, met=None)
    with pytest.raises(ConfigError, match="does not tell whom it was trained on"):
        report_on(silent, data, QUICK)
    with pytest.raises(DataError, match="likes more than 110 items"):
        report_on(model, data, ReportConfig(shots=(0, 110)))


def test_strangers_alone_have_popularity_beside_the_model(model, data, split):
    strangers = data.restrict(np.isin(data.interactions.user, split.tasks.users))
    told = report_on(model, strangers, QUICK)
    assert told.methods == ["itemknn", "popularity", "shuffled"]
    assert not told.about["people"]["training_rows_here"]
    # the same people, the same lists
    whole = report_on(model, data, QUICK)
    assert told.about["people"]["judged"] == whole.about["people"]["judged"]
    assert abs(told.figure("popularity", "itemknn", 0).value
               - whole.figure("popularity", "itemknn", 0).value) < 1e-9  # fmt: skip


def test_figures_are_those_of_the_lists_that_the_model_gives(model, data, found):
    people = judged_people(model.fitted, data, QUICK)
    likes = model.catalogue.likes.astype(float)
    rank, tail = percentiles(likes), long_tail(likes)
    for shots in (2, 6):
        support = people.tasks.at(shots)
        lists = model.recommend_batch(support, k=10).items
        assert (lists >= 0).all()
        expected = {
            "popularity": np.mean([rank[one].mean() for one in lists]),
            "tail": np.mean([tail[one].mean() for one in lists]),
            "coverage": len(np.unique(lists)) / len(likes),
        }
        gains = []
        for user, one in enumerate(lists):
            wanted = set(people.tasks.query[[user]].indices)
            ideal = sum(1 / np.log2(2 + i) for i in range(min(10, len(wanted))))
            gains.append(sum(1 / np.log2(2 + i) for i, x in enumerate(one) if x in wanted) / ideal)
        expected["ndcg"] = np.mean(gains)
        taste = np.mean([likes[people.tasks.query[[u]].indices].mean() for u in range(len(lists))])
        expected["lift"] = np.mean([likes[one].mean() for one in lists]) / taste - 1
        for measure, value in expected.items():
            told = found.figure(measure, "itemknn", shots)
            assert told.value == pytest.approx(value, abs=0.004), measure  # lots between equals
            if told.ci_low is not None:
                assert told.ci_low <= told.value <= told.ci_high
    change = found.figure("ndcg", "itemknn", "change")
    ends = [found.figure("ndcg", "itemknn", k).value for k in (0, 6)]
    assert change.value == pytest.approx(ends[1] - ends[0])


def test_bands_share_everything_out(found):
    for part in ("items", "likes"):
        assert sum(getattr(band, part) for band in found.bands) == pytest.approx(1)
    for shots in (0, 6):
        assert sum(band.places[shots] for band in found.bands) == pytest.approx(1)
        known = [b.standing[shots] for b in found.bands if np.isfinite(b.standing[shots])]
        assert all(0 <= one <= 1 for one in known)
        assert known[-1] < known[0]  # item-kNN places the popular higher


def test_groups_come_from_columns_and_tastes(data, found):
    users = np.arange(data.n_users)
    ways = {way.column: way for way in groups_of(data, users, None)}
    ages = np.array(data.user_table["age"].to_pylist())
    way = ways["age"]
    assert len(way.names) == 4
    for code, name in enumerate(way.names):
        low, high = map(int, name.split("–"))
        part = ages[way.codes == code]
        assert (part.min(), part.max()) == (low, high)
    gender = ways[next(c for c in ways if c != "age")]
    values = np.array(data.user_table[gender.column].to_pylist())
    np.testing.assert_array_equal(np.array(gender.names)[gender.codes], values)
    assert by_taste(np.arange(9.0)).codes.tolist() == [0] * 3 + [1] * 3 + [2] * 3
    assert {gap.column for gap in found.gaps} >= {"taste", "age"}
    with pytest.raises(ConfigError, match="no user column 'shoe'"):
        list(groups_of(data, users, ("shoe",)))
    with pytest.raises(ConfigError, match="no item column 'shoe' holds categories"):
        report_on(Recommender("popularity").fit(make_split(data).train, progress=False), data,
                  ReportConfig(categories="shoe"))  # fmt: skip


class Knows:
    """Scores as the truth would, times a factor."""

    def __init__(self, weights, factor):
        self.weights, self.factor = np.log(weights), factor

    def score(self, histories):
        return np.tile((self.factor * self.weights).astype(np.float32), (len(histories), 1))


def test_honest_chances_are_in_place_and_bold_ones_are_not(model, data):
    people = judged_people(model.fitted, data, QUICK)
    rng = np.random.default_rng(0)
    n, items, likes = 400, people.tasks.query.shape[1], 30
    weights = rng.dirichlet(np.full(items, 1.0))
    tasks = people.tasks.take(rng.integers(0, len(people.tasks), n))
    rows = np.zeros((n, items), np.float32)
    for row in rows:  # likes drawn one by one: a share of each person's likes
        row[:] = rng.multinomial(likes, weights)
    query = type(tasks.query)(rows)
    tasks = replace(tasks, query=query, candidates=None)
    honest = reading_of(Knows(weights, 1), tasks, 0, seed=0)
    bold = reading_of(Knows(weights, 3), tasks, 0, seed=0)
    assert honest.misplaced < 0.02
    assert bold.misplaced > 0.2
    assert bold.misplaced_tempered < 0.03
    assert bold.temperature == pytest.approx(3, rel=0.1)


class Reads:
    """A method that knows the content of its items."""

    def __init__(self, content):
        self.content = content


def test_texts_that_know_popularity_are_found_out(model, data):
    rng, n = np.random.default_rng(0), data.n_items
    people = judged_people(model.fitted, data, QUICK)
    likes = model.catalogue.likes
    vectors = rng.normal(size=(n, 20)).astype(np.float32)
    vectors[:, 0] = 3 * np.log1p(likes)  # fame, written into the vectors
    fame = data.with_item_vectors("title", list(data.items), vectors)
    content = ContentMap.learn(fame.content, make_split(data).train.positives())
    spec = EncodedColumn(column="title", encoder="text", version=SentenceEncoder().version)
    catalogue = replace(model.catalogue, item_encoders=(spec,))
    fitted = replace(model.fitted, method=Reads(content), catalogue=catalogue)
    told = text_prior_of(fitted, people.tasks, shots=6, items_at_most=100, seed=0)
    rows = {row.texts: row for row in told.rows}
    assert list(rows) == ["as-written", "masked", "dealt"]
    assert rows["as-written"].foretold[0] > 0.8
    assert abs(rows["dealt"].foretold[0]) < 0.3
    # the real encoder reads made-up titles, in which there is no fame
    assert rows["masked"].foretold[0] < 0.4
    assert told.why_not is None
    nothing = text_prior_of(model.fitted, people.tasks, shots=6, items_at_most=100, seed=0)
    assert nothing.why_not == "no-text"


@pytest.mark.parametrize(
    ("text", "title", "left"),
    [
        ("Alien (1979)", "Alien (1979)", "… (1979)"),
        ("The crew of ALIEN meets aliens.", "Alien (1979)", "The crew of … meets aliens."),
        ("In The Terminator a Terminator comes", "Terminator, The (1984)", "In … a … comes"),
        ("Star Wars: Episode IV", "Star Wars: Episode IV", "…"),
        ("一部叫 异形 的电影", "异形", "一部叫 … 的电影"),
    ],
)
def test_names_are_masked(text, title, left):
    expected = left if any(c.isalnum() for c in left) else None
    assert masked(text, title) == expected


class Seen(HTMLParser):
    """What a page holds."""

    def __init__(self):
        super().__init__()
        self.tags, self.loads, self.text, self.ids, self.links = [], [], [], set(), []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.tags.append(tag)
        self.loads += [v for k, v in attrs if k in ("src", "data", "poster", "srcset")]
        self.ids.add(values.get("id"))
        if tag == "a":
            self.links.append(values["href"])
        if tag == "link":
            self.loads.append(values["href"])

    def handle_data(self, data):
        self.text.append(data)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_stands_alone_and_tells_the_figures(found, language):
    page = page_of(found, language)
    seen = Seen()
    seen.feed(page)
    assert not seen.loads
    assert "script" not in seen.tags
    assert "url(" not in page
    assert "@import" not in page
    assert "http://" not in page
    assert "https://" not in page
    assert all(link[1:] in seen.ids for link in seen.links)
    assert len(seen.links) == 8
    text = " ".join(seen.text)
    assert "{" not in text.split("}")[-1]  # nothing is left to fill in after the style sheet
    for shots in (0, 6):
        assert f"{found.figure('ndcg', 'itemknn', shots).value:.2f}" in text
    assert say(language, "nav.groups") in text
    assert f"{found.about['people']['judged']:,}" in text
    assert len(page.encode()) < 200_000


def test_names_from_strangers_are_text(found):
    hostile = "<img src=x onerror=alert(1)>"
    about = found.about | {"people": found.about["people"] | {"data": hostile}}
    gaps = tuple(replace(gap, column=hostile, names=(hostile,) * len(gap.names))
                 for gap in found.gaps)  # fmt: skip
    mixture = replace(found.mixture, column=hostile, names=(hostile,) * len(found.mixture.names))
    page = page_of(replace(found, about=about, gaps=gaps, mixture=mixture, _by={}))
    seen = Seen()
    seen.feed(page)
    assert "img" not in seen.tags
    assert hostile in "".join(seen.text)


def test_the_numbers_are_json(found):
    values = json.loads(found.to_json())
    assert {"about", "figures", "against", "bands", "gaps", "mixture", "readings", "texts"} == set(
        values
    )
    row = next(f for f in values["figures"] if f["measure"] == "lift" and f["shots"] == 6)
    assert set(row) == {"measure", "method", "shots", "value", "ci_low", "ci_high"}


def test_a_settings_fault_is_named():
    with pytest.raises(ConfigError, match="at least two different numbers of shots"):
        ReportConfig.parse({"shots": (5,)})
