"""Episodes cut a user's events into support and query, and lose none."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from warmstart.meta.episodes import draw_episodes


def evidence_of(rng, n_users=12, n_items=25):
    values = rng.choice([0, 0, 1, 0.5, -1], size=(n_users, n_items)).astype(np.float32)
    values[:, 0] = 1  # everybody likes something
    return sp.csr_array(values)


@given(st.integers(0, 10**6), st.integers(0, 6), st.floats(0, 1))
@settings(deadline=None, max_examples=60)
def test_support_and_query_share_nothing_and_hold_every_like(seed, max_shots, dislike_share):
    rng = np.random.default_rng(seed)
    evidence, users = evidence_of(rng), np.arange(12)
    episodes = draw_episodes(
        evidence, users, rng, max_shots=max_shots, few_shot_share=1.0, dislike_share=dislike_share
    )
    support, query = episodes.support.matrix(25).toarray(), episodes.query.toarray()
    dense = evidence.toarray()
    assert not ((support != 0) & (query != 0)).any()
    np.testing.assert_array_equal((support > 0) | (query > 0), dense > 0)
    np.testing.assert_array_equal(support[support != 0], dense[support != 0])
    likes, dislikes = (support > 0).sum(axis=1), (support < 0).sum(axis=1)
    assert (likes <= max_shots).all()
    assert (dislikes <= likes + 1).all()
    assert (query.sum(axis=1) >= 1).all()  # there is always something to be judged on


def test_shots_are_drawn_evenly_up_to_the_most():
    likes = sp.csr_array(np.ones((4000, 40), np.float32))
    rng = np.random.default_rng(0)
    shots = draw_episodes(
        likes, np.arange(4000), rng, max_shots=4, few_shot_share=1.0
    ).support.shots
    counts = np.bincount(shots, minlength=5)
    assert len(counts) == 5
    assert counts == pytest.approx(800, abs=120)  # 4.7 standard deviations


def test_the_same_generator_gives_the_same_episodes():
    evidence = evidence_of(np.random.default_rng(1))
    first, again = (
        draw_episodes(evidence, np.arange(12), np.random.default_rng(7)) for _ in range(2)
    )
    np.testing.assert_array_equal(first.support.items, again.support.items)
    np.testing.assert_array_equal(first.query.toarray(), again.query.toarray())
