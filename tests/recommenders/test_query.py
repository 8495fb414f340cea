"""An ensemble of encoders as wide as one of its members."""

import numpy as np
import pytest

from warmstart.core.types import Histories
from warmstart.recommenders.query import QueryEncoder

N, MEMBERS, HIDDEN, DIM = 400, 3, 24, 16


@pytest.fixture(scope="module")
def whole():
    """Three encoders that have learned nearly the same, each in axes of its own."""
    rng = np.random.default_rng(0)

    def drawn(*shape):
        return rng.standard_normal(shape).astype(np.float32)

    events, items, head = drawn(N, HIDDEN), drawn(N, DIM), 0.3 * drawn(HIDDEN, DIM)
    turns = [np.linalg.qr(drawn(DIM, DIM))[0] for _ in range(MEMBERS)]
    off = 0.01
    return QueryEncoder(
        events=np.concatenate([events + off * drawn(N, HIDDEN) for _ in turns], axis=1)[:, None],
        user_features=drawn(5, MEMBERS * HIDDEN),
        count_in=drawn(MEMBERS, 2, 4),
        count_in_bias=drawn(MEMBERS, 4),
        count_out=off * drawn(MEMBERS, 4, HIDDEN),
        count_out_bias=np.zeros((MEMBERS, HIDDEN), np.float32),
        head=np.stack([head @ turn for turn in turns]),
        head_bias=off * drawn(MEMBERS, DIM),
        items=np.concatenate([(items + off * drawn(N, DIM)) @ t for t in turns], axis=1) / MEMBERS,
        bias=drawn(N),
    )


def users(n, seed):
    rng = np.random.default_rng(seed)
    shots = rng.integers(0, 9, n)
    items = rng.integers(0, N, int(shots.sum())).astype(np.int32)
    return Histories(np.append(0, np.cumsum(shots)), items, np.ones(len(items), np.float32))


def scores(encoder, histories):
    found = encoder.queries(histories) @ encoder.items.T
    return found - found.mean(axis=1, keepdims=True)


def test_what_members_agree_on_is_kept(whole):
    narrow = whole.narrowed(whole.queries(users(300, 1)))
    assert narrow.items.shape == (N, DIM)
    everybody = users(50, 2)
    assert narrow.queries(everybody).shape == (50, DIM)
    truth = scores(whole, everybody)
    off = scores(narrow, everybody) - truth
    assert off.std() < 0.02 * truth.std()
    cosines = [
        items @ items.T / np.outer(*[np.linalg.norm(items, axis=1)] * 2)
        for items in (whole.items, narrow.items)
    ]
    assert np.corrcoef(cosines[0].ravel(), cosines[1].ravel())[0, 1] > 0.99


def test_it_is_saved_and_grows_as_before(whole):
    narrow = whole.narrowed(whole.queries(users(300, 1)))
    again = QueryEncoder.from_arrays(narrow.arrays())
    everybody = users(20, 3)
    np.testing.assert_array_equal(again.queries(everybody), narrow.queries(everybody))
    assert narrow.roomy().grown(3).items.shape == (N + 3, DIM)
    assert narrow.narrowed(narrow.queries(everybody)) is narrow
