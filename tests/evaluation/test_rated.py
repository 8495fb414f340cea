import numpy as np
import pytest
import scipy.sparse as sp

from warmstart.core.errors import DataError
from warmstart.core.types import Histories
from warmstart.evaluation.rated import evaluate_rated
from warmstart.index import top_k

TASKS, ITEMS = 4000, 40


class Given:
    def __init__(self, scores):
        self.scores = scores

    def score(self, histories):
        return self.scores.astype(np.float32)


@pytest.fixture(scope="module")
def ratings():
    rng = np.random.default_rng(0)
    rated = rng.random((TASKS, ITEMS)) < 0.5
    rated[:, :10] = True
    return rng.integers(1, 6, (TASKS, ITEMS)) * rated


def judge(scores, ratings):
    return evaluate_rated(
        Given(scores), Histories.empty(len(ratings)), sp.csr_array(ratings.astype(np.float32)),
        ranker=top_k, rng=np.random.default_rng(1),
    )  # fmt: skip


def test_chance_is_one_half_and_seven_tenths(ratings):
    found = judge(np.random.default_rng(2).random((TASKS, ITEMS)), ratings)
    assert found["nDCG@5"].mean() == pytest.approx(0.5, abs=0.015)  # five standard errors
    # five of ten items are positive; the first stands at rank r with probability p(r)
    left, expected = 1.0, 0.0
    for rank in range(1, 7):
        hit = 5 / (11 - rank)
        expected, left = expected + left * hit / rank, left * (1 - hit)
    assert expected == pytest.approx(0.704, abs=0.001)
    assert found["MRR"].mean() == pytest.approx(expected, abs=0.025)


def test_equal_scores_are_chance_too_and_labels_are_perfect(ratings):
    assert judge(np.zeros((TASKS, ITEMS)), ratings)["nDCG@5"].mean() == pytest.approx(
        0.5, abs=0.015
    )
    assert judge(ratings, ratings)["nDCG@5"].mean() > 0.9  # equal labels fall on both sides
    distinct = np.tile(np.arange(1, 11), (20, 1))
    np.testing.assert_allclose(judge(distinct, distinct)["nDCG@5"], 1)


def test_refuses_too_few_rated_items():
    with pytest.raises(DataError, match="task 1 has 3 rated items"):
        judge(np.zeros((2, 10)), np.array([[1] * 10, [1] * 3 + [0] * 7]))
