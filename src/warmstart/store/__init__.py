"""Durable events of users, and what a service must not forget: SQLite, or PostgreSQL."""

from warmstart.store.opening import open_store
from warmstart.store.store import (
    ApiKey,
    Event,
    Health,
    ItemChange,
    Receipt,
    Store,
    Training,
)

__all__ = [
    "ApiKey",
    "Event",
    "Health",
    "ItemChange",
    "Receipt",
    "Store",
    "Training",
    "open_store",
]
