"""What reviewers praise, in reasons."""

import pytest

from warmstart.data import Dataset
from warmstart.data.reviews import read_reviews
from warmstart.recommenders import LLMRecommender, Recommender
from warmstart.recommenders.asking.praise import praised

ITEMS = {"item": ["amp", "case", "strap"], "title": ["Loud Amp", "Hard Case", "Soft Strap"],
         "kind": ["amps", "cases", "straps"]}  # fmt: skip
LIKES = {"user": [1, 1, 2, 2, 3], "item": ["amp", "case", "amp", "strap", "case"]}
SAID = {
    "user": ["a", "b", "c", "d", "a", "b", "e"],
    "item": ["amp", "amp", "amp", "case", "case", "case", "elsewhere"],
    "text": [
        "The battery is great.", "The battery lasts, a great battery", "Ugly knobs, ugly knobs.",
        "The lens broke.", "The case is ugly, the lens is bad", "The lens broke at once, bad lens",
        "The battery is great.",
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def model():
    return Recommender("itemknn").fit(Dataset.from_tables(LIKES, ITEMS))


def test_what_two_authors_praise_is_known_and_blame_is_not(model):
    found = praised(read_reviews(SAID), model.catalogue)
    assert found == {model.catalogue.items.index("amp"): ("battery",)}


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("something with a good battery", "reviewers praise its battery"),
        ("电池好的, battery", "评论称赞它的battery"),
    ],
)
def test_a_reason_names_what_was_asked_for_and_is_praised(model, query, says):
    asked = LLMRecommender(recommender=model, reviews=read_reviews(SAID))
    reasons = {r.item: r.reason for r in asked.ask(query, k=3).items}
    assert says in reasons["amp"]
    assert "lens" not in "".join(reasons.values())
    silent = LLMRecommender(recommender=model).ask(query, k=3)
    assert "battery" not in "".join(r.reason for r in silent.items)


def test_part_of_a_word_is_not_the_word(model):
    asked = LLMRecommender(recommender=model, reviews=read_reviews(SAID))
    reasons = {r.item: r.reason for r in asked.ask("loud batterypack things", k=3).items}
    assert "reviewers praise its battery" not in reasons["amp"]
