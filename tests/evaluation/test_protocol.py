import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from warmstart.core.errors import DataError
from warmstart.core.types import Histories
from warmstart.evaluation import evaluate, shuffled_support
from warmstart.evaluation.significance import bootstrap_interval
from warmstart.index import top_k

TASKS, ITEMS, SHOTS = 50, 40, 4


class Fixed:
    """Scores a user by the row that their first support item names."""

    def __init__(self, table):
        self.table = np.asarray(table, np.float32)

    def score(self, histories):
        return self.table[histories.items[histories.indptr[:-1]]]


@pytest.fixture
def tasks():
    """Task t has support t, … and a query of its own, disjoint from the support."""
    rng = np.random.default_rng(0)
    items = np.array([rng.permutation(ITEMS) for _ in range(TASKS)])
    items[:, 0] = np.arange(TASKS) % ITEMS
    items = np.array([np.r_[r[0], [i for i in r[1:] if i != r[0]][:12]] for r in items])
    support = Histories(
        SHOTS * np.arange(TASKS + 1),
        items[:, :SHOTS].ravel().astype(np.int32),
        np.ones(SHOTS * TASKS, np.float32),
    )
    rows, cols = np.repeat(np.arange(TASKS), 9), items[:, SHOTS:].ravel()
    query = sp.csr_array((np.ones(rows.size, np.float32), (rows, cols)), shape=(TASKS, ITEMS))
    return support, query


class Oracle:
    def __init__(self, answers):
        self.answers, self.at = answers.toarray().astype(np.float32), 0

    def score(self, histories):
        self.at += len(histories)
        return self.answers[self.at - len(histories) : self.at]


def test_an_oracle_is_perfect_and_batches_change_nothing(tasks):
    support, query = tasks
    kwargs = {"ranker": top_k, "popularity": np.ones(ITEMS, np.float32)}
    result = evaluate(Oracle(query), support, query, batch_users=7, **kwargs)
    for metric in ("nDCG@10", "Recall@20", "MRR", "HitRate@10"):
        np.testing.assert_allclose(result.per_task[metric], 1)
    assert result.us_per_ranked_user > result.us_per_adaptation > 0


def test_equals_a_slow_loop_with_masks_and_candidates(tasks):
    support, query = tasks
    rng = np.random.default_rng(1)
    table = rng.normal(size=(ITEMS, ITEMS)).astype(np.float32)
    candidates = rng.random(ITEMS) < 0.8
    popularity = rng.integers(0, 99, ITEMS).astype(np.float32)
    result = evaluate(
        Fixed(table), support, query, ranker=top_k, popularity=popularity,
        candidates=candidates, batch_users=8,
    )  # fmt: skip
    shown = []
    for task in range(TASKS):
        own = set(support.items[SHOTS * task : SHOTS * (task + 1)])
        left = [i for i in range(ITEMS) if candidates[i] and i not in own]
        row = table[support.items[SHOTS * task]]
        order = sorted(left, key=lambda i: -row[i])
        wanted = {i for i in np.flatnonzero(query.toarray()[task]) if candidates[i]}
        gains = [1 / np.log2(r + 2) for r in range(10)]
        dcg = sum(g for g, i in zip(gains, order, strict=False) if i in wanted)
        found = {name: values[task] for name, values in result.per_task.items()}
        assert found["nDCG@10"] == pytest.approx(dcg / sum(gains[: len(wanted)]))
        assert found["Recall@20"] == pytest.approx(len(wanted & set(order[:20])) / len(wanted))
        assert found["MRR"] == pytest.approx(1 / (1 + min(order.index(i) for i in wanted)))
        assert found["popularity@10"] == pytest.approx(popularity[order[:10]].mean())
        shown += order[:10]
    assert result.overall["coverage@10"] == pytest.approx(len(set(shown)) / candidates.sum())


def test_a_shuffled_support_belongs_to_somebody_else(tasks):
    support, _ = tasks
    features = sp.csr_array(np.arange(TASKS, dtype=np.float32)[:, None])
    support = replace(support, features=features)
    shuffled = shuffled_support(support, np.random.default_rng(0))
    lists = [tuple(h) for h in support.items.reshape(TASKS, SHOTS)]
    others = [tuple(h) for h in shuffled.items.reshape(TASKS, SHOTS)]
    assert sorted(lists) == sorted(others)
    assert all(a != b for a, b in zip(lists, others, strict=True))
    assert shuffled.features is features
    with pytest.raises(DataError, match="at least 2 tasks, got 1"):
        shuffled_support(support.take(np.array([0])), np.random.default_rng(0))


