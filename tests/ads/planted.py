"""Impressions whose chances are known: users and ads have sides, and like-sided pairs click."""

import numpy as np

COLUMNS = {
    "conversion": "buy", "timestamp": "t", "propensity": "p",
    "user_columns": ["side_of_user"], "ad_columns": ["side", "brand"], "context_columns": ["hour"],
}  # fmt: skip


def chances(user_side, ad_side, hour):
    """Click chance, and conversion chance after a click."""
    return np.where(user_side == ad_side, 0.5, 0.1) * np.where(hour > 11, 1.0, 0.6), np.where(
        ad_side == 1, 0.6, 0.2
    )


def impressions(n=6_000, *, users=80, ads=20, seed=0):
    """A log by a policy that shows every ad alike."""
    rng = np.random.default_rng(seed)
    user, ad, hour = (
        rng.integers(users, size=n),
        rng.integers(ads, size=n),
        rng.integers(24, size=n),
    )
    click, sale = chances(user % 2, ad % 2, hour)
    clicked = rng.random(n) < click
    return {
        "user": user, "ad": ad, "click": clicked.astype(int),
        "buy": (clicked & (rng.random(n) < sale)).astype(int), "t": np.arange(n) * 60.0,
        "p": np.full(n, 1 / ads), "side_of_user": user % 2,
        "side": np.where(ad % 2, "odd", "even"), "brand": np.array(["红", "蓝", "绿"])[ad % 3],
        "hour": hour,
    }  # fmt: skip
