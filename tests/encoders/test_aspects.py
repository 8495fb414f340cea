"""Terms and their polarity: planted ones are found, and one author never counts twice."""

import math
import os
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warmstart.core.errors import DataError
from warmstart.encoders import aspects as module
from warmstart.encoders.aspects import Aspect, aspects

ENGLISH = {
    "lamp": {
        "switch": ["The switch broke after a week", "a terrible switch", "The switch is bad"],
        "cable": ["The cable is excellent", "I love the cable", "a great cable and it shows"],
        "shade": ["The shade is beautiful", "what a nice shade", "The shade is good"],
        "base": ["The base is flimsy", "a poor base", "The base is awful"],
    },
    "novel": {
        "plot": ["The plot is boring", "a predictable plot", "The plot is awful and dull"],
        "hero": ["The hero is charming", "a brilliant hero", "I love the hero"],
        "ending": ["The ending is touching", "a clever ending", "The ending is wonderful"],
        "cover": ["The cover is ugly", "a bad cover", "The cover is horrible"],
    },
}
CHINESE = {
    "耳机": {
        "音质": ["音质很好", "我觉得音质非常棒", "音质清晰，推荐"],
        "降噪": ["降噪效果好", "降噪不错，地铁里很安静", "很喜欢它的降噪"],
        "续航": ["续航很差，半天就没电", "续航不行，太差", "对续航很失望"],
        "外壳": ["外壳太粗糙", "外壳很差", "它的外壳难看"],
    },
    "电影": {
        "剧情": ["剧情拖沓，看得很无聊", "这剧情太老套", "剧情差，没意思"],
        "演员": ["演员演技好", "演员不错，很感人", "喜欢里面的演员"],
        "配乐": ["配乐好听", "我喜欢配乐，很动听", "这次的配乐优秀"],
        "台词": ["台词尴尬", "台词太差", "它的台词很烂"],
    },
}
FILLING = {
    "lamp": ["It came on Monday", "My brother gave it to me", "We will see"],
    "novel": ["I read it on a train", "My sister gave it to me", "We talked about it"],
    "耳机": ["快递昨天到的", "朋友介绍给我的", "总体来说还行"],
    "电影": ["周末和家人一起", "第一次去这家影院", "下次再来"],
}
GOOD = {"cable", "shade", "hero", "ending", "音质", "降噪", "演员", "配乐"}


def written(source, *, seed=0, n=60):
    """Reviews that each speak of one or two things of their item."""
    rng = random.Random(seed)
    stop = ". " if "lamp" in source else "。"
    texts, items, authors = [], [], []
    for number in range(n):
        item = list(source)[number % 2]
        things = rng.sample(list(source[item]), rng.choice([1, 2]))
        parts = [rng.choice(source[item][t]) for t in things] + [rng.choice(FILLING[item])]
        rng.shuffle(parts)
        texts.append(stop.join(parts))
        items.append(item)
        authors.append(f"author {number}")
    return texts, items, authors


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("source", [ENGLISH, CHINESE], ids=["English", "Chinese"])
def test_planted_aspects_are_found_with_their_polarity(source, seed):
    texts, items, authors = written(source, seed=seed)
    found = aspects(texts, items, authors)
    for item, things in source.items():
        known = {a.term: a for a in found[item]}
        assert set(things) <= set(known)
        for thing in things:
            aspect = known[thing]
            assert (aspect.polarity > 0) == (thing in GOOD)
            said = [t for t, i in zip(texts, items, strict=True) if i == item and thing in t]
            assert aspect.n_authors == len(said)
            assert any(aspect.example in text for text in said)


def test_overuse_is_the_formula_of_the_paper():
    mine = Counter({"switch": 9, "cable": 2, "rare": 1})
    total = mine + Counter({"switch": 4, "cable": 30, "plot": 55})
    everything = sum(total.values())
    prior = everything / 10
    found = module._overuse(mine, total, everything)
    assert set(found) == {"switch", "cable"}
    for word in found:
        y_i, n_i = mine[word], sum(mine.values())
        y_j, n_j = total[word] - y_i, everything - n_i
        alpha = prior * total[word] / everything
        delta = math.log((y_i + alpha) / (n_i + prior + 1 - y_i - alpha))
        delta -= math.log((y_j + alpha) / (n_j + prior + 1 - y_j - alpha))
        assert found[word] == pytest.approx(
            delta / math.sqrt(1 / (y_i + alpha) + 1 / (y_j + alpha))
        )
    assert found["switch"] > 0 > found["cable"]


