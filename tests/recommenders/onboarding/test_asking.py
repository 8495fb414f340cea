"""`Recommender.next_question`: what it asks, what it never asks, and what survives saving."""

import numpy as np
import pytest

from warmstart.core.errors import ConfigError, UnknownItemError
from warmstart.core.types import Histories
from warmstart.data import Dataset
from warmstart.recommenders import Recommender, load
from warmstart.recommenders.onboarding.asking import ENOUGH, state_of
from warmstart.recommenders.onboarding.policies import POLICIES
from warmstart.recommenders.onboarding.ratings import ratings_of, training_ratings


def test_every_answer_leads_to_another_question(model):
    catalogue = model.catalogue
    asked, history, dislikes, unseen, skipped = [], [], [], [], []
    for answer in (history, dislikes, unseen, skipped, history):
        question = model.next_question(history, dislikes=dislikes, not_seen=unseen, skipped=skipped)
        assert question.title == catalogue.titles.title(catalogue.items.index(question.item))
        assert 0 < question.expected_gain < 1
        assert 0 < question.chance_seen <= 1
        assert question.worth_asking == (question.expected_gain >= ENOUGH)
        assert "know it" in question.why
        asked.append(question.item)
        answer.append(question.item)
    assert len(set(asked)) == 5


@pytest.mark.parametrize("policy", POLICIES)
def test_no_policy_leaves_the_catalogue_or_the_filter(model, policy):
    where = "genres has Comedy"
    allowed = model.catalogue.where(where)
    question = model.next_question(["7"], policy=policy, filter=where)
    assert allowed[model.catalogue.items.index(question.item)]


def test_questions_stop_being_worth_it(model):
    history, number = [], 0
    while (question := model.next_question(history)).worth_asking:
        history.append(question.item)
        number += 1
        assert number < 100
    assert number > 2


def test_when_everything_is_asked_there_is_no_question(model):
    everything = list(model.catalogue.items)
    assert model.next_question(skipped=everything) is None


def test_the_model_asks_the_same_once_it_is_saved(model, tmp_path):
    again = load(model.save(tmp_path / "model"))
    for policy in POLICIES:
        ours = model.next_question(["7", ("9", 2)], not_seen=["11"], policy=policy)
        assert again.next_question(["7", ("9", 2)], not_seen=["11"], policy=policy) == ours


def test_new_and_removed_items_are_not_asked_about(model, tmp_path):
    other = load(model.save(tmp_path / "model"))
    other.add_items({"item": ["901"], "genres": ["Drama"]})
    first = other.next_question()
    assert first.title == model.next_question().title
    other.remove_items([first.item])
    assert other.next_question().item not in (first.item, "901")


def test_a_model_without_knowledge_asks_by_likes(split):
    model = Recommender("itemknn").fit(split.train, progress=False)
    likes = model.catalogue.likes
    question = model.next_question(policy="popularity")
    assert question.item == model.catalogue.items[int(np.argmax(likes))]
    assert model.next_question().worth_asking in (True, False)
    with pytest.raises(ConfigError, match="learned policy"):
        model.next_question(policy="reinforce")


def test_likes_alone_can_be_learned_from():
    """Where nobody rates, what people have met is what is asked about."""
    rng = np.random.default_rng(0)
    kind = rng.random(200) < 0.5
    chance = np.where(kind[:, None], [0.7] * 10 + [0.05] * 10, [0.05] * 10 + [0.7] * 10)
    user, item = np.nonzero(rng.random((200, 20)) < chance)
    data = Dataset.from_tables({"user": user, "item": item})
    small = {"hidden_dim": 8, "embedding_dim": 4, "folds": 2, "training": {"epochs": 2},
             "onboarding": {"policy": {"updates": 2}}}  # fmt: skip
    model = Recommender(config=small).fit(data, progress=False)
    first = model.next_question(policy="information-gain")
    assert first.expected_gain > 0.05
    knowledge = model.method.onboarding
    assert not knowledge.divides
    # one answer tells which kind of user it is
    liked = state_of(knowledge, *_one(model, first.item))
    found = liked.chance_seen(knowledge)[0]
    same = np.array([(item < 10) == (first.item < 10) for item in model.catalogue.items])
    assert found[same].mean() > found[~same].mean() + 0.3


def _one(model, item):
    at = np.array([model.catalogue.items.index(item)], np.int32)
    return Histories(np.array([0, 1]), at, np.ones(1, np.float32)), np.ones(1)


def test_evidence_stands_for_the_ratings_it_came_from(planted):
    rule = planted.schema.evidence
    stars = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    np.testing.assert_allclose(ratings_of(rule.values(stars), rule), stars, atol=1e-5)
    matrix = training_ratings(planted)
    rows = planted.interactions
    for at in range(0, len(rows), 997):
        same = (rows.user == rows.user[at]) & (rows.item == rows.item[at])
        mean = rows.rating[same].mean()
        assert matrix[[int(rows.user[at])]].toarray()[0, rows.item[at]] == pytest.approx(mean)


def test_unknown_words_are_refused(model):
    with pytest.raises(UnknownItemError):
        model.next_question(["no such film at all"])
    with pytest.raises(ConfigError, match="'oracle'"):
        model.next_question(policy="oracle")
