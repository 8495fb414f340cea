"""Rules in `recommend`: conditions, titles and vectors are those of the model."""

from collections import Counter

import numpy as np
import pytest

from warmstart.core.errors import ConfigError, UnknownItemError
from warmstart.recommenders.rules import Rules

LIKES = [5, 9]


def column(model, name):
    return dict(zip(model.catalogue.items, model.catalogue.table[name].to_pylist(), strict=True))


def test_without_a_wish_of_its_own_a_rule_changes_no_order(model):
    plain = [r.item for r in model.recommend(LIKES, k=30, explain=False)]
    same = model.recommend(LIKES, k=30, explain=False, rules=Rules())
    assert [r.item for r in same] == plain
    scores = model.method.score(model_histories(model))[0]
    free = np.delete(scores, [model.catalogue.titles.find(i) for i in LIKES])
    expected = (np.sort(free)[::-1][:30] - free.mean()) / free.std()
    np.testing.assert_allclose([r.score for r in same], expected, atol=1e-4)


def model_histories(model):
    from warmstart.recommenders.history import as_histories, read_history

    catalogue = model.catalogue
    events = read_history(LIKES, catalogue.titles, catalogue.schema.evidence)
    return as_histories(events, catalogue.known_of(None))


def test_boost_pin_and_quota_go_by_the_catalogue(model):
    genres = column(model, "genres")
    before = model.recommend(LIKES, k=10, explain=False)
    last = model.recommend(LIKES, k=200, explain=False)[-1]
    listed = model.recommend(
        LIKES,
        k=10,
        explain=False,
        rules={
            "boost": [{"filter": "genres has Western", "by": 50}],
            "pin": [{"item": last.title, "place": 2}],
            "quota": [{"filter": "genres has Western", "most": 4}],
        },
    )
    assert listed[1].item == last.item
    western = ["Western" in genres[r.item].split("|") for r in listed]
    others = [w for i, w in enumerate(western) if i != 1]
    assert others[0]
    assert sum(others) + (western[1]) in (4, 5)
    assert len({r.item for r in listed}) == len(before) == 10


def test_what_is_seen_excluded_or_filtered_away_is_not_pinned(model):
    pins = [{"item": 5, "place": 1}, {"item": 7, "place": 2}, {"item": 11, "place": 3}]
    listed = model.recommend(
        LIKES, k=5, exclude=[7], filter="item != 11", explain=False, rules={"pin": pins}
    )
    assert {5, 7, 11}.isdisjoint(r.item for r in listed)


def test_diversity_lowers_the_likeness_of_a_list(model):
    vectors = model.method.item_vectors()
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def likeness(listed):
        at = [model.catalogue.titles.find(r.item) for r in listed]
        cosine = unit[at] @ unit[at].T
        return cosine[np.triu_indices(len(at), 1)].mean()

    alike = [
        likeness(model.recommend(LIKES, k=10, explain=False, rules={"diversity": d}))
        for d in (0, 0.5, 1)
    ]
    assert alike[0] > alike[1] > alike[2]


def test_boosts_are_explored_and_the_propensities_are_those_of_the_draws(model):
    genres, rng = column(model, "genres"), np.random.default_rng(0)
    rules = {"boost": [{"filter": "genres has Comedy", "by": 50}]}
    most = [r.item for r in model.recommend(LIKES, k=4, explain=False, rules=rules)]
    times, said, draws = Counter(), {}, 1_500
    for _ in range(draws):
        listed = model.recommend(LIKES, k=4, explain=False, rules=rules, explore=0.4, rng=rng)
        for line in listed:
            assert "Comedy" in genres[line.item]
            assert line.explored or line.item == most[line.rank - 1]
            times[line.item, line.rank] += 1
            said.setdefault((line.item, line.rank), line.propensity)
            assert line.propensity == pytest.approx(said[line.item, line.rank])
    assert len(times) > 8
    for place, chance in said.items():
        wide = 4.5 * np.sqrt(chance * (1 - chance) / draws)
        assert times[place] / draws == pytest.approx(chance, abs=wide + 1e-3)


def test_rules_that_cannot_be_followed_are_refused(model):
    with pytest.raises(ConfigError, match="genre"):
        model.recommend(rules={"boost": [{"filter": "genre has War", "by": 1}]})
    with pytest.raises(UnknownItemError):
        model.recommend(rules={"pin": [{"item": 10**9, "place": 1}]})
    pin, quota = {"item": 5, "place": 1}, {"filter": "genres has Drama", "most": 1}
    for rules in ({"diversity": 0.1}, {"pin": [pin]}, {"quota": [quota]}):
        with pytest.raises(ConfigError, match=r"cannot explore.*use boosts"):
            model.recommend(rules=rules, explore=0.1)
    with pytest.raises(ConfigError, match="boosts"):
        model.recommend(rules={"boosts": []})
