"""Models of a given shape without meta-training: an encoder costs the same whatever its weights.

Every gate is open, so that every part of the default method is paid for at every number of shots.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from warmstart.core.types import FloatArray, State
from warmstart.meta.belief import Belief, learn_belief
from warmstart.recommenders.default import Default
from warmstart.recommenders.default_config import DefaultConfig
from warmstart.recommenders.ials import IALS, IALSConfig
from warmstart.recommenders.memory import learn_memories
from warmstart.recommenders.parts import FACTORS, FIRST_CLOSED, Parts, empty
from warmstart.recommenders.query import QueryEncoder
from warmstart.recommenders.recency import Recency

MEMBERS = 3


def fitted(likes: sp.csr_array, config: DefaultConfig, rng: np.random.Generator) -> Default:
    """Return a default method whose closed forms are fitted on (users, items) likes."""
    n_items = likes.shape[1]
    counts = np.asarray(likes.sum(axis=0)).ravel() + config.popularity_prior
    neighbours = None if n_items <= config.dense_items else config.memory.neighbours
    return _opened(
        np.log(counts / counts.sum()).astype(np.float32),
        learn_belief(likes, config.closed_form, neighbours=neighbours),
        learn_memories(likes, config.memory),
        _both(IALS(_widest(config)).fit_likes(likes)),
        config,
        rng,
    )


def drawn(n_items: int, config: DefaultConfig, rng: np.random.Generator) -> Default:
    """Return a default method of `n_items` items in which every weight is drawn at random."""
    share = rng.dirichlet(np.ones(n_items)) + 1e-9
    mean = (50 * share / share.max()).clip(1e-6, 0.2).astype(np.float32)
    width = min(config.memory.neighbours, n_items)
    covariance = 1e-3 * _drawn_rows(n_items, width, rng)
    covariance = covariance + sp.diags_array((mean - mean**2).astype(np.float32))
    whole = n_items <= config.dense_items  # as training keeps it
    names = [f"cosine-{s:g}" for s in config.memory.shrinkages]
    names += [f"ease-{r:g}" for r in config.memory.regs]
    chosen = _widest(config)
    factors = 0.1 * rng.standard_normal((n_items, chosen.factors), np.float32)
    gram = factors.T @ factors + np.float32(chosen.reg) * np.eye(chosen.factors, dtype=np.float32)
    settings = np.array([chosen.reg, chosen.alpha], np.float32)
    return _opened(
        np.log(share).astype(np.float32),
        Belief(
            mean,
            covariance.toarray() if whole else sp.csr_array(covariance),
            mean - mean**2,
            1_000.0,
        ),
        {name: _drawn_rows(n_items, width, rng) for name in names},
        _both(IALS.from_arrays({"factors": factors, "gram": gram, "settings": settings})),
        config,
        rng,
    )


def _opened(
    log_popularity: FloatArray,
    belief: Belief,
    memories: dict[str, sp.csr_array],
    factors: tuple[IALS, ...],
    config: DefaultConfig,
    rng: np.random.Generator,
) -> Default:
    n_items, hidden, dim = len(log_popularity), config.hidden_dim, config.embedding_dim
    n_parts = FIRST_CLOSED + len(config.powers) + len(memories)

    def weights(*shape: int) -> FloatArray:
        return 0.05 * rng.standard_normal(shape, np.float32)

    parts = Parts(
        encoder=QueryEncoder(
            events=weights(n_items, 1, MEMBERS * hidden),
            user_features=weights(0, MEMBERS * hidden),
            count_in=weights(MEMBERS, 2, 16),
            count_in_bias=weights(MEMBERS, 16),
            count_out=weights(MEMBERS, 16, hidden),
            count_out_bias=weights(MEMBERS, hidden),
            head=weights(MEMBERS, hidden, dim),
            head_bias=weights(MEMBERS, dim),
            items=weights(n_items, dim),  # narrowed, as training leaves it
            bias=weights(n_items),
        ),
        log_popularity=log_popularity,
        recency=Recency(weights(n_items), 1e9, 1e6),
        factors=factors,
        belief=belief,
        closed_form=config.closed_form,
        powers=config.powers,
        memories=memories,
        scales=np.ones(n_parts, np.float32),
        dislike=config.memory_dislike,
        lent=empty(n_items),
    )
    knots = np.array(config.gate_shots, np.float32)
    arrays = {**parts.arrays(), "gate_shots": knots}
    arrays["gate_weights"] = rng.uniform(0.5, 1.5, (len(knots), n_parts)).astype(np.float32)
    meta = {"config": config.model_dump(mode="json"), "memories": list(memories), "quality": []}
    return Default.from_state(State(arrays, meta))


def _widest(config: DefaultConfig) -> IALSConfig:
    return max(config.factors, key=lambda settings: settings.factors)


def _both(factors: IALS) -> tuple[IALS, ...]:
    """Return the factors for few shots and for many, which cost the same."""
    return tuple(factors for _ in FACTORS)


def _drawn_rows(n_items: int, width: int, rng: np.random.Generator) -> sp.csr_array:
    """Return (items, items) with `width` entries in each row; popular columns stand more often."""
    columns = (n_items * rng.random((n_items, width)) ** 2).astype(np.int32)
    indptr = np.arange(n_items + 1, dtype=np.int64) * width
    data = rng.random(n_items * width, np.float32)
    matrix = sp.csr_array((data, columns.ravel(), indptr), shape=(n_items, n_items))
    matrix.sum_duplicates()
    return matrix
