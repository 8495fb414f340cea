"""Which column is which: the names that we understand, and what to say when one is missing.

Names are compared without case, spaces, dashes and underscores, and without a type after a
colon (`user_id:token`). Earlier names win over later ones; a schema wins over all of them.

| part      | names |
|-----------|-------|
| user      | user, user_id, uid, reviewer_id, customer_id, visitor_id, member_id, … |
| item      | item, item_id, iid, movie_id, product_id, asin, article_id, book_id, … |
| rating    | rating, stars, overall, score |
| timestamp | timestamp, time, ts, datetime, date, unix_review_time, event_time, created_at |
| event     | event, event_type, action, behavior, interaction_type |
| weight    | weight, plays, play_count, count, listens, quantity |
| text      | text, review, review_text, comment, body, content, 评论, 评价, … (of reviews) |
| title     | title, name, and these after the item's own word (movie_title, artist_name, …) |
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from rapidfuzz import process

from warmstart.core.errors import DataError

ALIASES: dict[str, tuple[str, ...]] = {
    "user": (
        "user", "user_id", "uid", "reviewer_id", "customer_id", "visitor_id", "member_id",
        "account_id", "profile_id", "username", "user_name", "customer", "reviewer", "users",
    ),
    "item": (
        "item", "item_id", "iid", "movie_id", "product_id", "asin", "parent_asin", "article_id",
        "book_id", "isbn", "artist_id", "track_id", "song_id", "video_id", "news_id", "game_id",
        "business_id", "recipe_id", "anime_id", "show_id", "ad_id", "content_id", "sku", "movie",
        "product", "article", "book", "artist", "items",
    ),
    "rating": ("rating", "ratings", "stars", "overall", "score", "rate"),
    "timestamp": (
        "timestamp", "time", "ts", "datetime", "date", "unix_review_time", "unix_time",
        "event_time", "created_at", "timestamp_s", "timestamp_seconds",
    ),
    "event": ("event", "event_type", "event_name", "action", "behavior", "interaction_type"),
    "weight": ("weight", "plays", "play_count", "count", "counts", "listens", "quantity"),
    "text": (
        "text", "review_text", "review", "reviews", "review_body", "comment", "comments", "body",
        "content", "opinion", "评论", "评论内容", "评价", "评价内容", "点评", "短评", "内容",
    ),
    "title": (
        "title", "item_title", "movie_title", "product_title", "book_title", "article_title",
        "song_title", "track_title", "video_title", "name", "item_name", "movie_name",
        "product_name", "artist_name", "track_name", "headline",
    ),
}  # fmt: skip
PARTS = ("user", "item", "rating", "timestamp", "event", "weight")


def plain(name: str) -> str:
    """Return a column name without case, punctuation and type.

    Example:
        >>> plain("User_ID:token"), plain("reviewerID")
        ('userid', 'reviewerid')
    """
    return re.sub(r"[\W_]+", "", name.partition(":")[0]).casefold()


def match(part: str, names: Sequence[str], *, also: Iterable[str] = ()) -> str | None:
    """Return the column that holds `part`, by its name, or None."""
    by_plain: dict[str, str] = {}
    for name in names:
        by_plain.setdefault(plain(name), name)
    for alias in (*ALIASES[part], *also):
        if plain(alias) in by_plain:
            return by_plain[plain(alias)]
    return None


def require(part: str, names: Sequence[str], table: str, *, also: Iterable[str] = ()) -> str:
    """Return the column that holds `part`.

    Raises:
        DataError: there is none; the message names the nearest column.
    """
    found = match(part, names, also=also)
    if found is not None:
        return found
    known = [plain(alias) for alias in ALIASES[part]]
    best = max(
        names,
        key=lambda n: max(
            (hit[1] for hit in [process.extractOne(plain(n), known)] if hit), default=0.0
        ),
        default=None,
    )
    nearest = f"nearest column: {best!r}; " if best is not None else ""
    raise DataError(
        f"{table} has no {part} column ({nearest}it has: {', '.join(names)}); rename it to "
        f"{part!r}, or name it in a schema"
    )
