"""A store of an earlier version is brought to this one, with all that it holds."""

import sqlite3

from warmstart.store import Event, open_store
from warmstart.store.sqlite import MIGRATIONS


def test_a_store_that_had_a_table_of_posteriors_loses_nothing_else(tmp_path):
    path = tmp_path / "events.sqlite"
    store = open_store(path)
    event = Event("e", "ada", 1, "like", None, 0.0)
    store.append("t", [event])
    store.close()
    database = sqlite3.connect(path)
    (table,) = [s for s in MIGRATIONS[0] if "posteriors" in s]
    database.execute(table)
    database.execute("PRAGMA user_version = 1")
    database.close()
    store = open_store(path)
    assert store.healthy().ok
    assert store.events("t", "ada") == [event]
    store.close()
    database = sqlite3.connect(path)
    assert database.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master")]
    assert "posteriors" not in tables
    database.close()