def test_shuffling_takes_away_what_adaptation_gave(tasks):
    support, query = tasks
    taste = np.zeros((ITEMS, ITEMS))  # the first support item tells the whole query
    for task in range(ITEMS):
        taste[task] = query.toarray()[task]
    few = support.take(np.arange(ITEMS)), query[np.arange(ITEMS)]
    kwargs = {"ranker": top_k, "popularity": np.ones(ITEMS, np.float32)}
    adapted = evaluate(Fixed(taste), *few, **kwargs)
    other = shuffled_support(few[0], np.random.default_rng(0))
    control = evaluate(Fixed(taste), other, few[1], seen=few[0], **kwargs)
    assert adapted.per_task["nDCG@10"].mean() == pytest.approx(1)
    assert control.per_task["nDCG@10"].mean() < 0.4  # chance is 9 / 36


def test_refuses_tasks_that_cannot_be_judged(tasks):
    support, query = tasks
    nobody = np.zeros(ITEMS, bool)
    with pytest.raises(DataError, match="50 of 50 tasks have no relevant candidate"):
        evaluate(
            Fixed(np.eye(ITEMS)), support, query, ranker=top_k,
            popularity=np.ones(ITEMS, np.float32), candidates=nobody,
        )  # fmt: skip
    with pytest.raises(DataError, match="49 supports"):
        evaluate(
            Fixed(np.eye(ITEMS)), support.take(np.arange(49)), query, ranker=top_k,
            popularity=np.ones(ITEMS, np.float32),
        )  # fmt: skip


class Stepped:
    """Scores every user alike, with steps of so many equal items; 1 is no ties at all."""

    def __init__(self, step):
        self.row = -np.float32(np.arange(ITEMS) // step)

    def score(self, histories):
        return np.tile(self.row, (len(histories), 1))


def famous_first(n_tasks, n_relevant=5):
    """Tasks whose relevant items mostly stand first in the file, without any support."""
    rng = np.random.default_rng(3)
    chance = np.arange(ITEMS, 0, -1) ** 3.0
    rows = [rng.choice(ITEMS, n_relevant, False, chance / chance.sum()) for _ in range(n_tasks)]
    dense = np.zeros((n_tasks, ITEMS), np.float32)
    np.put_along_axis(dense, np.array(rows), 1, axis=1)
    return Histories.empty(n_tasks), sp.csr_array(dense)


def test_the_order_of_the_file_helps_nobody_who_cannot_tell_items_apart():
    support, query = famous_first(2_000)
    kwargs = {"ranker": top_k, "popularity": np.ones(ITEMS, np.float32)}
    file = evaluate(Stepped(1), support, query, **kwargs).per_task
    blind = evaluate(Stepped(ITEMS), support, query, **kwargs)
    gains = 1 / np.log2(np.arange(2, 12))
    share = 5 / ITEMS
    chance = {
        "nDCG@10": share * gains.sum() / gains[:5].sum(),
        "Recall@20": 20 / ITEMS,
        # the best of 5 among 40 stands at rank r with C(40 - r, 4) / C(40, 5)
        "MRR": sum(math.comb(ITEMS - r, 4) / math.comb(ITEMS, 5) / r for r in range(1, 37)),
    }
    for metric, expected in chance.items():
        low, high = bootstrap_interval(blind.per_task[metric])
        assert low < expected < high, metric
        assert file[metric].mean() > 1.5 * high, metric
    assert blind.overall["coverage@10"] == 1
    assert blind.overall["Gini@10"] < 0.1


def test_lots_are_drawn_again_from_the_seed_and_in_any_batch(tasks):
    support, query = tasks
    kwargs = {"ranker": top_k, "popularity": np.arange(ITEMS, dtype=np.float32)}
    candidates = np.arange(ITEMS) % 5 > 0
    runs = [
        evaluate(
            Stepped(7), support, query, batch_users=b, seed=s, candidates=candidates, **kwargs
        ).per_task
        for b, s in ((1024, 0), (7, 0), (1024, 1))
    ]
    for metric, values in runs[0].items():
        np.testing.assert_array_equal(values, runs[1][metric])
    assert (runs[0]["nDCG@10"] != runs[2]["nDCG@10"]).any()


def test_only_equal_scores_change_places(tasks):
    support, query = tasks
    kwargs = {"ranker": top_k, "popularity": np.arange(ITEMS, dtype=np.float32)}
    found = np.mean(
        [
            evaluate(Stepped(7), support, query, seed=s, **kwargs).per_task["nDCG@10"]
            for s in range(300)
        ],
        axis=0,
    )
    gains = 1 / np.log2(np.arange(2, 12))
    for task in range(TASKS):  # the expectation: steps keep their order, each is shared alike
        own = set(support.items[SHOTS * task : SHOTS * (task + 1)])
        wanted, place, dcg = set(query[[task]].indices), 0, 0.0
        for start in range(0, ITEMS, 7):
            step = [i for i in range(start, min(start + 7, ITEMS)) if i not in own]
            share = len(wanted & set(step)) / len(step) if step else 0
            dcg += share * gains[place : place + len(step)].sum()
            place += len(step)
        expected = dcg / gains[: len(wanted)].sum()
        assert found[task] == pytest.approx(expected, abs=0.05)