def test_one_author_counts_once_however_much_he_writes():
    texts, items, authors = written(ENGLISH)
    before = aspects(texts, items, authors)
    flood = ["The switch is excellent. The gizmo is great."] * 500
    after = aspects(texts + flood, items + ["lamp"] * 500, authors + ["author 0"] * 500)
    assert "gizmo" not in {a.term for a in after["lamp"]}
    terms = [{a.term: a for a in found["lamp"]} for found in (before, after)]
    spoke = "switch" in texts[0]
    assert terms[1]["switch"].n_authors == terms[0]["switch"].n_authors + (not spoke)
    moved = abs(terms[1]["switch"].polarity - terms[0]["switch"].polarity)
    assert moved <= 2 / terms[1]["switch"].n_authors
    assert aspects(["The gizmo is great"] * 9, ["a"] * 9, ["ann"] * 9) == {"a": []}


def test_polarity_is_a_mean_over_authors():
    texts = ["The cable is great", "The cable is great", "The cable is terrible", "a lamp. A cable"]
    found = aspects(texts, ["a"] * 4, ["ann", "ann", "bo", "cy"])
    polarity = module.Polarity()
    great, terrible = (polarity.of(module.segments(texts[i])[0]) for i in (0, 2))
    assert found == {"a": [Aspect("cable", pytest.approx((great + terrible) / 3), 3, texts[0])]}


def test_the_kind_of_the_item_its_name_and_brands_are_no_aspects():
    rng = random.Random(1)
    texts, items = [], []
    for number in range(40):
        thing = rng.choice(["the latch", "the hinge", "the lid", "the lock"])
        texts.append(f"This trunk is good. I like {thing}. It is from Hobbington, I think.")
        items.append("trunk")
        texts.append(f"The shoe is good. I walked {number} miles with the laces.")
        items.append("shoe")
    found = aspects(texts, items, range(80))
    assert {a.term for a in found["trunk"]} == {"latch", "hinge", "lid", "lock"}
    found = aspects(texts, items, range(80), names={"trunk": "Trunk with two latches"})
    assert {a.term for a in found["trunk"]} == {"hinge", "lid", "lock"}
    assert list(aspects(texts, items, range(80), only=["shoe"])) == ["shoe"]


def test_two_words_and_plurals():
    texts = [f"The bridge {word} {verb} fine." for word, verb in (("pin", "is"), ("pins", "are"))]
    texts += ["The strap is fine.", "A strap is a strap.", "The bridge is far away."]
    found = aspects(texts * 3, ["a", "a", "b", "b", "c"] * 3, range(15))
    assert [(a.term, a.n_authors) for a in found["a"]] in (
        [("bridge pins", 6)], [("bridge pin", 6)], [("pins", 6)], [("pin", 6)], []
    )  # fmt: skip


def test_lengths_must_agree():
    with pytest.raises(DataError, match="2 texts, 1 items and 2 authors; give one"):
        aspects(["a", "b"], [1], [1, 2])
    assert aspects([], [], []) == {}


@given(
    st.lists(
        st.tuples(
            st.one_of(st.text(max_size=30), st.sampled_from(["the lid is bad", "音质好，盖子差"])),
            st.integers(0, 2),
            st.integers(0, 4),
        ),
        max_size=25,
    )
)
@settings(max_examples=100, deadline=None)
def test_any_reviews_give_aspects_within_bounds(rows):
    texts, items, authors = ([row[i] for row in rows] for i in range(3))
    found = aspects(texts, items, authors, [1.0 + len(t) % 5 for t in texts])
    assert set(found) == set(items)
    for item, listed in found.items():
        of_item = {a for a, i in zip(authors, items, strict=True) if i == item}
        for aspect in listed:
            assert -1 <= aspect.polarity <= 1
            assert 2 <= aspect.n_authors <= len(of_item)


def test_real_reviews_read_well():
    folder = Path(os.environ.get("WARMSTART_DATA", "")) / "amazon-musical-instruments"
    if "WARMSTART_DATA" not in os.environ or not folder.is_dir():
        pytest.skip("WARMSTART_DATA names no folder that has amazon-musical-instruments")
    pd = pytest.importorskip("pandas")
    rows = pd.read_parquet(folder / "reviews.parquet")
    top = rows["asin"].value_counts().index[:10].tolist()
    columns = [rows[c].tolist() for c in ("reviewText", "asin", "reviewerID", "overall")]
    found = aspects(*columns, only=top)
    terms = {item: [a.term for a in listed] for item, listed in found.items()}
    assert all(len(listed) == 8 for listed in terms.values())
    words = {word for listed in terms.values() for term in listed for word in term.split()}
    assert not words & (module.COMMON | {"guitar", "snark", "dunlop", "martin"})
    tuner = {a.term: a for a in found["B003VWJ2K8"]}
    assert tuner["display"].polarity > 0.2
    assert tuner["display"].polarity > tuner["battery"].polarity
    assert np.median([a.n_authors for listed in found.values() for a in listed]) >= 5
