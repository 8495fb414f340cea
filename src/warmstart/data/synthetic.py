"""Planted data: tastes of low rank around genres, so that a learner can be checked for them.

A user has a taste over genres (drawn around the tastes of their age group and occupation) and a
low-rank personal part; an item has one to three genres and a latent vector near them. What a user
picks follows taste plus popularity, which drifts over time; the rating follows taste alone. Half
of the items are released during the year, and some nobody has met yet.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from warmstart.core.config import Config
from warmstart.core.rng import generator
from warmstart.data.dataset import Dataset

GENRES = ("Action", "Comedy", "Drama", "Horror", "Romance", "Sci-Fi", "Musical", "Western")
_WORDS = {
    "Action": "chase explosion rescue mission fighter",
    "Comedy": "funny mishap wedding neighbour prank",
    "Drama": "family secret loss village letter",
    "Horror": "haunted house night scream curse",
    "Romance": "love summer meeting paris heart",
    "Sci-Fi": "space alien future robot planet",
    "Musical": "song stage dance orchestra star",
    "Western": "desert sheriff outlaw horse saloon",
}
_ADJECTIVES = "Silent Golden Broken Hidden Distant Burning Crimson Frozen Endless Lucky".split()
_NOUNS = "River Garden Machine Empire Shadow Letter Harbour Signal Mountain Circus".split()
_JOBS = ("student", "engineer", "artist", "teacher", "doctor", "farmer")
_START, _YEAR = 1_600_000_000, 365 * 86_400


class SyntheticConfig(Config):
    """Sizes and strengths of the planted data.

    Attributes:
        n_users: users.
        n_items: items, those without interactions included.
        n_events: mean number of events per user, at least 5 each.
        rank: of the personal part of the tastes.
        taste: how much taste decides what a user picks.
        popularity: how much popularity does.
        new_items: share of items that nobody has met.
        seed: of everything.
    """

    n_users: int = Field(1_000, ge=2)
    n_items: int = Field(500, ge=10)
    n_events: int = Field(40, ge=5)
    rank: int = Field(8, ge=1)
    taste: float = Field(2.0, ge=0)
    popularity: float = Field(1.0, ge=0)
    new_items: float = Field(0.04, ge=0, lt=0.5)
    seed: int = Field(0, ge=0)


def synthetic(**options: int | float) -> Dataset:
    """Return planted data; the same options give the same data.

    Args:
        options: fields of `SyntheticConfig`.

    Example:
        >>> data = synthetic(n_users=50, n_items=40, seed=1)
        >>> data.n_users, data.n_items, data.item_table.column_names
        (50, 40, ['item', 'title', 'year', 'genres', 'description'])
    """
    config = SyntheticConfig.parse(dict(options))
    rng = generator(config.seed, "synthetic")
    genres, item_vectors = _items(rng, config)
    users, user_vectors = _users(rng, config)
    affinity = user_vectors @ item_vectors.T / np.sqrt(item_vectors.shape[1])
    affinity = (affinity - affinity.mean()) / affinity.std()
    return Dataset.from_tables(
        _events(rng, config, affinity),
        items=_item_table(rng, genres),
        users=users,
        schema={"users": {"age": "number"}},
        name="synthetic",
    )


def _items(
    rng: np.random.Generator, config: SyntheticConfig
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64]]:
    n, n_genres = config.n_items, len(GENRES)
    how_many = rng.choice([1, 2, 3], n, p=[0.4, 0.4, 0.2])
    ranks = rng.random((n, n_genres)).argsort(axis=1).argsort(axis=1)
    genres = ranks < how_many[:, None]
    latent = 0.5 * rng.standard_normal((n, config.rank))
    return genres, np.hstack([genres / np.sqrt(how_many)[:, None] * 2, latent])


def _users(
    rng: np.random.Generator, config: SyntheticConfig
) -> tuple[dict[str, list[object]], npt.NDArray[np.float64]]:
    n, n_genres = config.n_users, len(GENRES)
    age, job = rng.integers(16, 76, n), rng.integers(0, len(_JOBS), n)
    by_age, by_job = rng.standard_normal((6, n_genres)), rng.standard_normal((6, n_genres))
    own = rng.standard_normal((n, n_genres))
    taste = 0.6 * by_age[(age - 16) // 10] + 0.6 * by_job[job] + own
    table: dict[str, list[object]] = {
        "user": [f"u{i}" for i in range(n)],
        "age": age.tolist(),
        "occupation": [_JOBS[j] for j in job],
    }
    return table, np.hstack([taste, rng.standard_normal((n, config.rank))])


def _events(
    rng: np.random.Generator, config: SyntheticConfig, affinity: npt.NDArray[np.float64]
) -> dict[str, object]:
    n_users, n_items = affinity.shape
    n_met = n_items - round(config.new_items * n_items)
    # Times are shares of the year. More users join later; half of the items are there at once.
    joined = rng.random(n_users) ** 0.7
    released = np.where(rng.random(n_items) < 0.5, 0.0, rng.random(n_items))
    peak = released + (1 - released) * rng.random(n_items)
    fame = 1.2 * rng.standard_normal(n_items)
    stays = 0.3 * (1 - joined)
    events = np.clip(rng.poisson(config.n_events * rng.gamma(4, 0.25, n_users)), 5, n_met // 2)
    drift = -((joined[:, None] - peak[None]) ** 2) / 0.18
    noise = rng.gumbel(size=(n_users, n_met))  # the largest sums are a draw without replacement
    wish = config.taste * affinity + config.popularity * (fame + drift)
    wish = np.where(released[None] > (joined + stays)[:, None], -np.inf, wish)
    order = np.argsort(-(wish[:, :n_met] + noise), axis=1)
    events = np.minimum(events, np.isfinite(wish[:, :n_met]).sum(axis=1))
    user = np.repeat(np.arange(n_users), events)
    rank = np.arange(len(user)) - np.repeat(np.cumsum(events) - events, events)
    item = order[user, rank]
    begun = np.maximum(joined[user], released[item])
    at = begun + rng.random(len(user)) * (joined[user] + stays[user] - begun)
    time = _START + np.floor(at * _YEAR).astype(np.int64)
    liking = affinity[user, item] + 0.7 * rng.standard_normal(len(user))
    rating = 1 + np.searchsorted(np.quantile(liking, [0.08, 0.22, 0.48, 0.78]), liking)
    return {
        "user": pa.array([f"u{i}" for i in range(n_users)]).take(pa.array(user)),
        "item": item + 1,
        "rating": rating,
        "timestamp": time,
    }


def _item_table(rng: np.random.Generator, genres: npt.NDArray[np.bool_]) -> dict[str, list[object]]:
    n = len(genres)
    names = [[g for g, has in zip(GENRES, row, strict=True) if has] for row in genres]
    year = rng.integers(1950, 2021, n)
    part = (np.arange(n) // (len(_ADJECTIVES) * len(_NOUNS))) + 1
    titles = [
        f"{_ADJECTIVES[i % 10]} {_NOUNS[i // 10 % 10]}{'' if part[i] == 1 else f' {part[i]}'}"
        f" ({year[i]})"
        for i in range(n)
    ]
    picks = rng.integers(0, 5, (n, 4))
    words = [
        [_WORDS[own[j % len(own)]].split()[p] for j, p in enumerate(row)]
        for own, row in zip(names, picks, strict=True)
    ]
    return {
        "item": list(range(1, n + 1)),
        "title": list(titles),
        "year": year.tolist(),
        "genres": ["|".join(own) for own in names],
        "description": [
            f"A {' and '.join(own).lower()} film about a {w[0]}, a {w[1]}, a {w[2]} and a {w[3]}."
            for own, w in zip(names, words, strict=True)
        ],
    }
