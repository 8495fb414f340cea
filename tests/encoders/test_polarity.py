"""Weights of words against closed forms, planted words, and the stars of real reviews."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from warmstart.core.errors import DataError
from warmstart.encoders.polarity import BAD, GOOD, Polarity, features, learned, prior, segments


def of(polarity, text):
    return float(np.mean([polarity.of(s) for s in segments(text)] or [0.0]))


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ("The sound is great.", "The sound is not great."),
        ("The strings broke.", "The strings are terrible, they broke, a waste."),
        ("I love this lamp", "I don't love this lamp"),
        ("I don't hate this lamp", "I hate this lamp"),
        ("not bad", "bad"),
        ("a lamp", "a useless lamp"),
        ("音质很好", "音质不好"),
        ("剧情不错", "剧情"),
        ("剧情", "剧情拖沓，太无聊"),
        ("很喜欢", "不喜欢"),
    ],
)
def test_the_lexicon_orders_what_a_reader_would(better, worse):
    assert of(Polarity(), better) > of(Polarity(), worse)


def test_segments_end_at_sentences_and_at_but():
    text = "Warm sound, nice neck but no case! 音质好。包装不好"
    found = [text[s.start : s.stop] for s in segments(text)]
    assert found == ["Warm sound, nice neck", "no case", "音质好", "包装不好"]
    last = segments(text)[-1]
    assert dict(zip(last.words, last.signs, strict=True)) == {"包": 1, "装": 1, "不": 1, "好": -1}


def test_weights_solve_the_ridge_regression_they_promise():
    texts = ["good blim thing", "good zorgle thing", "blim thing here", "zorgle zorgle bad thing",
             "blim good here", "zorgle here", "blim. zorgle here"]  # fmt: skip
    stars = np.array([5, 2, 5, 1, 4, 2, 3.0])
    reg = 0.7
    cut = [segments(t) for t in texts]
    found = learned(cut, stars, reg=reg).weights
    words = sorted(found)
    assert words == ["blim", "good", "here", "thing", "zorgle"]  # in three reviews or more
    x = np.zeros((7, 5))
    rest = np.zeros(7)  # what rare words of the lexicon explain already
    for row, review in enumerate(cut):
        for segment in review:
            held = features(segment)
            for word in held:
                share = 1 / np.sqrt(len(held) + 3) / len(review)
                rest[row] += share * prior(word)
                if word in words:
                    x[row, words.index(word)] += share
    above = stars > stars.mean()
    weight = np.where(above, 0.5 / above.mean(), 0.5 / (1 - above.mean()))
    y = np.where(above, 1.0, -1.0) - rest
    design = np.column_stack([np.ones(7), x])  # the intercept bears no penalty
    penalty = np.diag([0.0] + [reg] * 5)
    normal = design.T @ (weight[:, None] * design) + penalty
    expected = np.linalg.solve(normal, design.T @ (weight * y))[1:]
    expected += [prior(word) for word in words]
    np.testing.assert_allclose([found[w] for w in words], expected, atol=1e-4)


def test_words_are_learned_from_stars_and_subjects_are_not():
    rng = np.random.default_rng(0)
    texts, stars = [], []
    for _ in range(200):
        good = rng.random() < 0.8
        word = rng.choice(["blimmy", "spoody"] if good else ["zorgle", "grotty"])
        thing = "lamp" if rng.random() < (0.9 if good else 0.1) else "chair"
        texts.append(f"the {thing} is {word} {rng.choice(['today', 'so far', 'again'])}")
        stars.append(5 if good else 2)
    cut = [segments(t) for t in texts]
    polarity = learned(cut, stars, subjects={"lamp", "chair"})
    assert of(polarity, "it is spoody") > 0.2 > -0.2 > of(polarity, "it is grotty")
    assert of(polarity, "lamp") == of(polarity, "chair") == 0
    careless = learned(cut, stars)
    assert of(careless, "lamp") > of(careless, "chair")


def test_without_ratings_the_lexicon_speaks():
    cut = [segments("good thing")] * 9
    for ratings in (None, [np.nan] * 9, [4.0] * 9):
        assert learned(cut, ratings) == Polarity()
    with pytest.raises(DataError, match="8 ratings for 9 reviews; give one for each"):
        learned(cut, [1.0] * 8)


def test_the_lexicon_does_not_contradict_itself():
    assert not set(GOOD) & set(BAD)
    assert prior("good") == -prior("bad") == -2 * prior("¬good") > 0


@given(st.lists(st.tuples(st.text(), st.sampled_from([1.0, 3.0, 5.0, np.nan])), max_size=12))
@settings(max_examples=150, deadline=None)
def test_any_reviews_have_polarities(rows):
    cut = [segments(text) for text, _ in rows]
    polarity = learned(cut, [stars for _, stars in rows])
    for (text, _), review in zip(rows, cut, strict=True):
        assert all(-1 <= polarity.of(s) <= 1 for s in review)
        assert all(0 <= s.start < s.stop <= len(text) for s in review)


def test_polarity_tells_the_stars_of_authors_it_has_not_met():
    folder = Path(os.environ.get("WARMSTART_DATA", "")) / "amazon-musical-instruments"
    if "WARMSTART_DATA" not in os.environ or not folder.is_dir():
        pytest.skip("WARMSTART_DATA names no folder that has amazon-musical-instruments")
    pd = pytest.importorskip("pandas")
    rows = pd.read_parquet(folder / "reviews.parquet")
    authors = pd.factorize(rows["reviewerID"])[0]
    held = np.random.default_rng(0).permutation(authors.max() + 1)[authors] % 5 == 0
    cut = [segments(t) for t in rows["reviewText"]]
    stars = rows["overall"].to_numpy()
    polarity = learned([cut[i] for i in np.flatnonzero(~held)], stars[~held])

    def auc(judge):
        found = [np.mean([judge.of(s) for s in cut[i]] or [0]) for i in np.flatnonzero(held)]
        return roc_auc_score(stars[held] >= 4, found)

    assert auc(polarity) > 0.79
    assert auc(polarity) > auc(Polarity()) + 0.02 > 0.72
